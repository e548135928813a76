"""`python -m gaze.teach data=[osie,eyecrowd] out=data/taught.h5`: varied photographs with a network's densities.

Gaze is scarce. A student that sees many variations of each photograph, every one with the density that a good network
predicts of that very variation, learns the network's function and not the photographs by heart: Beyer et al. 2022,
"Knowledge distillation: a good teacher is patient and consistent" (arXiv 2106.05237), section 2.
"""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.teach")

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gaze.config import verb
from gaze.data.augment import AugmentConfig, random_box, random_color, resized_window
from gaze.data.config import PREPARED, DataSetConfig
from gaze.data.densities import normalise
from gaze.data.store import FixationStore, StoreAttributes, write_store
from gaze.errors import check_settings, expect, expect_number
from gaze.files import check_free
from gaze.fixations import Fixations, Stimulus
from gaze.geometry import Size
from gaze.images import decode
from gaze.predictor import Predictor, network_size
from gaze.progress import track

JPEG = 95
"""Quality at which variations are kept."""


@dataclass
class TeachConfig:
    """All of `gaze/conf/teach.yaml`.

    Attributes:
        sets: the prepared data sets whose training photographs are varied, by name.
        network: the teacher: the name of a shipped model, or an exported `.onnx` file.
        views: variations of each photograph.
        augment: how they are varied.
        seed: of the variations.
        out: the store to write.
        overwrite: whether a store that is there already is replaced.
    """

    sets: dict[str, DataSetConfig]
    network: str
    views: int
    augment: AugmentConfig
    seed: int
    out: str
    overwrite: bool

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        expect(bool(self.sets), "data", "one set at least, for example data=osie", list(self.sets))
        expect_number("views", self.views, least=1)
        expect_number("seed", self.seed, least=0)
        for key in ("network", "out"):
            expect(bool(getattr(self, key)), key, "text", getattr(self, key))

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        return {**PREPARED, **self.augment.idle()}


def teach(config: TeachConfig) -> int:
    """Writes a store of variations with the teacher's densities, all of them in the split train.

    Returns:
        The number of variations.

    Raises:
        ConfigError: there is no such model, a value makes no sense, or `out` is there already.
        DataError: a store is missing or damaged.
        ModelError: the model is damaged.
        OutputError: `out` cannot be written.
    """
    check_settings(config)
    check_free([Path(config.out)], config.overwrite)
    predictor = Predictor(config.network)
    stores = [FixationStore(entry.store) for entry in config.sets.values()]
    attributes = StoreAttributes(
        name="taught",
        license="; ".join(sorted({store.attributes.license for store in stores})),
        source=f"variations of {', '.join(config.sets)}",
        sigma_pixels=float(predictor.card.output["stride"]),
        pixels_per_degree=None,
        drop_first=False,
        teacher=f"{predictor.card.name} {predictor.card.version}",
    )
    count = write_store(config.out, attributes, variations(stores, predictor, config), config.overwrite)
    print(f"{config.out}: {count} variations written")
    return count


def variations(stores: Sequence[FixationStore], predictor: Predictor, config: TeachConfig) -> Iterator[Stimulus]:
    """The variations of every training photograph, at the size that the teacher sees, each with its density."""
    entries = [(number, int(index)) for number, store in enumerate(stores) for index in store.indices("train")]
    for number, index in track(entries, "teach", unit="photo"):
        photo = stores[number][index]
        image = decode(photo.image)
        for view in range(config.views):
            rng = np.random.default_rng((config.seed, number, index, view))
            varied = vary(image, predictor, config.augment, rng)
            height, width = varied.shape[:2]
            density = cv2.resize(predictor.density(varied), (width, height), interpolation=cv2.INTER_LINEAR)
            name = f"{stores[number].attributes.name}/{photo.name}/{view}"
            content = cv2.imencode(".jpg", varied[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG])[1].tobytes()
            yield Stimulus(name, content, width, height, "train", Fixations.of([], []), normalise(density))


def vary(image: np.ndarray, predictor: Predictor, augment: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """A random window of a photograph at the size that the teacher sees, its colours varied, flipped or not."""
    box = random_box(Size(image.shape[1], image.shape[0]), augment, rng)
    rule = predictor.card.input
    seen = network_size(Size(box.width, box.height), rule.longer_side, rule.multiple)
    varied = random_color(resized_window(image, box, seen), augment.color, rng)
    return np.ascontiguousarray(varied[:, ::-1]) if rng.random() < augment.flip else varied


main = verb("teach", TeachConfig)(teach)

if __name__ == "__main__":
    main()
