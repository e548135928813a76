"""What the paths on the command line of `python -m gaze.crop` mean: which are photos, which is the output."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaze.errors import ConfigError

PIPE = "-"
"""Standard input or output."""

_STREAMS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


@dataclass(frozen=True)
class Paths:
    """What is read and where the thumbnails go."""

    sources: tuple[str, ...]
    """One of whatever kind, or several photos, each once."""
    output: str | None
    """A folder, of one photo also a file or `PIPE`; None: beside the photos, or `thumbnails` in the folder."""

    @property
    def piped(self) -> bool:
        """Whether the thumbnail goes to standard output."""
        return self.output == PIPE or (self.output is None and is_stream(self.sources[0]))


def read_paths(typed: Sequence[str], out: str | None) -> Paths:
    """Tells photos from the output: `out` where given, else the second of two paths, the last of more if a folder.

    Args:
        typed: the paths, at least one.
        out: of `--out`; then all of `typed` are read.

    Raises:
        ConfigError: a path is empty, a photo that exists would be the output, or what is given cannot go together.
    """
    if "" in (*typed, out):
        raise ConfigError("expected a path, got ''")
    if out is not None or len(typed) == 1:
        return _several(typed, out) if len(typed) > 1 else Paths(tuple(typed), out)
    *photos, last = typed
    if len(photos) == 1:
        if _is_photo(last) and not Path(photos[0]).is_dir():
            instead = f"--out FOLDER crops both, --out {last} --overwrite replaces it"
            raise ConfigError(f"{last}: is a photo that exists, so no output; {instead}")
        return Paths((photos[0],), last)
    if last.endswith(("/", os.sep)) or Path(last).is_dir():
        return _several(photos, last)
    if not (Path(last).exists() or is_stream(last) or _named_as_photo(last)):
        raise ConfigError(
            f"{last}: is neither a photo nor a folder that exists; a new folder ends in /, or: --out {last}"
        )
    return _several(typed, None)


def is_stream(path: str) -> bool:
    """Whether it is standard input, a pipe or a device: what is read once, whatever its length."""
    if path == PIPE or path.startswith(_STREAMS):
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def names_file(output: str) -> bool:
    """Whether an output for one photo is the name of the thumbnail and not a folder."""
    return bool(Path(output).suffix) and not output.endswith(("/", os.sep)) and not Path(output).is_dir()


def _several(photos: Sequence[str], output: str | None) -> Paths:
    for path in photos:
        if "://" in path:
            raise ConfigError(f"{path}: expected paths of photos; --engine ray takes one URL of a folder")
        if is_stream(path):
            raise ConfigError(f"{path}: expected a file, as a pipe is read by itself and not among several photos")
        if Path(path).is_dir():
            raise ConfigError(f"{path}: is a folder among several photos; a folder is cropped by itself")
    if output is not None and (
        output == PIPE or Path(output).is_file() or (names_file(output) and _named_as_photo(output))
    ):
        raise ConfigError(f"output {output}: expected a folder, as there are several photos")
    return Paths(tuple({os.path.abspath(path): path for path in photos}.values()), output)


def _is_photo(path: str) -> bool:
    return Path(path).is_file() and _named_as_photo(path)


def _named_as_photo(path: str) -> bool:
    from gaze.crop.folder.listing import KNOWN  # here, as it loads what reads photos

    return os.path.splitext(path)[1].lower() in KNOWN
