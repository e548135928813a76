"""Teaches a finished network which windows of a photograph people would use as its thumbnail.

Nothing of the network changes but its preference readout, whose two maps are worth to a window what `gaze.framing`
makes of them, beside all else that the window is worth by the policy. The choice is a softmax over the places of the
window (a conditional logit: McFadden 1974, "Conditional logit analysis of qualitative choice behavior"), and the loss
is the share of readers who are expected to send the chosen window back. Readers choose windows of less gaze than the
policy does; so what was learnt is followed in part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gaze.data.store import FixationStore, photograph
from gaze.data.usable_windows import UsableWindows, read_usable_windows
from gaze.errors import ConfigError, DataError, check_settings
from gaze.files import check_free
from gaze.framing.choice import Seen
from gaze.framing.heads import Heads
from gaze.framing.policy import BESIDE, Framing
from gaze.framing.preference import Preference
from gaze.geometry import Size
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import PreferenceConfig, resized
from gaze.models.network import GazeNetwork
from gaze.models.onnx import seen
from gaze.models.preference import PreferenceReadout
from gaze.progress import say, track
from gaze.training.preference_config import PreferConfig

SHARPNESS = 16.0
"""Of the choice: by how much worth a place is e times as likely to be taken, one over it."""

NOISE = 0.15
"""Deviation of what is added to each map while it learns, in parts of the map's own: 8-bit integers add as much."""

STEP = 8
"""Of so many photographs one tells mean and deviation of the maps."""

LEAST = 1e-3
"""A deviation that nothing divides by less than."""

EDGE = 1e-6
"""Parts of a photograph's side: one that is nearer to an end is the photograph's own."""


@dataclass(frozen=True)
class Judgement:
    """The places of a window along the axis on which it can move, of n of them.

    Attributes:
        across: whether that is the width of the photograph.
        starts: n, where the window begins, in parts of that side.
        length: of the window, likewise.
        near: how far from its sides a cell is beside one, likewise.
        worth: n, by the policy alone.
        sent_back: n, the share of the readers.
    """

    across: bool
    starts: Tensor
    length: float
    near: float
    worth: Tensor
    sent_back: Tensor


@dataclass(frozen=True)
class Judged:
    """A photograph as the network sees it.

    Attributes:
        taps: what its backbone makes of the photograph and of its mirror image, 2 x C x h x w each, float16.
        judgements: of some ratios.
    """

    taps: list[Tensor]
    judgements: list[Judgement] = field(default_factory=list)


def prefer(config: PreferConfig) -> str:
    """Learns and writes a checkpoint with the preference readout.

    Returns:
        A line that says where it lies and how good it is.

    Raises:
        ConfigError: a value makes no sense, or `out` is there already.
        DataError: a store or the table is missing or damaged, or has no photograph of a split.
        ModelError: the checkpoint is missing or damaged.
    """
    check_settings(config)
    check_free([config.out], config.overwrite)
    torch.manual_seed(config.seed)
    trained = load_checkpoint(config.checkpoint)
    network = trained.network.requires_grad_(False)
    if config.longer_side is not None:
        network.config = resized(network.config, config.longer_side)
    if network.preference is not None:
        raise ConfigError(f"checkpoint={config.checkpoint}: expected a network without preference, it has one already")
    stores = {entry.name: FixationStore(entry.store) for entry in config.sets.values()}
    rows = read_usable_windows() if config.windows is None else read_usable_windows(config.windows)
    train, val = (judged_photos(network, stores, rows, split) for split in ("train", "val"))
    network.add_preference(PreferenceConfig(config.reduce, config.channels))
    before = sent_back(network, val)
    _learn(network, train, val, config)
    weaken(network, config.strength)
    after = sent_back(network, val)
    save_checkpoint(config.out, network, trained.trained_on, trained.seed)
    return f"{config.out}: {after:.3f} of the crops of validation are sent back, {before:.3f} by the policy alone"


def judged_photos(
    network: GazeNetwork, stores: dict[str, FixationStore], rows: Sequence[UsableWindows], split: str
) -> list[Judged]:
    """The photographs of a split that rows tell of, with the judgements of these.

    Raises:
        DataError: there is none.
    """
    told: dict[tuple[str, str], list[UsableWindows]] = {}
    for row in rows:
        told.setdefault((row.source, row.image), []).append(row)
    entries = [
        (store, int(index), told[name, store.names[index]])
        for name, store in stores.items()
        for index in store.indices(split)
        if (name, store.names[index]) in told
    ]
    looked_at = track(entries, f"look at {split}", unit="photo", shown=bool(entries))
    photos = [judged(network, photograph(store[index]), own) for store, index, own in looked_at]
    if not (told_of := [photo for photo in photos if photo.judgements]):
        raise DataError(f"windows: no row is of a photograph of {split} in {', '.join(stores)} that a crop can move in")
    return told_of


def judged(network: GazeNetwork, photo: NDArray[np.uint8], rows: Sequence[UsableWindows]) -> Judged:
    """A photograph, H x W x 3 uint8 RGB, and the judgements of its rows; one that can move nowhere is left out."""
    size, small = Size(photo.shape[1], photo.shape[0]), seen(network, photo)
    with torch.inference_mode():
        taps = network.backbone(torch.from_numpy(np.stack([small, small[:, ::-1]])))
        said = network.outputs(torch.from_numpy(small[None]))
    density = said["log_density"][0].double().exp().numpy()
    heads = Heads.read(said["heads"][0].numpy(), density) if "heads" in said else None
    nothing = Preference(np.zeros_like(density), np.zeros_like(density))
    policy = Seen(density / density.sum(), size, heads, nothing)
    found = Judged([tap.half() for tap in taps])
    for row in rows:
        window = row.ratio.largest(size)
        if window != size:
            found.judgements.append(_judgement(policy, size, window, row))
    return found


def _judgement(policy: Seen, size: Size, window: Size, row: UsableWindows) -> Judgement:
    places, across = policy.places(window), size.width > window.width
    starts, side, length = (
        (places.lefts, size.width, window.width) if across else (places.tops, size.height, window.height)
    )
    return Judgement(
        across,
        torch.from_numpy(starts / side).float(),
        length / side,
        BESIDE * max(size.width, size.height) / side,
        torch.from_numpy(places.worth.ravel()).float(),
        torch.from_numpy(row.sent_back(starts / (side - length))).float(),
    )


def worth(maps: Tensor, judgement: Judgement, mirrored: bool = False) -> Tensor:
    """What `Preference.worth` says of the places of a judgement.

    Args:
        maps: 2 x h x w, `inside` and `sides`.
        judgement: n places.
        mirrored: whether the maps are of the mirror image.

    Returns:
        n, in the order of the judgement.
    """
    inside, sides = maps.mean(1 if judgement.across else 2)  # all of the other axis is in every window
    starts = 1 - judgement.length - judgement.starts if mirrored and judgement.across else judgement.starts
    held = _upto(inside, starts + judgement.length) - _upto(inside, starts)
    for side in (starts, starts + judgement.length):
        movable = ((side > EDGE) & (side < 1 - EDGE)).float()
        held = held - movable * (_upto(sides, side + judgement.near) - _upto(sides, side - judgement.near))
    return held


def _upto(profile: Tensor, ends: Tensor) -> Tensor:
    """The mean of evenly filled cells, n of them, counted up to ends in parts of their whole length."""
    ends = ends.clamp(0, 1) * len(profile)
    cell = ends.long().clamp(max=len(profile) - 1)
    return (F.pad(profile.cumsum(0), (1, 0))[cell] + (ends - cell) * profile[cell]) / len(profile)


def total(maps: Tensor, judgement: Judgement, mirrored: bool = False) -> Tensor:
    """What each place is worth by the policy and by preference, n."""
    return judgement.worth + Framing.cut_weight * worth(maps, judgement, mirrored)


@torch.no_grad()
def sent_back(network: GazeNetwork, photos: Sequence[Judged]) -> float:
    """The share of the readers who would send back what the network chooses, the mean over judgements."""
    assert network.preference is not None
    found = []
    for photo in photos:
        maps = network.preference.maps([tap[:1].float() for tap in photo.taps])[0]
        found += [float(judgement.sent_back[total(maps, judgement).argmax()]) for judgement in photo.judgements]
    return float(np.mean(found))


def _learn(network: GazeNetwork, train: Sequence[Judged], val: Sequence[Judged], config: PreferConfig) -> None:
    """Trains the readout, and leaves it as it was after the best epoch."""
    readout = network.preference
    assert readout is not None
    standardise(readout, train)
    random = np.random.default_rng(config.seed)
    optimizer = torch.optim.AdamW(readout.requires_grad_().parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)
    best, kept = np.inf, {}
    for epoch in range(1, config.epochs + 1):
        order = random.permutation(len(train))
        batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
        for batch in track(batches, f"epoch {epoch}", unit="update"):
            loss = torch.stack([each for i in batch for each in _losses(network, train[i], bool(random.integers(2)))])
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
        schedule.step()
        now = sent_back(network, val)
        say(f"epoch {epoch}: {now:.4f} sent back")
        if now < best:
            best, kept = now, {key: value.clone() for key, value in readout.state_dict().items()}
    readout.load_state_dict(kept)
    readout.requires_grad_(False)


@torch.no_grad()
def weaken(network: GazeNetwork, strength: float) -> None:
    """Has the network say this many times what it learnt to prefer."""
    assert network.preference is not None
    for parameter in network.preference.layers[-1].parameters():
        parameter.mul_(strength)


@torch.no_grad()
def standardise(readout: PreferenceReadout, photos: Sequence[Judged]) -> None:
    """Has what the readout begins with see maps of mean 0 and deviation 1, as its random weights are made for that."""
    for number, layer in enumerate(readout.reduce):
        maps = torch.cat([photo.taps[number].float().transpose(0, 1).flatten(1) for photo in photos[::STEP]], 1)
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        layer.weight.div_(maps.std(1)[:, None, None] + LEAST)
        layer.bias.sub_(layer.weight[:, :, 0, 0] @ maps.mean(1))


def _losses(network: GazeNetwork, photo: Judged, mirrored: bool) -> list[Tensor]:
    """The share of the readers who are expected to send back what is chosen, of each judgement of a photograph."""
    assert network.preference is not None
    taps = [tap[int(mirrored) :][:1].float() for tap in photo.taps]
    noisy = [tap + NOISE * tap.std((2, 3), keepdim=True) * torch.randn_like(tap) for tap in taps]
    maps = network.preference.maps(noisy)[0]
    return [
        torch.softmax(SHARPNESS * total(maps, judgement, mirrored), 0) @ judgement.sent_back
        for judgement in photo.judgements
    ]
