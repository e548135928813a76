"""What Pillow and libtiff say beside their exceptions, and how a command keeps it from its standard error.

All of this changes the whole process, so that no function of the library calls it: commands do, as a file that cannot
be used is an error of one line, and the rest does not concern their user.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator


def silence_pillow() -> None:
    """Drops Pillow's warnings and what it logs, in this process from now on."""
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Drops what any thread writes to stderr meanwhile, as libtiff does: nothing in Pillow turns that off."""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr, nothing to drop
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
