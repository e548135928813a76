"""The whole path on real gaze: prepare, train, evaluate, export, crop."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


def run(*arguments: object, cwd: Path) -> str:
    command = [sys.executable, "-m", *map(str, arguments)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1500)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
@pytest.mark.shared
def test_from_eye_tracking_data_to_a_thumbnail(shared, tmp_path):
    osie = shared / "data" / "osie"
    splits = shared / "data" / "splits.json"
    weights = shared / "weights" / "tf_efficientnetv2_b0_imagenet.safetensors"
    run("gaze.prepare", "data=osie", f"data.root={osie}", f"data.splits={splits}", cwd=tmp_path)
    short = [
        "trainer.max_epochs=1",
        "loader.weights={osie: 0.1}",
        "model.input.longer_side=192",
        "trainer.ema_decay=0.8",
    ]
    run("gaze.train", "data=osie", f"model.backbone.weights={weights}", *short, "out=runs/short", cwd=tmp_path)
    photos = f"photos={osie / 'stimuli'}"
    run("gaze.export", "checkpoint=runs/short/best.ckpt", "out=short.onnx", photos, cwd=tmp_path)
    run("gaze.evaluate", "network=short.onnx", "data=osie", "split=val", "resamples=100", cwd=tmp_path)
    scores = json.loads((tmp_path / "evaluation/evaluation.json").read_text())["sets"]["osie"]["scores"]
    means = {row: columns["auc"]["mean"] for row, columns in scores.items()}
    assert 0.5 < means["center_bias"] < means["model"] < means["inter_observer"]
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(sorted((osie / "stimuli").glob("*.jpg"))[0].read_bytes())
    printed = run("gaze.crop", photo, "--model", "short.onnx", "--ratio", "9:16", cwd=tmp_path)
    with Image.open(printed.strip()) as thumbnail:
        assert thumbnail.width / thumbnail.height == pytest.approx(9 / 16, abs=0.01)
