"""What a wheel holds: the values of the configuration, the shipped models, and nothing of the tests."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

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
    assert {path.name.split("-")[0] for path in site.iterdir()} == {"gaze", "gaze_crop"}
    expected = {path.relative_to(ROOT / "gaze") for path in (ROOT / "gaze/conf").rglob("*.yaml")}
    assert expected <= {path.relative_to(site / "gaze") for path in (site / "gaze").rglob("*.yaml")}
    assert (site / "gaze/data/splits.json").read_bytes() == (ROOT / "gaze/data/splits.json").read_bytes()
    assert (site / "gaze/py.typed").is_file()
    weights = {path.name for path in (site / "gaze/weights").iterdir() if path.suffix != ".py"}
    assert weights == {path.name for suffix in ("onnx", "json") for path in (ROOT / "gaze/weights").glob(f"*.{suffix}")}
    assert {f"{DEFAULT}.onnx", f"{DEFAULT}.json"} <= weights


def project() -> dict[str, Any]:
    if sys.version_info < (3, 11):
        pytest.skip("this Python does not read TOML")
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.slow
def test_version_is_that_of_the_wheel(site):
    code = f"import sys; sys.path[:] = [{str(site)!r}, *sys.path]; import gaze; print(gaze.__version__)"
    command = [sys.executable, "-I", "-c", code]
    result = subprocess.run(command, cwd=site, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == project()["version"]


def test_the_tools_of_development_bring_our_own_extras():
    own = [line for line in project()["optional-dependencies"]["dev"] if line.startswith("gaze")]
    assert own == [f"{project()['name']}[heif,ray,train]"]


FOREIGN = re.compile(r"""pip3? install[^\n`]*?(?<![\w./-])['"]?gaze(?![\w-])(?!\\?\.)""")
"""A command that fetches `gaze` from the package index, where that is another project."""


def test_no_text_installs_another_project():
    suffixes = {".py", ".md", ".ipynb", ".yaml", ".toml", ".html", ".js", ".cff", ""}
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    texts = [ROOT / name for name in files if name and Path(name).suffix in suffixes and (ROOT / name).is_file()]
    assert len(texts) > 100
    own = Path(__file__)
    assert [path for path in texts if path != own and FOREIGN.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("pip install gaze", True),
        ("pip install 'gaze[heif]'", True),
        ('python -m pip install -U "gaze[ray]" s3fs', True),
        ("pip install s3fs gaze==0.1", True),
        ("pip install gaze-crop", False),
        ("pip install 'gaze-crop[heif]'", False),
        ("pip install . && python -m gaze.crop photo.jpg", False),
        ("pip install ./gaze", False),
    ],
)
def test_the_rule_sees_what_breaks_it(text: str, foreign: bool):
    assert bool(FOREIGN.search(text)) == foreign


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
