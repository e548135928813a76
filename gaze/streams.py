"""Standard input, output and error, whatever they are: closed, full, of a narrow encoding.

All of this changes the whole process, so that only the command does it.
"""

import codecs
import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from gaze.errors import OutputError


def prepare_streams() -> None:
    """Opens those that are closed to nowhere, lest a file of ours gets their number, and prints paths as they are."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or _nowhere("r")
    sys.stdout = sys.stdout or _nowhere("w")
    sys.stderr = sys.stderr or _nowhere("w")
    codecs.register_error("gaze.crop", _as_named)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="gaze.crop")


def _nowhere(mode: str) -> Any:
    return Path(os.devnull).open(mode, encoding="utf-8")


def _as_named(error: UnicodeError) -> tuple[str | bytes, int]:
    """What an encoding lacks, as the file system has it: a path is then printed as it is, whatever its bytes."""
    if not isinstance(error, UnicodeEncodeError):
        return codecs.lookup_error("surrogateescape")(error)
    return os.fsencode(error.object[error.start : error.end]), error.end


def print_result(text: str, end: str = "\n") -> None:
    """Prints to standard output.

    Raises:
        BrokenPipeError: its reader has left.
        OutputError: it cannot be written to.
    """
    try:
        print(text, end=end, flush=True)
    except OSError as error:
        _fail(error)


def write_result(content: bytes) -> None:
    """The same of bytes; where it was closed from the beginning, they would be lost."""
    if getattr(sys.stdout, "name", None) == os.devnull:
        raise OutputError("standard output: cannot be written (it is closed)")
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        _fail(error)


def print_note(text: str) -> None:
    """Prints a line to standard error; where that cannot be written to, nobody is told."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        drop(sys.stderr)


def drop(stream: TextIO | Any) -> None:
    """Lets go what a stream still holds, which would else be tried again as the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _fail(error: OSError) -> None:
    drop(sys.stdout)
    if isinstance(error, BrokenPipeError):
        raise error
    raise OutputError(f"standard output: cannot be written ({error.strerror or error})") from error
