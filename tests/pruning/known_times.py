"""Times of operators that nothing measures: a machine on which they are what a function of the widths says."""

from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_table import Grid, LatencyTable
from gaze.pruning.cost.models.table import TableCost
from gaze.pruning.methods.job import Job
from gaze.pruning.structure.groups import find_groups


def plane(time) -> dict[int, Grid]:
    """Times over widths."""
    at = [1, 8, 64, 256]
    values = [[time(i, o) for o in at] for i in at]
    return {0: Grid(at, at, values, values, values)}


class Known:
    """A stopwatch for a machine whose times are the table's."""

    def __init__(self, network, clock: TableCost) -> None:
        self.clock = clock
        self.base = self(network)

    def __call__(self, network) -> float:
        return self.clock.total({group.name: group.maps for group in find_groups(network, least=1)})


def known_times(monkeypatch, time=lambda i, o: 0.1 + 0.01 * i + 0.01 * o + 0.001 * i * o) -> None:
    """Times that nothing measures."""

    def measure_table(job, widest=None):
        operators = find_operators(job.unpruned, job.example, least=2 if widest is None else 1)
        return operators, LatencyTable({}, 1, 0.01, 0.001, {operator.kind: plane(time) for operator in operators})

    def make_stopwatch(job):
        stopwatch = Known(job.unpruned, TableCost(*job.measure_table(widest={})))
        return stopwatch, job.budget_ms or job.budget * stopwatch.base

    monkeypatch.setattr(Job, "measure_table", measure_table)
    monkeypatch.setattr(Job, "make_stopwatch", make_stopwatch)
