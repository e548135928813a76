"""The choice of what leaves, against a search through all that could."""

import itertools

import pytest
import torch

from gaze.pruning.methods.candidates import Candidate, Choice, down_to


class Stairs:
    """Cost of two groups that read each other: the product of their widths, rounded up to multiples of `block`."""

    def __init__(self, block: int) -> None:
        self.block = block

    def total(self, maps):
        a, b = (-(-maps[name] // self.block) * self.block for name in "ab")
        return float(a * b + 3 * a + b)

    def saving(self, name, n, maps):
        return self.total(maps) - self.total({**maps, name: maps[name] - n})

    def neighbours(self, name):
        return {"a", "b"}

    def step(self, name, maps):
        return next((n for n in range(1, maps[name]) if self.saving(name, n, maps) > 0), None)


VALUES = {"a": torch.tensor([5.0, 1.0, 4.0, 2.0, 9.0, 3.0]), "b": torch.tensor([0.5, 8.0, 0.25, 6.0])}
MAPS = {"a": 6, "b": 4}


@pytest.mark.parametrize("beta", [None, 0.3])
def test_the_best_candidate_is_the_best_of_all_single_maps(beta):
    cost = Stairs(1)
    best = Choice(VALUES, {}, cost, beta).best(MAPS)
    everything = [Candidate(name, (k,), float(values[k]), cost.saving(name, 1, MAPS))
                  for name, values in VALUES.items() for k in range(len(values))]  # fmt: skip
    assert best == min(everything, key=lambda candidate: candidate.score(beta))


def test_a_run_reaches_down_to_the_next_width_that_is_faster():
    best = Choice({"a": VALUES["a"]}, {}, Stairs(4)).best(MAPS)
    assert best is not None
    assert best.maps == (1, 3)  # 6 -> 4; one map alone would save nothing
    assert best.loss == 3.0


def test_costs_are_refreshed_after_each_removal():
    choice, maps, order = Choice(VALUES, {}, Stairs(1)), dict(MAPS), []
    while (candidate := choice.best(maps)) is not None:
        choice.take(candidate)
        maps[candidate.group] -= len(candidate.maps)
        order.append((candidate.group, *candidate.maps))
    assert maps == {"a": 1, "b": 1}, "groups go down to one map and no further"
    assert sorted(order) == sorted([("a", k) for k in (1, 3, 5, 2, 0)] + [("b", k) for k in (2, 0, 3)])
    greedy, rest = (
        dict(MAPS),
        {name: sorted(range(n), key=lambda k: float(VALUES[name][k])) for name, n in MAPS.items()},
    )
    for group, index in order:
        ratios = {name: float(VALUES[name][rest[name][0]]) / Stairs(1).saving(name, 1, greedy)
                  for name in rest if greedy[name] > 1}  # fmt: skip
        assert (group, index) == (min(ratios, key=ratios.__getitem__), rest[group].pop(0))
        greedy[group] -= 1


def test_closed_maps_are_not_chosen_again_and_excluded_groups_stay():
    best = Choice(VALUES, {"b": [2, 0]}, Stairs(1), exclude=("a",)).best({"a": 6, "b": 2})
    assert best is not None
    assert (best.group, best.maps) == ("b", (3,))


def test_nothing_is_chosen_where_nothing_saves_time():
    assert Choice(VALUES, {}, Stairs(100)).best(MAPS) is None


def test_no_candidate_is_larger_than_asked():
    choice = Choice({"a": VALUES["a"]}, {}, Stairs(4))
    assert choice.best(MAPS, largest=1) is None
    assert choice.best(MAPS, largest=2) is not None


def test_widths_are_brought_to_multiples():
    for width, count, multiple in itertools.product(range(1, 20), range(1, 6), (1, 3, 8)):
        gone = down_to(width, count, multiple)
        left = [n for n in range(1, width - count + 1) if n % multiple == 0]
        assert gone == (width - max(left) if left else None)
