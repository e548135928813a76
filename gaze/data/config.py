"""What a data set states about itself, one entry of the configuration group `data`, and how examples are drawn."""

from dataclasses import dataclass

from gaze.errors import ConfigError


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
        if not sigma > 0:
            raise ConfigError(f"sets.{self.name}: the sigma of the density must be above 0, got {sigma}")
        if self.sigma_width is not None and self.sigma_width < 1:
            raise ConfigError(f"sets.{self.name}.sigma_width: expected pixels above 0, got {self.sigma_width}")
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
