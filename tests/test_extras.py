"""What a command says in the small install, where the extra that it needs is missing."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from gaze.extras import TRAIN, missing_modules

ROOT = Path(__file__).parents[1]
VERBS = ("prepare", "train", "prune", "prefer", "teach", "evaluate", "export", "latency")
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def small(tmp_path):
    """Runs Python where some modules cannot be imported."""

    def run(names: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess:
        (tmp_path / "sitecustomize.py").write_text(BLOCK.format(names=names))
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        command = [sys.executable, *arguments]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_without_its_extra_is_one_line_that_names_it(small, verb):
    result = small(("hydra", "omegaconf"), "-m", f"gaze.{verb}")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(rf"gaze\.{verb}: hydra is not installed; .*pip install '\.\[train\]'.*\n", result.stderr)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--cfg", "job"], ["checkpoint=a.ckpt"]])
def test_whatever_is_asked_of_it_and_whichever_part_is_missing(small, arguments):
    result = small(("torch", "matplotlib"), "-m", "gaze.export", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("gaze.export: torch, matplotlib are not installed; ")
    assert result.stderr.count("\n") == 1


def test_in_python_it_stays_an_import_error(small):
    result = small(("hydra",), "-c", "import gaze.train")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("ModuleNotFoundError: No module named 'hydra'\n")


@pytest.mark.parametrize(("host", "module"), [("thumbor", "thumbor"), ("wagtail", "django"), ("pysaliency",) * 2])
def test_a_host_that_is_not_installed_is_one_line_that_names_its_extra(small, host, module):
    result = small((module,), "-c", f"import gaze.integrations.{host}")
    expected = rf"gaze\.integrations\.{host}: {module} is not installed; .*pip install '\.\[{host}\]' \(.*\)"
    assert result.returncode == 1
    assert re.fullmatch(f"ModuleNotFoundError: {expected}", result.stderr.splitlines()[-1])


def test_the_room_of_the_hosts_loads_nothing(small):
    result = small((), "-c", "import sys, gaze.integrations; print({'numpy', 'PIL', 'onnxruntime'} & set(sys.modules))")
    assert result.stdout == "set()\n"


def test_the_modules_are_those_of_the_extra_and_all_are_here():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[>=<\[]", line)[0] for line in project["optional-dependencies"]["train"]}
    brought = packages_distributions()
    assert {name for module in TRAIN for name in brought[module]} >= wanted
    assert len(TRAIN) == len(wanted)
    assert missing_modules(TRAIN) == []
    assert missing_modules(["torch", "no_such_module"]) == ["no_such_module"]
