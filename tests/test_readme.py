"""What README and docs/ tell one to type works as it stands; links lead somewhere; the picture is drawn here."""

import contextlib
import gzip
import importlib.util
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from PIL import Image
from test_layers import LAYERS, layer

import gaze
from gaze.crop.options import parse, parser
from gaze.pruning.cost.engines.onnx_profile import cpu_session
from tests.pruning.strangers import count_instead, counted

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CROP = ROOT / "docs/crop.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "data/README.md", CONTRIBUTING, ROOT / "CHANGELOG.md"]
LINES = 150
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
STUBS = """
PATH=/nowhere LOG=$1
python() { [[ $1 == -m ]] && printf '%s\\037' "${@:2}" >>"$LOG" && echo >>"$LOG"; }
gaze-crop() { python -m gaze.crop "$@"; }
command_not_found_handle() { :; }
"""
"""For bash: what is typed is written down, an argument after the other, and nothing is run."""


WRITING = ("prepare", "teach", "prefer", "evaluate", "export", "latency")
"""Verbs that refuse to replace what is there."""

MADE = ("docs/dog_1x1.jpg",)
"""What the examples write."""

VERBS = ("prepare", "train", "teach", "prefer", "evaluate", "prune", "latency", "export")
OTHERS = {"--tmpfs", "--rm", "--entrypoint", "--config-dir", "--cfg"}
"""Options of other programs."""
SETS = ("osie", "folder")


def blocks(page: Path, language: str = "") -> list[str]:
    return [code for found, code in FENCED.findall(page.read_text(encoding="utf-8")) if found == language]


def typed(script: str, folder: Path) -> list[list[str]]:
    """The calls of gaze's commands in a script, as the shell hands them over: verb, then arguments."""
    log = folder / "typed"
    log.write_text("")
    (folder / "thumbs").mkdir(exist_ok=True)  # the examples pipe into it
    subprocess.run(["bash", "-c", f"{STUBS}\n{script}", "bash", log], cwd=folder, capture_output=True, check=False)
    calls = [line.split("\037")[:-1] for line in log.read_text().splitlines()]
    return [[call[0].removeprefix("gaze."), *call[1:]] for call in calls if call[0].startswith("gaze.")]


def understood(verb: str, arguments: list[str]) -> str:
    """What is wrong with a command line; empty where nothing is."""
    try:
        if verb == "crop":
            parse(arguments)
        else:
            with initialize_config_module("gaze.conf", version_base="1.3"):
                compose(verb, arguments)
    except (Exception, SystemExit) as error:
        return f"{verb} {arguments}: {error}"
    return ""


def commands(page: Path) -> str:
    """What a page tells to type, in its order: its fenced blocks, then the commands in its tables."""
    cells = re.findall(r"^\| `((?:python -m gaze\.|gaze-crop )[^`]+)`", page.read_text(encoding="utf-8"), re.M)
    return "\n".join([*blocks(page), *cells])


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    lost = []
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        path = page.parent / target if target else page
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M) if anchor else []
        slugs = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
        if not path.exists() or (anchor and anchor not in slugs):
            lost.append(f"{target}#{anchor}")
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_is_named_in_code_is_there(page):
    named = [
        name for name in inline(page) if re.fullmatch(r"(?:gaze|tests|docs|notebooks)(?:[./]\w+)+(?:\.\w+|/)?", name)
    ]
    made = [name for name in named if name in MADE or "NAME" in name]
    assert not [name for name in named if not ((ROOT / name).exists() or name in made or _importable(name))]


def inline(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", page.read_text(encoding="utf-8")))


def _importable(name: str) -> bool:
    if (ROOT / name.replace(".", "/")).with_suffix(".py").exists():
        return True  # one that needs an extra cannot be imported here
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        return bool(pkgutil.resolve_name(name))
    return False


def rooms() -> dict[str, str]:
    """Of each row of CONTRIBUTING's table of rooms that names folders or files: these, and what is said to be there."""
    rows = re.findall(r"^\| (.*`gaze/.*?) \| (.*) \|$", CONTRIBUTING.read_text(encoding="utf-8"), re.M)
    return dict(rows)


def test_the_table_of_rooms_has_them_all_in_the_order_of_their_layers():
    told = [name for row in rooms() for name in re.findall(r"`(gaze/[\w/]+)", row)]
    names = [name.rstrip("/").replace("/", ".") for name in told]
    ranks = [layer(name) for name in names if name != "gaze"]
    assert ranks == sorted(ranks)
    expected = {name for name in (each for rank in LAYERS for each in rank) if (ROOT / name.replace(".", "/")).is_dir()}
    assert expected <= set(names)


def test_what_the_table_of_rooms_names_lies_in_that_room():
    lost = []
    for row, text in rooms().items():
        folders = [ROOT / name for name in re.findall(r"`([\w/]+)/`", row)]
        for name in re.findall(r"`([a-z_]+)`", text) if len(folders) == 1 else ():
            places = [folders[0] / name, folders[0] / f"{name}.py"]
            lost += [f"{row}: {name}"] * (not any(place.exists() for place in places))
    assert rooms()
    assert not lost


@cache
def sources() -> frozenset[str]:
    """Every word of code, settings and tests, but of this file."""
    files = [path for end in ("py", "yaml", "toml", "json", "sh", "mjs") for path in ROOT.glob(f"*/**/*.{end}")]
    texts = [path.read_text(encoding="utf-8") for path in files if path != Path(__file__)]
    return frozenset(re.findall(r"\w+", "\n".join([*texts, (ROOT / "pyproject.toml").read_text(encoding="utf-8")])))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_of_code_occur_in_the_code(page):
    names = [name for name in inline(page) if re.fullmatch(r"@?[A-Za-z_][\w.]*(?:\([^)]*\))?", name)]
    words = {word for name in names if not name.endswith(".md") for word in re.findall(r"\w+", name)}
    assert words <= sources()


SCRIPT = re.compile(r"(?:python|bash) ([\w/.-]+/[\w.-]+)((?: .*)?)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_that_a_page_names_are_there(page):
    known = set(re.findall(r"--[\w-]+", parser(every=True).format_help())) | OTHERS
    codes = [code for code in inline(page) if not SCRIPT.match(code)]
    named = {option for code in codes for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)}
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_settings_that_a_page_names_are_there(page):
    given = [code for code in inline(page) if re.fullmatch(r'"?[a-z][\w.]*=[^=].*', code)]
    assert not [code for code in given if code != "key=value" and not any(_composes(verb, code) for verb in VERBS)]


def _composes(verb: str, settings: str) -> bool:
    leasts = [[f"data={name}"] for name in SETS] if verb not in ("latency", "export") else [[]]
    return any(not understood(verb, [*least, *shlex.split(settings)]) for least in leasts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_scripts_that_a_page_runs_are_there_and_know_their_options(page):
    wrong = []
    codes = "\n".join([*blocks(page), *filter(SCRIPT.match, inline(page))]).replace("\\\n", " ")
    for script, rest in SCRIPT.findall(codes):
        source = (ROOT / script).read_text(encoding="utf-8") if (ROOT / script).is_file() else ""
        options = re.findall(r" (--[a-z-]+)", rest.split(" #")[0])
        wrong += [f"{script} {option}" for option in ["", *options] if option not in source or not source]
    assert not wrong


def test_what_the_container_is_told_is_understood():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/container.md", ROOT / "Dockerfile")]
    lines = [line for text in texts for line in re.findall(r" gaze (/in .*)", text)]
    assert len(lines) == 2
    assert not [line for line in lines if understood("crop", line.split())]


def test_the_python_of_the_data_sets_runs(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/osie.h5").write_bytes(gzip.decompress((ROOT / "tests/files/store.h5.gz").read_bytes()))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "data/README.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["store"].indices("val"))


def test_the_counts_of_maps_are_those_of_the_shipped_models():
    page = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^python -c '\n(.*?)'$", page, re.M | re.S)
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    counts = dict(line.split() for line in result.stdout.splitlines())
    assert [f"{int(counts[name]):,} in `{name}`" in page for name in ("quality", "fast")] == [True, True]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_is_understood(page, tmp_path):
    wrong = [understood(verb, arguments) for verb, *arguments in typed(commands(page), tmp_path)]
    assert not list(filter(None, wrong))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_that_would_not_replace_each_other_s_results_name_an_out_of_their_own(page, tmp_path):
    calls = [call for call in typed(commands(page), tmp_path) if call[0] in WRITING and "--help" not in call]
    calls = [call for call in calls if not any(word.startswith("experiment=") for word in call)]  # which names one
    places = [[word for word in call if word.startswith("out=")] for call in calls]
    assert [call for call, place in zip(calls, places, strict=True) if len(place) != 1] == []
    assert len({place for (place,) in places}) == len(places), places


def test_what_the_commands_write_is_no_change_of_the_checkout(tmp_path):
    calls = [call for page in PAGES for call in typed(commands(page), tmp_path)]
    places = sorted({word.removeprefix("out=") for call in calls for word in call if word.startswith("out=")})
    places += ["multirun/", "docs/dog_1x1.jpg", "thumbs/small.jpg"]
    command = ["git", "check-ignore", "--no-index", *(place for place in places if not place.startswith("/"))]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert len(places) > 10
    assert sorted({*places} - {*ignored}) == []


def test_the_check_of_commands_sees_all_and_what_is_wrong(tmp_path):
    seen = {page: [verb for verb, *_ in typed(commands(page), tmp_path)] for page in PAGES}
    line = re.compile(r"^(?:cat .*\| |pip install \. && )?(?:python -m gaze\.|gaze-crop )", re.M)
    assert {page: len(verbs) for page, verbs in seen.items()} == {
        page: len(line.findall(commands(page))) for page in PAGES
    }
    assert set().union(*seen.values()) == {
        "crop", "prepare", "train", "teach", "prefer", "evaluate", "prune", "latency", "export",
    }  # fmt: skip
    assert understood("crop", ["photo.jpg", "--ratoi", "1:1"])
    assert understood("train", ["model=mobilegaze", "data=osie", "optim.warmpu=0.1"])


def test_the_examples_of_the_readme_run_in_order(tmp_path):
    (tmp_path / "docs").mkdir()
    for picture in (ROOT / "docs").glob("*.jpg"):
        shutil.copy(picture, tmp_path / "docs")
    lines = [line for block in blocks(README) for line in block.splitlines() if "gaze-crop" in line and "docs" in line]
    lines = [line.removeprefix("pip install . && ") for line in lines]
    assert len(lines) >= 8
    script = 'set -e\ngaze-crop() { "$PYTHON" -m gaze.crop "$@"; }\n' + "\n".join(lines)
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    named = {name for line in lines for name in re.findall(r"[\w/]+\.(?:jpg|html)", line)}
    assert named | {"docs/dog_1x1.jpg", "thumbs/dog_200x200.jpg"} <= written
    assert (tmp_path / "docs/dog.jpg").read_bytes() == (ROOT / "docs/dog.jpg").read_bytes()


def test_the_examples_of_the_page_of_cropping_run_in_order(tmp_path, monkeypatch):
    photo = (ROOT / "docs/dog.jpg").read_bytes()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo)
    (script,) = blocks(CROP)
    lines = 'set -eo pipefail\ngaze-crop() { "$PYTHON" -m gaze.crop "$@"; }\n' + script
    command = tmp_path / "bin" / "gaze-crop"  # for xargs
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gaze.crop "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "PATH": path}
    result = subprocess.run(["bash", "-c", lines], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (result.returncode, "failed" in result.stderr.replace("0 failed", "")) == (0, False), result.stderr
    named = {name for name in re.findall(r"[\w/]+\.(?:jpg|png|html)", script)}
    made = {
        "photo_400x400.jpg",
        "thumbs/photo_1x1.jpg",
        "thumbs/a_1x1.jpg",
        "thumbs/b/c_400x400.jpg",
        "found/c_1x1.jpg",
    }
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert named | made <= written
    with Image.open(tmp_path / "photo_4x5.jpg") as picture:
        assert picture.size == (240, 300)
    assert (tmp_path / "photo.jpg").read_bytes() == photo
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in blocks(CROP, "python"):
        exec(code, names)
    with Image.open(tmp_path / "small.jpg") as picture:
        assert picture.size == (400, 400)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for code in blocks(README, "python"):
        exec(code, {})
    assert "Box(" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:pruning. the signal is approximate")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_the_python_of_the_page_of_pruning_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    count_instead(monkeypatch)
    (code,) = blocks(ROOT / "docs/prune.md", "python")
    assert len(code.splitlines()) <= 42
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)
    assert "met: True" in capsys.readouterr().out
    network, example = names["module"].model.eval(), names["job"].example
    assert counted(network, *example.inputs) <= counted(names["resnet18"](num_classes=4), *example.inputs) / 2
    session = cpu_session((tmp_path / "pruned/model.onnx").read_bytes(), threads=1)
    (found,) = session.run(None, {"x0": example.inputs[0].numpy()})
    np.testing.assert_allclose(found, network(*example.inputs).detach().numpy(), rtol=0, atol=1e-4)


def test_every_extra_stands_in_the_table_of_installs():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| `pip install '\.\[(\w+)\]'`", README.read_text(encoding="utf-8"), re.M)
    assert sorted(rows) == sorted(project["optional-dependencies"])


@pytest.fixture(scope="module")
def picture():
    """`docs/picture.py` as a module."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs/picture.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_drawn_the_same_twice_and_shows_what_is_shipped(picture, tmp_path):
    first, second = tmp_path / "first.jpg", tmp_path / "second.jpg"
    picture.main(first)
    picture.main(second)
    assert first.read_bytes() == second.read_bytes()
    assert picture.same(first.read_bytes(), picture.PICTURE.read_bytes())


def test_a_picture_that_shows_the_same_is_left_alone_and_another_replaced(picture, tmp_path):
    drawn = picture.draw()
    kept, stale = tmp_path / "kept.jpg", tmp_path / "stale.jpg"
    drawn.save(kept, quality=80)  # other bytes
    drawn.transpose(0).save(stale)
    before = kept.read_bytes()
    picture.main(kept)
    picture.main(stale)
    assert kept.read_bytes() == before
    assert stale.read_bytes() == picture.encode(drawn)


def test_the_photograph_shows_the_benefit(picture):
    crops = {ratio: gaze.crop(picture.PHOTO, ratio=ratio) for ratio in picture.RATIOS}
    assert not any(crop.centered for crop in crops.values())
    assert crops["9:16"].score > 2 * crops["9:16"].center_score
    assert picture.PHOTO.stat().st_size < 300_000
