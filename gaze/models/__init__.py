"""Gaze networks: backbone, readout, finalizer, checkpoints and ONNX export."""

from gaze.models.checkpoints import load_network
from gaze.models.config import ModelConfig
from gaze.models.finalizer import STRIDE
from gaze.models.network import GazeNetwork, build_network

__all__ = ["STRIDE", "GazeNetwork", "ModelConfig", "build_network", "load_network"]
