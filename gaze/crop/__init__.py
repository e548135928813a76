"""Crops photographs to what people look at: `gaze.crop(image)` in Python, `python -m gaze.crop` in a shell.

The name is a function and a package at once, so the package is callable; what it calls, the function below, loads with
the first call.

What may live here: the verb's own files (`api`, `cli`, `options` and `paths` with what they mean, `run`, which wires)
and four rooms, each of which imports only from those before it: `photo` (one photo), `folder` (many), `page` (the HTML
report), `cluster` (Ray, and folders that only fsspec reaches).
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect import Signature

    from gaze.crop.api import crop

__all__ = ["crop"]

__module__ = "gaze"  # with it, pickle finds `gaze.crop` as it finds a function


class _CallablePackage(ModuleType):
    @property
    def crop(self) -> Any:
        from gaze.crop.api import crop  # here, so that `--help` need not load what predicts

        return crop

    @property
    def __signature__(self) -> "Signature":
        from inspect import signature

        return signature(self.crop)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.crop(*args, **kwargs)

    def __dir__(self) -> list[str]:  # what `help` shows
        return sorted({*super().__dir__(), *__all__})

    def __reduce__(self) -> str:
        return "crop"


sys.modules[__name__].__class__ = _CallablePackage
