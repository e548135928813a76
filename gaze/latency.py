"""`python -m gaze.latency network=runs/mobilegaze/best.ckpt`: what each layer takes, at every width.

Writes into `out`: `latency.json` (the table; reused where machine, engine, threads, versions and size match),
`validation.json`, `validation.md` and `predicted.png` (predicted against measured time of randomly pruned networks).
Exits with 0 when done, 1 when the network cannot be used, 2 when a setting is wrong.
"""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.latency")

from gaze.config import verb
from gaze.streams import print_result
from gaze.training.latency_config import LatencyConfig


def latency(config: LatencyConfig) -> None:
    """Measures the table or finds it measured, prints what it says, and compares its predictions with measurements.

    Raises:
        ConfigError: a setting is wrong, or `out` holds results already.
        ModelError: the network cannot be loaded.
    """
    from gaze.training.latency_report import LatencyReport  # it takes seconds to import, a mistyped key should not

    report = LatencyReport(config)
    print_result(report.shares())
    if config.networks:
        print_result(f"\n{report.compare()}", end="")
    print_result(f"written to {config.out}")


main = verb("latency", LatencyConfig)(latency)

if __name__ == "__main__":
    main()
