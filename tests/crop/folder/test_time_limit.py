"""`--timeout` on photos that are cropped in the command's own process."""

import os
import subprocess
import sys
from pathlib import Path
from struct import pack

import pytest

import gaze


def many_scans(width: int, height: int, scans: int) -> bytes:
    """A grey progressive JPEG, small and right, that takes long: every scan says anew that all blocks are empty.

    It does so 16,384 blocks at a time, as many as 1024 x 1024 pixels.
    """

    def segment(marker: int, content: bytes) -> bytes:
        return pack(">BBH", 0xFF, marker, len(content) + 2) + content

    def scan(first: int, last: int, bits: str) -> bytes:
        bits += "1" * (-len(bits) % 8)
        coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
        return segment(0xDA, bytes((1, 1, 0, first, last, 0))) + coded

    blocks = width * height // 64
    one_code = bytes((1, *[0] * 15))
    empty = "0" * 15 * (blocks // 16384)
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, bytes((0, *[1] * 64))),
            segment(0xC2, pack(">BHHB", 8, height, width, 1) + bytes((1, 0x11, 0))),
            segment(0xC4, b"\0" + one_code + b"\0"),
            segment(0xC4, b"\x10" + one_code + b"\xe0"),
            scan(0, 0, "0" * blocks),
            scan(1, 63, empty) * scans,
            b"\xff\xd9",
        ]
    )


def run(*arguments: object, content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "gaze.crop", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    return subprocess.run(command, input=content, env=environment, capture_output=True, check=False, timeout=100)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """It takes half a minute."""
    (tmp_path / "slow.jpg").write_bytes(many_scans(4096, 4096, 3000))
    return tmp_path / "slow.jpg"


def test_photo_that_takes_too_long_is_given_up(slow: Path, bright_model: Path):
    done = run(slow, "--timeout", "0.3", "--model", bright_model)
    told = f"gaze.crop: {slow}: took longer than 0.3 seconds and was given up\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", told)
    assert os.listdir(slow.parent) == ["slow.jpg"]


def test_json_has_a_record_of_it_too(slow: Path, bright_model: Path):
    done = run(slow, "--timeout", "0.3", "--model", bright_model, "--json")
    assert done.returncode == 1
    assert b"took longer than 0.3 seconds" in done.stdout


def test_standard_input_that_takes_too_long_is_given_up(slow: Path, bright_model: Path):
    done = run("-", "--timeout", "0.3", "--model", bright_model, content=slow.read_bytes())
    told = b"gaze.crop: -: took longer than 0.3 seconds and was given up\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", told)


def test_photo_that_is_quick_enough_is_cropped(tmp_path: Path, bright_model: Path):
    (tmp_path / "quick.jpg").write_bytes(many_scans(1024, 1024, 2))
    done = run(tmp_path / "quick.jpg", "--timeout", "100", "--model", bright_model)
    assert (done.returncode, done.stderr) == (0, b"")
