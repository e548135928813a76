"""`python -m gaze.evaluate data=osie`: scores a model and its baselines on prepared stores.

Prints a table per set and writes into `out`: `evaluation.json` (means, intervals, every image),
`evaluation.md` (the tables) and `<set>.png` (the best, the median and the worst image); with `export=densities.h5` the
log densities too, as `pysaliency.HDF5Model` reads them. Exits with 0 when done, 1 when a file or a model cannot be
used, 2 when a setting is wrong.
"""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.evaluate")

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gaze.config import verb
from gaze.data.config import PREPARED, DataSetConfig
from gaze.data.splits import split_otherwise
from gaze.data.store import FixationStore, photograph
from gaze.errors import ConfigError, check_settings, expect, expect_number, expect_one_of, expect_texts
from gaze.evaluation import report
from gaze.evaluation.bench import Bench
from gaze.evaluation.log_densities import recorded
from gaze.evaluation.picture import Example, draw
from gaze.evaluation.run import SetScores, score_split, summarize
from gaze.evaluation.scores import METRICS
from gaze.evaluation.sources import Source, open_source
from gaze.files import check_free, replacing, write_atomic
from gaze.fixations import SPLITS
from gaze.streams import print_note, print_result


@dataclass
class EvaluateConfig:
    """All of `gaze/conf/evaluate.yaml`.

    Attributes:
        sets: the prepared data sets, by name.
        network: the name of a shipped model, an `.onnx` file with its card or a `.ckpt` of a training run; null is
            the default model; a list is an ensemble, of which the mean density is scored. (Not `model`, which for Hydra
            is the group of what can be trained.)
        maps: in place of a network, a folder of saliency maps, `.npy` or grey `.png`, named as the images of
            the one set.
        split: which images are scored: train, val or test.
        out: folder of the results.
        export: an HDF5 file for the log densities of the one set, by the names of its images, as
            `pysaliency.HDF5Model` reads them; null writes none.
        overwrite: whether results that are there already are replaced.
        rank_by: metric that decides which images are best, median and worst.
        batch: images predicted at a time.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    sets: dict[str, DataSetConfig]
    network: Any
    maps: str | None
    split: str
    out: Path
    export: Path | None
    overwrite: bool
    rank_by: str
    batch: int
    resamples: int
    seed: int

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        expect(bool(self.sets), "data", "one set at least, for example data=osie", list(self.sets))
        for key in ("maps", "export"):
            if getattr(self, key) is not None and len(self.sets) > 1:
                raise ConfigError(f"{key}: score one set at a time, as sets may name their images alike")
        _ = self.networks
        if self.export is not None:
            self._check_export(self.export)
        expect_one_of("split", self.split, SPLITS)
        expect_one_of("rank_by", self.rank_by, METRICS)
        for key in ("batch", "resamples"):
            expect_number(key, getattr(self, key), least=1)
        expect_number("seed", self.seed, least=0)

    def _check_export(self, export: Path) -> None:
        expect(export.name != "", "export", "an HDF5 file or null", str(export))
        if self.maps is not None:
            raise ConfigError("maps, export: give one of the two, as saliency maps are no log densities")
        others = {*self.report_paths, *self.picture_paths.values(), *(Path(each.store) for each in self.sets.values())}
        if export.resolve() in {path.resolve() for path in others}:
            raise ConfigError(f"export: expected a file of its own, got {export}, which is read or written as well")

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        return PREPARED

    @property
    def networks(self) -> list[str] | None:
        """What `network` names."""
        expected = "a network or a list of networks, or null"
        return None if self.network is None else expect_texts("network", self.network, expected)

    @property
    def picture_paths(self) -> dict[str, Path]:
        """The picture of each set."""
        return {name: self.out / f"{name}.png" for name in self.sets}

    @property
    def report_paths(self) -> tuple[Path, Path]:
        """The results as JSON and as Markdown."""
        return self.out / "evaluation.json", self.out / "evaluation.md"


def evaluate(config: EvaluateConfig) -> dict[str, tuple[SetScores, report.Summary]]:
    """Scores the model on every set, prints the tables and writes the files.

    Raises:
        ConfigError: a value makes no sense, `network` stands beside `maps`, or `out` or `export` is there already.
        DataError: a store, a split or a map is missing or damaged.
        ModelError: the model cannot be loaded.
        OutputError: a file cannot be written.
    """
    check_settings(config)
    check_free([*config.report_paths, *config.picture_paths.values()], config.overwrite)
    check_free([] if config.export is None else [config.export], config.overwrite, "export")
    source = open_source(config.networks, config.maps)
    results = {}
    for name, entry in config.sets.items():
        bench = Bench(FixationStore(entry.store))
        _tell_other_split(name, bench.store, source)
        with _exporting(source, config.export, config.overwrite) as predicting:
            scores = score_split(bench, predicting, config.split, config.batch)
        results[name] = scores, summarize(scores, config.resamples, config.seed)
        print_result(f"\n{report.title(name, scores)}\n{report.terminal_table(results[name][1], source.name)}")
        if picture := _draw(bench, source, scores, config.rank_by):
            write_atomic(config.picture_paths[name], picture, config.overwrite)
    print_result(f"\n{report.NOTE}")
    content = report.as_json(results, {"title": source.name, **source.facts}, config.resamples, config.seed)
    texts = json.dumps(content, indent=1, allow_nan=False) + "\n", report.markdown(results, source.name)
    for path, text in zip(config.report_paths, texts, strict=True):
        write_atomic(path, text.encode(), config.overwrite)
    print_result(f"written to {config.out}" + f", log densities to {config.export}" * (config.export is not None))
    return results


@contextmanager
def _exporting(source: Source, path: Path | None, overwrite: bool) -> Iterator[Source]:
    """The source, whose log densities become the file `path`, if there is to be one, when all are made."""
    if path is None:
        yield source
    else:
        with replacing(path, overwrite) as scratch, h5py.File(scratch.name, "w") as file:
            yield recorded(source, file)


def _tell_other_split(name: str, store: FixationStore, source: Source) -> None:
    """Says in one line that a score may be of photographs that were learnt."""
    dataset = store.attributes.name
    others = split_otherwise(dataset, store.names, store.splits) if dataset in source.trained_on else []
    if others:
        print_note(
            f"gaze.evaluate: {name}: {source.name} was trained on {dataset}, and {store.path} has {len(others)} of "
            f"{len(store)} photographs in another split than the lists that ship with gaze, so the model may have "
            "learnt some that are scored here; gaze.prepare without data.splits splits by the lists",
        )


def _draw(bench: Bench, source: Source, scores: SetScores, metric: str) -> bytes | None:
    """The best, the median and the worst image; None where there is none to show."""
    examples = []
    for place, position in scores.extremes(metric).items():
        stimulus = bench.store[scores.indices[position]]
        prediction = source.predict([stimulus])[0]
        value = scores.values["model"][metric][position]
        examples.append(
            Example(
                caption=f"{place}: {stimulus.name}, {METRICS[metric]} {value:.2f}",
                photo=photograph(stimulus),
                truth=bench.truth(stimulus),
                prediction=np.exp(prediction) if source.is_density else prediction,
            )
        )
    return draw(examples) if examples else None


main = verb("evaluate", EvaluateConfig)(evaluate)

if __name__ == "__main__":
    main()
