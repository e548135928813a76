"""Tells what a run does: a line for each result and failure, a summary, an exit code."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm


@dataclass
class Report:
    """Counts photos and prints a line for each: results to standard output, failures to standard error."""

    as_json: bool = False
    done: int = 0
    failed: int = 0

    def success(self, record: dict[str, Any]) -> None:
        """Prints the paths of what was written, or the whole record as JSON."""
        self.done += 1
        if self.as_json:
            _print(json.dumps(record))
            return
        heatmap = [record["heatmap"]["path"]] if "heatmap" in record else []
        for path in [crop["output"]["path"] for crop in record["crops"]] + heatmap:
            _print(path)

    def failure(self, source: str, reason: str) -> None:
        """Prints one line; with JSON also an object, so that every photo has one."""
        self.failed += 1
        tqdm.write(f"gaze.crop: {_one_line(reason)}", file=sys.stderr)
        if self.as_json:
            _print(json.dumps({"input": source, "error": reason}))

    def summary(self, others: int) -> str:
        """How many photos were cropped, how many failed, how many files were no photos."""
        text = f"{self.done + self.failed} photos: {self.done} cropped, {self.failed} failed"
        return f"{text}; {others} other files left alone" if others else text

    @property
    def exit_code(self) -> int:
        """0 if everything went well, otherwise 1."""
        return 1 if self.failed else 0


def _print(line: str) -> None:
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def _one_line(text: str) -> str:
    """Escapes what does not print, such as a line break in a file's name."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
