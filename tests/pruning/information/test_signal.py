"""Signals against autograd on explicit masks, example by example, and against what removal really costs."""

import pytest
import torch
from scipy.stats import spearmanr

from gaze.pruning import Fisher, Gates, Magnitude, Random, Taylor, find_groups, remove


def losses(network, images) -> torch.Tensor:
    """One loss an example, in whatever precision the network has."""
    return network.readout(network.backbone(images)).tanh().square().mean((1, 2))


def brute_force(network, groups, images) -> dict[str, torch.Tensor]:
    """g, examples x maps: a mask of ones is multiplied in at every consumer, and each example has its own backward."""
    masks = {g.name: torch.ones(g.maps, dtype=torch.float64, requires_grad=True) for g in groups}
    readers: dict[str, list] = {}
    for group in groups:
        for member in group.consumers:
            readers.setdefault(member.layer, []).append((member.offset, masks[group.name]))

    def multiply(parts):
        def hook(layer, entering):
            whole = torch.ones(layer.in_channels, dtype=torch.float64)
            for offset, mask in parts:
                at = torch.arange(offset, offset + len(mask))
                whole = whole.index_copy(0, at, mask)
            return (entering[0] * whole[:, None, None],)

        return hook

    hooks = [network.get_submodule(name).register_forward_pre_hook(multiply(parts)) for name, parts in readers.items()]
    rows = [torch.autograd.grad(losses(network, image[None])[0], list(masks.values())) for image in images]
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(columns) for name, columns in zip(masks, zip(*rows, strict=True), strict=True)}


def observe(signal, network, images, batches=1) -> None:
    for batch in images.chunk(batches):
        losses(network, batch).mean().backward()
        signal.update(len(batch))


def close(values, expected) -> None:
    assert values.keys() == expected.keys()
    for name, value in values.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-5 * float(expected[name].max()))


@pytest.mark.parametrize("batches", [1, 3])
def test_fisher_equals_brute_force(small, images, batches):
    small, groups = small.double(), find_groups(small)
    expected = {name: g.square().mean(0) / 2 for name, g in brute_force(small, groups, images).items()}
    assert all(value.max() > 0 for value in expected.values())
    fisher = Fisher(small, groups)
    observe(fisher, small, images, batches)
    close(fisher.values(), expected)


def test_a_map_read_twice_by_one_layer_counts_both(small_kind, images):
    network = small_kind("vgg", reduce=None)
    network.backbone.features.return_layers = {"features_5": "a", "features_6": "b", "features_8": "c"}
    network.readout.layers[0] = torch.nn.Conv2d(26, 4, 1)
    network, groups = network.double(), find_groups(network)
    expected = {name: g.square().mean(0) / 2 for name, g in brute_force(network, groups, images).items()}
    fisher = Fisher(network, groups)
    observe(fisher, network, images)
    close(fisher.values(), expected)


def test_taylor_equals_brute_force_scaled_over_each_group(small_kind, images):
    network = small_kind("densenet").double()
    groups = find_groups(network)
    sizes = {name: g.abs().mean(0) for name, g in brute_force(network, groups, images).items()}
    taylor = Taylor(network, groups)
    observe(taylor, network, images)
    close(taylor.values(), {name: size / size.norm() for name, size in sizes.items()})


def test_accumulated_gradients_and_frozen_weights_change_nothing(small_kind, images):
    network = small_kind("vgg_bn")
    groups = find_groups(network)
    plain = Fisher(network, groups)
    observe(plain, network, images)
    plain.attribution.detach()
    network.requires_grad_(False)
    network.finalizer.requires_grad_(True)
    fisher = Fisher(network, groups)
    (losses(network, images).mean() / 2).backward()
    fisher.update(2 * len(images))
    close(fisher.values(), {name: value.double() for name, value in plain.values().items()})


def test_closed_maps_are_worth_nothing_and_the_rest_is_seen_without_them(small_kind, images):
    network = small_kind("vgg").double()
    groups = find_groups(network)
    gates, fisher = Gates(network, groups), Fisher(network, groups)
    gates.close("backbone.features.features_3", [1, 2])
    observe(fisher, network, images)
    masked = fisher.values()
    assert not masked["backbone.features.features_3"][[1, 2]].any()
    cut = remove(network, gates.closed())
    gates.detach()
    fisher.keep(cut.maps, find_groups(network))
    survivors = fisher.values()
    fisher.restart()
    observe(fisher, network, images)
    close(fisher.values(), {name: value.double() for name, value in survivors.items()})


def test_older_examples_fade(small_kind, images):
    network = small_kind("vgg").double()
    groups = find_groups(network)
    fisher = Fisher(network, groups, decay=0.5)
    for _ in range(2):
        observe(fisher, network, images[:1])
    observe(fisher, network, images[1:])
    old, new = (brute_force(network, groups, part) for part in (images[:1], images[1:]))
    weights = 0.25 + 0.5 + 3
    expected = {n: (0.75 * old[n].square().sum(0) + new[n].square().sum(0)) / 2 / weights for n in old}
    close(fisher.values(), expected)


def test_goes_on_from_its_state(small_kind, images, tmp_path):
    network = small_kind("vgg").double()
    groups = find_groups(network)
    whole, first, second = (Fisher(network, groups, decay=0.9) for _ in range(3))
    for signals, part in (((whole, first), images[:2]), ((whole, second), images[2:])):
        if second in signals:
            torch.save(first.state_dict(), tmp_path / "state.pt")
            second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        losses(network, part).mean().backward()
        for signal in signals:
            signal.update(len(part))
    assert all(torch.equal(value, second.values()[name]) for name, value in whole.values().items())


def test_magnitude_is_the_mean_square_of_what_writes_a_map(small_kind):
    network = small_kind("mobilenet")
    magnitude = Magnitude(network, find_groups(network))
    block = network.backbone.features.blocks[2][0]
    writers = [layer.weight.detach().flatten(1) for layer in (block.conv_pw, block.conv_dw, block.se.conv_expand)]
    expected = torch.cat(writers, 1).square().mean(1)
    got = magnitude.values()["backbone.features.blocks.2.0.conv_pw"]
    torch.testing.assert_close(got, expected / expected.norm())


def test_random_draws_once(small_kind):
    network = small_kind("vgg")
    groups = find_groups(network)
    random, again, other = (Random(groups, seed) for seed in (1, 1, 2))
    before = random.values()["readout.reduce.0"]
    assert torch.equal(before, again.values()["readout.reduce.0"])
    assert not torch.equal(before, other.values()["readout.reduce.0"])
    cut = remove(network, {"readout.reduce.0": [1]})
    random.update(1)
    random.keep(cut.maps, find_groups(network))
    assert torch.equal(random.values()["readout.reduce.0"], before[[0, 2, 3]])


def test_maps_that_only_layers_behind_the_deepest_tap_read_are_worth_nothing(small_kind, images):
    network = small_kind("cut short")
    fisher = Fisher(network, find_groups(network))
    observe(fisher, network, images)
    values = fisher.values()
    assert values["backbone.features.blocks.1.1.conv_pw"].any()
    assert not values["backbone.features.blocks.4.0.conv_pw"].any()


def spots(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a bright spot of some colour, and where people would look: the spot, the more so the redder it is."""
    generator = torch.Generator().manual_seed(2)
    centers, colors = (torch.rand(count, n, generator=generator) for n in (2, 3))
    at = torch.arange(32) + 0.5
    spread = [torch.exp(-0.5 * ((at - 4 - 24 * centers[:, i, None]) / 2.5) ** 2) for i in range(2)]
    spot = spread[0][:, :, None] * spread[1][:, None]
    noise = torch.rand(count, 32, 32, 3, generator=generator)
    images = (255 * (0.3 * noise + 0.7 * spot[..., None] * colors[:, None, None])).to(torch.uint8)
    density = 0.2 + 60 * colors[:, 0, None, None] * torch.nn.functional.avg_pool2d(spot[:, None], 4)[:, 0]
    return images, density / density.sum((1, 2), keepdim=True)


def test_fisher_ranks_maps_as_their_removal_does(small_kind):
    network = small_kind("vgg_bn")
    images, targets = spots(96)

    def mean_loss(part=slice(None)) -> torch.Tensor:
        return -(targets[part] * network(images[part])).sum((1, 2)).mean()

    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for step in range(250):
        optimizer.zero_grad()
        mean_loss(slice(step % 6, None, 6)).backward()
        optimizer.step()
    groups = find_groups(network)
    fisher, gates = Fisher(network, groups), Gates(network, groups)
    for start in range(6):
        mean_loss(slice(start, None, 6)).backward()
        fisher.update(16)
    fisher.attribution.detach()
    estimated, real = [], []
    with torch.no_grad():
        whole = mean_loss()
        for group in groups:
            for k in range(group.maps):
                gates.reset(groups)
                gates.close(group.name, [k])
                estimated.append(float(fisher.values()[group.name][k]))
                real.append(float(mean_loss() - whole))
    assert spearmanr(estimated, real).statistic >= 0.8


def test_an_overflow_is_left_out(small_kind, images):
    network = small_kind("vgg")
    signal = Fisher(network, find_groups(network))
    observe(signal, network, images)
    before = signal.values()
    (network(images).mean() * float("inf")).backward()
    signal.update(len(images))
    assert all(torch.equal(value, before[name]) for name, value in signal.values().items())
