"""The options of `python -m gaze.crop`, in groups as people look for them, and what they mean.

What predicts is imported by those functions alone that need it, so that `--help` and a wrong option are quick.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gaze
from gaze.crop.paths import Paths, is_stream
from gaze.crop.photo.shapes import parse_ratio, shapes
from gaze.errors import ConfigError, ImageError
from gaze.geometry import Bounds
from gaze.streams import print_note, print_result
from gaze.weights import DEFAULT, SHIPPED

if TYPE_CHECKING:
    from gaze.crop.folder.settings import RunSettings
    from gaze.crop.photo.request import Request
    from gaze.framing.policy import Framing

USE = """
A photo goes beside itself, photo.jpg to photo_1x1.jpg, or to OUT. Several go
beside themselves, or into the last path if that is a folder or ends in /.
A folder, with its subfolders, goes to FOLDER/thumbnails or OUT; the same
command goes on after an interruption. The paths of what was written are printed
to standard output, all else to standard error. What is read is never replaced.
"""

EPILOG = """
exit codes: 0 all done, 1 some photos failed (each is named), none was found,
the disk is full, or the model cannot be used, 2 the command was wrong,
129 hung up, 130 interrupted, 143 terminated
"""

DAILY = {
    "help", "help_all", "version", "out", "ratio", "size", "zoom", "padding", "focus", "model", "format", "quality",
    "upscale", "fill", "overwrite", "json", "quiet", "report", "jobs",
}  # fmt: skip
"""What `--help` shows, by the names in the namespace; `--help-all` shows every option."""


def parser(every: bool = False) -> argparse.ArgumentParser:
    """The options; `every` shows them all in the help, else those of daily use."""
    result = _Parser(
        prog="python -m gaze.crop",
        usage="%(prog)s PHOTO... [OUT] [options]",
        description=f"Crops photos so that what people look at stays in the picture.\n{USE}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    photos = "a photo, several, a folder of photos, or - for standard input"
    result.add_argument("paths", nargs="*", metavar="PHOTO", help=photos)
    out = "where to write: a folder, for one photo also a file or -"
    result.add_argument("--out", metavar="OUT", help=out)
    _choosing(result.add_argument_group("what is cut out"))
    _writing(result.add_argument_group("how it is written"))
    _running(result.add_argument_group("the run"))
    result.add_argument("--help-all", action=_HelpAll, nargs=0, help="show every option and exit")
    result.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    for action in result._actions if not every else ():
        if action.option_strings and action.dest not in DAILY:
            action.help = argparse.SUPPRESS
    return result


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the arguments; options may stand among the paths, and after `--` all are paths."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser().parse_intermixed_args(arguments[:end])
    options.paths = [*options.paths, *arguments[end + 1 :]]
    if not options.paths:
        parser().error("the following arguments are required: PHOTO")
    return options


def _choosing(group: Any) -> None:
    def add(name: str, parse: Callable[[str], Any], metavar: str, text: str, **more: Any) -> None:
        group.add_argument(name, type=_reader(parse), metavar=metavar, help=text, **more)

    again = {"action": "append"}
    add(
        "--ratio",
        parse_ratio,
        "W:H",
        "16:9, 1.5 or original; again for more (default: that of --size, else 1:1)",
        **again,
    )
    size = "scale down to fit; W alone is a width, xH a height"
    add("--size", Bounds.parse, "WxH", size, **again)
    add(
        "--zoom",
        _zoom,
        "Z|A-B",
        "1: the largest crop (default), 2: half its sides; 1-3 finds its own; auto: 1-2",
    )
    weight = "how much a crop shuns cutting through what people look at (default: 1.25; 0: not)"
    add("--cut-weight", _weight, "L", weight)
    add("--padding", _share("padding"), "P", "room around what is looked at, such as 10%% of each side")
    add("--focus", str, "X,Y", "crop around this place, in pixels of the upright photo or as X%%,Y%%", **again)
    add("--focus-file", Path, "CSV", "rows photo,x,y: focus points of the photos of a folder, by relative path")
    weight = "how much focus points count: 1 overrides the model (default), less pulls it"
    add("--focus-weight", _share("focus-weight"), "W", weight)
    add(
        "--candidates",
        _count("candidates", 100),
        "N",
        "write the N best crops of a ratio that overlap little",
        default=1,
    )
    add(
        "--min-confidence",
        _share("min-confidence"),
        "C",
        "stay in the centre unless the best crop is worth C more: gaze inside less the price of bad sides",
    )
    model = f"{' or '.join(SHIPPED)}, or an exported .onnx file (default: {DEFAULT})"
    add("--model", str, "NAME|PATH", model)


def _writing(group: Any) -> None:
    add = group.add_argument
    add("--format", metavar="NAME", help="jpeg, png, webp, avif, tiff, gif (default: the photo's)")
    add("--quality", type=_reader(_count("quality", 100)), metavar="Q", help="1 to 100, for jpeg, webp and avif")
    add("--progressive", action="store_true", help="progressive jpeg")
    add("--chroma", choices=("420", "422", "444"), help="chroma subsampling of jpeg and avif")
    names = "how thumbnails are named (default: {stem}_{shape}{ext}); also {ratio} {size} {rank}; may hold folders"
    add("--template", metavar="NAME", help=names)
    add("--upscale", action="store_true", help="enlarge crops that are smaller than --size")
    add("--fill", metavar="COLOR", help="fill what lacks to --size or the ratio: white, #1a1a1a")
    keep = "with --fill: where the best crop holds less than S of the gaze, show more of the photo and fill the rest"
    add("--keep", type=_reader(_share("keep")), default=0.0, metavar="S", help=keep)
    add("--frames", choices=("first", "all"), default="first", help="of an animation (default: first)")
    add("--keep-metadata", action="store_true", help="keep EXIF and XMP, also where the photo was taken")
    add("--keep-profile", action="store_true", help="keep the colour profile instead of converting to sRGB")
    add("--heatmap", action="store_true", help="also write the photo with the predicted gaze and the boxes over it")
    add("--overwrite", action="store_true", help="replace thumbnails that exist; never the photo itself")
    add("--strict", action="store_true", help="refuse a damaged photo, also where nearly all of it could be read")


def _running(group: Any) -> None:
    add, again = group.add_argument, {"action": "append", "default": [], "metavar": "GLOB"}
    add("--json", action="store_true", help="print JSON for each photo: boxes, scores, times")
    add("--quiet", action="store_true", help="print failures only")
    add("--print0", action="store_true", help="end each printed path with a NUL, for xargs -0")
    add("--report", type=Path, metavar="HTML", help="also a page with every photo, heat map and crop")
    add("--include", **again, help="take files that match, whatever their suffix")
    add("--exclude", **again, help="leave out files and folders that match")
    add("--follow-symlinks", action="store_true", help="also take what symbolic links lead to")
    add("--shard", metavar="I/N", help="do the I-th of N parts of the folder, for example one on each machine")
    add(
        "--engine", choices=("local", "ray"), default="local", help="ray: crop on a Ray cluster, also from URLs to URLs"
    )
    add("--jobs", type=_reader(_count("jobs")), metavar="N", help="processes (default: one for each core)")
    add(
        "--timeout",
        type=_reader(_seconds),
        default=60.0,
        metavar="S",
        help="give a photo up after S seconds (default: 60)",
    )
    pixels = "refuse larger photos (default: 178956970)"
    add("--max-pixels", type=_reader(_count("max-pixels")), metavar="N", help=pixels)
    add("--max-bytes", type=_reader(_count("max-bytes")), metavar="N", help="refuse larger files")
    add("--fail-fast", action="store_true", help="stop at the first photo that fails")
    add("--manifest", type=Path, metavar="PATH", help="where the manifest goes (default: into the output folder)")


FOR_FOLDERS = ("include", "exclude", "follow_symlinks", "shard")
"""Options of which photos that are named make no use."""

FOR_MANY = ("jobs", "fail_fast", "manifest", "report")
"""Options of which one photo makes no use."""

NOT_PIPED = ("template", "overwrite", "json", "heatmap", "print0")
"""Options of which standard output makes no use: it holds one thumbnail, which has no name."""


def check(options: argparse.Namespace, paths: Paths) -> None:
    """Refuses options that would do nothing.

    Raises:
        ConfigError: names the first of them.
    """
    source, several = paths.sources[0], len(paths.sources) > 1
    if several:
        _refuse(_named(options, FOR_FOLDERS), f"expected a folder of photos, got {len(paths.sources)} photos")
        if options.engine == "ray":
            raise ConfigError("--engine ray: expected one folder of photos, got several photos")
    elif options.engine == "local" and "://" not in source and not Path(source).is_dir():
        _refuse(_named(options, FOR_FOLDERS + FOR_MANY), f"expected a folder of photos, got {source}")
        candidates = ["--candidates"] if options.candidates > 1 else []
        if paths.piped:
            _refuse(_named(options, NOT_PIPED) + candidates, "standard output holds one thumbnail and nothing else")
        if options.focus_file and is_stream(source):
            raise ConfigError("--focus-file: a photo from standard input has no name; --focus says where")
    _check_pairs(options)


def _check_pairs(options: argparse.Namespace) -> None:
    """The same of those that do nothing without another, or beside it."""
    if options.focus_weight is not None and not (options.focus or options.focus_file):
        raise ConfigError("--focus-weight: weighs focus points, so it needs --focus or --focus-file")
    if options.min_confidence is not None and options.focus:
        raise ConfigError("--min-confidence: says when a crop stays in the centre, which with --focus it never does")
    if options.upscale and not options.size:
        raise ConfigError("--upscale: enlarges up to a size, so it needs --size")
    if options.keep and options.fill is None:
        raise ConfigError("--keep: shows more than the ratio holds, so it needs --fill COLOR")
    if options.print0 and (options.json or options.quiet):
        raise ConfigError("--print0: separates paths, which with --json and --quiet are not printed")


def _refuse(names: Sequence[str], reason: str) -> None:
    for name in names:
        raise ConfigError(f"{name}: {reason}")


def _named(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Those that were given, as they are written."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) not in (None, False, [])]


def request(options: argparse.Namespace) -> "Request":
    """What the options want of every photo.

    Raises:
        ConfigError: they do not fit together.
    """
    from gaze.crop.photo.naming import TEMPLATE
    from gaze.crop.photo.request import Request
    from gaze.images import Encoding, Keep, Limits

    if options.fill is not None:
        from gaze.crop.photo.rendering import check_color

        check_color(options.fill)
    return Request(
        shapes=shapes(options.ratio or [], options.size or []),
        framing=_framing(options),
        model=options.model,
        encoding=Encoding(
            format=_format(options.format) if options.format else None,
            quality=options.quality,
            progressive=options.progressive,
            chroma=options.chroma,
        ),
        keep=Keep(metadata=options.keep_metadata, profile=options.keep_profile),
        limits=_given(Limits(), pixels=options.max_pixels, bytes=options.max_bytes),
        template=options.template or TEMPLATE,
        upscale=options.upscale,
        fill=options.fill,
        frames=None if options.frames == "all" else 1,
        focus_weight=1.0 if options.focus_weight is None else options.focus_weight,
        heatmap=_heatmap(options.template or TEMPLATE) if options.heatmap else None,
        overwrite=options.overwrite,
        preview=options.report is not None,
        strict=options.strict,
    )


def _heatmap(template: str) -> str:
    return "{stem}_{suffix}_heatmap{ext}" if "{suffix" in template else "{stem}_heatmap{ext}"


def settings(options: argparse.Namespace) -> "RunSettings":
    """How the options want the run to go.

    Raises:
        ConfigError: a focus point or the shard cannot be read.
    """
    from gaze.crop.folder.listing import Selection, Shard
    from gaze.crop.folder.settings import RunSettings
    from gaze.crop.photo.focus import FocusPoint, check_count, read_focus

    points = read_focus(options.focus_file) if options.focus_file else {}
    if options.focus:
        check_count(options.focus)
        points[""] = tuple(FocusPoint.parse(text) for text in options.focus)
    return RunSettings(
        selection=Selection(
            tuple(options.include),
            tuple(options.exclude),
            options.follow_symlinks,
            Shard.parse(options.shard) if options.shard else Shard(),
        ),
        focus=points,
        engine=options.engine,
        jobs=options.jobs,
        timeout=options.timeout,
        as_json=options.json,
        quiet=options.quiet,
        print0=options.print0,
        fail_fast=options.fail_fast,
        report=Path(options.report).absolute() if options.report else None,
        manifest=options.manifest,
    )


def _framing(options: argparse.Namespace) -> "Framing":
    from gaze.framing.policy import Framing

    return _given(
        Framing(candidates=options.candidates, keep=options.keep),
        zoom=options.zoom,
        padding=options.padding,
        cut_weight=options.cut_weight,
        threshold=options.min_confidence,
    )


def _given(values, **changes):  # type: ignore[no-untyped-def]
    """A copy with those changes that are not None: the defaults stand with the dataclass."""
    return replace(values, **{name: value for name, value in changes.items() if value is not None})


def _format(name: str) -> str:
    from gaze.images import output_format

    try:
        return output_format(f".{name.lower()}")
    except ImageError as error:
        raise ConfigError(f"--format {name}: {error}") from error


class _Parser(argparse.ArgumentParser):
    """Argparse's, which would lose its help without a word where standard output is full."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            print_result(message, end="")
        else:
            print_note(message.removesuffix("\n"))


class _HelpAll(argparse.Action):
    def __call__(self, *_: Any) -> None:
        every = parser(every=True)
        every.print_help()
        every.exit()


class _Version(argparse.Action):
    """Unlike argparse's own, looks the version up only where it is asked for: that takes longer than all options."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print_result(f"gaze {gaze.__version__}")
        parser.exit()


def _reader(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _zoom(text: str) -> tuple[float, float]:
    low, dash, high = ("1", "-", "2") if text == "auto" else text.partition("-")
    try:
        bounds = float(low), float(high if dash else low)
    except ValueError:
        bounds = (0.0, 0.0)
    if not 1 <= bounds[0] <= bounds[1] <= 100:
        raise ConfigError(f"zoom: expected a number from 1 to 100, bounds such as 1-3, or auto, got {text!r}")
    return bounds


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ConfigError(f"cut-weight: expected a number from 0 to 100, got {text!r}")
    return value


def _share(name: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(f"{name}: expected a share from 0 to 1 or 0% to 100%, got {text!r}")
        return value

    return parse


def _count(name: str, most: int = 10**15) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
            top = f" to {most}" if most < 10**15 else " or more"
            raise ConfigError(f"{name}: expected a whole number, 1{top}, got {text!r}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ConfigError(f"timeout: expected seconds above 0, got {text!r}")
    return value
