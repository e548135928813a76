"""How a run goes, whatever is wanted of each photo, and whether it is to end early."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gaze.crop.folder.listing import Selection
from gaze.crop.photo.focus import FocusPoint


@dataclass(frozen=True)
class RunSettings:
    """How a run goes, whatever is wanted of each photo.

    Attributes:
        selection: which files of a folder are photos to crop.
        focus: focus points of photos by their relative path; under "" those that are meant for every photo.
        engine: what crops a folder: "local", processes of this machine, or "ray", a Ray cluster.
        jobs: processes that crop a folder; None takes a core each.
        timeout: seconds after which a photo of a folder is given up.
        as_json: print a JSON record for each photo.
        quiet: print failures only.
        print0: end each path that is printed with a NUL and not a line's end.
        fail_fast: stop at the first failure.
        report: the HTML page to write.
        manifest: where the manifest of a folder goes; None: into the output folder.
    """

    selection: Selection = Selection()
    focus: Mapping[str, tuple[FocusPoint, ...]] = field(default_factory=dict)
    engine: str = "local"
    jobs: int | None = None
    timeout: float = 60.0
    as_json: bool = False
    quiet: bool = False
    print0: bool = False
    fail_fast: bool = False
    report: Path | None = None
    manifest: Path | None = None

    def points(self, name: str) -> tuple[FocusPoint, ...]:
        """The focus points of a photo."""
        return self.focus.get(name, self.focus.get("", ()))


class Stop:
    """Whether a run is to end early, and why.

    Attributes:
        signal: the number of the signal that asked for it, or 0.
        reason: why, in one line, or nothing.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.reason = ""

    def __call__(self) -> bool:
        """True once it is to end."""
        return bool(self.signal or self.reason)
