"""Small graphs of many ways to call layers and functions: a removal leaves the output that a mask leaves."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaze.pruning import Gates, find_groups, find_pinned, remove
from gaze.pruning.structure.groups import told


class Graph(nn.Module):
    """Convolutions `a` to `d` of four maps on an image, a wide one, and a head that reads what `compute` returns."""

    def __init__(self, compute: Callable[["Graph", Tensor], Tensor], reads: int, linear: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.compute = compute
        for name in "abcd":
            self.add_module(name, nn.Conv2d(3, 4, 3, padding=1))
        self.wide, self.inner, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.relu, self.norm, self.softmax = nn.ReLU(), nn.BatchNorm2d(4), nn.Softmax2d()
        self.grouped, self.head = nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(reads, 2, 1)
        if linear:
            self.head, self.tokens, self.others = nn.Linear(reads, 2), nn.Linear(8, 4), nn.Linear(8, 4)
            self.line, self.bank = nn.BatchNorm1d(4 * 64), nn.BatchNorm1d(3)
            self.hidden, self.flat, self.up = nn.Linear(4, 4), nn.Flatten(), nn.ConvTranspose2d(4, 4, 2, 2)
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

# the same where the head is a linear layer; the image has 8 x 8 pixels
FREE_ROWS = {
    "flattened": (lambda m, x: m.a(x).flatten(1), 256, ["a"]),
    "flattened by keyword": (lambda m, x: torch.flatten(m.a(x).relu(), start_dim=1), 256, ["a"]),
    "flattened by a layer": (lambda m, x: m.flat(m.a(x)), 256, ["a"]),
    "flattened, then by map": (lambda m, x: F.dropout(m.a(x).flatten(1).relu(), training=False), 256, ["a"]),
    "viewed": (lambda m, x: (lambda y: y.view(y.size(0), -1))(m.a(x)), 256, ["a"]),
    "reshaped": (lambda m, x: m.a(x).reshape((x.shape[0], -1)), 256, ["a"]),
    "flattened and normalised": (lambda m, x: m.line(m.a(x).flatten(1)), 256, ["a"]),
    "pooled to a few": (lambda m, x: F.adaptive_avg_pool2d(m.a(x), (2, 3)).flatten(1), 24, ["a"]),
    "pooled to one": (lambda m, x: F.adaptive_avg_pool2d(m.a(x), 1).flatten(1), 4, ["a"]),
    "mean over positions": (lambda m, x: m.a(x).mean((2, 3)), 4, ["a"]),
    "rows joined": (lambda m, x: torch.cat([m.a(x).mean((2, 3)), m.b(x).mean([-1, -2])], -1), 8, ["a", "b"]),
    "rows of one column joined": (
        lambda m, x: torch.cat([F.adaptive_avg_pool2d(y, 1).flatten(1) for y in (m.a(x), m.b(x))], 1), 8, ["a", "b"],
    ),
    "rows added": (lambda m, x: m.hidden(m.a(x).mean((2, 3))).relu() + m.b(x).mean((2, 3)), 4, ["a", "hidden"]),
    "flattened added": (lambda m, x: m.a(x).flatten(1) + m.b(x).flatten(1), 256, ["a"]),
    "a row added to one that was flattened": (
        lambda m, x: m.a(x).mean((2, 3)) + F.adaptive_avg_pool2d(m.b(x), 1).flatten(1), 4, ["a"],
    ),
    "the last of many dimensions": (lambda m, x: m.tokens(x).relu(), 4, ["tokens"]),
    "joined along it": (lambda m, x: torch.cat([m.tokens(x), m.others(x)], -1), 8, ["tokens", "others"]),
}  # fmt: skip
PINNED_ROWS = {
    "flattened joined": (lambda m, x: torch.cat([m.a(x).flatten(1), m.b(x).flatten(1)], 1), 512, [], ["Linear"]),
    "flattened with fewer positions": (
        lambda m, x: torch.cat([m.a(x).flatten(1), F.max_pool2d(m.b(x), 2).flatten(1)], 1), 320, [], ["Linear"],
    ),
    "columns of maps": (lambda m, x: m.tokens(m.a(x)).mean(3), 8, [], ["Linear", "mean"]),
    "flattened positions": (lambda m, x: m.a(x).flatten(2).mean(2), 4, [], ["flatten"]),
    "everything flattened": (lambda m, x: m.a(x).flatten().reshape(2, 256), 256, [], ["flatten"]),
    "viewed by a number": (lambda m, x: m.a(x).view(2, -1), 256, [], ["view"]),
    "viewed as more sides": (lambda m, x: m.a(x).view(x.shape[0], -1, 256)[:, 0], 256, [], ["view"]),
    "the last side joined along another": (
        lambda m, x: torch.cat([m.tokens(x), m.others(x)], 1), 4, [], ["cat"],
    ),
    "the last side of positions": (lambda m, x: F.max_pool2d(m.tokens(x), 2), 2, [], ["max_pool2d"]),
    "the last side normalised as if the second": (lambda m, x: m.bank(m.tokens(x)[:, :, 0]), 4, [], ["getitem"]),
    "the last side flattened": (lambda m, x: m.tokens(x).flatten(1), 96, [], ["flatten"]),
    "a transposed convolution": (lambda m, x: m.up(m.a(x)).mean((2, 3)), 4, [], ["ConvTranspose2d"]),
    "the last side added to maps": (
        lambda m, x: F.max_pool2d(m.a(x), 2) + m.tokens(F.max_pool2d(x.mean(1, keepdim=True), (2, 1))), 4, [], ["add"],
    ),
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


@pytest.mark.parametrize("case", FREE_ROWS)
def test_what_a_linear_layer_reads_leaves(case: str):
    compute, reads, names = FREE_ROWS[case]
    graph = Graph(compute, reads, linear=True)
    assert [group.name for group in find_groups(graph)] == names
    assert find_pinned(graph) == []
    assert_removal_is_a_mask(graph)


@pytest.mark.parametrize("case", PINNED_ROWS)
def test_what_it_reads_in_a_way_that_is_not_known_stays(case: str):
    compute, reads, names, operations = PINNED_ROWS[case]
    graph = Graph(compute, reads, linear=True)
    graph(image())
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


def test_what_can_leave_and_what_stays_is_told_with_its_names():
    graph = Graph(lambda m, x: m.inner(m.wide(x)[:, 2:6]), 4)
    assert told(find_groups(graph), find_pinned(graph)) == (
        "pruning: 4 maps in 1 groups can leave: inner (4)\n"
        "maps that stay, as it is not known what is done to them: getitem (getitem, 8 maps)"
    )
    assert told(find_groups(graph), []) == "pruning: 4 maps in 1 groups can leave: inner (4)"


def test_gaze_networks_pin_nothing(small):
    assert find_pinned(small) == []
