"""The schema of `gaze/conf/prefer.yaml`."""

from dataclasses import dataclass
from pathlib import Path

from gaze.data.config import PREPARED, DataSetConfig
from gaze.errors import expect, expect_number


@dataclass
class PreferConfig:
    """All of `gaze/conf/prefer.yaml`.

    Attributes:
        checkpoint: of the network, pruned or not, that is to learn it.
        sets: the prepared data sets that the photographs of `windows` lie in, by name.
        windows: the table of windows, see `gaze.data.usable_windows`; null takes the one that is shipped.
        longer_side: pixels of the longer side of the images that the network is to see; null keeps the checkpoint's.
        reduce: maps that each tap is brought down to before the readout joins them.
        channels: output maps of each 1x1 convolution of the readout before the last, which has 2.
        strength: by this what was learnt is multiplied in the end: 1 follows the readers, who choose windows of less
            gaze; with less, more is kept and more sent back.
        epochs: how often each photograph of `train` is seen; the best epoch by those of `val` stays.
        batch_size: photographs of an update.
        lr: learning rate of AdamW, which falls to 0 by a cosine.
        weight_decay: of AdamW.
        seed: of everything random.
        out: the new checkpoint.
        overwrite: whether a checkpoint that is there already is replaced.
    """

    checkpoint: Path
    sets: dict[str, DataSetConfig]
    windows: Path | None
    longer_side: int | None
    reduce: int
    channels: list[int]
    strength: float
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    out: Path
    overwrite: bool

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        expect(bool(self.sets), "data", "one set at least, for example data=osie", list(self.sets))
        expect_number("reduce", self.reduce, least=1)
        expect(min(self.channels, default=1) >= 1, "channels", "numbers of maps", self.channels)
        expect_number("longer_side", self.longer_side, least=1)
        expect_number("strength", self.strength, above=0)
        expect_number("epochs", self.epochs, least=1)
        expect_number("batch_size", self.batch_size, least=1)
        expect_number("lr", self.lr, above=0)
        expect_number("weight_decay", self.weight_decay, least=0)
        expect_number("seed", self.seed, least=0)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        return dict(PREPARED)
