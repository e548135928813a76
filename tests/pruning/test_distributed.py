"""Two processes that see different photographs agree on what one process says that sees them all."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gaze
from gaze.pruning import Fisher, Magnitude, Random, Taylor, find_groups

PROCESS = """
import sys
import torch
from gaze.pruning import Fisher, Magnitude, Random, Taylor, find_groups

rank, folder = int(sys.argv[1]), sys.argv[2]
network, images = torch.load(f"{folder}/in.pt", weights_only=False)
groups = find_groups(network)
signals = [Fisher(network, groups), Taylor(network, groups), Magnitude(network, groups), Random(groups, 3)]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
said = []
for images in ((images[:1], images[1:2])[rank], (images[2:2], images[2:])[rank]):  # the first has no second batch
    if len(images):
        network.readout(network.backbone(images)).tanh().square().mean().backward()
        for signal in signals:
            signal.update(len(images))
    said.append([signal.values(reduced=True) for signal in signals])
again, alone = ([signal.values(reduced=r) for signal in signals] for r in (True, False))
torch.save((*said, again, alone), f"{folder}/out{rank}.pt")
torch.distributed.destroy_process_group()
"""


def values(network, batches, reduced: bool = False) -> list[dict[str, torch.Tensor]]:
    """Of all signals, in this process."""
    groups = find_groups(network)
    signals = [Fisher(network, groups), Taylor(network, groups), Magnitude(network, groups), Random(groups, 3)]
    for images in batches:
        network.readout(network.backbone(images)).tanh().square().mean().backward()
        for signal in signals:
            signal.update(len(images))
    for signal in signals[:2]:
        signal.attribution.detach()
    return [signal.values(reduced) for signal in signals]


def close(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, other[name].float(), rtol=1e-6, atol=1e-6 * float(other[name].max()))


def test_reduced_values_are_those_of_one_process_over_all_examples(small_kind, images, tmp_path: Path):
    network = small_kind("vgg_bn").double()
    torch.save((network, images), tmp_path / "in.pt")
    command = [sys.executable, "-c", PROCESS]
    root = Path(gaze.__file__).parents[1]
    processes = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=root) for rank in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    results = [torch.load(tmp_path / f"out{rank}.pt") for rank in range(2)]
    half, whole = values(network, [images[:2]]), values(network, [images])
    for first, second, again, _ in results:
        close(first, half)
        close(second, whole)
        close(again, whole)
    close(results[0][3], values(network, [images[:1]]))
    close(results[1][3], values(network, [images[1:2], images[2:]]))


@pytest.mark.parametrize("batches", [0, 1])
def test_without_other_processes_reduced_is_the_same(small_kind, images, batches: int):
    network = small_kind("vgg")
    close(values(network, [images] * batches, reduced=True), values(network, [images] * batches))
