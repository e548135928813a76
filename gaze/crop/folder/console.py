"""Tells what a run does: a line for each result and failure, a bar, a summary, an exit code."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gaze.crop.folder.listing import Tally
from gaze.crop.folder.settings import RunSettings
from gaze.crop.photo.record import CroppedRecord, FailedRecord, Record
from gaze.errors import one_line
from gaze.streams import print_note, print_result

if TYPE_CHECKING:
    from tqdm import tqdm


class Console:
    """Counts photos and prints a line for each: results to standard output, failures to standard error.

    Args:
        root: the output folder or its URL, put before the paths that are printed.
        settings: what is printed.
        total: photos of the run, where a bar is to be shown.
        folder: where the photos are, if the records that are printed are to hold whole paths.
    """

    def __init__(
        self, root: Path | str, settings: RunSettings, total: int | None = None, folder: Path | None = None
    ) -> None:
        self.root, self.settings, self.folder = root, settings, folder
        self.done = self.failed = self.skipped = 0
        hidden = total is None or settings.quiet or not sys.stderr.isatty()
        self._bar = None if hidden else _bar(total)

    def success(self, record: CroppedRecord) -> None:
        """Prints the paths of what was written, or the whole record as JSON."""
        self.done += 1
        if record.photo.damaged:
            self.note(f"{record.input}: damaged; cropped, as nearly all of it could be read")
        if self.settings.as_json:
            self._print_json(record)
        elif not self.settings.quiet:
            for picture in record.photo.pictures:
                path = os.path.join(self.root, picture.path)
                self._print(path, "\0" if self.settings.print0 else "\n")
        self._advance()

    def failure(self, record: FailedRecord, reason: str | None = None) -> None:
        """Prints one line, `reason` or what the record says; with JSON also the record: every photo has one."""
        self.failed += 1
        self.note(reason or record.error)
        if self.settings.as_json:
            self._print_json(record)
        self._advance()

    def skip(self) -> None:
        """Counts a photo that an earlier run did."""
        self.skipped += 1
        self._advance()

    def note(self, text: str) -> None:
        """Prints a line to standard error."""
        with self._no_bar():
            print_note(f"gaze.crop: {one_line(text)}")

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()

    def summary(self, tally: Tally) -> str:
        """How many photos were cropped, how many failed, how many files were no photos."""
        parts = [f"{self.done + self.failed + self.skipped} photos: {self.done} cropped"]
        parts += [f"{self.skipped} done before"] if self.skipped else []
        text = ", ".join([*parts, f"{self.failed} failed"])
        left = [f"{tally.others} other files"] if tally.others else []
        left += [f"{tally.links} links"] if tally.links else []
        return f"{text}; {' and '.join(left)} left alone" if left else text

    @property
    def exit_code(self) -> int:
        """0 if everything went well, otherwise 1."""
        return 1 if self.failed else 0

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self.failed} failed" if self.failed else "", refresh=False)
            self._bar.update()

    def _print_json(self, record: Record) -> None:
        whole = record if self.folder is None else record.within(str(self.folder), str(self.root))
        self._print(json.dumps(whole.to_json()))

    def _print(self, text: str, end: str = "\n") -> None:
        with self._no_bar():
            print_result(text, end)

    @contextmanager
    def _no_bar(self) -> Iterator[None]:
        if self._bar is not None:
            self._bar.clear()
        yield
        if self._bar is not None:
            self._bar.refresh()


def _bar(total: int | None) -> "tqdm":
    from tqdm import tqdm  # here, as most runs show none

    return tqdm(total=total, unit="photo", dynamic_ncols=True, leave=False)
