"""Crops photographs to what people look at: `gaze.crop(image)` in Python, `python -m gaze.crop` in a shell.

The name is a function and a package at once, so the package is callable; it calls `gaze.crop.api.crop`.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from gaze.crop.api import crop  # here, so that `--help` need not load what predicts

        return crop(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
