"""Prunes networks that are not gaze's to half their measured time, on toy data, in a Lightning training of its own.

python tests/benchmarks/any_network.py [NAME ...] [--engine onnxruntime] [--side 64] [--out FOLDER]

A row each: milliseconds before and after (the median of five fresh measurements beside the unpruned network), the loss
on images that it was not trained on before and after the pruning, maps before and after, updates.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[2]))

from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.job import Job
from tests.pruning.strangers import STRANGERS, UNet

CLASSES = 5
NETWORKS = STRANGERS | {"unet": lambda: UNet(32)}  # what a few microseconds cannot be told of, no pruning can steer
SCHEDULE = {"updates_per_removal": 2, "removals": 20, "removals_per_surgery": 5, "finetune_updates": 40}


class Learner(pl.LightningModule):
    """Tells which of five waves an image is made of; a U-Net is asked for the mean of its map in five bands."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Cross-entropy, the mean over the batch."""
        x, classes = batch
        leaving = self.model(x)
        bands = leaving.flatten(1) if leaving.ndim == 2 else F.adaptive_avg_pool2d(leaving, (CLASSES, 1)).flatten(1)
        return F.cross_entropy(bands, classes)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """See `loss`."""
        return self.loss(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), 1e-3)


def waves(count: int, side: int, seed: int) -> TensorDataset:
    """Images of five frequencies, with noise."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(count) % CLASSES
    at = torch.arange(side) / side
    phase = 6.3 * torch.rand(count, 1, generator=generator)
    wave = torch.sin(6.3 * (1 + classes[:, None]) * at + phase)[:, None, None].expand(count, 3, side, side)
    return TensorDataset(wave + 0.5 * torch.randn(count, 3, side, side, generator=generator), classes)


def trained(
    module: Learner, data: DataLoader[list[Tensor]], folder: Path, *callbacks: pl.Callback, **length: int
) -> None:
    """Trains until the length or a callback says so."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    pl.Trainer(
        accelerator="cpu", devices=1, default_root_dir=folder, enable_checkpointing=False, callbacks=list(callbacks),
        **quiet, **length,
    ).fit(module, data)  # fmt: skip


@torch.no_grad()
def tested(module: Learner, side: int) -> float:
    """The loss on images of their own."""
    module.model.eval()
    return float(module.loss(list(waves(40, side, 1).tensors)))


def pruned(name: str, engine: str, side: int, out: Path) -> str:
    """A row of the table."""
    pl.seed_everything(0, verbose=False)
    module, data = Learner(NETWORKS[name]()), DataLoader(waves(160, side, 0), batch_size=16, shuffle=True)
    trained(module, data, out, max_epochs=4)
    before = tested(module, side)
    example = torch.zeros(1, 3, side, side)
    job = Job.of(module.model, example, out / name, budget=0.5, schedule=SCHEDULE, engine=engine)
    pruning = FisherPruning.of(job)
    trained(module, data, out, pruning, max_epochs=-1)
    maps = f"{sum(pruning.before.values())} -> {sum(pruning.maps.values())}"
    return (
        f"| {name} | {pruning.base:.2f} -> {pruning.measured:.2f} ({pruning.measured / pruning.base:.2f}) | "
        f"{before:.3f} -> {tested(module, side):.3f} | {maps} | {pruning.step} | {'yes' if pruning.met else 'no'} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    print("| network | ms | loss | maps | updates | met |\n| --- | --- | --- | --- | ---: | --- |")
    for name in given.names:
        with tempfile.TemporaryDirectory() as folder:
            print(pruned(name, given.engine, given.side, given.out or Path(folder)), flush=True)


if __name__ == "__main__":
    main()
