"""The form of a record in JSON: what a manifest holds must be read for as long as there are manifests."""

import json

import pytest

from gaze.crop.photo.record import CroppedRecord, FailedRecord, Stamp, parse_record
from gaze.geometry import Box

CROP = (
    '{"ratio": "16:9", "rank": 1, "box": {"left": 5, "top": 20, "width": 300, "height": 169}, "score": 0.846473, '
    '"center_score": 0.839524, "confidence": 0.006949, "centered": false, '
    '"output": {"path": "a/b_16x9.jpg", "width": 199, "height": 112}}'
)
START = '{"input": "a/b.jpg", "bytes": 23313, "mtime_ns": 1795642760495185814, "request": "6d50aef37a4b7933", '
PHOTO = '"width": 320, "height": 240, "format": "JPEG", "model": {"name": "fast", "version": "1.2.0"}, '
CROPS = f'"crops": [{CROP}], '
DAMAGED = ', "damaged": true}'
HEATMAP = '"heatmap": {"path": "a/b_heatmap.jpg", "width": 320, "height": 240}, '
TIMES = '"milliseconds": {"decode": 1.5, "predict": 6.02, "choose": 0.3, "encode": 2.0}}'
LINES = [
    START + PHOTO + CROPS + HEATMAP + TIMES,
    START + PHOTO + CROPS + TIMES,
    START + '"error": "a/b.jpg: the file is empty"}',
    '{"input": "/photos/sub", "error": "/photos/sub: cannot be read (Permission denied)"}',
    '{"input": "caf\\u00e9 \\udcff.jpg", "error": "no"}',
    START + PHOTO + CROPS + TIMES[:-1] + DAMAGED,
]
"""Written by the first version that had manifests."""


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_and_written_as_it_was(line: str):
    record = parse_record(line.encode())
    assert record is not None
    assert json.dumps(record.to_json()) == line


def test_values_are_where_they_belong():
    record = parse_record(LINES[0])
    assert isinstance(record, CroppedRecord)
    assert (record.input, record.stamp, record.request) == (
        "a/b.jpg",
        Stamp(23313, 1795642760495185814),
        "6d50aef37a4b7933",
    )
    assert record.photo.crops[0].box == Box(5, 20, 300, 169)
    assert [picture.path for picture in record.photo.pictures] == ["a/b_16x9.jpg", "a/b_heatmap.jpg"]
    failed = parse_record(LINES[2])
    assert failed == FailedRecord("a/b.jpg", "a/b.jpg: the file is empty", record.stamp, record.request)


def test_what_a_later_version_adds_is_passed_over():
    line = LINES[0].replace('"rank": 1', '"rank": 1, "shape": "oval"').replace('"format"', '"camera": "x", "format"')
    assert parse_record(line) == parse_record(LINES[0])


@pytest.mark.parametrize(
    "line", ["", "no json", "3", "[]", "null", "{}", '{"input": "a"}', LINES[0][:-9], START + '"crops": 3}', "\x00" * 9]
)
def test_what_is_no_whole_record_is_none(line: str):
    assert parse_record(line) is None


def test_what_later_versions_told_of_thumbnails_is_read_and_written_as_it_was():
    digest = '"height": 112, "bytes": 5120, "sha256": "' + "ab" * 32 + '"'
    line = (
        LINES[1]
        .replace('"height": 112', digest)
        .replace('"width": 320', '"asked": "0123456789abcdef", "width": 320', 1)
    )
    record = parse_record(line)
    assert isinstance(record, CroppedRecord)
    assert json.dumps(record.to_json()) == line
    assert (record.asked, record.photo.pictures[0].bytes) == ("0123456789abcdef", 5120)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        START.replace('"a/b.jpg"', "5", 1) + '"error": "x"}',
        START.replace("a/b.jpg", "a\\u0000b", 1) + '"error": "x"}',
        LINES[1].replace('"a/b_16x9.jpg"', "7"),
        LINES[1].replace('"a/b_16x9.jpg"', "null"),
    ],
)
def test_what_no_version_wrote_is_none(line: str):
    assert parse_record(line) is None
