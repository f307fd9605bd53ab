"""Networks and their Segmenters: structure against the papers' figures, behaviour against the contract."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kolbench.errors import ConfigError
from kolbench.models.components.blocks import EASPP, RSU, RSU4F, NestedU
from kolbench.models.components.gt_encoder import GTEncoder
from kolbench.models.components.mobilenet import MobileNetV2Backbone
from kolbench.models.modnet import MODNet, MODNetSegmenter
from kolbench.models.rsudisnet import RSUDISNet, RSUDISNetSegmenter
from kolbench.models.u2net import U2Net, U2NetSegmenter
from kolbench.preprocessing import minmax
from kolbench.segmenter import Segmenter
from kolbench.types import Batch

SLIM = {"channels": 16, "mid": 8, "gt_mid": 8, "tail": 320}
METHODS = {
    "u2net": lambda: U2NetSegmenter(64),
    "u2netp": lambda: U2NetSegmenter(64, variant="p"),
    "modnet": lambda: MODNetSegmenter(64),
    "modnet-easpp": lambda: MODNetSegmenter(64, context="easpp", loss="paper"),
    "rsudisnet": lambda: RSUDISNetSegmenter(128),
    "rsudisnet-other": lambda: RSUDISNetSegmenter(
        128, variant="i", context="easpp", hr_rsu7_1=True, fusion_image=True, alpha_head="sigmoid", **SLIM
    ),
    "rsudisnet-bare": lambda: RSUDISNetSegmenter(128, lambda_f=0, side_outputs=False, **SLIM),
}
QUICK = ("u2netp", "modnet", "modnet-easpp", "rsudisnet-other", "rsudisnet-bare")


def make(name: str, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return METHODS[name]()


def lively(name: str) -> Segmenter:
    """A method whose batch norms know their inputs, so that its alpha is neither flat nor saturated."""
    segmenter = make(name)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        segmenter.losses(batch_for(segmenter))
    return segmenter.eval()


def batch_for(segmenter: Segmenter, count: int = 2, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    height, width = segmenter.training_input_size(100, 100)
    image = torch.rand(count, 3, height, width, generator=generator)
    mask = torch.zeros(count, 1, height, width)
    mask[:, :, height // 4 : -height // 4, width // 3 : -width // 3] = 1
    edge = torch.zeros_like(mask)
    edge[:, :, height // 4 - 1 : height // 4 + 1] = 1
    alpha = torch.where(edge > 0, torch.full_like(mask, 0.5), mask)
    transition = nn.functional.max_pool2d(edge, 7, stride=1, padding=3)
    semantic = nn.functional.avg_pool2d(alpha, 16)
    return {"image": image, "mask": mask, "alpha": alpha, "transition": transition, "semantic": semantic}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def macs(network: nn.Module, height: int, width: int, channels: int = 3) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, channels, height, width))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: U2Net("full"), 44_009_869),
        (lambda: U2Net("p"), 1_131_181),
        (MobileNetV2Backbone, 2_223_872),
        (MODNet, 6_487_075),
        (lambda: EASPP(1280), 843_840),
        (lambda: MODNet("easpp"), 6_487_075 - 819_200 + 843_840),
        (RSUDISNet, 7_646_857),
        (lambda: RSUDISNet(rsu8_mid=16), 7_487_209),
        (lambda: RSUDISNet(context="easpp"), 7_671_497),
        (lambda: RSUDISNet(hr_rsu7_1=True), 7_900_841),
        (lambda: RSUDISNet(hr_rsu7_1=True, rsu8_mid=16), 7_741_193),
        (lambda: RSUDISNet(fusion_image=True), 7_646_857 + 1_728),
        (lambda: RSUDISNet(alpha_head="sigmoid"), 7_646_857 - 2),
        (lambda: RSUDISNet(side_outputs=False), 7_646_857 - 4 * 65),
        (lambda: RSUDISNet(mid=16, rsu8_mid=16), 6_855_625),
        (lambda: RSUDISNet(channels=32), 7_272_857),
        (lambda: RSUDISNet(channels=128), 8_783_465),
        (lambda: RSUDISNet(tail=320), 4_162_697),
        (GTEncoder, 688_899),
        (lambda: GTEncoder(mid=16), 272_451),
    ],
)
def test_parameter_counts(build, parameters: int) -> None:
    with torch.device("meta"):
        assert count(build()) == parameters


def test_parameters_of_the_branches() -> None:
    with torch.device("meta"):
        network, modnet = RSUDISNet(), MODNet()
    assert [count(part) for part in (network.lr, network.hr, network.fusion)] == [6_192_417, 711_843, 742_597]
    branches = (modnet.lr_branch, modnet.hr_branch, modnet.f_branch)
    assert [count(part) for part in branches] == [3_968_545, 245_409, 49_249]


@pytest.mark.parametrize("height", [4, 5, 6, 7, 8])
def test_rsu_parameters_follow_the_formula(height: int) -> None:
    def unit(a: int, b: int) -> int:
        return 9 * a * b + 3 * b

    def formula(i: int, m: int, o: int) -> int:
        encoder = unit(i, o) + unit(o, m) + (height - 1) * unit(m, m)
        return encoder + (height - 2) * unit(2 * m, m) + unit(2 * m, o)

    assert count(RSU(height, 5, 3, 7)) == formula(5, 3, 7)
    if height == 4:
        assert count(RSU4F(5, 3, 7)) == formula(5, 3, 7)
    if height == 7:
        assert formula(3, 32, 64) == 206_016


def test_dilations_and_poolings_of_rsu_blocks() -> None:
    def dilations(block: NestedU) -> dict[str, int]:
        return {name: unit.conv_s1.dilation[0] for name, unit in block.named_children()}

    found = dilations(RSU(6, 3, 4, 5))
    assert {name for name, dilation in found.items() if dilation != 1} == {"rebnconv6"}
    assert found["rebnconv6"] == 2
    flat = dilations(RSU4F(3, 4, 5))
    assert [flat[f"rebnconv{k}"] for k in ("in", 1, 2, 3, 4, "3d", "2d", "1d")] == [1, 1, 2, 4, 8, 4, 2, 1]


def test_rsu_keeps_odd_sizes_and_rounds_poolings_up() -> None:
    block = RSU(5, 3, 4, 6)
    sizes = {}
    for name, unit in block.named_children():
        unit.register_forward_hook(
            lambda _m, _i, out, name=name: sizes.__setitem__(name, tuple(out.shape[-2:]))
        )
    assert block(torch.rand(2, 3, 33, 47)).shape == (2, 6, 33, 47)
    assert [sizes[f"rebnconv{k}"] for k in range(1, 6)] == [(33, 47), (17, 24), (9, 12), (5, 6), (5, 6)]


def test_rsu_output_is_decoder_plus_entry() -> None:
    block = RSU(4, 3, 4, 6).eval()
    x = torch.rand(1, 3, 16, 16)
    seen = {}
    for name in ("rebnconvin", "rebnconv1d"):
        block.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, out.clone())
        )
    torch.testing.assert_close(block(x), seen["rebnconvin"] + seen["rebnconv1d"])


def test_every_rsu_bottom_of_rsudisnet_is_8x8_at_512() -> None:
    with torch.device("meta"):
        network, encoder = RSUDISNet(hr_rsu7_1=True), GTEncoder()
    bottoms = {}
    for root in (network, encoder):
        for name, block in root.named_modules():
            if isinstance(block, NestedU):
                block.get_submodule(f"rebnconv{block.height}").register_forward_hook(
                    lambda _m, _i, out, name=name: bottoms.__setitem__(name, tuple(out.shape[-2:]))
                )
    network(torch.empty(1, 3, 512, 512, device="meta"))
    encoder(torch.empty(1, 1, 512, 512, device="meta"))
    assert len(bottoms) == 10
    assert set(bottoms.values()) == {(8, 8)}


def test_shapes_of_all_maps_at_512() -> None:
    with torch.device("meta"):
        image = torch.empty(1, 3, 512, 512)
        maps = RSUDISNet().forward_train(image)
        targets = GTEncoder().features(image[:, :1])
        taps = MobileNetV2Backbone()(image)
        modnet = MODNet().forward_train(image)
    assert [tuple(tap.shape[1:]) for tap in taps] == [
        (16, 256, 256),
        (24, 128, 128),
        (32, 64, 64),
        (96, 32, 32),
        (1280, 16, 16),
    ]
    assert maps.semantic.shape == modnet.semantic.shape == (1, 1, 32, 32)
    full = [*maps.details.values(), *maps.alphas.values(), modnet.detail, modnet.matte]
    assert {tuple(value.shape) for value in full} == {(1, 1, 512, 512)}
    assert [list(maps.details), list(maps.alphas)] == [["m", "7", "6"], ["8", "7", "6"]]
    shapes = {level: tuple(value.shape) for level, value in maps.features.items()}
    assert shapes == {"8": (1, 64, 512, 512), "7": (1, 64, 256, 256), "6": (1, 64, 128, 128)}
    assert shapes == {level: tuple(value.shape) for level, value in targets.items()}


@pytest.mark.parametrize(
    ("build", "height", "width", "giga"),
    [
        (lambda: U2Net("full"), 320, 320, 58.60),
        (lambda: U2Net("p"), 320, 320, 19.76),
        (MODNet, 512, 512, 15.47),
        (MODNet, 512, 896, 27.06),
        (RSUDISNet, 512, 512, 52.85),
        (lambda: RSUDISNet(rsu8_mid=16), 512, 512, 43.79),
        (lambda: RSUDISNet(hr_rsu7_1=True), 512, 512, 59.92),
    ],
)
def test_multiply_accumulates_at_inference(build, height: int, width: int, giga: float) -> None:
    with torch.device("meta"):
        network = build()
    assert macs(network, height, width) / 1e9 == pytest.approx(giga, abs=0.006)


def test_multiply_accumulates_of_the_gt_encoder() -> None:
    with torch.device("meta"):
        encoder = GTEncoder()
    assert macs(encoder, 512, 512, channels=1) / 1e9 == pytest.approx(25.57, abs=0.006)


def test_initialisation() -> None:
    network = RSUDISNet()
    modnet_like = network.lr.conv16.layers[0]
    bound = math.sqrt(6 / (1280 * 25))
    assert modnet_like.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert not modnet_like.bias.any()
    inside_rsu = network.fusion.rsu7_3.rebnconvin.conv_s1
    assert inside_rsu.weight.abs().max().item() == pytest.approx(1 / math.sqrt(128 * 9), rel=1e-3)
    assert inside_rsu.bias.any()


@pytest.mark.parametrize("name", METHODS)
def test_gradients_reach_every_trainable_parameter(name: str) -> None:
    segmenter = make(name)
    assert segmenter.training
    loss = torch.stack(list(segmenter.losses(batch_for(segmenter)).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    trained = {n: p for n, p in segmenter.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None] == []
    # biases before a batch norm have a gradient of 0; weights must move
    assert [n for n, p in trained.items() if p.ndim > 1 and not p.grad.any()] == []
    frozen = {n for n, p in segmenter.named_parameters() if not p.requires_grad}
    assert {n.partition(".")[0] for n in frozen} <= {"gt_encoder"}


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(("height", "width"), [(33, 47), (200, 301)])
def test_predicts_at_the_size_given(name: str, height: int, width: int) -> None:
    segmenter = lively(name)
    image = torch.rand(2, 3, height, width)
    before = image.clone()
    with torch.no_grad():
        prediction = segmenter.predict(image)
    assert prediction.alpha.shape == (2, 1, height, width)
    assert prediction.alpha.dtype == torch.float32
    for value in (prediction.alpha, *prediction.aux.values()):
        assert 0 <= value.min() <= value.max() <= 1
    assert prediction.alpha.std() > 0
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", QUICK)
def test_a_batch_is_its_pictures_one_by_one(name: str) -> None:
    # in double precision, where kernels chosen by the batch size agree to the last bits of a float
    segmenter = lively(name).double()
    images = torch.rand(3, 3, 70, 90, dtype=torch.float64)
    with torch.no_grad():
        together = segmenter.predict(images).alpha
        alone = torch.cat([segmenter.predict(image[None]).alpha for image in images])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    assert not torch.allclose(alone[0], alone[1])


def test_the_input_size_of_modnet_keeps_the_aspect() -> None:
    with torch.device("meta"):
        modnet, other = MODNetSegmenter(512), U2NetSegmenter(320, variant="p")
    assert modnet.training_input_size(1080, 1920) == (512, 896)
    assert other.training_input_size(1080, 1920) == (320, 320)


def test_u2net_ignores_brightness_and_bears_black() -> None:
    segmenter = lively("u2netp")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(segmenter.predict(image).alpha, segmenter.predict(image / 2).alpha)
        assert torch.isfinite(segmenter.predict(torch.zeros_like(image)).alpha).all()


def test_minmax() -> None:
    alpha = torch.tensor([[[[0.2, 0.4, 0.6]]], [[[0.3, 0.3, 0.3]]]])
    expected = torch.tensor([[[[0.0, 0.5, 1.0]]], [[[0.3, 0.3, 0.3]]]])
    torch.testing.assert_close(minmax(alpha), expected)
    segmenter = lively("u2netp")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        plain = segmenter.predict(image).alpha
        segmenter.postprocess = "minmax"
        stretched = segmenter.predict(image).alpha
    low, high = plain.min(), plain.max()
    torch.testing.assert_close(stretched, (plain - low) / (high - low))


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def test_u2net_losses_are_seven_cross_entropies_on_the_mask() -> None:
    segmenter = make("u2netp").eval()
    batch = batch_for(segmenter)
    terms = segmenter.losses(batch)
    assert list(terms) == ["tar", *[f"side{k}" for k in range(1, 7)]]
    with torch.no_grad():
        prediction = segmenter.predict(batch["image"])
    for name, p in (("tar", prediction.alpha), ("side5", prediction.aux["side5"])):
        p, y = array(p), array(batch["mask"])
        expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        assert terms[name].item() == pytest.approx(expected, rel=1e-5)


def test_modnet_losses_of_both_recipes() -> None:
    segmenter = make("modnet").eval()
    batch = batch_for(segmenter)
    maps = segmenter.network.forward_train(2 * batch["image"] - 1)
    s, d, p = (array(value) for value in maps)
    g, m, image = array(batch["alpha"]), array(batch["transition"]), 2 * array(batch["image"]) - 1
    inside = np.where(m > 0, p, g)
    semantic = np.mean((s - array(batch["semantic"])) ** 2)
    detail = np.mean(m * np.abs(d - g))
    plain = np.mean(np.abs(p - g)) + np.mean(np.abs(image * p - image * g))
    edge = np.mean(np.abs(inside - g)) + np.mean(np.abs(image * inside - image * g))
    official = {name: term.item() for name, term in segmenter.losses(batch).items()}
    expected = {"semantic": 10 * semantic, "detail": 10 * detail, "matte": plain + 4 * edge}
    assert official == pytest.approx(expected, rel=1e-5)
    paper = MODNetSegmenter(64, loss="paper").eval()
    paper.network = segmenter.network
    found = {name: term.item() for name, term in paper.losses(batch).items()}
    assert found == pytest.approx({"semantic": semantic, "detail": 10 * detail, "matte": plain}, rel=1e-5)


def test_rsudisnet_losses_are_those_of_equation_12() -> None:
    torch.manual_seed(3)
    segmenter = RSUDISNetSegmenter(128, boundary_gain=2.0, lambda_f=0.5, **SLIM).eval()
    batch = batch_for(segmenter)
    with torch.no_grad():
        maps = segmenter.network.forward_train(2 * batch["image"] - 1)
        targets = segmenter.gt_encoder(batch["alpha"]).features
        terms = segmenter.losses(batch)
    g, m, image = array(batch["alpha"]), array(batch["transition"]), array(batch["image"])
    expected = {"semantic": 3 * 0.5 * np.mean((array(maps.semantic) - array(batch["semantic"])) ** 2)}
    for level in ("m", "7", "6"):
        expected[f"detail_{level}"] = 10 * np.mean(m * np.abs(array(maps.details[level]) - g))
    for level in ("8", "7", "6"):
        error = np.abs(array(maps.alphas[level]) - g)
        expected[f"alpha_{level}"] = 3 * np.mean(error)
        expected[f"comp_{level}"] = 3 * np.mean(image * error)
        expected[f"boundary_{level}"] = 3 * 2 * np.mean(m * error)
        expected[f"feature_{level}"] = 0.5 * np.mean(
            (array(maps.features[level]) - array(targets[level])) ** 2
        )
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_composition_option() -> None:
    segmenter = RSUDISNetSegmenter(128, comp_loss="fb", **SLIM)
    batch = batch_for(segmenter)
    with pytest.raises(ConfigError, match=r"model\.comp_loss=fb"):
        segmenter.losses(batch)
    same = torch.rand_like(batch["image"])
    known: Batch = {**batch, "foreground": same, "background": same}
    assert segmenter.losses(known)["comp_8"].item() == 0
    without = RSUDISNetSegmenter(128, comp_loss="none", **SLIM)
    assert not [name for name in without.losses(batch) if name.startswith("comp")]


def test_bn_relu_alpha_is_clamped_at_inference_only() -> None:
    segmenter = RSUDISNetSegmenter(128, **SLIM).eval()
    nn.init.constant_(segmenter.network.fusion.head.bn.bias, 3.0)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert segmenter.network.forward_train(image).alphas["8"].max() > 1.5
        assert segmenter.network(image).max() == 1


def test_gt_encoder_is_frozen_outside_its_pretraining() -> None:
    segmenter = RSUDISNetSegmenter(128, **SLIM)
    (stage,) = segmenter.pretraining()
    assert stage.segmenter.network is segmenter.gt_encoder
    settings = (stage.name, stage.lr, stage.max_steps, stage.check_every, stage.stop_f)
    assert settings == ("gt_encoder", 1e-3, 3000, 250, 0.99)
    stage.segmenter.requires_grad_(True).train()
    torch.stack(list(stage.segmenter.losses(batch_for(segmenter)).values())).sum().backward()
    assert all(p.grad is not None for p in segmenter.gt_encoder.parameters())
    segmenter.gt_encoder.zero_grad()
    before = {name: value.clone() for name, value in segmenter.gt_encoder.state_dict().items()}
    terms = segmenter.train().losses(batch_for(segmenter))
    torch.stack(list(terms.values())).sum().backward()
    assert not any(module.training for module in segmenter.gt_encoder.modules())
    assert all(p.grad is None and not p.requires_grad for p in segmenter.gt_encoder.parameters())
    assert all(torch.equal(before[n], v) for n, v in segmenter.gt_encoder.state_dict().items())


def test_gt_encoder_in_train_mode_moves_its_statistics_only() -> None:
    segmenter = RSUDISNetSegmenter(128, gt_encoder_mode="train", **SLIM).eval()
    before = {name: value.clone() for name, value in segmenter.gt_encoder.state_dict().items()}
    segmenter.losses(batch_for(segmenter))
    moved = {n for n, v in segmenter.gt_encoder.state_dict().items() if not torch.equal(before[n], v)}
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.rpartition(".")[2] for name in moved} == statistics


def test_gt_encoder_learns_the_alpha_it_reads() -> None:
    torch.manual_seed(0)
    segmenter = RSUDISNetSegmenter(128, **SLIM)
    stage = segmenter.pretraining()[0].segmenter
    stage.requires_grad_(True).train()
    optimizer = torch.optim.Adam(stage.parameters(), lr=1e-2)
    batch = batch_for(segmenter)
    for _ in range(15):
        optimizer.zero_grad()
        torch.stack(list(stage.losses(batch).values())).sum().backward()
        optimizer.step()
    assert stage.input_keys == ("alpha",)
    prediction = stage.predict(batch["alpha"])
    assert prediction.alpha.shape == batch["alpha"].shape
    inside, outside = batch["mask"] > 0, batch["mask"] == 0
    assert prediction.alpha[inside].mean() > prediction.alpha[outside].mean() + 0.3


def test_no_intermediate_supervision_without_its_weight() -> None:
    segmenter = make("rsudisnet-bare")
    assert segmenter.gt_encoder is None
    assert segmenter.pretraining() == ()
    assert set(segmenter.losses(batch_for(segmenter))) == {"semantic", "detail_m", "alpha_8", "comp_8"}


@torch.no_grad()
def test_modnet_may_see_wide_pictures_stretched() -> None:
    torch.manual_seed(0)
    segmenter = MODNetSegmenter(64, resize_mode="stretch").eval()
    image = torch.rand(1, 3, 90, 160)
    assert segmenter.training_input_size(90, 160) == (64, 64)
    small = F.interpolate(image, (64, 64), mode="bilinear", antialias=True)
    alpha = F.interpolate(segmenter.network(2 * small - 1), (90, 160), mode="bilinear")
    torch.testing.assert_close(segmenter.predict(image).alpha, alpha, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: U2NetSegmenter(64, variant="small"), r"model\.variant=small .* full, p"),
        (lambda: U2NetSegmenter(64, "p", postprocess="max"), r"model\.postprocess=max .*minmax"),
        (lambda: U2NetSegmenter(64, "p", resize_mode="crop"), r"model\.resize_mode=crop"),
        (lambda: U2NetSegmenter(100, "p"), r"model\.size=100 .* nearest is 96"),
        (lambda: MODNetSegmenter(64, context="aspp"), r"model\.context=aspp .* mean model\.context=easpp"),
        (lambda: MODNetSegmenter(64, loss="mine"), r"model\.loss=mine"),
        (lambda: MODNetSegmenter(64, resample="nearest"), r"model\.resample=nearest"),
        (lambda: MODNetSegmenter(64, resize_mode="crop"), r"resize_mode=crop .*stretch, shortest_edge"),
        (lambda: RSUDISNetSegmenter(128, variant="b"), r"model\.variant=b"),
        (lambda: RSUDISNetSegmenter(128, context="no"), r"model\.context=no"),
        (lambda: RSUDISNetSegmenter(128, alpha_head="relu"), r"model\.alpha_head=relu"),
        (lambda: RSUDISNetSegmenter(128, comp_loss="bf"), r"model\.comp_loss=bf"),
        (lambda: RSUDISNetSegmenter(128, mask_mean="any"), r"model\.mask_mean=any"),
        (lambda: RSUDISNetSegmenter(128, gt_encoder_mode="on"), r"model\.gt_encoder_mode=on"),
        (lambda: RSUDISNetSegmenter(128, tail=640), r"model\.tail=640"),
        (lambda: RSUDISNetSegmenter(128, lambda_d=-1), r"model\.lambda_d=-1"),
    ],
)
def test_wrong_settings_are_named(build, message: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        build()
