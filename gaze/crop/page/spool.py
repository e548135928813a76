"""The page of a run: one HTML file with every photo, its boxes, its predicted gaze and its crops.

What a photo adds to the page is made where the photo is at hand (`gaze.crop.photo.preview`) and waits in a file beside
the page until the run ends: memory stays flat, and a run that is killed loses no photo. In the page too every photo is
a line of JSON, which a run that resumes reads back. The browser makes rows and pictures only of what is near.
"""

import base64
import contextlib
import html
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gaze.crop.folder.listing import KNOWN
from gaze.crop.photo.record import CroppedRecord, ModelRecord, Record, parse_record
from gaze.errors import ConfigError, OutputError
from gaze.files import replacing
from gaze.framing.policy import BESIDE, BESIDE_WEIGHT, HEAD_WEIGHT, NEAR, WHOLE_WEIGHT, Framing

if TYPE_CHECKING:
    from gaze.crop.photo.preview import Preview

_MARK, _HEAD = b'<meta name="generator" content="gaze.crop --report">', 4096
"""Every page has the mark in so many bytes from its beginning."""

_LINE = '<script type="application/json" id="p{}">{}</script>\n'
_LINE_READ = re.compile(rb'<script type="application/json" id="p\d+">(.+)</script>\n')


class PageSpool:
    """Collects photos as they finish and writes the page at the end; holds no more of each than its name.

    Args:
        path: of the page; the photos wait beside it in a hidden file.
        resume: keep what a run left that was killed (of a torn last line, nothing), or what the page holds already.
        photos: the folder that relative paths of inputs start at; None is the working directory.
        thumbnails: the same of the outputs.

    Raises:
        ConfigError: the path is a folder, a file that is no report, or named as a picture.
        OutputError: here or later, the system refuses to write.
    """

    def __init__(self, path: Path, resume: bool, photos: Path | None = None, thumbnails: Path | None = None):
        self._path = Path(os.path.abspath(path))
        self._spool = self._path.with_name(f".gaze-{self._path.name}.jsonl")
        self._photos, self._thumbnails = photos or Path(), thumbnails or Path()
        if self._path.is_dir():
            raise ConfigError(f"--report {path}: expected a file, got a folder")
        if self._path.suffix.lower() in KNOWN:
            raise ConfigError(f"--report {path}: is the name of a picture, expected one such as report.html")
        with _writing(self._path):
            self._check()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if resume and self._spool.exists() and not self._spool.is_symlink():
                _drop_torn_line(self._spool)
            else:
                with replacing(self._spool) as spool:
                    spool.writelines(_lines_of(self._path) if resume else [])

    def add(self, record: Record, preview: "Preview | None") -> None:
        """Takes the manifest's record of one photo; a photo's last record replaces its earlier ones.

        Args:
            record: of the manifest.
            preview: None for a failure.
        """
        with _writing(self._path), self._spool.open("ab") as file:
            file.write(_line(record, preview))

    def finish(self, model: ModelRecord | None = None, rate: float | None = None, done: Iterable[Record] = ()) -> int:
        """Writes the page, whole or not at all, and removes the spool.

        Args:
            model: that predicted, where known.
            rate: photos a second likewise.
            done: records of photos that are on the page too, if need be without pictures.

        Returns:
            How many photos have no pictures.
        """
        with _writing(self._path):
            offsets, lacking = self._offsets(done)
            self._check()
            with replacing(self._path) as file:
                subtitle = _subtitle(model, rate, lacking)
                file.writelines(text.encode("utf-8", "xmlcharrefreplace") for text in self._page(subtitle, offsets))
            self._spool.unlink()
        return lacking

    def _check(self) -> None:
        if not _may_replace(self._path):
            raise ConfigError(
                f"--report {self._path}: expected an earlier report or no file yet; that one stays as it is"
            )

    def _page(self, subtitle: str, offsets: Sequence[int]) -> Iterator[str]:
        template, style, script = (_part(suffix) for suffix in (".html", ".css", ".js"))
        counts = self._counts(offsets)
        parts: dict[str, Iterable[str]] = {
            "policy": [_policy(style, script)],
            "style": [style],
            "script": [script],
            "photos": [f"{counts['photos']:,}"],
            "model": [html.escape(subtitle)],
            "weight": [f"{Framing.cut_weight:g}"],
            "near": [f"{NEAR:.0%}"],
            "heads": [f"{HEAD_WEIGHT:g}"],
            "whole": [f"{WHOLE_WEIGHT:g}"],
            "within": [f"{BESIDE:.0%}"],
            "beside": [f"{BESIDE_WEIGHT:g}"],
            "counts": [f"<div><dt>{term}<dd>{count:,}</div>" for term, count in counts.items()],
            "records": self._records(offsets),
            "entries": (_LINE.format(index, line.decode()[:-1]) for index, line in enumerate(self._lines(offsets))),
        }
        for index, part in enumerate(re.split(r"\{\{(\w+)\}\}", template)):
            yield from parts[part] if index % 2 else [part]

    def _offsets(self, done: Iterable[Record]) -> tuple[list[int], int]:
        """Where in the spool the last line of each photo begins, by the photos' names; how many have no pictures.

        Adds lines of what is done and is not there, or is there as it was before.
        """
        last: dict[str, int] = {}  # the offset, then the record's marks: one number is all that is held of a photo
        offset = 0
        with self._spool.open("r+b") as file:
            for line in file:
                if record := _record(line):
                    last[record.input] = offset << _MARKS | _marks(record, line)
                offset += len(line)
            file.seek(offset)
            for record in done:
                line = _line(record, None)
                marks = _marks(record, line)
                if (last.get(record.input, -1) ^ marks) & _VERSION:
                    last[record.input] = offset << _MARKS | marks
                    offset += file.write(line)
        return [last[name] >> _MARKS for name in sorted(last)], sum(number & 1 for number in last.values())

    def _lines(self, offsets: Iterable[int]) -> Iterator[bytes]:
        with self._spool.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                yield file.readline()

    def _kept(self, offsets: Iterable[int]) -> Iterator[Record]:
        yield from filter(None, map(_record, self._lines(offsets)))

    def _counts(self, offsets: Sequence[int]) -> Counter[str]:
        counts = Counter(photos=0, cropped=0, failed=0, crops=0, centred=0)
        for record in self._kept(offsets):
            crops = record.photo.crops if isinstance(record, CroppedRecord) else ()
            counts["photos"] += 1
            counts["cropped" if isinstance(record, CroppedRecord) else "failed"] += 1
            counts["crops"] += len(crops)
            counts["centred"] += sum(crop.centered for crop in crops)
        return counts

    def _records(self, offsets: Iterable[int]) -> Iterator[str]:
        for index, record in enumerate(self._kept(offsets)):
            entry = {**record.to_json(), "href": self._link(self._photos / record.input)}
            for crop in entry.get("crops", []):
                crop["output"]["href"] = self._link(self._thumbnails / crop["output"]["path"])
            yield (",\n" if index else "") + _json(entry)

    def _link(self, path: Path) -> str:
        """The way from the page to a file, as a URL, so that both can move together."""
        return quote(os.fsencode(os.path.relpath(path, self._path.parent)))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError.of(path, error) from error


def _may_replace(page: Path) -> bool:
    """Whether there is no file, an empty one, or a page that was made here."""
    if not page.exists():
        return True
    if not page.is_file():
        return False
    with page.open("rb") as file:
        head = file.read(_HEAD)
    return not head or _MARK in head


def _lines_of(page: Path) -> Iterator[bytes]:
    """The lines of the spool that a finished page holds."""
    if page.exists():
        with page.open("rb") as file:
            yield from (match[1] + b"\n" for match in map(_LINE_READ.fullmatch, file) if match)


def _drop_torn_line(spool: Path) -> None:
    with spool.open("r+b") as file:
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(whole)


def _part(suffix: str) -> str:
    return Path(__file__).with_name(f"page{suffix}").read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy: this style, this script, pictures inside the page, and nothing else."""
    own = [f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" for text in (style, script)]
    inside = f"style-src {own[0]}; script-src {own[1]}; img-src data:"
    return f"default-src 'none'; {inside}; base-uri 'none'; form-action 'none'"


def _subtitle(model: ModelRecord | None, rate: float | None, lacking: int) -> str:
    parts = [f"model {model.name} {model.version}"] if model else []
    parts += [f"{rate:.3g} photos a second"] if rate else []
    parts += [f"{lacking:,} photos without pictures, as they were done without a report"] if lacking else []
    return ", ".join(parts)


def _line(record: Record, preview: "Preview | None") -> bytes:
    return f"[{_json(record.to_json())},\t{_json(preview and vars(preview))}]\n".encode()


_MARKS = 33
_VERSION = (1 << _MARKS) - 2


def _marks(record: Record, line: bytes) -> int:
    """32 bits that differ where a photo was done again, then one: whether it was cropped and has no pictures here."""
    cropped = isinstance(record, CroppedRecord)
    return hash((record.request, record.stamp, cropped)) << 1 & _VERSION | (cropped and line.endswith(b",\tnull]\n"))


def _record(line: bytes) -> Record | None:
    """The record in a line of the spool, `[record,<tab>preview]`; the pictures, most of the line, are not parsed."""
    return parse_record(line[1:].partition(b",\t")[0])


def _json(value: Any) -> str:
    """JSON in ASCII that no HTML element ends in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
