"""`python -m gaze.teach data=[osie,eyecrowd] out=data/taught.h5`: varied photographs with a network's densities.

`photos=FOLDER license=...` varies any photographs, which nobody needs to have looked at.

Gaze is scarce. A student that sees many variations of each photograph, every one with the density that a good network
predicts of that very variation, learns the network's function and not the photographs by heart: Beyer et al. 2022,
"Knowledge distillation: a good teacher is patient and consistent" (arXiv 2106.05237), section 2.
"""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.teach")

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gaze.card import InputRule
from gaze.config import choices, verb
from gaze.crop.folder.listing import FOLDER, Selection, Tally, Task, walk
from gaze.data.augment import AugmentConfig, random_box, random_color, resized_window
from gaze.data.config import PREPARED, DataSetConfig
from gaze.data.densities import normalise
from gaze.data.store import FixationStore, StoreAttributes, photograph, write_store
from gaze.errors import (
    ConfigError,
    DataError,
    ImageError,
    check_settings,
    expect,
    expect_number,
    expect_texts,
    one_line,
)
from gaze.files import check_free
from gaze.fixations import Fixations, Stimulus
from gaze.geometry import Size
from gaze.images import decode
from gaze.predictor import network_size
from gaze.progress import say, track
from gaze.streams import print_result
from gaze.training.teachers import Teacher, finest, mean_density, open_teacher

JPEG = 95
"""Quality at which variations are kept."""

Seed = tuple[int, ...]


@dataclass
class TeachConfig:
    """All of `gaze/conf/teach.yaml`.

    Attributes:
        sets: the prepared data sets whose training photographs are varied, by name.
        photos: a folder of photographs that nobody needs to have looked at, which are varied too, or alone; its
            subfolders count.
        license: under which those photographs may be used; the store says so.
        network: the teacher: the name of a shipped model, an exported `.onnx` file or a checkpoint; a list is an
            ensemble, of which the mean density is taken.
        views: variations of each photograph.
        augment: how they are varied.
        seed: of the variations.
        out: the store to write.
        overwrite: whether a store that is there already is replaced.
    """

    sets: dict[str, DataSetConfig]
    photos: Path | None
    license: str | None
    network: Any
    views: int
    augment: AugmentConfig
    seed: int
    out: str
    overwrite: bool

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        if not self.sets and self.photos is None:
            known = ", ".join(choices("data"))
            raise ConfigError(f"data: expected one set at least, data=NAME of {known}, or photos=FOLDER; got none")
        expected = 'the licence of the photographs of photos=, for example license="CC BY 4.0"'
        expect(self.photos is None or bool(self.license), "license", expected, self.license)
        expect_number("views", self.views, least=1)
        expect_number("seed", self.seed, least=0)
        _ = self.networks
        expect(bool(self.out), "out", "text", self.out)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        alone = {"license": "no photos are named; a prepared set brings its own"} if self.photos is None else {}
        return {**PREPARED, **self.augment.idle(), **alone}

    @property
    def networks(self) -> list[str]:
        """What `network` names."""
        return expect_texts("network", self.network, "a network or a list of networks")


@dataclass(frozen=True)
class Original:
    """A photograph that is varied.

    Attributes:
        name: begins the names of its variations.
        image: H x W x 3 uint8 RGB, upright.
        seed: of its variations, each with its number behind it.
    """

    name: str
    image: np.ndarray
    seed: Seed


def teach(config: TeachConfig) -> int:
    """Writes a store of variations with the teacher's densities, all of them in the split train.

    Returns:
        The number of variations.

    Raises:
        ConfigError: there is no such model, a value makes no sense, or `out` is there already.
        DataError: a store is missing or damaged, or there is no photograph that can be read.
        ModelError: the model is damaged.
        OutputError: `out` cannot be written.
    """
    check_settings(config)
    check_free([Path(config.out)], config.overwrite)
    teachers = [open_teacher("network", name) for name in config.networks]
    stores = [FixationStore(entry.store) for entry in config.sets.values()]
    tasks = [] if config.photos is None else list_photos(config.photos)
    originals = iterate_originals(stores, tasks, config)
    count = write_store(
        config.out, attributes(stores, teachers, config), variations(originals, teachers, config), config.overwrite
    )
    print_result(f"{config.out}: {count} variations written")
    return count


def attributes(stores: Sequence[FixationStore], teachers: Sequence[Teacher], config: TeachConfig) -> StoreAttributes:
    """What the store says of itself: whose photographs these are, and who taught them."""
    licenses = {store.attributes.license for store in stores}
    sources = list(config.sets)
    if config.photos is not None:
        licenses.add(str(config.license))
        sources.append(f"the photographs of {one_line(config.photos.absolute().name)}")
    titles = ", ".join(teacher.title for teacher in teachers)
    return StoreAttributes(
        name="taught",
        license="; ".join(sorted(licenses)),
        source=f"variations of {', '.join(sources)}",
        sigma_pixels=float(finest(teachers).stride),
        pixels_per_degree=None,
        drop_first=False,
        teacher=titles if len(teachers) == 1 else f"mean of {titles}",
    )


def list_photos(folder: Path) -> list[Task]:
    """The photographs of a folder and its subfolders, in order, as `gaze-crop` finds them.

    Raises:
        DataError: there is no such folder, or no photograph in it.
    """
    if not folder.expanduser().is_dir():
        raise DataError(f"photos={one_line(folder)}: no such folder")
    folder, tally = folder.expanduser().absolute(), Tally()
    tasks = list(walk(folder, folder / FOLDER, Selection(), tally))
    for line in tally.unreadable:
        say(f"gaze.teach: {one_line(line)}")
    if not tasks:
        raise DataError(f"photos={one_line(folder)}: no photograph in it, by the names of its files")
    return tasks


def iterate_originals(
    stores: Sequence[FixationStore], tasks: Sequence[Task], config: TeachConfig
) -> Iterator[Original]:
    """Every photograph that is varied, one in memory at a time; a file that cannot be read is told of and left out."""
    entries = [(number, int(index)) for number, store in enumerate(stores) for index in store.indices("train")]
    for number, index in track(entries, "teach", unit="photo", shown=bool(entries)):
        photo = stores[number][index]
        name = f"{stores[number].attributes.name}/{photo.name}"
        yield Original(name, photograph(photo), (config.seed, number, index))
    left_out = 0
    for task in track(tasks, "teach", unit="photo", shown=bool(tasks)):
        try:
            image = decode(task.source)
        except ImageError as error:
            left_out += 1
            say(f"left out: {one_line(error)}")
            continue
        name = f"photos/{one_line(task.name)}"
        yield Original(name, image, (config.seed, zlib.crc32(os.fsencode(task.name))))
    if left_out:
        say(f"gaze.teach: {left_out} of {len(tasks)} photographs left out, as they cannot be read")


def variations(originals: Iterator[Original], teachers: Sequence[Teacher], config: TeachConfig) -> Iterator[Stimulus]:
    """The variations of photographs, at the size that the finest teacher sees, each with the teachers' mean density."""
    rule = finest(teachers).rule
    for original in originals:
        for view in range(config.views):
            varied = vary(original.image, rule, config.augment, np.random.default_rng((*original.seed, view)))
            height, width = varied.shape[:2]
            mean = mean_density([teacher.density(varied) for teacher in teachers])
            density = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
            content = cv2.imencode(".jpg", varied[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG])[1].tobytes()
            name = f"{original.name}/{view}"
            yield Stimulus(name, content, width, height, "train", Fixations.of([], []), normalise(density))


def vary(image: np.ndarray, rule: InputRule, augment: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """A random window of a photograph at the size that the teacher sees, its colours varied, flipped or not."""
    box = random_box(Size(image.shape[1], image.shape[0]), augment, rng)
    seen = network_size(Size(box.width, box.height), rule.longer_side, rule.multiple)
    varied = random_color(resized_window(image, box, seen), augment.color, rng)
    return np.ascontiguousarray(varied[:, ::-1]) if rng.random() < augment.flip else varied


main = verb("teach", TeachConfig)(teach)

if __name__ == "__main__":
    main()
