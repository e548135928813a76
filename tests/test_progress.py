"""Progress is a bar on a terminal and a plain line now and then elsewhere, in every verb."""

import re
import sys
from io import StringIO
from pathlib import Path

import pytest

from gaze.progress import say, track
from tests.test_layers import MODULES, imports

BARS = {"gaze.progress", "gaze.crop.folder.console", "gaze.training.progress"}
"""What may show one: each looks first whether there is a terminal."""


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("total", "lines"), [(1000, 10), (25, 10), (10, 10), (3, 3), (1, 1), (0, 0)])
def test_without_a_terminal_a_tenth_is_a_line(total, lines, capsys):
    assert list(track(range(total), "osie", unit="image")) == list(range(total))
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"(osie: \d+ of {total} images?\n)*", err)
    assert err.count("\n") == lines
    assert not total or err.splitlines()[-1].startswith(f"osie: {total} of {total} image")


def test_a_line_stands_for_what_is_done(capsys):
    for item in track(iter("abc"), "job", total=3):
        say(item)
    assert capsys.readouterr().err == "a\njob: 1 of 3 items\nb\njob: 2 of 3 items\nc\njob: 3 of 3 items\n"


def test_on_a_terminal_it_is_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(track(range(20), "osie", unit="image")) == list(range(20))
    shown = sys.stderr.getvalue()
    assert "\r" in shown
    assert "osie: 100%" in shown
    assert "20/20" in shown


@pytest.mark.parametrize("closed", [True, False])
def test_nothing_is_said_where_nobody_asked_or_standard_error_is_closed(closed, monkeypatch, capsys):
    if closed:
        monkeypatch.setattr(sys, "stderr", None)
    assert list(track("ab", "job", shown=closed)) == ["a", "b"]
    if closed:
        say("lost")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("module", sorted(MODULES.keys() - BARS))
def test_no_module_has_a_bar_of_its_own(module):
    source = Path(MODULES[module]).read_text(encoding="utf-8")
    assert "tqdm" not in {name.partition(".")[0] for name in imports(source)}
    assert "TQDMProgressBar" not in source
