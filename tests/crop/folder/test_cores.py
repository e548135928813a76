import os
from pathlib import Path

import pytest

from gaze.crop.folder.cores import cores


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def plant(system: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (system / name).parent.mkdir(parents=True, exist_ok=True)
        (system / name).write_text(text)
    return system


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "5000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "6400000 100000\n"}, 16),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, 16),
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "max 100000\n", f"{V2}/a/cpu.max": "3 1\n"}, 3),
        ({"proc/self/cgroup": "0::/a\n", f"{V2}/a/cpu.max": "4 1\n", f"{V2}/cpu.max": "5 1\n"}, 4),
        ({"proc/self/cgroup": "0::/../../x\n", f"{V2}/cpu.max": "2 1\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "nonsense"}, 16),
        (
            {
                "proc/self/cgroup": "12:memory:/m\n4:cpu,cpuacct:/docker/x\n0::/\n",
                f"{V1}/docker/x/cpu.cfs_quota_us": "250000\n",
                f"{V1}/docker/x/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (  # in a container the path is the host's
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n",
                f"{V1}/cpu.cfs_quota_us": "200000\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            16,
        ),
    ],
)
def test_quota_of_the_control_group_counts(tmp_path: Path, files: dict[str, str], expected: int):
    assert cores(plant(tmp_path, files)) == expected


def test_affinity_mask_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    files = {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "800000 100000\n"}
    assert cores(plant(tmp_path, files)) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(tmp_path / "nothing") == 1
