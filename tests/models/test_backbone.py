"""Taps, weights and what is said when they do not fit."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from gaze.errors import ConfigError, ModelError
from gaze.models.backbone import SMOOTH, build_backbone, leave_out
from gaze.models.config import BackboneConfig

IMAGE = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def config(
    name="lcnet_035", taps=(2, 4), weights="none", reparameterize=False, activation=None, skip=()
) -> BackboneConfig:
    return BackboneConfig(name, list(taps), weights, reparameterize, activation, list(skip))


def test_taps_by_stage_have_the_channels_and_strides_they_report():
    backbone = build_backbone(config())
    taps = backbone(IMAGE)
    assert backbone.strides == [8, 32]
    assert [tuple(tap.shape) for tap in taps] == [
        (1, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)
    ]


def test_pixels_are_normalised_as_the_weights_expect():
    backbone = build_backbone(config())
    mean, std = (torch.tensor(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = backbone.features(((IMAGE / 255 - mean) / std).permute(0, 3, 1, 2))
    for tap, reference in zip(backbone(IMAGE), expected, strict=True):
        torch.testing.assert_close(tap, reference, rtol=1e-3, atol=1e-4)


def test_taps_by_module_name_are_the_activations_before_the_next_layer_changes_them():
    backbone = build_backbone(config("vgg11", ["features.0", "features.4"]))
    pixels = (IMAGE.permute(0, 3, 1, 2) - backbone.mean) / backbone.std
    layers = list(backbone.features.children())
    first = layers[0](pixels)
    assert (first < 0).any()  # a convolution's output; an in-place ReLU behind it would have cut it off
    torch.testing.assert_close(backbone(IMAGE)[0], first)
    assert len(layers) == 5  # nothing behind the deepest tap is kept


def test_batch_norm_keeps_its_statistics_while_training():
    backbone = build_backbone(config())
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    assert backbone.train() is backbone
    assert backbone.training
    assert norms
    backbone(IMAGE)
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))


@pytest.mark.parametrize(("name", "taps"), [("lcnet_035", (2, 4)), ("densenet121", (1, 2)), ("vgg11_bn", (2,))])
def test_weights_of_the_full_model_load_into_the_tapped_one(name, taps, tmp_path):
    torch.manual_seed(3)
    full = timm.create_model(name).eval()
    if not hasattr(full, "forward_intermediates"):
        pytest.skip("an older timm does not read this architecture within")
    halves = {k: v.half() if v.ndim > 1 else v for k, v in full.state_dict().items() if "classifier" not in k}
    save_file(halves, tmp_path / "weights.safetensors")
    tapped = build_backbone(config(name, taps, str(tmp_path / "weights.safetensors"))).eval()
    full.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in halves.items()}, strict=False)
    pixels = (IMAGE.permute(0, 3, 1, 2) - tapped.mean) / tapped.std
    with torch.no_grad():
        expected = full.forward_intermediates(pixels, indices=list(taps), intermediates_only=True)
        for tap, reference in zip(tapped(IMAGE), expected, strict=True):
            torch.testing.assert_close(tap, reference)


def test_mobileone_loads_reparameterized_weights(tmp_path):
    full = timm.utils.reparameterize_model(timm.create_model("mobileone_s0").eval())
    save_file(full.state_dict(), tmp_path / "weights.safetensors")
    settings = config("mobileone_s0", (1, 2, 3), str(tmp_path / "weights.safetensors"), True)
    backbone = build_backbone(settings)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    with pytest.raises(ModelError, match="weights of another model"):
        build_backbone(config("mobileone_s0", (1, 2, 3), str(tmp_path / "weights.safetensors"), False))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "taps", "file", "fused"),
    [
        ("densenet169", (3,), "densenet169", False),
        ("tf_efficientnetv2_b0", (2, 3, 4), "tf_efficientnetv2_b0", False),
        ("mobileone_s0", (1, 2, 3), "mobileone_s0_reparam", True),
    ],
)
def test_imagenet_weights_load(shared, name, taps, file, fused):
    path = shared / "weights" / f"{file}_imagenet.safetensors"
    random, loaded = (build_backbone(config(name, taps, w, fused)).eval() for w in ("none", str(path)))
    spread = [backbone(IMAGE)[-1].std().item() for backbone in (random, loaded)]
    assert spread[0] != pytest.approx(spread[1])


def test_a_missing_weight_is_named_and_nothing_stays_random(tmp_path):
    state = timm.create_model("lcnet_035").state_dict()
    del state["blocks.1.0.conv_dw.weight"]
    save_file(state, tmp_path / "holes.safetensors")
    with pytest.raises(ModelError, match=r"blocks\.1\.0\.conv_dw\.weight is not in the file"):
        build_backbone(config(weights=str(tmp_path / "holes.safetensors")))


def test_errors_name_what_was_wrong_and_what_was_expected(tmp_path):
    (tmp_path / "text.safetensors").write_text("not tensors")
    cases = {
        "no such model": config("resnet9000"),
        "cannot be tapped there": config(taps=(2, 9)),
        "no such file": config(weights=str(tmp_path / "nowhere.safetensors")),
        "not a safetensors file": config(weights=str(tmp_path / "text.safetensors")),
    }
    for message, settings in cases.items():
        with pytest.raises(ModelError, match=message) as caught:
            build_backbone(settings)
        assert "\n" not in str(caught.value)


def test_without_a_hub_the_error_says_how_to_get_the_weights(monkeypatch):
    def no_hub(*_, **__):
        raise OSError("We couldn't connect\nto the hub")

    monkeypatch.setattr(timm, "create_model", no_hub)
    with pytest.raises(ModelError, match=r"model\.backbone\.weights=PATH") as caught:
        build_backbone(config(weights="pretrained"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "gate"), [("lcnet_050", torch.nn.Hardsigmoid), ("tf_efficientnetv2_b0", torch.nn.Sigmoid)]
)
def test_relu_takes_the_place_of_smooth_activations_and_leaves_the_gates(name, gate):
    usual, relu = (build_backbone(config(name, (2, 4), activation=kind)) for kind in (None, "relu"))
    kinds = [[type(module) for module in backbone.modules()] for backbone in (usual, relu)]
    smooth = sum(kind in SMOOTH for kind in kinds[0])
    assert smooth > 10
    assert kinds[1] == [torch.nn.ReLU if kind in SMOOTH else kind for kind in kinds[0]]
    assert kinds[1].count(gate) == kinds[0].count(gate) > 0
    assert relu.state_dict().keys() == usual.state_dict().keys()


def test_another_activation_is_refused():
    with pytest.raises(ConfigError, match=r"model\.backbone\.activation: expected relu or null, got 'elu'"):
        build_backbone(config(activation="elu"))


def test_a_residual_block_left_out_hands_its_input_on():
    torch.manual_seed(1)
    whole = build_backbone(config("tf_efficientnetv2_b0", (2, 4))).eval()
    block = whole.features.blocks[5][7]
    torch.nn.init.zeros_(block.bn3.weight)  # the branch adds nothing
    torch.nn.init.zeros_(block.bn3.bias)
    expected = whole(IMAGE)
    assert not torch.equal(block.conv_pw.weight, torch.zeros_like(block.conv_pw.weight))
    leave_out(whole, ["blocks.5.7"])
    for tap, reference in zip(whole(IMAGE), expected, strict=True):
        torch.testing.assert_close(tap, reference)
    assert not any(name.startswith("features.blocks.5.7.") for name in whole.state_dict())


def test_patterns_name_the_modules_that_are_left_out():
    usual, thin = (
        build_backbone(config("tf_efficientnetv2_b0", (2, 4), skip=s)) for s in ([], ["*.se", "blocks.4.[12]"])
    )
    gates, left = ({n for n, m in b.named_modules() if isinstance(m, torch.nn.Sigmoid)} for b in (usual, thin))
    assert len(gates) == 16
    assert not left
    gone = {name for name, _ in usual.named_parameters()} - {name for name, _ in thin.named_parameters()}
    assert {n for n in gone if ".se." not in n} == {
        n
        for n, _ in usual.named_parameters()
        if n.startswith(("features.blocks.4.1.", "features.blocks.4.2.")) and ".se." not in n
    }
    assert [tap.shape for tap in thin(IMAGE)] == [tap.shape for tap in usual(IMAGE)]


@pytest.mark.parametrize(("pattern", "message"), [("blocks.9.*", "no module"), ("blocks.2.0", "keep the shape")])
def test_what_cannot_be_left_out_is_one_line(pattern, message):
    with pytest.raises(ConfigError, match=rf"model\.backbone\.skip.*{message}") as caught:
        build_backbone(config("tf_efficientnetv2_b0", (2, 4), skip=[pattern]))
    assert "\n" not in str(caught.value)
