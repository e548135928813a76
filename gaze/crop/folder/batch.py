"""The loop over a folder's photos: what is done already is passed over, a photo that fails is told."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic
from types import FrameType

from gaze.card import ModelCard
from gaze.crop.folder.backend import Backend
from gaze.crop.folder.console import Console
from gaze.crop.folder.ledger import Ledger, OpenPage
from gaze.crop.folder.listing import Tally
from gaze.crop.folder.settings import RunSettings, Stop
from gaze.crop.photo.record import FailedRecord
from gaze.crop.photo.request import Request
from gaze.errors import one_line
from gaze.weights import find_model


def run_folder(backend: Backend, request: Request, settings: RunSettings, open_page: OpenPage | None = None) -> int:
    """Crops what an earlier run did not, and returns the exit code.

    Args:
        backend: what crops.
        request: what is wanted of every photo.
        settings: how the run goes.
        open_page: opens the page that the run is told of on; None: there is none.
    """
    card = ModelCard.load(find_model(request.model).with_suffix(".json"))
    tally = Tally()
    lost = set(settings.focus) - {""}
    total = 0
    for task in backend.tasks(tally):
        total += 1
        lost.discard(task.name)
    stop, console = Stop(), Console(backend.root, settings, total, backend.base)
    for reason in tally.unreadable:
        console.failure(FailedRecord(str(backend.folder), one_line(reason)))
    if total:
        ledger = Ledger(backend, open_page, request, card, settings, console, stop)
        with _signals(stop), closing(backend.outcomes(ledger.jobs(backend.tasks(Tally())), stop)) as outcomes:
            ledger.keep(outcomes)
    nothing = not (total or tally.elsewhere or tally.unreadable)
    console.close()
    for folder in tally.outputs if not settings.quiet else ():
        console.note(f"{folder}: left alone, as thumbnails of another run are there")
    if tally.output and settings.manifest is None and not settings.quiet:
        console.note(f"{tally.output}: is the output, so that photos in it are left alone")
    if told := sorted(filter(settings.selection.shard.holds, lost)):
        names = ", ".join(map(repr, told[:3])) + (", ..." if len(told) > 3 else "")
        console.note(f"--focus-file: {len(told)} photos of it are none of this run: {names}")
    if nothing:
        console.note(f"{backend.folder}: no photo found")
    if not settings.quiet or console.failed:
        console.note(console.summary(tally))
    if stop.reason:
        console.note(f"stopped: {stop.reason}; the same command does the rest")
    if stop.signal:
        console.note("interrupted; the same command does the rest")
        return 128 + stop.signal
    return 1 if nothing else console.exit_code


ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that end a run in good order."""

TWICE = 1.0
"""Seconds after which a second signal means more than the first: GNU timeout and terminals send it twice at once."""


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Lets a run finish what is under way when it is interrupted; a later signal ends it at once."""
    first = 0.0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first
        first = first or monotonic()
        stop.signal = stop.signal or number
        if monotonic() - first > TWICE:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    heeded = [each for each in numbers if signal.getsignal(each) != signal.SIG_IGN]  # nohup means what it says
    before = {each: signal.signal(each, note) for each in heeded}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
