"""What a user wants of every photo: plain values, sent to workers."""

from dataclasses import dataclass

from gaze.crop.photo.naming import TEMPLATE, check_template
from gaze.crop.photo.shapes import Shape
from gaze.errors import ConfigError
from gaze.framing.policy import Framing
from gaze.images import Encoding, Keep, Limits

HEEDED = {"quality": ("JPEG", "WEBP", "AVIF"), "progressive": ("JPEG",), "chroma": ("JPEG", "AVIF")}
"""The formats that heed these fields of `Encoding`; those of a folder may differ from photo to photo."""


@dataclass(frozen=True)
class Request:
    """What is wanted of every photo.

    Attributes:
        shapes: of the thumbnails.
        framing: how boxes are chosen.
        model: a shipped model's name or a path; None takes the default.
        encoding: format and quality of the thumbnails.
        keep: what goes from the photo into them.
        limits: what is refused before it is decoded.
        template: of their names, see `naming.FIELDS`; may hold folders.
        upscale: enlarge a crop that is smaller than its size.
        fill: colour that fills what a thumbnail lacks to its size or ratio; None leaves it smaller.
        frames: how many frames of an animation are kept; None all.
        focus_weight: 0 to 1, how much focus points count against the model.
        heatmap: template of the photo with the predicted gaze over it, of {stem} and {ext}; None writes none.
        overwrite: replace thumbnails that exist.
        preview: also make the small pictures of the report.
        flat: all thumbnails go into one folder, whatever folders the photos are in.
        strict: refuse damaged photos, also those of which nearly all could be decoded.
    """

    shapes: tuple[Shape, ...]
    framing: Framing = Framing()
    model: str | None = None
    encoding: Encoding = Encoding()
    keep: Keep = Keep()
    limits: Limits = Limits()
    template: str = TEMPLATE
    upscale: bool = False
    fill: str | None = None
    frames: int | None = 1
    focus_weight: float = 1.0
    heatmap: str | None = None
    overwrite: bool = False
    preview: bool = False
    flat: bool = False
    strict: bool = False

    def check(self) -> None:
        """Refuses what does not fit together.

        Raises:
            ConfigError: the template is unknown, leaves the folder, or gives two thumbnails one name, or an option does
                nothing in the format that is asked for.
        """
        check_template(self.template, self.shapes, self.framing.candidates)
        if self.encoding.format is not None:
            self.check_encoding(self.encoding.format)

    def check_encoding(self, kind: str) -> None:
        """Raises ConfigError where the encoding says what pictures of this format do not heed."""
        for name, kinds in HEEDED.items():
            if getattr(self.encoding, name) and kind not in kinds:
                raise ConfigError(f"--{name}: is for {' '.join(kinds)}, but {kind} is written")
