"""A module imports only from layers below its own, and what crops stays free of what trains."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gaze

ROOT = Path(gaze.__file__).parent

VERBS = (
    "gaze.prepare",
    "gaze.teach",
    "gaze.train",
    "gaze.prune",
    "gaze.prefer",
    "gaze.evaluate",
    "gaze.export",
    "gaze.latency",
)

LAYERS: tuple[tuple[str, ...], ...] = (
    ("gaze.errors",),
    ("gaze.geometry", "gaze.fixations", "gaze.files", "gaze.registry", "gaze.extras", "gaze.progress", "gaze.streams"),
    ("gaze.images",),
    ("gaze.framing",),
    ("gaze.card", "gaze.weights"),
    ("gaze.predictor",),
    ("gaze.metrics", "gaze.baselines"),
    ("gaze.crop.photo",),
    ("gaze.crop.folder",),
    ("gaze.crop.page",),
    ("gaze.crop.cluster",),
    ("gaze.crop",),
    ("gaze.data",),
    ("gaze.models",),
    ("gaze.pruning.structure",),
    ("gaze.pruning.information",),
    ("gaze.pruning.cost",),
    ("gaze.pruning.methods",),
    ("gaze.pruning",),
    ("gaze.training",),
    ("gaze.evaluation",),
    ("gaze.config",),
    VERBS,
    ("gaze.integrations",),
)
"""From the bottom up; the longest name that a module's name begins with says where it belongs."""

CROPPING = (
    "errors",
    "geometry",
    "files",
    "images",
    "metrics",
    "framing",
    "card",
    "predictor",
    "weights",
    "crop",
)
"""What a small install runs, in `gaze`."""

TRAINING_ONLY = {
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "pytorch_lightning",
    "hydra",
    "omegaconf",
    "h5py",
    "scipy",
    "onnx",
    "matplotlib",
    "tensorboard",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(source: str) -> set[str]:
    """Names of the modules that a source file imports: anywhere in it, within functions and `if TYPE_CHECKING` too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which layer they reach"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
    return found


def layer(module: str) -> int:
    known = {prefix: rank for rank, prefixes in enumerate(LAYERS) for prefix in prefixes}
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (rank := known.get(".".join(parts[:length]))) is not None:
            return rank
    raise AssertionError(f"{module} stands in no layer: give it one in LAYERS")


def room(module: str) -> str:
    """The longest name in LAYERS that a module's name begins with."""
    return max((p for prefixes in LAYERS for p in prefixes if f"{module}.".startswith(f"{p}.")), key=len, default="")


def offences(module: str, source: str) -> list[str]:
    """What `module` imports from another room of its own layer, or from a layer above it."""
    within = [name for name in imports(source) if name in MODULES and name != "gaze"]
    return sorted(name for name in within if room(name) != room(module) and layer(name) >= layer(module))


PLACED = [name for name in MODULES if name not in ("gaze", "gaze.conf")]


@pytest.mark.parametrize("module", PLACED)
def test_module_imports_only_from_layers_below(module: str):
    assert offences(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_no_module_imports_itself_through_others():
    graph = {name: imports(path.read_text(encoding="utf-8")) & MODULES.keys() for name, path in MODULES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("gaze.images", "from gaze.predictor import Predictor", ["gaze.predictor"]),
        ("gaze.images", "def f():\n    import gaze.crop.cli", ["gaze.crop.cli"]),
        ("gaze.predictor", "from gaze.crop import cli", ["gaze.crop.cli"]),
        ("gaze.images.heatmap", "from gaze import metrics", ["gaze.metrics"]),
        ("gaze.crop.cli", "from gaze.crop.folder.listing import Task\nimport gaze.errors, os", []),
        ("gaze.images", "if TYPE_CHECKING:\n    from gaze.predictor import Predictor", ["gaze.predictor"]),
    ],
)
def test_the_rule_sees_what_breaks_it(module: str, source: str, expected: list[str]):
    assert offences(module, source) == expected


GAZE_NETWORKS = {"gaze.models", "gaze.models.network", "gaze.models.backbone", "gaze.models.finalizer"}
"""Where what is special to a network of gaze is imported from."""


def special(source: str) -> set[str]:
    """What a source file imports of gaze's own networks; the name of their class, wherever it stands."""
    return imports(source) & GAZE_NETWORKS | set(re.findall("GazeNetwork", source))


@pytest.mark.parametrize("module", [name for name in PLACED if name.startswith("gaze.pruning")])
def test_pruning_takes_any_network(module: str):
    assert special(MODULES[module].read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if TYPE_CHECKING:\n    from gaze.models.network import GazeNetwork", {"gaze.models.network", "GazeNetwork"}),
        ("def f():\n    from gaze.models import load_network", {"gaze.models"}),
        ("def f(network: 'gaze.models.GazeNetwork'): ...", {"GazeNetwork"}),
        ("from gaze.models import finalizer", {"gaze.models.finalizer"}),
        ("import gaze.models", {"gaze.models"}),
        ("from gaze.models.widths import select", set()),
    ],
)
def test_it_is_seen_where_pruning_knows_gaze_s_networks(source: str, expected: set[str]):
    assert special(source) == expected


@pytest.mark.parametrize("module", [name for name in PLACED if name.split(".")[1] in CROPPING])
def test_what_crops_imports_nothing_that_trains(module: str):
    names = imports(MODULES[module].read_text(encoding="utf-8"))
    assert {name.split(".")[0] for name in names} & TRAINING_ONLY == set()


def test_cropping_loads_nothing_that_trains():
    code = f"import sys, gaze.crop.run, gaze.crop.cli; print(sorted({TRAINING_ONLY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
