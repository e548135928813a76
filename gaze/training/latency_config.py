"""The schema of `gaze/conf/latency.yaml`."""

from dataclasses import dataclass
from pathlib import Path

from gaze.errors import ConfigError, expect, expect_number
from gaze.geometry import Size
from gaze.models.config import ModelConfig

ROUNDS = 15
"""Fewer runs have no quartiles to speak of."""


@dataclass
class LatencyConfig:
    """All of `gaze/conf/latency.yaml`.

    Attributes:
        network: checkpoint of `gaze.train` or `gaze.prune`; null takes `model`.
        model: an architecture of `gaze/conf/model`, with random weights.
        engine: onnxruntime, torch-cpu or torch-cuda.
        threads: of the engine within one image, on the CPU.
        size: width and height of the image, in pixels.
        networks: how many randomly pruned networks the predictions are compared on; 0 for none.
        multiple: the widths of those are multiples of this; 1 allows every width.
        rounds: how often each of them runs.
        seed: of the random widths.
        out: folder of the results.
        overwrite: whether results that are there already are replaced; a table that fits is never measured again.
    """

    network: str | None
    model: ModelConfig | None
    engine: str
    threads: int
    size: list[int]
    networks: int
    multiple: int
    rounds: int
    seed: int
    out: Path
    overwrite: bool

    def check(self) -> None:
        """Raises ConfigError where a value is out of range; what the network asks of `size` is not known here."""
        if (self.network is None) == (self.model is None):
            raise ConfigError(
                "network: give either a checkpoint with network=PATH or an architecture with model=NAME, got "
                + ("neither" if self.network is None else "both")
            )
        from gaze.pruning.cost.engines import ENGINES  # torch takes seconds to import, a mistyped key should not

        ENGINES.get(self.engine, "engine")
        size = len(self.size) == 2 and min(self.size) >= 1
        expect(size, "size", "[width, height], for example [320,240]", self.size)
        for key, least in (("threads", 1), ("networks", 0), ("multiple", 1), ("rounds", ROUNDS), ("seed", 0)):
            expect_number(key, getattr(self, key), least=least)

    def idle(self) -> dict[str, str]:
        """Keys that do nothing, and why."""
        idle = {} if self.networks else dict.fromkeys(("multiple", "rounds", "seed"), "networks is 0")
        return idle | ({"threads": "engine=torch-cuda has none"} if self.engine == "torch-cuda" else {})

    def timed_size(self, multiple: int) -> Size:
        """The size that is timed.

        Raises:
            ConfigError: a side is no multiple of what the network asks for.
        """
        if any(side < 1 or side % multiple for side in self.size):
            raise ConfigError(f"size: expected multiples of {multiple}, got {self.size}")
        return Size(*self.size)
