"""Which photos a run crops, and where each thumbnail goes."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from gaze.errors import ConfigError, ImageError
from gaze.images import SUFFIXES, output_format

FOLDER = "thumbnails"
"""Where the thumbnails of a folder go by default, inside that folder."""


@dataclass(frozen=True)
class Task:
    """One photo and where its thumbnails go."""

    source: Path
    folder: Path
    file: Path | None = None
    """The thumbnail's exact path, where the user named one."""

    def path(self, label: str, suffix: str) -> Path:
        """The path of the picture called `label`, such as 16x9 or heatmap."""
        return self.folder / f"{self.source.stem}_{label}{suffix}"


@dataclass
class Plan:
    """What a run has before it."""

    tasks: list[Task] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be listed, one line each."""
    others: int = 0
    """Files in the folder that are no images by their names."""


def plan_file(photo: Path, output: Path | None) -> Plan:
    """Plans one photo: `output` is a folder if it is one or has no suffix, otherwise the thumbnail's path.

    Raises:
        ConfigError: `output` is a file in a format that gaze does not write.
    """
    photo, output = _absolute(photo), _absolute(output or photo.parent)
    if output.is_dir() or not output.suffix:
        return Plan([Task(photo, output)])
    try:
        output_format(output.suffix)
    except ImageError as error:
        raise ConfigError(f"--output {output.name}: {error}") from error
    return Plan([Task(photo, output.parent, output)])


def plan_folder(folder: Path, output: Path | None) -> Plan:
    """Plans a folder and its subfolders, mirrored into `output`; leaves out hidden files and `output` itself.

    Raises:
        ConfigError: thumbnails in `output` could be taken for photos, or could replace them.
    """
    folder = folder.resolve()
    output = (output or folder / FOLDER).resolve()
    if output == folder or output in folder.parents:
        raise ConfigError(f"--output {output}: expected a folder that does not hold the photos themselves")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: expected a folder, as the photos come from one")
    plan = Plan()
    for parent, folders, names in os.walk(folder, onerror=lambda error: plan.unreadable.append(_reason(error))):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if name[0] != "." and here / name != output)
        for name in sorted(name for name in names if name[0] != "."):
            _add(plan, here / name, output / here.relative_to(folder))
    return plan


def _add(plan: Plan, source: Path, folder: Path) -> None:
    if source.suffix.lower() in _KNOWN and source.is_file():
        plan.tasks.append(Task(source, folder))
    else:
        plan.others += 1


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # unlike resolve, it leaves the names of links as the user wrote them


def _reason(error: OSError) -> str:
    return f"{error.filename}: cannot be read ({error.strerror})"


_KNOWN = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
