"""Small graphs of many ways to call layers and functions: a removal leaves the output that a mask leaves."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaze.pruning import Gates, find_groups, find_pinned, remove


class Graph(nn.Module):
    """Convolutions `a` to `d` of four maps on an image, a wide one, and a head that reads what `compute` returns."""

    def __init__(self, compute: Callable[["Graph", Tensor], Tensor], reads: int):
        super().__init__()
        torch.manual_seed(0)
        self.compute = compute
        for name in "abcd":
            self.add_module(name, nn.Conv2d(3, 4, 3, padding=1))
        self.wide, self.inner, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.relu, self.norm, self.softmax = nn.ReLU(), nn.BatchNorm2d(4), nn.Softmax2d()
        self.grouped, self.head = nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(reads, 2, 1)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.compute(self, x))


# each: what is computed, how many maps the head reads, the groups' names, the operations that pin
FREE = {
    "relu by keyword": (lambda m, x: F.relu(input=m.a(x)), 4, ["a"]),
    "relu as a method": (lambda m, x: m.a(x).relu(), 4, ["a"]),
    "relu in place": (lambda m, x: m.a(x).relu_(), 4, ["a"]),
    "relu as a layer, by keyword": (lambda m, x: m.relu(input=m.a(x)), 4, ["a"]),
    "norm by keyword": (lambda m, x: m.norm(input=m.a(x)).relu(), 4, ["a"]),
    "first layer by keyword": (lambda m, x: m.a(input=x), 4, ["a"]),
    "add as a method": (lambda m, x: m.a(x).add(m.b(x)), 4, ["a"]),
    "add in place": (lambda m, x: m.a(x).add_(m.b(x)), 4, ["a"]),
    "add by keyword": (lambda m, x: torch.add(m.a(x), other=m.b(x)), 4, ["a"]),
    "add all by keyword": (lambda m, x: torch.add(input=m.a(x), other=m.b(x), alpha=2), 4, ["a"]),
    "add to itself": (lambda m, x: (lambda y: y + y * y)(m.a(x)), 4, ["a"]),
    "product with a number": (lambda m, x: 2 * m.a(x) / 3, 4, ["a"]),
    "cat": (lambda m, x: torch.cat([m.a(x), m.b(x)], 1), 8, ["a", "b"]),
    "cat by keyword": (lambda m, x: torch.cat(tensors=[m.a(x), m.b(x)], dim=1), 8, ["a", "b"]),
    "cat from behind": (lambda m, x: torch.concat((m.a(x), m.b(x)), dim=-3), 8, ["a", "b"]),
    "cat of cat": (lambda m, x: torch.cat([torch.cat([m.a(x), m.b(x)], 1), m.c(x)], 1), 12, ["a", "b", "c"]),
    "cat of the same": (lambda m, x: (lambda y: torch.cat([y, m.b(x), y], 1))(m.a(x)), 12, ["a", "b"]),
    "sum with a cat": (lambda m, x: m.wide(x) + torch.cat([m.a(x), m.b(x)], 1), 8, ["wide", "b"]),
    "cat with a sum": (lambda m, x: torch.cat([m.a(x), m.b(x)], 1) + m.wide(x), 8, ["a", "b"]),
    "sum of a cat of sums": (
        lambda m, x: m.wide(x) + torch.cat([m.a(x) + m.b(x), torch.relu(m.c(x) * m.d(x))], 1), 8, ["wide", "c"],
    ),
    "cats crossed": (
        lambda m, x: (lambda a, b: torch.cat([a, b], 1) + torch.cat([b, a], 1))(m.a(x), m.b(x)), 8, ["a"],
    ),
    "mean over positions": (lambda m, x: m.a(x) * m.inner(m.b(x).mean(dim=[-1, -2], keepdim=True)), 4, ["a", "b"]),
    "resized by keyword": (lambda m, x: F.interpolate(input=m.a(x), size=x.shape[2:]), 4, ["a"]),
    "type by keyword": (lambda m, x: m.a(x).to(dtype=torch.float64), 4, ["a"]),
}  # fmt: skip
PINNED = {
    "softmax": (lambda m, x: m.softmax(m.a(x)) + m.b(x), 4, [], ["Softmax2d", "add"]),
    "softmax by keyword": (lambda m, x: F.softmax(input=m.a(x), dim=1), 4, [], ["softmax"]),
    "slice": (lambda m, x: m.inner(m.wide(x)[:, 2:6]), 4, ["inner"], ["getitem"]),
    "chunk": (lambda m, x: (lambda p: p[0] + p[1])(m.wide(x).chunk(2, 1)), 4, [], ["chunk"]),
    "cat of chunks": (lambda m, x: torch.cat(m.wide(x).chunk(2, 1), 1), 8, [], ["chunk"]),
    "flip": (lambda m, x: (lambda y: y.flip(1) + y)(m.a(x)), 4, [], ["flip"]),
    "cat of rows": (lambda m, x: torch.cat([m.a(x), m.b(x)], dim=2), 4, [], ["cat"]),
    "cat along examples by default": (lambda m, x: torch.cat([m.a(x), m.b(x)]), 4, [], ["cat"]),
    "cat with the image": (lambda m, x: torch.cat([m.a(x), x], 1), 7, [], ["cat"]),
    "groups of maps": (lambda m, x: m.grouped(m.wide(x)), 8, [], ["Conv2d"]),
    "a reader by keyword": (lambda m, x: m.inner(input=m.a(x)), 4, ["inner"], ["Conv2d"]),
    "a layer called twice": (lambda m, x: m.inner(m.a(x)) + m.inner(m.b(x)), 4, [], ["Conv2d"]),
    "a norm called twice": (lambda m, x: m.norm(m.a(x)) + m.norm(m.b(x)), 4, [], ["BatchNorm2d"]),
    "a norm without which it is the same": (lambda m, x: F.layer_norm(m.a(x), x.shape[3:]), 4, [], ["layer_norm"]),
    "another attribute": (lambda m, x: m.a(x).mT, 4, [], ["getattr"]),
    "mean over maps": (lambda m, x: (lambda y: y - y.mean(1, keepdim=True))(m.a(x)), 4, [], ["mean"]),
    "a sum that spreads": (lambda m, x: m.a(x) + x.mean(1, keepdim=True), 4, [], ["add"]),
}  # fmt: skip


def image() -> Tensor:
    return torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def assert_removal_is_a_mask(graph: Graph) -> None:
    """Of each group alone, and of all at once, down to a map: gates that close give what surgery gives."""
    groups = {group.name: group.maps for group in find_groups(graph)}
    requests = [{name: gone} for name, maps in groups.items() for gone in ([0], [1, maps - 1], list(range(1, maps)))]
    everything = {name: list(range(maps - 1)) for name, maps in groups.items()}
    for request in [*requests, everything]:
        masked, pruned = copy.deepcopy(graph), copy.deepcopy(graph)
        gates = Gates(masked, find_groups(masked))
        for name, maps in request.items():
            gates.close(name, maps)
        remove(pruned, request)
        torch.testing.assert_close(pruned(image()), masked(image()), rtol=0, atol=1e-12, msg=str(request))
        if request:
            assert not torch.equal(masked(image()), graph(image())), "the maps mattered"


@pytest.mark.parametrize("case", FREE)
def test_what_is_known_leaves(case: str):
    compute, reads, names = FREE[case]
    graph = Graph(compute, reads)
    assert [group.name for group in find_groups(graph)] == names
    assert find_pinned(graph) == []
    assert_removal_is_a_mask(graph)


@pytest.mark.parametrize("case", PINNED)
def test_what_is_not_known_stays_and_is_told(case: str):
    compute, reads, names, operations = PINNED[case]
    graph = Graph(compute, reads)
    assert [group.name for group in find_groups(graph)] == names
    assert [pinned.operation for pinned in find_pinned(graph)] == operations
    assert_removal_is_a_mask(graph)


def test_names_stay_with_their_maps_whatever_leaves():
    graph = Graph(*FREE["sum with a cat"][:2])
    remove(graph, {"wide": [1, 2, 3]})
    assert [(group.name, group.maps) for group in find_groups(graph)] == [("b", 4)]
    remove(graph, {"b": [0]})
    assert [(group.name, group.maps) for group in find_groups(graph)] == [("b", 3)]


def test_groups_that_only_one_layer_writes_are_told_apart():
    graph = Graph(lambda m, x: m.wide(x) + torch.cat([m.inner(m.a(x)), m.inner(m.b(x))], 1), 8)
    assert [group.name for group in find_groups(graph)] == []  # a layer called twice
    graph = Graph(lambda m, x: (lambda w: w * torch.cat([m.a(x), m.b(x)], 1))(m.wide(x)), 8)
    assert len({group.name for group in find_groups(graph)}) == len(find_groups(graph)) == 2


def test_a_pinned_operation_says_what_it_is_and_where():
    graph = Graph(lambda m, x: m.softmax(m.a(x)), 4)
    assert [str(pinned) for pinned in find_pinned(graph)] == ["Softmax2d (softmax, 4 maps)"]


def test_gaze_networks_pin_nothing(small):
    assert find_pinned(small) == []
