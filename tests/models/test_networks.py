"""Networks and their Segmenters: structure against the papers' figures, behaviour against the contract."""

import copy
import functools
import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kolbench.errors import ConfigError
from kolbench.models.components.blocks import EASPP
from kolbench.models.components.gt_encoder import GTEncoder
from kolbench.models.components.mobilenet import MobileNetV2Backbone
from kolbench.models.modnet import MODNet, MODNetSegmenter
from kolbench.models.rsudisnet import RSUDISNet, RSUDISNetSegmenter
from kolbench.models.u2net import U2Net, U2NetSegmenter
from kolbench.segmenter import Segmenter
from tests.helpers.networks import batch_for, count, lively, make

QUICK = ("u2netp", "modnet", "modnet-easpp", "rsudisnet-other", "rsudisnet-bare")


@functools.cache
def predictor(name: str) -> Segmenter:
    """A lively method, made once; nobody may change it."""
    return lively(name)


def macs(network: nn.Module, height: int, width: int, channels: int = 3) -> int:
    for module in list(network.modules()):
        for name, child in module.named_children():
            # torch works on meta tensors in Python: what multiplies nothing costs as much as what does
            if isinstance(child, nn.BatchNorm2d | nn.ReLU | nn.ReLU6):
                setattr(module, name, nn.Identity())
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


@pytest.mark.slow
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


# those of the YAMLs are in test_contract
@pytest.mark.parametrize("name", ["modnet-easpp", "rsudisnet-other", "rsudisnet-bare"])
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
    segmenter = predictor(name)
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
    segmenter = copy.deepcopy(predictor(name)).double()
    images = torch.rand(3, 3, 70, 90, dtype=torch.float64)
    with torch.no_grad():
        together = segmenter.predict(images).alpha
        alone = torch.cat([segmenter.predict(image[None]).alpha for image in images])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    assert not torch.allclose(alone[0], alone[1])


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
