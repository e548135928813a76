"""Gaze networks: image in, log density out.

What may live here:

- `backbone`, `readout`, `heads` and `finalizer`: one part a file, which `network` wires together;
- `widths`: how many maps each layer reads and writes, which pruning changes and every checkpoint carries;
- `checkpoints`: what a training leaves; `onnx`, with `padding`, and `bundle`: what an export does;
- `config`: the schemas of a network, an export and its card.

Nothing here trains or prunes. What is named here loads on first use, as torch takes seconds and a command's `--help`
needs only the schemas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaze.models.checkpoints import load_network
    from gaze.models.config import ModelConfig
    from gaze.models.finalizer import STRIDE
    from gaze.models.network import GazeNetwork, build_network

__all__ = ["STRIDE", "GazeNetwork", "ModelConfig", "build_network", "load_network"]

_LATER = {
    "STRIDE": "gaze.models.finalizer",
    "GazeNetwork": "gaze.models.network",
    "ModelConfig": "gaze.models.config",
    "build_network": "gaze.models.network",
    "load_network": "gaze.models.checkpoints",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(_LATER[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
