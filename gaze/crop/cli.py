"""The command line of `python -m gaze.crop`: reads the arguments, runs, returns the exit code."""

import io
import os
import sys
from collections.abc import Sequence

from gaze.crop.options import check, parse, parser, request, settings
from gaze.crop.paths import read_paths
from gaze.errors import ConfigError, GazeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path is printed as it is, whatever its bytes
    try:
        paths = read_paths(options.paths, options.out)
        check(options, paths)
        from gaze.crop.run import run  # here, so that --help and a wrong option need not load what predicts
        from gaze.images.diagnostics import silence_pillow

        silence_pillow()
        return run(paths, request(options), settings(options))
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
