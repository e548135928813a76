"""What a wheel holds: the values of the configuration, the shipped models, and nothing of the tests."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gaze.weights import DEFAULT

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The content of the wheel that the checkout builds, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_holds_the_package_its_configuration_and_the_model(site):
    assert {path.name.split("-")[0] for path in site.iterdir()} == {"gaze"}
    expected = {path.relative_to(ROOT / "gaze") for path in (ROOT / "gaze/conf").rglob("*.yaml")}
    assert expected <= {path.relative_to(site / "gaze") for path in (site / "gaze").rglob("*.yaml")}
    assert (site / "gaze/data/splits.json").read_bytes() == (ROOT / "gaze/data/splits.json").read_bytes()
    assert (site / "gaze/py.typed").is_file()
    weights = {path.name for path in (site / "gaze/weights").iterdir()} - {"__init__.py"}
    assert weights == {path.name for suffix in ("onnx", "json") for path in (ROOT / "gaze/weights").glob(f"*.{suffix}")}
    assert {f"{DEFAULT}.onnx", f"{DEFAULT}.json"} <= weights


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["prepare", "teach", "train", "evaluate", "export"])
def test_every_verb_finds_its_configuration(site, verb, tmp_path):
    code = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['{verb}', '--cfg', 'job']; import gaze; "
    code += f"assert gaze.__file__.startswith({str(site)!r}); from gaze.{verb} import main; main()"
    data = [] if verb == "export" else ["data=osie"]
    code = code.replace("'job']", "'job', " + ", ".join(map(repr, data)) + "]")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "store: data/osie.h5" in result.stdout or verb == "export"
