"""The command line of `python -m gaze.crop`: reads the arguments, runs, returns the exit code."""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaze import __version__
from gaze.errors import ConfigError, GazeError
from gaze.geometry import AspectRatio, Size
from gaze.weights import DEFAULT, SHIPPED

if TYPE_CHECKING:
    from gaze.crop.work import Request

SQUARE = AspectRatio(1, 1)

EPILOG = """
One photo is written beside itself, photo.jpg to photo_1x1.jpg. A folder is read with its subfolders and
written to FOLDER/thumbnails in the same tree. The paths of what was written go to standard output, a line
each; everything else goes to standard error. Metadata, such as where a photo was taken, is left out.

exit codes: 0 all done, 1 some photos failed (each is named on standard error) or the model cannot be used,
2 the command was wrong, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The options of `python -m gaze.crop`."""
    result = argparse.ArgumentParser(
        prog="python -m gaze.crop",
        description="Crops photos so that what people look at stays in the picture.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("input", type=Path, metavar="PHOTO", help="a photo, or a folder of photos")
    add(
        "--ratio",
        type=_reader(AspectRatio.parse),
        action="append",
        metavar="W:H",
        help="aspect ratio, such as 16:9 or 1.5; may be repeated (default: that of --size, else 1:1)",
    )
    add(
        "--size",
        type=_reader(Size.parse),
        metavar="WxH",
        help="scale each crop down until it fits into W x H pixels; a smaller one is not enlarged",
    )
    add("--output", type=Path, metavar="PATH", help="a folder to write to; for one photo also a file")
    add(
        "--json",
        action="store_true",
        help="print a JSON object with boxes and scores for each photo, a line each",
    )
    add(
        "--heatmap",
        action="store_true",
        help="also write the photo with the predicted gaze and the boxes over it",
    )
    add(
        "--model",
        metavar="NAME|PATH",
        help=f"{' or '.join(SHIPPED)}, or an exported .onnx file with its card beside it (default: {DEFAULT})",
    )
    add("--overwrite", action="store_true", help="replace thumbnails that exist; never the photo itself")
    add("--version", action="version", version=f"gaze {__version__}")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = parser().parse_args(arguments)
    from gaze.crop import batch  # here, so that --help and a wrong option need not load what predicts

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path is printed as it is, whatever its bytes
    warnings.filterwarnings("ignore", module="PIL")  # a file that cannot be used is an error, the rest is noise
    try:
        return batch.run(options.input, options.output, _request(options), options.model, as_json=options.json)
    except ConfigError as error:
        parser().error(str(error))
    except GazeError as error:
        print(f"gaze.crop: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our paths, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("gaze.crop: interrupted", file=sys.stderr)
        return 130


def _request(options: argparse.Namespace) -> "Request":
    from gaze.crop.work import Request

    ratios = options.ratio or [AspectRatio(options.size.width, options.size.height) if options.size else SQUARE]
    return Request(tuple(dict.fromkeys(ratios)), options.size, options.heatmap, options.overwrite)


def _reader(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
