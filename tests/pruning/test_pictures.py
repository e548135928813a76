"""Pictures are written, hold what they are to show, and stand up to runs of any length."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from gaze.pruning import pictures
from gaze.pruning.alternation import alternation
from gaze.pruning.methods.removal_log import Removal
from gaze.pruning.pictures import draw_predicted, draw_time_loss, draw_widths, short_names


def removals(count: int) -> list[Removal]:
    def removal(i: int) -> Removal:
        time = 90 * 0.995**i + 5
        measured, gain = 1.1 * time if i % 7 == 0 else None, 1.2 - 1e-4 * i if i % 14 == 0 else None
        return Removal(10 * i, "a", (i,), 1e-3, time, measured, 9, 7 + 1e-3 * i + 0.1 * (i % 3), gain)

    return [removal(i) for i in range(count)]


def pixels(path: Path) -> np.ndarray:
    image = np.asarray(Image.open(path).convert("RGB"))
    assert image.std() > 5
    return image


def has(image: np.ndarray, color: str) -> bool:
    return bool((image == np.round(255 * np.array(to_rgb(color)))).all(-1).any())


def text_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pictures say: filled as they are saved."""
    said: list[str] = []
    save = Figure.savefig

    def listen(figure: Figure, *args, **kwargs) -> None:
        said.extend(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", listen)
    return said


@pytest.mark.parametrize("groups", [1, 20, 203])
def test_widths_of_any_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: int):
    said = text_of(monkeypatch)
    before = {f"backbone.features.blocks.{i}.conv": 16 * (1 + i % 5) for i in range(groups)}
    after = {name: max(1, maps // (2 + i % 2)) for i, (name, maps) in enumerate(before.items())}
    draw_widths(before, after, tmp_path / "new" / "widths.png")
    image = pixels(tmp_path / "new" / "widths.png")
    assert image.shape[1] < 2000
    assert all(has(image, color) for color in (pictures.BEFORE, pictures.AFTER, pictures.ACCENT))
    assert {text for text in said if text.startswith("blocks.")} == set(short_names(list(before)))
    assert f"Maps per layer: {sum(before.values()):,} before pruning, {sum(after.values()):,} after" in said
    verdict = alternation(before, after).verdict
    assert verdict in {" ".join(text.split()) for text in said}


def test_widths_of_a_network_that_grew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = text_of(monkeypatch)
    draw_widths({"a": 4, "b": 8, "c": 6}, {"a": 20, "b": 8, "c": 5}, tmp_path / "widths.png")
    image = pixels(tmp_path / "widths.png")
    assert "Maps per layer: 18 before growing, 33 after" in said
    columns = (image == np.round(255 * np.array(to_rgb(pictures.BEFORE)))).all(-1).sum(0)
    assert sum(np.diff((columns > 20).astype(int)) > 0) == 1, "what there was shows before what joined"


def test_a_picture_replaces_the_one_before(tmp_path: Path):
    for maps in (1, 8):
        draw_widths({"a": 8, "b": 8}, {"a": maps, "b": 8}, tmp_path / "widths.png")
        said = (tmp_path / "widths.png").read_bytes()
    draw_widths({"a": 8, "b": 8}, {"a": 8, "b": 8}, tmp_path / "other.png")
    assert said == (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize("count", [1, 3, 600])
def test_time_and_loss_with_predicted_line_and_measured_points(tmp_path: Path, count: int):
    draw_time_loss(removals(count), tmp_path / "time_loss.png", budget=9.5)
    assert has(pixels(tmp_path / "time_loss.png"), pictures.ACCENT)


def test_predicted_tells_the_median_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = text_of(monkeypatch)
    draw_predicted(removals(70), tmp_path / "predicted.png")
    pixels(tmp_path / "predicted.png")
    assert "Predicted and measured time: median error 9.1%, n = 10" in said  # 1 - 1 / 1.1


def test_runs_without_a_measurement_or_a_removal_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = text_of(monkeypatch)
    bare = [Removal(1, "a", (0,), 0.1, 5.0, None, 3)]
    for i, run in enumerate(([], bare)):
        draw_time_loss(run, tmp_path / f"{i}.png", budget=1.0)
        draw_predicted(run, tmp_path / f"{i}p.png")
        pixels(tmp_path / f"{i}.png")
    assert said.count("none recorded") == 4
    assert said.count("no time was measured") == 2
    assert "Nothing was removed" in said
    assert "1 maps removed in 1 removals: 5 ms predicted" in said


def test_removals_are_counted_by_step_as_the_outcome_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = text_of(monkeypatch)
    rows = [Removal(10 * (i // 80), f"group{i}", (i,), 1e-3, 90.0 - i / 10, None, 9, 7.0) for i in range(719)]
    draw_time_loss(rows, tmp_path / "time_loss.png")
    assert "719 maps removed in 9 removals: 18.2 ms predicted" in said


def test_the_line_never_runs_back_on_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = []
    monkeypatch.setattr(
        Axes, "plot", lambda axis, x, y, *args, plot=Axes.plot, **kw: lines.append(x) or plot(axis, x, y, *args, **kw)
    )
    times = [90.0, 80.0, 85.0, 70.0, 60.0, 60.0, 66.0]  # measurements moved the predictions back twice
    rows = [Removal(i, "a", (i,), 1e-3, time, time + 1, 9, 7.0) for i, time in enumerate(times)]
    draw_time_loss(rows, tmp_path / "time_loss.png")
    steps = np.diff(np.array(lines[0]))
    assert not (steps > 0).any()
    assert sorted(time for time in lines[0] if time == time) == sorted(times)
