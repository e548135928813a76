"""A few seeded rounds of `tests/chaos.py`."""

import chaos
import pytest


@pytest.mark.slow
def test_runs_that_are_hurt_lose_nothing_and_leave_nothing(bright_model):
    done = chaos.run(0, seed=3, options=("--model", str(bright_model)), rounds=4)
    assert done.findings == []
    assert done.counts["runs"] > 8


def test_broken_thumbnail_is_a_finding(bright_model, tmp_path):
    """The harness sees what it looks for."""
    hurt = chaos.Chaos(tmp_path, 1, ("--model", str(bright_model)))
    assert hurt.findings == []
    name = min(hurt.expected)
    (tmp_path / "whole" / name).write_bytes(b"half")
    (tmp_path / "whole" / ".gaze-left.part").touch()
    hurt._look(tmp_path / "whole", "here")
    hurt._compare(tmp_path / "whole", 0)
    assert len(hurt.findings) == 2
    assert f"here: {name} is another than it should be" in hurt.findings[0]
    assert ".gaze-left.part" in hurt.findings[1]
