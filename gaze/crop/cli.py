"""The command line of `python -m gaze.crop`: reads the arguments, runs, returns the exit code."""

import os
import sys
from collections.abc import Sequence

from gaze.crop.options import check, parse, parser, request, settings
from gaze.crop.paths import read_paths
from gaze.errors import ConfigError, GazeError
from gaze.streams import drop, prepare_streams, print_note


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    prepare_streams()
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        paths = read_paths(options.paths, options.out)
        check(options, paths)
        from gaze.crop.run import run  # here, so that --help and a wrong option need not load what predicts
        from gaze.images.diagnostics import silence_pillow

        silence_pillow()
        return run(paths, request(options), settings(options))
    except ConfigError as error:
        parser().error(str(error))
    except GazeError as error:
        print_note(f"gaze.crop: {error}")
        return 1
    except BrokenPipeError:  # the reader of our paths, `head` for example, has seen enough
        drop(sys.stdout)
        return 1
    except FileNotFoundError:
        if _has_working_folder():
            raise
        print_note("gaze.crop: the working folder was removed; from here only whole paths lead anywhere")
        return 1
    except KeyboardInterrupt:
        print_note("gaze.crop: interrupted")
        return 130


def _has_working_folder() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False
