"""A checkpoint rebuilds its own network and runs no code."""

import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from gaze.errors import ModelError
from gaze.models import build_network, checkpoints
from gaze.models.checkpoints import PREFIX, describe, load_checkpoint
from gaze.models.widths import set_widths
from tests.models.conftest import small_config


def save(network, path) -> None:
    state = {PREFIX + key: value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, **describe(network, ["osie"], 7)}, path)


def test_comes_back_as_it_was(network, tmp_path):
    save(network, tmp_path / "net.ckpt")
    trained = load_checkpoint(tmp_path / "net.ckpt")
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(trained.network(images), network(images))
    assert (trained.network.config, trained.trained_on, trained.seed) == (network.config, ["osie"], 7)
    assert not trained.network.training


def test_a_narrowed_network_comes_back_narrow(network, tmp_path):
    set_widths(network, {"readout.layers.0": [24, 3], "readout.layers.1": [3, 1]})
    save(network, tmp_path / "net.ckpt")
    rebuilt = load_checkpoint(tmp_path / "net.ckpt").network
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert rebuilt.readout.layers[0].out_channels == 3
    assert torch.equal(rebuilt(images), network(images))


def test_a_checkpoint_from_before_widths_still_loads(network, tmp_path):
    save(network, tmp_path / "net.ckpt")
    checkpoint = torch.load(tmp_path / "net.ckpt")
    del checkpoint["widths"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert load_checkpoint(tmp_path / "old.ckpt").seed == 7


@pytest.mark.parametrize("later", ["activation", "skip"])
def test_a_checkpoint_from_before_a_field_still_loads(network, tmp_path, later):
    save(network, tmp_path / "net.ckpt")
    checkpoint = torch.load(tmp_path / "net.ckpt")
    del checkpoint["model"]["backbone"][later]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert load_checkpoint(tmp_path / "old.ckpt").network.config == network.config


def test_the_activation_travels_with_the_checkpoint(network, tmp_path):
    relu = build_network(small_config(activation="relu")).eval()
    relu.load_state_dict(network.state_dict())
    save(relu, tmp_path / "net.ckpt")
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(load_checkpoint(tmp_path / "net.ckpt").network(images), relu(images))
    assert not torch.equal(relu(images), network(images))


def test_what_is_left_out_stays_out_when_a_checkpoint_is_loaded(tmp_path):
    thin = build_network(small_config(skip=["*.se"])).eval()
    save(thin, tmp_path / "net.ckpt")
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    loaded = load_checkpoint(tmp_path / "net.ckpt").network
    assert not any("se." in name for name in loaded.state_dict())
    assert torch.equal(loaded(images), thin(images))


class Code:
    """Says that it ran, where it is unpickled."""

    def __reduce__(self):
        return (print, ("ran",))


LAYER = f"{PREFIX}readout.layers.0.weight"
ARCHIVE = "expected an archive of torch.save"
FILES = {
    "empty": (lambda whole: b"", ARCHIVE),
    "text": (lambda whole: b"a letter\n" * 99, ARCHIVE),
    "zeros": (lambda whole: bytes(9999), ARCHIVE),
    "another format": (lambda whole: b"\x89PNG\r\n\x1a\n" + whole[8:2000], ARCHIVE),
    "a tar": (lambda whole: b"a" * 257 + b"ustar\x0000" + bytes(3000), ARCHIVE),
    "a bare pickle": (lambda whole: pickle.dumps(Code(), protocol=2), ARCHIVE),
    "cut in the middle": (lambda whole: whole[: len(whole) // 2], ARCHIVE),
    "cut at the end": (lambda whole: whole[:-9], ARCHIVE),
    "an empty archive": (lambda whole: b"PK\x05\x06" + bytes(18), "expected tensors and plain values alone"),
}


@pytest.mark.parametrize(("damage", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_checkpoint_is_one_line_that_names_it(network, tmp_path, damage, message):
    path = tmp_path / "net.ckpt"
    save(network, path)
    path.write_bytes(damage(path.read_bytes()))
    assert_refused(path, message)


def assert_refused(path, message):
    with pytest.raises(ModelError, match=message) as caught:
        load_checkpoint(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: not a checkpoint of gaze, or a damaged one (")
    assert "\n" not in said
    assert "weights_only" not in said, "nobody is told to run a file's code"


CONTENTS = {
    "no mapping": (lambda content: [content], "expected model and state_dict by name, got list"),
    "a tensor": (lambda content: torch.zeros(3), "expected model and state_dict by name, got Tensor"),
    "nothing": (lambda content: {}, "it lacks 'model'"),
    "no weights": (lambda content: {"model": content["model"]}, "it lacks 'state_dict'"),
    "code": (lambda content: {**content, "more": Code()}, "expected tensors and plain values alone"),
    "a model of another kind": (lambda content: {**content, "model": "quality"}, "Invalid input"),
    "an unknown key": (lambda content: {**content, "model": {**content["model"], "depth": 3}}, "Key 'depth' not in"),
    "a value out of range": (
        lambda content: changed(content, ["model", "input", "multiple"], 0),
        "expected at least 1",
    ),
    "an unknown backbone": (lambda content: changed(content, ["model", "backbone", "name"], "rock"), "no such model"),
    "taps that are not there": (lambda content: changed(content, ["model", "backbone", "taps"], [99]), "tapped"),
    "no weights by name": (lambda content: {**content, "state_dict": [1]}, "'list' object"),
    "weights by number": (lambda content: {**content, "state_dict": {1: torch.zeros(1)}}, "'int' object"),
    "weights that are words": (
        lambda content: changed(content, ["state_dict", LAYER], "heavy"),
        "readout.layers.0.weight",
    ),
    "weights too few": (lambda content: {**content, "state_dict": {}}, "Error.* Missing key"),
    "weights of another shape": (
        lambda content: changed(content, ["state_dict", LAYER], torch.zeros(3, 5)),
        "size mismatch for readout.layers.0.weight",
    ),
    "NaN": (
        lambda content: changed(content, ["state_dict", LAYER], content["state_dict"][LAYER] * float("nan")),
        "readout.layers.0.weight: expected finite weights, got NaN or infinity",
    ),
    "infinity": (
        lambda content: changed(content, ["state_dict", LAYER], content["state_dict"][LAYER] + float("inf")),
        "readout.layers.0.weight: expected finite weights, got NaN or infinity",
    ),
    "widths of another kind": (lambda content: {**content, "widths": [1]}, "'list' object"),
    "widths too wide": (lambda content: changed(content, ["widths", "readout.layers.0"], [10**9, 10**9]), "at most"),
    "widths of a layer that is none": (lambda content: changed(content, ["widths", "backbone"], [1]), "'Backbone'"),
    "widths of no layer": (lambda content: changed(content, ["widths", "stairs"], [1]), "no layer stairs"),
    "widths unlike the weights": (lambda content: changed(content, ["widths", "readout.layers.0"], [1, 1]), "mismatch"),
    "a readout too wide": (
        lambda content: changed(content, ["model", "readout", "channels"], [10**9, 1]),
        "readout and center_bias: expected at most",
    ),
    "a reduction too wide": (
        lambda content: changed(content, ["model", "readout", "reduce"], 10**8),
        "readout and center_bias: expected at most",
    ),
    "a readout too deep": (
        lambda content: changed(content, ["model", "readout", "channels"], [1] * 300_000),
        "model: expected at most 1000 values, got 3000",
    ),
    "a center bias too large": (
        lambda content: changed(content, ["model", "finalizer", "center_bias"], [10**6, 10**6]),
        "readout and center_bias: expected at most",
    ),
    "too many taps": (
        lambda content: changed(content, ["model", "backbone", "taps"], [2] * 300_000),
        "model: expected at most 1000 values, got 3000",
    ),
    "too many patterns": (
        lambda content: changed(content, ["model", "backbone", "skip"], ["*"] * 300_000),
        "model: expected at most 1000 values, got 3000",
    ),
    "a backbone larger than the weights": (
        lambda content: changed(content, ["model", "backbone", "name"], "regnetx_320"),
        "the network has no layer",
    ),
    "a tensor of one number": (
        lambda content: changed(content, ["state_dict", LAYER], torch.zeros(1).expand(10**6, 10**6)),
        r"readout.layers.0.weight: expected all numbers of its shape \[1000000, 1000000\]",
    ),
    "a tensor without numbers": (
        lambda content: changed(content, ["state_dict", LAYER], torch.empty(4, 24, 1, 1, device="meta")),
        "readout.layers.0.weight: expected numbers, got none",
    ),
    "a seed that is none": (lambda content: {**content, "seed": "x"}, "invalid literal"),
    "data sets that are none": (lambda content: {**content, "trained_on": 5}, "'int' object"),
}


def changed(content, keys, value):
    """The content with another value at nested keys."""
    key, *rest = keys
    return {**content, key: changed(content[key], rest, value) if rest else value}


@pytest.mark.parametrize(("damage", "message"), CONTENTS.values(), ids=CONTENTS)
def test_content_that_is_no_checkpoint_s_is_one_line_that_names_the_file(network, tmp_path, capsys, damage, message):
    path = tmp_path / "net.ckpt"
    save(network, path)
    torch.save(damage(torch.load(path, weights_only=True)), path)
    assert_refused(path, message)
    assert capsys.readouterr().out == ""


def test_no_memory_is_taken_for_more_than_the_file_holds(network, tmp_path):
    """In a process of its own, whose memory is all its own."""
    path = tmp_path / "net.ckpt"
    save(network, path)
    content = torch.load(path, weights_only=True)
    paths = []
    for number, (keys, value) in enumerate(
        [
            (["model", "backbone", "name"], "regnetx_320"),
            (["model", "readout", "channels"], [60_000, 1]),
            (["model", "readout", "channels"], [5_000, 5_000, 1]),
        ]
    ):
        paths.append(tmp_path / f"{number}.ckpt")
        torch.save({**changed(content, keys, value), "widths": {}}, paths[-1])
    told = subprocess.run([sys.executable, "-c", GREEDY, *paths], capture_output=True, text=True, timeout=300)
    assert told.stderr == ""
    assert float(told.stdout) < 2**26


GREEDY = """
import resource, sys
from gaze.errors import ModelError
from gaze.models.checkpoints import load_checkpoint
import timm, torch, torch.nn

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def refuse(path):
    try:
        load_checkpoint(path)
    except ModelError:
        return
    raise SystemExit(path)

refuse(sys.argv[3])  # what is imported only then
before = peak()
for path in sys.argv[1:]:
    refuse(path)
print(peak() - before)
"""


def test_an_archive_that_unpacks_to_more_than_it_has_is_refused(network, tmp_path):
    save(network, tmp_path / "net.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "net.ckpt") as archive,
        zipfile.ZipFile(tmp_path / "small.ckpt", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for entry in archive.infolist():
            small.writestr(entry.filename, archive.read(entry))
    assert_refused(tmp_path / "small.ckpt", "unpacks to more bytes than it has")


def test_tensors_that_share_their_numbers_are_trained_apart(network, tmp_path):
    path, other = tmp_path / "net.ckpt", f"{PREFIX}readout.reduce.0.bias"
    save(network, path)
    content = torch.load(path, weights_only=True)
    content["state_dict"][other] = content["state_dict"][f"{PREFIX}readout.reduce.1.bias"]
    torch.save(content, path)
    readout = load_checkpoint(path).network.readout
    assert readout.reduce[0].bias.data_ptr() != readout.reduce[1].bias.data_ptr()
    assert readout.reduce[0].bias.requires_grad


def test_a_backbone_with_numbers_that_no_file_holds_comes_back(tmp_path, monkeypatch):
    network = build_network(small_config()).eval()
    network.backbone.features.register_buffer("bands", torch.arange(3.0), persistent=False)
    build = checkpoints.build_network

    def with_bands(config, load_weights):
        made = build(config, load_weights=load_weights)
        made.backbone.features.register_buffer("bands", torch.arange(3.0), persistent=False)
        return made

    monkeypatch.setattr(checkpoints, "build_network", with_bands)
    save(network, tmp_path / "net.ckpt")
    found = load_checkpoint(tmp_path / "net.ckpt").network
    assert torch.equal(found.backbone.features.bands, torch.arange(3.0))
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network.parameters(), strict=True))


def test_a_checkpoint_that_is_not_there_or_a_folder(tmp_path):
    for path in (tmp_path / "nowhere.ckpt", tmp_path):
        with pytest.raises(ModelError, match="no such checkpoint"):
            load_checkpoint(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "attack.ckpt").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "attack.ckpt")
    assert not (tmp_path / "ran").exists()


def test_interpolations_in_a_checkpoint_are_not_resolved(network, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "mobilenetv4_conv_small")
    save(network, tmp_path / "net.ckpt")
    content = torch.load(tmp_path / "net.ckpt", weights_only=True)
    for text in ("${oc.env:SECRET}", "${backbone}", "${oc.env:HOME,x}"):
        content["model"]["backbone"]["name"] = text
        torch.save(content, tmp_path / "net.ckpt")
        with pytest.raises(ModelError, match=r"not a checkpoint of gaze.*expected plain values, got '\$\{") as caught:
            load_checkpoint(tmp_path / "net.ckpt")
        assert "mobilenetv4" not in str(caught.value)
