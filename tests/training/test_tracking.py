"""Where a run's figures go beside its table, and that a run that goes on is one run there too."""

import csv
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, Logger

from gaze.errors import ConfigError, GazeError
from gaze.extras import missing_modules
from gaze.training.run import LAST, fit
from gaze.training.trackers import TRACKERS, Tracker
from tests.training.conftest import QUIET

pytestmark = QUIET


class Service(CSVLogger):
    """Keeps what it is told in memory; `down` has it refuse."""

    runs: ClassVar[dict[str, list[dict[str, Any]]]] = {}
    settings: ClassVar[dict[str, dict[str, Any]]] = {}
    down: ClassVar[bool] = False

    def __init__(self, out: Path, run: str | None) -> None:
        super().__init__(out, name="unused")
        self.run = run

    def begin(self) -> str:
        if self.down:
            raise OSError("no route\nto the host")
        self.run = self.run or f"run{len(self.runs)}"
        self.runs.setdefault(self.run, [])
        return self.run

    def log_hyperparams(self, params: Any = None) -> None:  # type: ignore[override]
        assert self.run not in self.settings
        self.settings[str(self.run)] = params

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:  # type: ignore[override]
        self.runs[str(self.run)].append({"step": step, **metrics})

    def save(self) -> None:
        pass


class Drawn(Tracker):
    package = "csv"
    closed: ClassVar[list[str]] = []

    @classmethod
    def make(cls, out: Path, run: str | None) -> Logger:
        return Service(out, run)

    @classmethod
    def run_of(cls, logger: Any) -> str:
        return logger.begin()

    @classmethod
    def close(cls, logger: Any) -> None:
        cls.closed.append(logger.run)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Service]]:
    """A service of this test, by the name `drawn`."""
    list(TRACKERS)
    monkeypatch.setitem(TRACKERS._entries, "drawn", Drawn)
    for name in ("runs", "settings"):
        monkeypatch.setattr(Service, name, {})
    monkeypatch.setattr(Drawn, "closed", [])
    return Service


def gains(rows: list[dict[str, Any]]) -> list[float]:
    return [row["val/information_gain"] for row in rows if "val/information_gain" in row]


def table(out: Path) -> list[float]:
    """The validation figures in a run's own tables, over all its parts."""
    files = sorted(out.glob("metrics/version_*/metrics.csv"))
    parts = [list(csv.DictReader(path.read_text().splitlines())) for path in files]
    return [float(row["val/information_gain"]) for part in parts for row in part if row["val/information_gain"]]


def test_a_run_that_goes_on_is_one_run_of_the_service_and_trains_as_without_one(train_config, service, tmp_path):
    for name in ("tensorboard", "drawn"):
        for length in ("trainer.max_epochs=1", "trainer.max_epochs=2"):
            resume = f"resume={str(length.endswith('2')).lower()}"
            fit(train_config(f"trainer.logger={name}", f"out={tmp_path / name}", length, resume))
    assert list(service.runs) == list(service.settings) == ["run0"]
    assert Drawn.closed == ["run0", "run0"]
    assert gains(service.runs["run0"]) == pytest.approx(table(tmp_path / "drawn"))
    assert len(table(tmp_path / "drawn")) == 2
    told = service.settings["run0"]
    assert (told["trainer.max_epochs"], told["out"]) == (1, str(tmp_path / "drawn"))
    states = [torch.load(tmp_path / name / LAST, weights_only=True)["state_dict"] for name in ("tensorboard", "drawn")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert [bool(list((tmp_path / name).glob("events.*"))) for name in ("tensorboard", "drawn")] == [True, False]


def test_a_service_that_refuses_the_run_is_one_line_and_the_run_can_begin_anew(
    train_config, service, tmp_path, monkeypatch
):
    monkeypatch.setattr(service, "down", True)
    with pytest.raises(
        GazeError, match=r"^trainer\.logger=drawn: the run cannot be begun there \(no route to the host"
    ):
        fit(train_config("trainer.logger=drawn", "trainer.max_epochs=1"))
    assert not (tmp_path / "run" / LAST).exists()
    monkeypatch.setattr(service, "down", False)
    fit(train_config("trainer.logger=drawn", "trainer.max_epochs=1"))
    assert len(gains(service.runs["run0"])) == 1


def test_null_leaves_the_table_alone(train_config, tmp_path):
    fit(train_config("trainer.logger=null", "trainer.max_epochs=1"))
    assert len(table(tmp_path / "run")) == 1
    assert not list((tmp_path / "run").glob("events.*"))


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line_that_names_it(train_config, monkeypatch, tmp_path, name):
    monkeypatch.setattr("gaze.training.trackers.base.missing_modules", list)
    with pytest.raises(ConfigError, match=rf"^trainer\.logger={name}: {name} is not installed; pip install {name}$"):
        train_config(f"trainer.logger={name}")
    assert not (tmp_path / "run").exists()


def ran_twice(train_config, out: Path, name: str) -> str:
    """A run of one epoch that goes on for another; what the service calls it."""
    fit(train_config(f"trainer.logger={name}", f"out={out}", "trainer.max_epochs=1"))
    first = (out / f"{name}_run.txt").read_text()
    fit(train_config(f"trainer.logger={name}", f"out={out}", "trainer.max_epochs=2", "resume=true"))
    assert (out / f"{name}_run.txt").read_text() == first
    assert len(table(out)) == 2
    return first.strip()


@pytest.mark.skipif(bool(missing_modules(["wandb"])), reason="wandb is not installed (pip install wandb)")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_and_biases_offline(train_config, tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = ran_twice(train_config, tmp_path / "mine", "wandb")
    kept = sorted((tmp_path / "mine/wandb").glob("offline-run-*"))
    assert len(kept) == 2
    assert all(path.name.endswith(f"-{run}") and list(path.glob("*.wandb")) for path in kept)
    assert b"val/information_gain" in b"".join(path.read_bytes() for part in kept for path in part.glob("*.wandb"))
    assert wandb.run is None


@pytest.mark.skipif(bool(missing_modules(["mlflow"])), reason="mlflow is not installed (pip install mlflow)")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_in_a_file(train_config, tmp_path, monkeypatch):
    import mlflow

    where = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", where)
    before = mlflow.get_tracking_uri()
    run = ran_twice(train_config, tmp_path / "mine", "mlflow")
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("select run_uuid, name from runs").fetchall() == [(run, "mine")]
        found = store.execute("select value from metrics where key='val/information_gain' order by step").fetchall()
        (epochs,) = store.execute("select value from params where key='trainer.max_epochs'").fetchone()
    assert [value for (value,) in found] == pytest.approx(table(tmp_path / "mine"))
    assert epochs == "1"
    assert mlflow.get_tracking_uri() == before
