import json

import numpy as np
import pytest

from gaze.evaluation import report
from gaze.evaluation.bench import CENTER_BIAS, GOLD, MODEL, UNIFORM
from gaze.evaluation.run import SetScores, summarize
from gaze.evaluation.scores import METRICS


@pytest.fixture
def scores():
    """Three images; the gold model has no CC, SIM and KL, and one KL is infinite."""
    random = np.random.default_rng(0)
    values = {row: {m: random.random(3) for m in METRICS} for row in (MODEL, GOLD, CENTER_BIAS, UNIFORM)}
    values[GOLD] |= {m: np.full(3, np.nan) for m in ("cc", "sim", "kl")}
    values[MODEL]["kl"][1] = np.inf
    values[MODEL]["auc"][:] = 0.75
    return SetScores("test", np.arange(3), ["a.jpg", "b.jpg", "c.jpg"], 321, values, {"sigma_pixels": 24.0})


def test_table_has_a_row_for_the_model_and_each_baseline(scores):
    lines = report.terminal_table(summarize(scores, 100, 0), "my model").splitlines()
    assert [line[:15].strip() for line in lines] == [
        "",
        "my model",
        "other observers",
        "center bias",
        "uniform",
    ]
    assert lines[0].split() == list(METRICS.values())
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split()[2:4] == ["0.750", "±0.000"]
    assert lines[1].endswith(" inf")
    assert lines[2].split()[-3:] == ["–", "–", "–"]


def test_markdown_has_a_table_for_each_set(scores):
    summary = summarize(scores, 100, 0)
    text = report.markdown({"osie": (scores, summary), "other": (scores, summary)}, "my model")
    assert text.count("\n| my model | 0.750 ±0.000 |") == 2
    assert "### osie, test: 3 images, 321 fixations\n" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {len(METRICS) + 2}
    assert "bits per fixation" in text


def test_json_holds_means_intervals_and_every_image(scores):
    content = report.as_json({"osie": (scores, summarize(scores, 100, 5))}, {"title": "m"}, 100, 5)
    content = json.loads(json.dumps(content, allow_nan=False))
    osie = content["sets"]["osie"]
    cell = osie["scores"][MODEL]["nss"]
    assert cell["mean"] == pytest.approx(scores.values[MODEL]["nss"].mean())
    assert cell["low"] <= cell["mean"] <= cell["high"]
    assert osie["scores"][MODEL]["kl"] == {"mean": None, "low": None, "high": None}
    assert osie["per_image"]["b.jpg"][UNIFORM]["sim"] == scores.values[UNIFORM]["sim"][1]
    assert osie["per_image"]["b.jpg"][MODEL]["kl"] is None
    assert (osie["split"], osie["images"], osie["fixations"]) == ("test", 3, 321)
    assert content["bootstrap"] == {"level": 0.95, "resamples": 100, "seed": 5}
