"""How many cores a run may use: what the scheduler allows, and what the control group's quota leaves of it."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cores(system: Path = Path("/")) -> int:
    """Cores that this process may use, at least 1: the affinity mask, or fewer under a quota (`docker --cpus 2`).

    Args:
        system: the root of the file system that tells of control groups.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, _quotas(system))]))


def _quotas(system: Path) -> Iterator[float]:
    """The cores that each control group around this process grants, of cgroup v2 and v1."""
    for line in _text(system / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount, files = "sys/fs/cgroup", ["cpu.max"]
        elif "cpu" in controllers.split(","):
            mount, files = "sys/fs/cgroup/cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        group = PurePosixPath("/", path)
        for each in (group, *group.parents):  # within a container the path may be the host's: its root is ours then
            folder = system / mount / each.relative_to("/")
            yield from _quota(" ".join(_text(folder / name) for name in files))


def _quota(text: str) -> Iterator[float]:
    """Reads `"200000 100000"`, microseconds of a period; `max` and -1 are none."""
    try:
        quota, period = map(int, text.split())
    except ValueError:
        return
    if quota > 0 and period > 0:
        yield quota / period


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
