"""What Pillow and its libraries say beside their exceptions, kept back."""

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator

_ONE = threading.Lock()

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints what nobody has asked to log


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps back Pillow's warnings: what cannot be decoded raises, and the rest does not concern the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keeps back what libtiff prints about damaged files, which nothing in Pillow turns off; one thread at a time."""
    with _ONE, open(os.devnull, "wb") as nowhere:
        try:
            kept = os.dup(2)
        except OSError:  # no stderr, nothing to keep back
            yield
            return
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
