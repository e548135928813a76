"""Tests a part of gaze.integrations against the real host, in an environment of its own.

    python tests/integrations/environment.py thumbor|django|wagtail|pysaliency FOLDER [pytest options]

Makes the environment in FOLDER, with what `pyproject.toml` asks for that extra, unless it is there; then runs the tests
of the host in it. Needs Python 3.11 and a package index.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[2]
HOSTS = {
    "thumbor": ("thumbor", "test_thumbor.py"),
    "django": ("easy_thumbnails", "test_easy_thumbnails.py"),
    "wagtail": ("wagtail", "test_wagtail.py"),
    "pysaliency": ("pysaliency", "test_pysaliency.py"),
}
"""Of each extra, the module that it brings and the tests that need it."""


def make(folder: Path, extra: str) -> None:
    """An environment with what gaze and the extra need, and pytest; gaze itself is that of the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras[extra], *(line for line in extras["dev"] if line.startswith("pytest"))]
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/pip", "install", "--quiet", *wanted], check=True)


def main(extra: str, folder: Path, options: list[str]) -> int:
    """Makes the environment and runs the tests; the exit code of pytest, or 1 where the host is missing."""
    module, tests = HOSTS[extra]
    python = folder / "bin/python"
    if not python.exists():
        make(folder, extra)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if subprocess.run([python, "-c", f"import {module}"], check=False).returncode:
        return 1
    # the fixtures of the other tests need what trains
    command = [python, "-m", "pytest", "--confcutdir=tests/integrations", f"tests/integrations/{tests}", *options]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in HOSTS:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3:]))
