"""Files that an earlier gaze wrote, `tests/files`, are read, gone on with and not done again."""

import gzip
import importlib
import json
import os
import pickletools
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gaze
from gaze.data.store import FixationStore
from gaze.geometry import Size
from gaze.models.checkpoints import load_checkpoint
from gaze.models.onnx import PARITY, parity
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_table import LatencyTable, facts, load_or_measure
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.methods.removal_log import read
from gaze.pruning.structure.groups import find_groups
from gaze.training.photograph import photograph

MAKES_STOPWATCH = "gaze.pruning.methods.job"
FILES = Path(__file__).parent / "files"
EXAMPLE, ENGINE = photograph(Size(64, 48)), TorchCpu(1)
OPTIONS = (
    "--ratio 16:9 --ratio 2.35 --size 40x30 --zoom 1-2 --padding 10% --candidates 2 --min-confidence 5% --format webp"
    " --quality 70 --fill #102030 --keep 50% --template {stem}_{shape}_{rank}{ext} --keep-metadata --heatmap"
    " --max-pixels 1000000"
)
RUN = [
    "data=folder",
    "sets.folder.store=store.h5",
    "loader={batch_size: 2, workers: 0}",
    "trainer.accelerator=cpu",
    "trainer.ema_decay=0.5",
    "trainer.progress=false",
    "resume=true",
    "out=run",
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with copies of the files."""
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "store.h5").write_bytes(gzip.decompress((FILES / "store.h5.gz").read_bytes()))
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, verb: str, *overrides: str) -> None:
    monkeypatch.setattr(sys, "argv", [verb, *RUN, *overrides])
    importlib.import_module(f"gaze.{verb}").main()


def begin(place: Path, checkpoint: str, settings: str) -> None:
    """A stopped run in `run`, as if it had begun there."""
    content = torch.load(place / checkpoint, map_location="cpu", weights_only=True)
    for state in content["callbacks"].values():
        if "dirpath" in state:
            state["dirpath"] = str((place / "run").resolve())
    torch.save(content, place / "run" / "last.ckpt")
    (place / settings).rename(place / "run" / "config.yaml")


def stored(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


def crop(place: Path, *options: str) -> tuple[str, str]:
    """Standard output, and the last line on standard error."""
    command = [sys.executable, "-m", "gaze.crop", "photos", "crops", "--jobs", "1", "--model", "pruned.onnx", *options]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.splitlines()[-1]


def set_times(place: Path, manifest: Path) -> None:
    """Gives the photos the times of change that the manifest has of them; a checkout gives them others."""
    for line in manifest.read_text().splitlines():
        record = json.loads(line)
        os.utime(place / "photos" / record["input"], ns=(record["mtime_ns"], record["mtime_ns"]))


def test_a_store_is_read(place):
    store = FixationStore(place / "store.h5")
    assert (store.names, list(store.splits)) == (["0.png", "1.png", "2.png"], ["train", "train", "val"])
    assert store.attributes.name == "folder"
    assert (len(store.fixations(0, raw=True)), len(store.fixations(0))) == (12, 9)
    assert store.fixations(2).duration.tolist() == [210.0, 220.0, 230.0] * 3
    with Image.open(BytesIO(store[1].image)) as image:
        assert image.size == (64, 48) == (store[1].width, store[1].height)


def test_a_trained_checkpoint_is_loaded():
    trained = load_checkpoint(FILES / "trained.ckpt")
    assert (trained.trained_on, trained.seed) == (["folder"], 1)
    assert sum(group.maps for group in find_groups(trained.network)) == 92
    with torch.inference_mode():
        density = trained.network(torch.zeros(1, 48, 64, 3, dtype=torch.uint8)).exp()
    assert density.shape == (1, 12, 16)
    assert float(density.sum()) == pytest.approx(1, abs=1e-5)


def test_a_training_goes_on(place, monkeypatch):
    begin(place, "trained.ckpt", "training.yaml")
    before = stored(place / "run" / "last.ckpt")
    model = "model.{0}={{{1}}}".format
    run(
        monkeypatch,
        "train",
        "model.name=small",
        model("backbone", "name: lcnet_035, taps: [blocks.0, blocks.1], weights: none, reparameterize: false"),
        model("readout", "reduce: 8, channels: [4, 1]"),
        model("input", "longer_side: 64, multiple: 16"),
        model("finalizer", "sigma: 1.0, center_bias: [3, 4]"),
        "trainer.max_epochs=3",
    )
    after = stored(place / "run" / "last.ckpt")
    assert (before["global_step"], after["global_step"]) == (2, 3)
    assert after["averaging_state"]["n_averaged"] == before["averaging_state"]["n_averaged"] + 1
    steps = [state["step"].item() for state in after["optimizer_states"][0]["state"].values()]
    assert set(steps) == {3.0}
    assert after["callbacks"].keys() == before["callbacks"].keys()


def test_a_latency_table_is_used_and_not_measured_again(place, capsys):
    path = place / "latency.json"
    table = json.loads(path.read_text())
    here = facts(ENGINE, EXAMPLE)
    assert here.keys() == table["facts"].keys()
    assert here["format"] == table["facts"]["format"]
    path.write_text(json.dumps(table | {"facts": here}))
    network = load_checkpoint(FILES / "trained.ckpt").network
    maps = {group.name: group.maps for group in find_groups(network)}
    found = load_or_measure(path, find_operators(network, EXAMPLE), maps, ENGINE, EXAMPLE, progress=False)
    assert capsys.readouterr().out == ""
    assert found == LatencyTable.load(path)
    assert found.grids.keys() == table["grids"].keys()


def test_removals_are_read():
    removals = read(FILES / "removals.csv")
    assert [removal.step for removal in removals] == [1] * 8 + [2] * 8 + [3] * 13 + [4] * 6 + [7] + [8] * 2
    assert (removals[-1].layer, removals[-1].maps) == ("backbone.features.conv_stem", (6,))
    assert removals[-1].measured_ms == 0.36989453333333333


def test_a_pruned_checkpoint_is_what_was_exported_of_it():
    pruned = load_checkpoint(FILES / "pruned.ckpt")
    assert (pruned.trained_on, pruned.seed) == (["folder"], 1)
    left = {removal.layer: removal.maps_left for removal in read(FILES / "removals.csv")}
    maps = {group.name: group.maps for group in find_groups(pruned.network)}
    assert {name: count for name, count in left.items() if count > 1} == {k: v for k, v in maps.items() if k in left}
    with Image.open(FILES / "photos" / "one.jpg") as image:
        assert parity(pruned.network, FILES / "pruned.onnx", [np.asarray(image)]) < PARITY


class Fast(Stopwatch):
    """Finds every network twice as fast as the unpruned one."""

    def __init__(self, *_: object, **__: object) -> None:
        self.base, self.relative = 1.0, True

    def __call__(self, network: object) -> float:
        return self.base / 2


def test_a_pruning_goes_on(place, monkeypatch):
    monkeypatch.setattr(f"{MAKES_STOPWATCH}.Stopwatch", Fast)
    table = json.loads((place / "latency.json").read_text())
    (place / "latency.json").write_text(json.dumps(table | {"facts": facts(ENGINE, EXAMPLE)}))
    begin(place, "pruning.ckpt", "pruning.yaml")
    (place / "removals.csv").rename(place / "run" / "removals.csv")
    schedule = "updates_per_removal: 1, maps_per_removal: null, removals: 12, removals_per_surgery: 3"
    run(
        monkeypatch,
        "prune",
        "checkpoint=trained.ckpt",
        "latency=latency.json",
        "engine=torch-cpu",
        "budget=0.8",
        f"schedule={{{schedule}, finetune_updates: 2}}",
    )
    before, after = read(FILES / "removals.csv"), read(place / "run" / "removals.csv")
    kept = [removal for removal in before if removal.step <= 5]
    assert after[: len(kept)] == kept
    assert {removal.step for removal in after[len(kept) :]} <= {6}
    outcome = json.loads((place / "run" / "pruning.json").read_text())
    assert (outcome["removals"], outcome["updates"], outcome["met"]) == (4, 8, True)
    assert sum(outcome["before"].values()) == 92
    base = stored(FILES / "pruning.ckpt")["callbacks"]["FisherPruning"]["base"]
    assert (outcome["before_ms"], outcome["after_ms"]) == (base, base / 2)
    pruned = load_checkpoint(place / "run" / "pruned.ckpt").network
    maps = {group.name: group.maps for group in find_groups(pruned)}
    assert maps == {name: count for name, count in outcome["after"].items() if count > 1}
    closed = stored(FILES / "pruning.ckpt")["callbacks"]["FisherPruning"]["closed"]
    assert closed
    assert maps["readout.reduce.0"] <= outcome["before"]["readout.reduce.0"] - len(closed["readout.reduce.0"])


@pytest.mark.parametrize("options", ["", OPTIONS], ids=["default", "many options"])
def test_a_finished_folder_is_not_done_again(place, options):
    manifest = place / "crops" / "gaze-manifest.jsonl"
    set_times(place, manifest)
    before = manifest.read_bytes()
    assert crop(place, *options.split()) == ("", "gaze.crop: 2 photos: 0 cropped, 2 done before, 0 failed")
    assert manifest.read_bytes() == before


def test_another_wish_for_a_finished_folder_is_done(place):
    set_times(place, place / "crops" / "gaze-manifest.jsonl")
    printed, summary = crop(place, "--ratio", "5:4")
    assert [Path(line) for line in printed.splitlines()] == [
        place / "crops/one_5x4.jpg",
        place / "crops/sub/two_5x4.png",
    ]
    assert summary == "gaze.crop: 2 photos: 2 cropped, 0 failed"


def test_a_thumbnail_of_a_photo_that_changed_may_be_edited_and_stays(place):
    set_times(place, place / "crops" / "gaze-manifest.jsonl")
    before = (place / "crops/one_1x1.jpg").read_bytes()
    os.utime(place / "photos/one.jpg")
    Image.new("RGB", (90, 60)).save(place / "photos/one.jpg")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        crop(place)
    told = "one_1x1.jpg is of an earlier gaze, which noted no hash, so that it may be edited; --overwrite replaces it"
    assert told in failed.value.stderr
    assert (place / "crops/one_1x1.jpg").read_bytes() == before
    assert crop(place, "--overwrite")[1] == "gaze.crop: 2 photos: 2 cropped, 0 failed"


@pytest.mark.parametrize("name", ["trained", "pruning", "pruned"])
def test_a_checkpoint_names_no_class_of_gaze(name):
    with zipfile.ZipFile(FILES / f"{name}.ckpt") as archive:
        (pickled,) = (archive.read(entry) for entry in archive.namelist() if entry.endswith("/data.pkl"))
    steps = list(pickletools.genops(pickled))
    assert "STACK_GLOBAL" not in {step.name for step, _, _ in steps}
    named = {argument.split(" ")[0] for step, argument, _ in steps if step.name == "GLOBAL"}
    assert named == {"collections", "torch", "torch._utils"}
