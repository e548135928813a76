"""What a data set states about itself, one entry of the configuration group `data`, and how examples are drawn."""

from dataclasses import dataclass

from gaze.errors import ConfigError, expect, expect_number

PREPARED = dict.fromkeys(
    [f"sets.*.{key}" for key in ("reader", "license", "source", "drop_first", "sigma_*", "pixels_per_degree")],
    "gaze.prepare settled it when it wrote the store",
)
"""What only `gaze.prepare` reads of a set, and why it does nothing elsewhere."""


@dataclass
class DataSetConfig:
    """One data set.

    Attributes:
        name: the key under which a splits file lists it, and the name in every table.
        reader: which reader of `gaze.data.readers` understands its files.
        store: the HDF5 file that `gaze.prepare` writes and the other commands read.
        license: under which the set was released.
        source: who published it and where.
        drop_first: whether order 0 of a viewing is left out of targets and metrics.
        sigma_degrees: Gaussian of the density in degrees of visual angle; needs `pixels_per_degree`.
        sigma_pixels: the same in pixels of the stimulus, for sets that do not state their visual angle.
        pixels_per_degree: pixels of the stimulus in one degree of visual angle.
        sigma_width: width in pixels of the stimuli that `sigma_pixels` holds for, where the set comes in several sizes.
    """

    name: str
    reader: str
    store: str
    license: str
    source: str
    drop_first: bool
    sigma_degrees: float | None
    sigma_pixels: float | None
    pixels_per_degree: float | None
    sigma_width: int | None = None

    def check(self, key: str | None = None) -> None:
        """Raises ConfigError where a name is empty or `sigma` does; `key` of the set in the configuration."""
        place = f"sets.{key or self.name}"
        for name in ("name", "reader", "store"):
            expect(bool(getattr(self, name)), f"{place}.{name}", "text", getattr(self, name))
        for name in ("sigma_degrees", "sigma_pixels", "pixels_per_degree"):
            expect_number(f"{place}.{name}", getattr(self, name), above=0)
        expect_number(f"{place}.sigma_width", self.sigma_width, least=1)
        self.sigma()

    def sigma(self, width: int | None = None) -> float:
        """The Gaussian of this set's densities in pixels of the stimulus.

        Args:
            width: of the stimuli in pixels; where `sigma_width` is given, sigma is scaled to it, to a tenth of a pixel.

        Raises:
            ConfigError: not exactly one of the two sigmas, degrees without `pixels_per_degree`, or not > 0.
        """
        if (self.sigma_degrees is None) == (self.sigma_pixels is None):
            raise ConfigError(f"sets.{self.name}: give either sigma_degrees or sigma_pixels, the other null")
        if self.sigma_degrees is not None and self.pixels_per_degree is None:
            raise ConfigError(f"sets.{self.name}.pixels_per_degree: sigma_degrees needs it")
        sigma = self.sigma_pixels
        if sigma is None:
            sigma = (self.sigma_degrees or 0.0) * (self.pixels_per_degree or 0.0)
        expect_number(f"sets.{self.name}: the sigma of the density", sigma, above=0)
        wide = self.sigma_width is None or self.sigma_width >= 1
        expect(wide, f"sets.{self.name}.sigma_width", "pixels above 0", self.sigma_width)
        if width is None or self.sigma_width is None:
            return sigma
        return round(sigma * width / self.sigma_width, 1)


@dataclass
class LoaderConfig:
    """How examples are drawn.

    Attributes:
        batch_size: images a step and process.
        workers: processes that decode; 0 decodes in the training process.
        weights: per set, how often its images come in an epoch; a set that is not named comes once, null: all do.
    """

    batch_size: int
    workers: int
    weights: dict[str, float] | None

    def check(self) -> None:
        """Raises ConfigError where a number makes no sense."""
        expect_number("loader.batch_size", self.batch_size, least=1)
        expect_number("loader.workers", self.workers, least=0)
        for name, weight in (self.weights or {}).items():
            expect_number(f"loader.weights.{name}", weight, least=0)
