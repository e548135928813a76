"""A picture of what the network has learnt so far: photographs with prediction beside truth, each validation."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger

from gaze.data.datamodule import GazeDataModule
from gaze.data.dataset import Draw
from gaze.files import write_atomic
from gaze.images import encode
from gaze.images.heatmap import overlay

ROWS = 6
BLUR = 2.0  # cells; fixations alone are too small to see


class PanelCallback(pl.Callback):
    """Writes `panels/epoch_NNN.png`: a row per photograph with the photograph, the prediction and the fixations.

    Args:
        folder: where the `panels` folder is made.
        data: its validation set is shown, a few photographs of each store.
    """

    def __init__(self, folder: Path, data: GazeDataModule) -> None:
        self.folder, self.dataset = folder / "panels", data.val_set
        entries = np.array([store for store, _ in self.dataset.entries])
        per_store = [np.flatnonzero(entries == s) for s in np.unique(entries)]
        self.chosen = [
            int(i) for members in per_store for i in members[:: max(1, len(members) * len(per_store) // ROWS)]
        ]

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draws the panel, in the first process only; here the averaged weights are still in place."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        network: Any = module.network
        examples = [self.dataset[Draw(index)] for index in self.chosen[:ROWS]]
        with torch.inference_mode():
            log_densities = [network(e["image"][None].to(module.device))[0] for e in examples]
        rows = [
            draw_row(e["image"].numpy(), d.float().cpu().numpy(), e["target"].numpy())
            for e, d in zip(examples, log_densities, strict=True)
        ]
        width = max(row.shape[1] for row in rows)
        panel = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"epoch_{trainer.current_epoch:03d}.png"
        write_atomic(self.folder / name, encode(Image.fromarray(panel), "PNG"), overwrite=True)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("panel", panel, trainer.global_step, dataformats="HWC")


def draw_row(
    image: NDArray[np.uint8], log_density: NDArray[np.float32], target: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Photograph, prediction and truth side by side: H x 3W x 3 uint8 RGB."""
    truth = cv2.GaussianBlur(target, (0, 0), BLUR)
    pictures = [image, *(np.asarray(overlay(image, density)) for density in (np.exp(log_density), truth))]
    return np.concatenate(pictures, axis=1)
