import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gaze
from gaze.predictor import Predictor

PUBLIC = {
    "AspectRatio",
    "Box",
    "ConfigError",
    "Crop",
    "DataError",
    "GazeError",
    "ImageError",
    "ModelCard",
    "ModelError",
    "Point",
    "Predictor",
    "Size",
    "__version__",
    "crop",
    "saliency",
}


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    root = Path(gaze.__file__).parents[1]
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def test_all_is_exactly_the_public_api():
    assert set(gaze.__all__) == PUBLIC
    assert sorted(gaze.__all__) == sorted(set(gaze.__all__))
    modules = {module.name for module in pkgutil.iter_modules(gaze.__path__)}
    defined = {name for name in vars(gaze) if not name.startswith("_")} - modules
    assert defined - {"TYPE_CHECKING", "import_module"} <= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_name_exists_and_is_documented(name: str):
    value = getattr(gaze, name)
    assert name in dir(gaze)
    if name == "__version__":
        assert isinstance(value, str)
    else:
        assert callable(value)
        assert inspect.getdoc(value)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gaze' has no attribute 'croop'"):
        _ = gaze.croop  # type: ignore[attr-defined]


def test_import_is_light():
    heavy = {"numpy", "cv2", "PIL", "onnxruntime", "torch", "hydra", "tqdm"}
    assert fresh(f"import sys, gaze; print(sorted({heavy!r} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize(
    "first",
    [
        "import gaze.crop",
        "import gaze.crop.cli",
        "from gaze.crop.api import crop",
        "from gaze import crop",
        "gaze.crop",
    ],
)
def test_crop_is_a_function_whatever_was_imported_before(first: str):
    assert fresh(f"import gaze; {first}; print(callable(gaze.crop), gaze.crop.__name__)") == "True gaze.crop"


def test_crop_by_its_public_name_is_the_function(bright_model: Path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 40:] = 255
    predictor = Predictor(bright_model)
    function = importlib.import_module("gaze.crop.api").crop
    assert gaze.crop(image, ratio="1:1", predictor=predictor) == function(image, "1:1", predictor)
    assert gaze.crop(image, ratio="1:1", predictor=predictor).box == gaze.Box(20, 0, 40, 40)
