"""`python -m gaze.latency network=runs/mobilegaze/best.ckpt`: what each piece of a network takes, at every width.

Writes into `out`: `latency.json` (the table; reused where machine, engine, threads, versions and size match),
`validation.json`, `validation.md` and `predicted.png` (predicted against measured time of randomly pruned networks).
Exits with 0 when done, 1 when the network cannot be used, 2 when a setting is wrong.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gaze.config import verb
from gaze.errors import ConfigError, check_settings, expect, expect_number
from gaze.files import make_folder, write_atomic
from gaze.geometry import Size
from gaze.models.config import ModelConfig


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

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        if (self.network is None) == (self.model is None):
            raise ConfigError("network: give either a checkpoint with network=PATH or an architecture with model=NAME")
        size = len(self.size) == 2 and min(self.size) >= 1
        expect(size, "size", "width and height in pixels, for example [320, 240]", self.size)
        for key, least in (("networks", 0), ("multiple", 1), ("rounds", 15), ("seed", 0)):
            expect_number(key, getattr(self, key), least=least)
        from gaze.pruning.cost.engines import Engine  # torch takes seconds to import, a mistyped key should not

        Engine(self.engine, self.threads)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        idle = {} if self.networks else dict.fromkeys(("multiple", "rounds", "seed"), "networks is 0")
        return idle | ({"threads": "engine=torch-cuda has none"} if self.engine == "torch-cuda" else {})


def latency(config: LatencyConfig) -> None:
    """Measures the table or finds it measured, prints what it says, and validates it.

    Raises:
        ConfigError: a setting is wrong.
        ModelError: the network cannot be loaded.
    """
    # torch takes seconds to import, a mistyped key should not
    from gaze.models import build_network, load_network
    from gaze.pruning.cost.engines import Engine
    from gaze.pruning.cost.foretelling import shares
    from gaze.pruning.cost.kernels import find_units
    from gaze.pruning.cost.latency_table import load_or_measure
    from gaze.pruning.cost.models import MacCost, QuadraticCost, TableCost
    from gaze.pruning.structure.groups import find_groups

    check_settings(config)
    engine, size = Engine(config.engine, config.threads), Size(*config.size)
    network = load_network(config.network) if config.network else build_network(_model(config), load_weights=False)
    network = network.eval()
    _check_size(size, network.config.input.multiple)
    units, maps = find_units(network, size), {group.name: group.maps for group in find_groups(network)}
    make_folder(config.out)
    table = load_or_measure(config.out / "latency.json", units, maps, engine, size)
    costs = {"table": TableCost(units, table), "quadratic": QuadraticCost(units, table), "macs": MacCost(units)}
    print(_one_line(table.facts))
    print(f"granule {table.granule} maps; noise floor {table.noise:.1%}, {table.noise_ms:.4f} ms")
    print("\n| units | number | ms | share |\n|---|---|---|---|")
    for kind, count, time, share in shares(costs["table"], maps, rows=12):
        print(f"| {kind} | {count} | {time:.3f} | {share:.1%} |")
    print(f"\nin all {costs['table'].total(maps):.2f} ms; the quadratic says {costs['quadratic'].total(maps):.2f} ms")
    if config.networks:
        from gaze.pruning.cost.foretelling import draw, validate

        result = validate(
            network, costs, engine, size, config.networks, config.multiple, config.rounds, config.seed
        )  # fmt: skip
        heading = (
            f"{network.config.name}: unpruned {result.whole:.2f} ms ± {result.noise:.1%}, {config.networks} pruned "
            f"networks of {min(result.measured):.2f} to {max(result.measured):.2f} ms, widths in multiples of "
            f"{config.multiple}"
        )
        print(f"\n{heading}\n\n{result.table()}")
        write_atomic(config.out / "validation.md", f"{heading}\n\n{result.table()}\n".encode(), overwrite=True)
        content = {"facts": table.facts, "multiple": config.multiple, "seed": config.seed, **asdict(result)}
        write_atomic(config.out / "validation.json", (json.dumps(content, indent=1) + "\n").encode(), overwrite=True)
        draw(
            result,
            f"{network.config.name} on {config.engine}, {config.threads} thread(s)",
            config.out / "predicted.png",
        )
    print(f"written to {config.out}")


def _model(config: LatencyConfig) -> ModelConfig:
    assert config.model is not None
    return config.model


def _check_size(size: Size, multiple: int) -> None:
    if any(side < 1 or side % multiple for side in (size.width, size.height)):
        raise ConfigError(f"size=[{size.width},{size.height}]: expected multiples of {multiple}")


def _one_line(facts: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    width, height = facts["size"]
    return f"{facts['machine']}, {facts['engine']} ({versions}), {facts['threads']} thread(s), {width}x{height} pixels"


main = verb("latency", LatencyConfig)(latency)

if __name__ == "__main__":
    main()
