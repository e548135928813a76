#!/usr/bin/env bash
# Makes an environment that has the lowest version of everything that pyproject.toml asks for, all together, and runs
# the tests in it: a bound is true where this passes. It takes some 8 GB and minutes, so .ci/run leaves it out.
#
#   tests/lower_bounds.sh FOLDER [pytest options]      # FOLDER of the environment; kept, and used again if it is there
#
# The extras of hosts, which want other versions of the same packages, have environments of their own
# (tests/integrations/environment.py), and are left out.
#
# What old releases say there of their own age, or of newer ones beneath them that nothing bounds, is no error.
# Python is python3 unless PYTHON names another: 3.10 or 3.11, as the oldest packages have no newer wheels.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."
if [ ! -x "$folder/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$folder"
fi
"$folder/bin/python" - > "$folder/lowest.txt" <<'PYTHON'
import re
from pathlib import Path

text = Path("pyproject.toml").read_text(encoding="utf-8").split("[project.scripts]")[0]
text = re.sub(r"^(thumbor|django|wagtail|pysaliency) = .*", "", text, flags=re.M)
for requirement, lowest in sorted(set(re.findall(r'"([\w.-]+(?:\[\w+\])?)>=([\w.]+)"', text))):
    print(f"{requirement}=={lowest}")
PYTHON
"$folder/bin/pip" install --quiet --requirement "$folder/lowest.txt"
"$folder/bin/pip" list --format=freeze
old=(-W ignore::DeprecationWarning -W ignore::FutureWarning -W "ignore:The loaded checkpoint was produced with Lightning")
PYTHONPATH=$PWD exec "$folder/bin/python" -m pytest "${old[@]}" "$@"
