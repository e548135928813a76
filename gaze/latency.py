"""`python -m gaze.latency network=runs/mobilegaze/best.ckpt`: what each layer takes, at every width.

Writes into `out`: `latency.json` (the table; reused where machine, engine, threads, versions and size match),
`validation.json`, `validation.md` and `predicted.png` (predicted against measured time of randomly pruned networks).
Exits with 0 when done, 1 when the network cannot be used, 2 when a setting is wrong.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gaze.config import verb
from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.images import write_atomic
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


def latency(config: LatencyConfig) -> None:
    """Measures the table or finds it measured, prints what it says, and validates it.

    Raises:
        ConfigError: a setting is wrong.
        ModelError: the network cannot be loaded.
    """
    # torch takes seconds to import, a mistyped key should not
    from gaze.models import build_network, load_network
    from gaze.pruning.cost.engines import ENGINES
    from gaze.pruning.cost.fused_operators import find_operators
    from gaze.pruning.cost.latency_table import load_or_measure
    from gaze.pruning.cost.models.macs import MacCost
    from gaze.pruning.cost.models.quadratic import QuadraticCost
    from gaze.pruning.cost.models.table import TableCost
    from gaze.pruning.cost.prediction_error import shares
    from gaze.pruning.structure.groups import find_groups

    _check(config)
    engine, size = ENGINES.get(config.engine, "engine")(config.threads), Size(*config.size)
    network = load_network(config.network) if config.network else build_network(_model(config), load_weights=False)
    network = network.eval()
    _check_size(size, network.config.input.multiple)
    operators, maps = find_operators(network, size), {group.name: group.maps for group in find_groups(network)}
    config.out.mkdir(parents=True, exist_ok=True)
    table = load_or_measure(config.out / "latency.json", operators, maps, engine, size)
    costs = {
        "table": TableCost(operators, table),
        "quadratic": QuadraticCost(operators, table),
        "macs": MacCost(operators),
    }
    print(_one_line(table.facts))
    print(f"blocks of {table.block} maps; noise floor {table.noise:.1%}, {table.noise_ms:.4f} ms")
    print("\n| operators | number | ms | share |\n|---|---|---|---|")
    for kind, count, time, share in shares(costs["table"], maps, rows=12):
        print(f"| {kind} | {count} | {time:.3f} | {share:.1%} |")
    print(f"\nin all {costs['table'].total(maps):.2f} ms; the quadratic says {costs['quadratic'].total(maps):.2f} ms")
    if config.networks:
        from gaze.pruning.cost.prediction_error import draw_errors, measure_errors

        result = measure_errors(
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
        draw_errors(
            result,
            f"{network.config.name} on {config.engine}, {config.threads} thread(s)",
            config.out / "predicted.png",
        )
    print(f"written to {config.out}")


def _model(config: LatencyConfig) -> ModelConfig:
    assert config.model is not None
    return config.model


def _check(config: LatencyConfig) -> None:
    if (config.network is None) == (config.model is None):
        raise ConfigError("network: give either a checkpoint with network=PATH or an architecture with model=NAME")
    if len(config.size) != 2:
        raise ConfigError(f"size={config.size}: expected width and height, for example [320,240]")
    for key, least in (("networks", 0), ("multiple", 1), ("rounds", 15)):
        if getattr(config, key) < least:
            raise ConfigError(f"{key}: expected at least {least}, got {getattr(config, key)}")


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
