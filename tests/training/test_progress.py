"""What a training tells of itself while it goes on."""

import re
import sys

import pytest
from pytorch_lightning.callbacks import TQDMProgressBar

from gaze.training.progress import EpochLines, make_progress_bar
from gaze.training.run import fit
from tests.test_progress import Terminal
from tests.training.conftest import QUIET

pytestmark = QUIET


def test_without_a_terminal_an_epoch_is_a_line(train_config, capsys):
    fit(train_config("trainer.progress=true", "trainer.max_epochs=2"))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert all(re.search(r"val/information_gain -?\d+\.\d+(,|$)", line) for line in lines)
    assert "\r" not in err


@pytest.mark.parametrize(("out", "err", "expected"), [(True, True, TQDMProgressBar), (True, False, EpochLines),
                                                      (False, True, EpochLines)])  # fmt: skip
def test_a_bar_is_for_a_terminal(out, err, expected, monkeypatch):
    for name, terminal in (("stdout", out), ("stderr", err)):
        if terminal:
            monkeypatch.setattr(sys, name, Terminal())
    assert type(make_progress_bar(refresh_rate=5)) is expected
