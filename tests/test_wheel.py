"""What is built and installed: the configuration, the shipped models, nothing of the tests; and what is said of it."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from gaze.weights import DEFAULT

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Built:
    """What `python -m build` made of a copy of the checkout.

    Attributes:
        sdist: the archive of the sources.
        wheel: made of that archive, and not of the copy.
        left: files that the build left in the copy.
    """

    sdist: Path
    wheel: Path
    left: set[Path]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    """Built as whoever publishes would build it, but with the backend that is installed: nothing is fetched."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    for name in listed():
        if not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    before = set(source.rglob("*"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Built(sdist, wheel, set(source.rglob("*")) - before)


@pytest.fixture(scope="module")
def site(built, tmp_path_factory) -> Path:
    """The content of the wheel, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(built.wheel).extractall(folder)
    return folder


def listed() -> list[str]:
    """Files of the checkout that git knows."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.slow
def test_a_build_leaves_nothing_in_the_tree(built):
    assert built.left == set()


@pytest.mark.slow
def test_the_sources_hold_what_builds_and_what_is_said_of_them(built):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in names if not name.startswith("gaze/")} == {
        "pyproject.toml", "README.md", "LICENSE", "LICENSE.mobileone", "CHANGELOG.md", "CITATION.cff", "PKG-INFO",
    }  # fmt: skip
    assert {name for name in listed() if name.startswith("gaze/")} <= names


@pytest.mark.slow
def test_a_fresh_install_crops(built, tmp_path):
    venv.create(tmp_path / "new", with_pip=False)
    python = tmp_path / "new/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(built.wheel)], check=True, capture_output=True)
    (site,) = (tmp_path / "new").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join(sys.path))  # of this Python, after the package
    code = "import gaze; print(gaze.__file__)"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    told = {"cwd": tmp_path, "env": clean, "check": True, "capture_output": True, "text": True}
    assert Path(subprocess.run([python, "-c", code], **told).stdout.strip()) == site / "gaze/__init__.py"
    subprocess.run([python.with_name("gaze-crop"), ROOT / "docs/dog.jpg", "dog.jpg", "--size", "64"], **told)
    with Image.open(tmp_path / "dog.jpg") as picture:
        assert picture.size == (64, 64)


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
def test_brings_the_licences_of_code_and_weights(site):
    (folder,) = site.glob("gaze_crop-*.dist-info/licenses")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: (ROOT / name).read_bytes() for name in ("LICENSE", "LICENSE.mobileone")
    }


@pytest.mark.slow
def test_version_is_that_of_the_wheel(site):
    code = f"import sys; sys.path[:] = [{str(site)!r}, *sys.path]; import gaze; print(gaze.__version__)"
    command = [sys.executable, "-I", "-c", code]
    result = subprocess.run(command, cwd=site, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == project()["version"]


def test_the_tools_of_development_bring_our_own_extras():
    own = [line for line in project()["optional-dependencies"]["dev"] if line.startswith("gaze")]
    assert own == [f"{project()['name']}[heif,ray,train]"]


def test_the_tools_of_development_bring_what_builds():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(needed) <= set(project()["optional-dependencies"]["dev"])


def test_the_citation_is_of_this_project_and_of_the_work_that_it_follows():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= said.keys()  # what the format asks for
    assert (said["cff-version"], said["type"], said["title"]) == ("1.2.0", "software", "gaze")
    for key in ("version", "keywords", "authors"):
        assert said[key] == project()[key], key
    assert said["license"] == project()["license"].partition(" AND ")[0]  # of the code
    assert said["abstract"] == project()["description"]
    (theis,) = said["references"]
    assert {"type", "title", "authors"} <= theis.keys()
    assert (theis["authors"][0]["family-names"], theis["year"]) == ("Theis", 2018)
    assert theis["identifiers"][0]["value"].removeprefix("arXiv:") in theis["url"]
    assert theis["url"] in (ROOT / "README.md").read_text(encoding="utf-8")


FOREIGN = re.compile(r"""pip3? install[^\n`]*?(?<![\w./-])['"]?gaze(?![\w-])(?!\\?\.)""")
"""A command that fetches `gaze` from the package index, where that is another project."""


def test_no_text_installs_another_project():
    suffixes = {".py", ".md", ".ipynb", ".yaml", ".toml", ".html", ".js", ".cff", ""}
    texts = [ROOT / name for name in listed() if Path(name).suffix in suffixes]
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
