"""What Linux tells of running processes."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def children(process: int) -> list[int]:
    """The processes that one has started and that still run."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(number) for file in lists for number in file.read_text().split()]


def cpu_seconds(process: int) -> float:
    """What all threads of a process have used, in user and in system mode."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS


def megabytes(process: int, peak: bool = False) -> float:
    """What a process holds in memory, or the most that it has held."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:" if peak else "VmRSS:")[2].split()[0]) / 1024
