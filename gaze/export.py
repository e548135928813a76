"""`python -m gaze.export`: a training checkpoint becomes an ONNX file with its card (`gaze/conf/export.yaml`)."""

from dataclasses import dataclass
from pathlib import Path

from gaze.config import verb


@dataclass
class CardConfig:
    """What only a person knows of a model; the rest of the card comes from the checkpoint.

    Attributes:
        version: of the model.
        license: of the weights.
        notices: what the licences of backbone and data ask to be said.
        command: that trained it.
        log: summary of the training.
        metrics: `evaluation.json` of the exported file; null leaves the figures out.
        left_out: per set, `evaluation.json` of a model trained without it.
    """

    version: str
    license: str
    notices: list[str]
    command: str
    log: str
    metrics: Path | None
    left_out: dict[str, Path] | None


@dataclass
class ExportConfig:
    """All of `gaze/conf/export.yaml`.

    Attributes:
        checkpoint: of `gaze.train`.
        out: the .onnx file; its card is written beside it as .json.
        photos: a photograph or a folder of them, on which the export is compared with torch.
        longer_side: pixels of the longer side of the images that the network is to see; null keeps the checkpoint's.
        half: store convolution weights as float16 (half the size; the weights are rounded to that).
        card: the words of the card.
    """

    checkpoint: Path
    out: Path
    photos: Path
    longer_side: int | None
    half: bool
    card: CardConfig


@verb("export", ExportConfig)
def main(config: ExportConfig) -> None:
    """Exports, compares with torch, and prints what was written."""
    from gaze.models.bundle import write_bundle  # torch takes seconds to import, a mistyped key should not

    print(write_bundle(config))


if __name__ == "__main__":
    main()
