import copy
import importlib
import inspect
import multiprocessing
import os
import pickle
import pkgutil
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from PIL import Image

import gaze
from gaze import images
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
    "centering",
    "crop",
    "saliency",
    "thumbnail",
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


def test_images_load_on_first_use():
    heavy = {"numpy", "cv2", "PIL"}
    code = f"import sys, gaze.images; gaze.images.SUFFIXES; print(sorted({heavy!r} & set(sys.modules)))"
    assert fresh(code) == "[]"
    assert all(name in dir(images) and getattr(images, name) is not None for name in images.__all__)
    assert set(images._FILES) == set(images.__all__)
    with pytest.raises(AttributeError, match=r"module 'gaze\.images' has no attribute 'cutt'"):
        _ = images.cutt  # type: ignore[attr-defined]


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


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_public_names_say_that_they_are_of_gaze(name: str):
    value = getattr(gaze, name)
    assert value.__module__ == "gaze"
    assert pickle.loads(pickle.dumps(value)) is value
    if isinstance(value, type):
        assert repr(value) == f"<class 'gaze.{name}'>"


def test_what_is_made_before_its_name_was_used_says_so_too():
    code = "import pickle, numpy, gaze; print(pickle.dumps(gaze.crop(numpy.zeros((9, 9, 3), 'uint8'))))"
    assert "framing" not in fresh(code)


def test_types_of_a_crop_can_be_told():
    assert get_type_hints(gaze.Crop)["alternatives"] == tuple[gaze.Crop, ...]


def test_crop_shows_what_it_takes():
    function = importlib.import_module("gaze.crop.api").crop
    assert inspect.signature(gaze.crop) == inspect.signature(function)
    page = pydoc.render_doc(gaze.crop, renderer=pydoc.plaintext)
    assert f"crop{inspect.signature(function)}" in page
    assert "points that a person chose, in pixels of the image" in page


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_crop_is_pickled_by_its_name(protocol: int):
    assert pickle.loads(pickle.dumps(gaze.crop, protocol)) is gaze.crop
    assert copy.deepcopy(gaze.crop) is gaze.crop


PROCESSES = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import gaze

if __name__ == "__main__":
    here = [gaze.crop(path) for path in sys.argv[2:]]
    with ProcessPoolExecutor(2, mp_context=get_context(sys.argv[1])) as pool:
        print(list(pool.map(gaze.crop, sys.argv[2:])) == here)
"""


@pytest.mark.parametrize("start", sorted({"spawn", "fork"} & set(multiprocessing.get_all_start_methods())))
def test_processes_crop_what_this_one_does(start: str, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(PROCESSES)
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for k, path in enumerate(paths):
        Image.effect_noise((90, 40 + 10 * k), 60).save(path)
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    command = [sys.executable, script, start, *paths]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert result.stdout == "True\n", result.stderr


def test_submodules_are_found_after_a_call():
    code = (
        "import gaze, numpy; gaze.crop(numpy.zeros((9, 9, 3), 'uint8')); import gaze.crop.cli; "
        "from gaze.crop.photo.naming import FIELDS; import gaze.crop.photo.record as record; "
        "print(callable(gaze.crop), callable(gaze.crop.cli.main), 'stem' in FIELDS, record.__name__)"
    )
    assert fresh(code) == "True True True gaze.crop.photo.record"


@pytest.mark.slow
def test_type_checkers_see_the_function(tmp_path: Path):
    api = pytest.importorskip("mypy.api")
    code = tmp_path / "code.py"
    code.write_text(
        "import gaze\nfrom gaze import crop\nimport gaze.crop.cli\n"
        "reveal_type(gaze.crop('a.jpg'))\nreveal_type(crop('a.jpg').box)\ngaze.crop('a.jpg', zoom='wide')\n"
    )
    out, err, status = api.run(["--ignore-missing-imports", f"--cache-dir={tmp_path / 'cache'}", str(code)])
    assert (out.count("gaze.framing.choice.Crop"), out.count("gaze.geometry.Box"), err, status) == (1, 1, "", 1), out
    assert 'code.py:6: error: Argument "zoom"' in out
    assert "Found 1 error" in out


def test_crop_by_its_public_name_is_the_function(bright_model: Path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 40:] = 255
    predictor = Predictor(bright_model)
    function = importlib.import_module("gaze.crop.api").crop
    assert gaze.crop(image, ratio="1:1", predictor=predictor) == function(image, "1:1", predictor)
    assert gaze.crop(image, ratio="1:1", predictor=predictor).box == gaze.Box(20, 0, 40, 40)
