"""Gaze networks: image in, log density out.

What may live here:

- `backbone`, `readout`, `heads` and `finalizer`: one part a file, which `network` wires together;
- `widths`: how many maps each layer reads and writes, which pruning changes and every checkpoint carries;
- `checkpoints`: what a training leaves; `onnx`, with `padding`, and `bundle`: what an export does;
- `config`: the schemas of a network, an export and its card.

Nothing here trains or prunes.
"""

from gaze.models.checkpoints import load_network
from gaze.models.config import ModelConfig
from gaze.models.finalizer import STRIDE
from gaze.models.network import GazeNetwork, build_network

__all__ = ["STRIDE", "GazeNetwork", "ModelConfig", "build_network", "load_network"]
