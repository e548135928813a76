"""The LightningModule that trains a gaze network."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gaze.models.checkpoints import describe
from gaze.models.network import GazeNetwork
from gaze.models.widths import set_widths
from gaze.training.config import HEADS, OptimConfig, RatesConfig
from gaze.training.heads_loss import heads_loss, taught_heads_loss
from gaze.training.losses import information_gain
from gaze.training.penalty import total_penalty

MONITOR = "val/information_gain"
"""What checkpoints and early stopping go by: bits per fixation over the centre bias, mean over the sets."""

HEADS_MONITOR = "val/heads_loss"
"""What they go by where the heads readout alone is trained: mean over the images whose heads are labelled."""


class GazeModule(pl.LightningModule):
    """Maximises the information gain of a network's log density over the uniform one.

    Where the network says where heads are, that is trained too, on the images whose heads are labelled.

    Args:
        network: what is trained; its configuration travels with each checkpoint.
        optim: rates, with or without a warm-up.
        names: of the sets, in the order of the batches' `store`.
        seed: of the run, for the record.
        trained_on: names of the sets that people looked at, for the record; None: all of `names`.
        center_biases: log centre bias of each set in relative coordinates, the baseline of the validation figure.
        only: `heads` trains the heads readout and leaves the rest of the network as it is; None trains all.
    """

    center_biases: Tensor

    def __init__(
        self,
        network: GazeNetwork,
        optim: RatesConfig,
        names: list[str],
        center_biases: list[NDArray[np.float32]],
        seed: int,
        trained_on: list[str] | None = None,
        only: str | None = None,
    ) -> None:
        super().__init__()
        self.only = only
        if only == HEADS:
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(name.startswith("heads."))
        self.network, self.optim, self.names, self.seed = network, optim, names, seed
        self.trained_on = names if trained_on is None else trained_on
        self.register_buffer("center_biases", torch.from_numpy(np.stack(center_biases)), persistent=False)

    def start_from_center_bias(self) -> None:
        """Sets the network's centre bias to the mean of the sets' own."""
        bias = self.network.finalizer.center_bias
        mean = self.center_biases.exp().mean(0)[None, None]
        with torch.no_grad():
            bias.copy_(F.interpolate(mean, size=bias.shape, mode="bilinear", antialias=True)[0, 0].log())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what `gaze.models.checkpoints.load_checkpoint` needs to build the network again."""
        checkpoint.update(describe(self.network, self.trained_on, self.seed))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Brings the network to the checkpoint's widths, for its weights to be loaded."""
        set_widths(self.network, checkpoint.get("widths", {}))

    def losses(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss of a training step, photograph by photograph, without penalties; negative bits per fixation."""
        if self.network.heads is None:
            return -information_gain(self.network(batch["image"]), batch["target"])
        log_density, output = self.network.look(batch["image"])
        heads, settings = self._heads(log_density, output, batch), self.network.config.heads
        assert settings is not None
        return heads if self.only == HEADS else settings.weight * heads - information_gain(log_density, batch["target"])

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor | dict[str, Tensor]:
        """Loss of one batch: negative bits per fixation over the uniform density, and that on heads.

        Where a callback of the trainer is a `Penalty`, its term is added to the loss, told as `train/penalty` and
        handed on as `penalty`, for the loss on the data to be known.
        """
        loss, penalty = self._loss(batch), total_penalty(self)
        if penalty is None:
            return loss
        self.log("train/penalty", penalty, on_step=True, on_epoch=True, sync_dist=True, batch_size=len(batch["image"]))
        return {"loss": penalty + loss, "penalty": penalty.detach()}

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        if self.network.heads is None:
            return -self._gain(self.network(batch["image"]), batch)
        log_density, output = self.network.look(batch["image"])
        heads = self._heads(log_density, output, batch).mean()
        self._log("train/heads_loss", heads, batch)
        if self.only == HEADS:
            return heads
        settings = self.network.config.heads
        assert settings is not None
        return settings.weight * heads - self._gain(log_density, batch)

    def _gain(self, log_density: Tensor, batch: dict[str, Tensor]) -> Tensor:
        gain = information_gain(log_density, batch["target"]).mean()
        self._log("train/bits_over_uniform", gain, batch)
        return gain

    def _heads(self, log_density: Tensor, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The loss on heads of each image: on labels, 0 where there are none, and on what a live teacher says."""
        density = log_density.exp()
        labelled = heads_loss(output, batch["heads"], density) * batch["labelled"]
        if "taught_heads" not in batch:
            return labelled
        taught = taught_heads_loss(output, batch["taught_heads"], density)
        return torch.lerp(labelled, taught, batch["heads_weight"].to(taught))

    def _log(self, name: str, value: Tensor, batch: dict[str, Tensor]) -> None:
        size = len(batch["image"])
        self.log(name, value, prog_bar=True, on_step=True, on_epoch=True, sync_dist=True, batch_size=size)

    def on_validation_epoch_start(self) -> None:
        """Forgets the figures of the last validation."""
        self.totals = torch.zeros(len(self.names), 2, device=self.device)
        self.heads_total = torch.zeros(2, device=self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Adds up the information gain over the centre bias, by set, of the images that count."""
        counted = batch["counted"].to(self.totals)
        if self.network.heads is None:
            log_density = self.network(batch["image"])
        else:
            log_density, output = self.network.look(batch["image"])
            of_heads = self._heads(log_density, output, batch) * counted
            self.heads_total += torch.stack([of_heads.sum(), (counted * batch["labelled"]).sum()])
        baseline = self.baseline(batch["store"], (log_density.shape[1], log_density.shape[2]))
        gains = information_gain(log_density, batch["target"], baseline)
        self.totals.index_add_(0, batch["store"], torch.stack([gains * counted, counted], 1))

    def on_validation_epoch_end(self) -> None:
        """Logs the mean of each set that has validation images, the mean over the sets, each counting the same, and the
        loss on heads."""
        totals = torch.as_tensor(self.all_gather(self.totals)).reshape(-1, len(self.names), 2).sum(0)
        means = {name: sum_ / count for name, (sum_, count) in zip(self.names, totals, strict=True) if count}
        self.log_dict({f"val/{name}": mean for name, mean in means.items()}, sync_dist=True)
        self.log(MONITOR, torch.stack(list(means.values())).mean(), prog_bar=True, sync_dist=True)
        loss, count = torch.as_tensor(self.all_gather(self.heads_total)).reshape(-1, 2).sum(0)
        if count:
            self.log(HEADS_MONITOR, loss / count, prog_bar=True, sync_dist=True)

    def baseline(self, stores: Tensor, size: tuple[int, int]) -> Tensor:
        """Log centre bias of each image's set at `size`: B x height x width."""
        maps = F.interpolate(self.center_biases[stores][:, None], size=size, mode="bilinear", antialias=True)
        return maps.flatten(1).log_softmax(1).unflatten(1, size)

    def configure_optimizers(self) -> Any:
        """AdamW over four groups: backbone and the rest, decayed and not."""
        groups = parameter_groups(self.network, self.optim)
        optimizer = torch.optim.AdamW(groups)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = self.optim.warmup if isinstance(self.optim, OptimConfig) else 0.0
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(warmup_cosine, steps, warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_cosine(steps: int, warmup: float, step: int) -> float:
    """Factor of the peak learning rate at `step` of `steps`: a line up over the share `warmup`, then a cosine to 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def parameter_groups(network: GazeNetwork, optim: RatesConfig) -> list[dict[str, Any]]:
    """The network's trainable parameters by learning rate and weight decay."""
    groups = []
    for lr, inside in ((optim.backbone_lr, True), (optim.readout_lr, False)):
        named = [
            (k, p) for k, p in network.named_parameters() if k.startswith("backbone.") == inside and p.requires_grad
        ]
        weights: list[nn.Parameter] = [p for _, p in named if p.ndim == 4]
        others: list[nn.Parameter] = [p for _, p in named if p.ndim != 4]
        groups += [
            {"params": weights, "lr": lr, "weight_decay": optim.weight_decay},
            {"params": others, "lr": lr, "weight_decay": 0.0},
        ]
    return [group for group in groups if group["params"]]
