"""Runs over one photo or a folder; a photo that fails is reported and the rest goes on."""

import sys
from pathlib import Path

from tqdm import tqdm

from gaze.crop.plan import Task, plan_file, plan_folder
from gaze.crop.report import Report
from gaze.crop.work import Request, Worker
from gaze.errors import ConfigError, GazeError
from gaze.predictor import Predictor


def run(source: Path, output: Path | None, request: Request, model: str | None, as_json: bool = False) -> int:
    """Crops a photo or every photo of a folder and returns the exit code.

    Raises:
        ConfigError: the arguments do not fit together, or `model` is neither a shipped model's name nor a file.
        ModelError: the model is missing or damaged.
    """
    folder = source.is_dir()
    plan = plan_folder(source, output) if folder else plan_file(source, output)
    if plan.tasks and plan.tasks[0].file and len(request.ratios) > 1:
        raise ConfigError("--output: expected a folder, as there are several ratios")
    report = Report(as_json)
    worker = Worker(request, Predictor(model))
    for reason in plan.unreadable:
        report.failure(str(source), reason)
    for task in tqdm(plan.tasks, unit="photo", disable=None if folder else True, leave=False):
        _crop(worker, task, report)
    if folder:
        print(f"gaze.crop: {report.summary(plan.others)}", file=sys.stderr)
    return report.exit_code


def _crop(worker: Worker, task: Task, report: Report) -> None:
    try:
        record = worker.crop(task)
    except GazeError as error:
        report.failure(str(task.source), str(error))
    except Exception as error:  # one photo must never end a night's run
        report.failure(str(task.source), f"{task.source}: {type(error).__name__}: {error}")
    else:
        report.success(record)
