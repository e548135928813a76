"""What the extra `[train]` of an install brings, and what is said where it or another one is missing."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec

TRAIN = (
    "torch",
    "torchvision",
    "timm",
    "pytorch_lightning",
    "hydra",
    "h5py",
    "scipy",
    "onnx",
    "onnxscript",
    "safetensors",
    "matplotlib",
    "tensorboard",
)
"""The modules of the extra, as they are imported; the distributions stand in `pyproject.toml`."""


def require_train(program: str) -> None:
    """Ends a program that needs the extra in one line, before it imports any of it, unless all of it is there.

    For programs alone, under `if __name__ == "__main__"`: in somebody's Python an import that fails is an ImportError.

    Args:
        program: what was called, such as "gaze.train".

    Raises:
        SystemExit: with 1, something is missing.
    """
    if missing := missing_modules(TRAIN):
        have = "is" if len(missing) == 1 else "are"
        print(
            f"{program}: {', '.join(missing)} {have} not installed; {_advice('train')}",
            file=sys.stderr,
        )
        sys.exit(1)


def lacking(module: str, error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """What a module raises in place of an import's error, one line that names the extra.

    Args:
        module: that cannot do without what was to be imported.
        error: of the import.
        extra: which brings it.
    """
    return ModuleNotFoundError(f"{module}: {error.name} is not installed; {_advice(extra)}", name=error.name)


def _advice(extra: str) -> str:
    return f"in the checkout of gaze: pip install '.[{extra}]' (README.md, Installs)"


def missing_modules(names: Iterable[str]) -> list[str]:
    """Those of some modules that cannot be found; none is imported."""
    return [name for name in names if not _found(name)]


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a finder that refuses it; a module that says nothing of where it is from
        return False
