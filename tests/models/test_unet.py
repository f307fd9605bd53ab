"""The report's U-Net, and what those of segmentation-models-pytorch share with it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kolbench.config import compose
from kolbench.errors import ConfigError, WeightsError
from kolbench.models.losses.bce import probability_cross_entropy
from kolbench.models.unet import ConvBlock, UNet, UNetSegmenter, he_normal_
from kolbench.models.unet_smp import SmpSegmenter
from kolbench.types import Prediction
from tests.helpers.networks import count

# section 10 of the specification: parameters layer by layer
TABLE = {
    "c1.conv1": 448,
    "c1.conv2": 2_320,
    "c2.conv1": 4_640,
    "c2.conv2": 9_248,
    "c3.conv1": 18_496,
    "c3.conv2": 36_928,
    "c4.conv1": 73_856,
    "c4.conv2": 147_584,
    "c5.conv1": 295_168,
    "c5.conv2": 590_080,
    "u6": 131_200,
    "c6.conv1": 295_040,
    "c6.conv2": 147_584,
    "u7": 32_832,
    "c7.conv1": 73_792,
    "c7.conv2": 36_928,
    "u8": 8_224,
    "c8.conv1": 18_464,
    "c8.conv2": 9_248,
    "u9": 2_064,
    "c9.conv1": 4_624,
    "c9.conv2": 2_320,
    "out": 17,
}

RATES = {1: 0.1, 2: 0.1, 3: 0.2, 4: 0.2, 5: 0.3, 6: 0.2, 7: 0.2, 8: 0.1, 9: 0.1}

METHODS = {"unet": lambda: UNetSegmenter(64), "unet_smp": lambda: SmpSegmenter(64)}


def make(name, seed=0):
    torch.manual_seed(seed)
    return METHODS[name]()


def batch_of_discs(size=64, pictures=2):
    """Noisy pictures of an ellipse whose colour is the complement of its background."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    images, masks = [], []
    for k in range(pictures):
        mask = (((x - 20 - 12 * k) / 12) ** 2 + ((y - 34) / 22) ** 2 < 1).float()
        background = torch.rand(3, 1, 1, generator=generator)
        clean = (1 - background) * mask + background * (1 - mask)
        images.append((clean + 0.1 * torch.randn(3, size, size, generator=generator)).clamp(0, 1))
        masks.append(mask[None])
    return {"image": torch.stack(images), "mask": torch.stack(masks)}


@pytest.mark.parametrize(
    ("options", "parameters"),
    [({}, 1_941_105), ({"channels_in": 1}, 1_940_817), ({"filters": 64}, 31_031_745)],
)
def test_parameters(options, parameters):
    with torch.device("meta"):
        assert count(UNet(**options)) == parameters


def test_parameters_layer_by_layer():
    network = UNet()
    layers = {n: count(m) for n, m in network.named_modules() if list(m.parameters(recurse=False))}
    assert layers == TABLE
    assert not [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kernels = {n: (m.kernel_size, m.stride) for n, m in network.named_modules() if n.startswith("u")}
    assert kernels == {f"u{k}": ((2, 2), (2, 2)) for k in range(6, 10)}


def test_dropout_rates_and_place():
    network = UNet().train()
    rates = {n: m.p for n, m in network.named_modules() if isinstance(m, nn.Dropout)}
    assert rates == {f"c{k}.dropout": rate for k, rate in RATES.items()}
    block = network.c5
    seen = {}
    block.conv1.register_forward_hook(lambda _m, _i, out: seen.update(conv1=out))
    block.dropout.register_forward_hook(lambda _m, given, out: seen.update(given=given[0], dropped=out))
    block.conv2.register_forward_pre_hook(lambda _m, given: seen.update(conv2=given[0]))
    block(torch.rand(2, 128, 24, 24))
    assert torch.equal(seen["given"], seen["conv1"].relu())
    assert torch.equal(seen["conv2"], seen["dropped"])
    positive = seen["given"] > 0
    kept = seen["dropped"] > 0
    torch.testing.assert_close(seen["dropped"][kept], seen["given"][kept] / 0.7)
    # single elements fall, not whole channels: the share is within 5 sigma in every channel
    shares = (positive & ~kept).sum((0, 2, 3)) / positive.sum((0, 2, 3)).clamp(min=1)
    sigma = (0.3 * 0.7 / positive.sum((0, 2, 3)).clamp(min=1)).sqrt()
    busy = positive.sum((0, 2, 3)) > 200
    assert busy.sum() > 30
    assert ((shares - 0.3).abs() < 5 * sigma)[busy].all()


def test_he_normal_has_keras_standard_deviation_and_cut():
    torch.manual_seed(0)
    weight = torch.empty(400, 100, 3, 3)
    he_normal_(weight)
    expected = math.sqrt(2 / 900)
    # the standard error of a standard deviation is below std / sqrt(2 n) for tails lighter than normal
    assert weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * weight.numel()))
    edge = 2 * expected / 0.87962566
    assert 0.995 * edge < weight.abs().max().item() <= edge * (1 + 1e-6)


def test_initialisation_layer_by_layer():
    torch.manual_seed(1)
    network = UNet()
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            continue
        assert not module.bias.any()
        weight, area = module.weight, module.kernel_size[0] ** 2
        error = 4 / math.sqrt(2 * weight.numel())
        if module.kernel_size == (3, 3):
            assert weight.std(correction=0).item() == pytest.approx(
                math.sqrt(2 / (area * module.in_channels)), rel=error
            ), name
        else:
            limit = math.sqrt(6 / (area * (module.in_channels + module.out_channels)))
            assert weight.abs().max().item() <= limit
            if name != "out":
                assert weight.abs().max().item() > 0.99 * limit
                assert weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=error), name


def numpy_conv3(x, weight, bias):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]
    out = np.tile(bias[:, None, None], (1, height, width))
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + height, dx : dx + width]
            out += np.einsum("oc,chw->ohw", weight[:, :, dy, dx], window)
    return out


def test_a_block_against_numpy():
    block = ConvBlock(3, 5, 0.5).double().eval()
    x = torch.randn(1, 3, 7, 9, dtype=torch.float64)
    values = {name: value.detach().numpy() for name, value in block.named_parameters()}
    inner = np.maximum(numpy_conv3(x[0].numpy(), values["conv1.weight"], values["conv1.bias"]), 0)
    expected = np.maximum(numpy_conv3(inner, values["conv2.weight"], values["conv2.bias"]), 0)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), expected, atol=1e-12)


def functional_unet(state, x):
    """The script's forward, written from the table alone."""

    def double(x, name):
        for conv in ("conv1", "conv2"):
            x = F.conv2d(x, state[f"{name}.{conv}.weight"], state[f"{name}.{conv}.bias"], padding=1)
            x = torch.where(x > 0, x, torch.zeros_like(x))
        return x

    def up(x, name):
        b, _, h, w = x.shape
        weight = state[f"{name}.weight"]
        # every pixel becomes a 2x2 patch of its own
        patches = torch.einsum("bchw,cokl->bohkwl", x, weight)
        return patches.reshape(b, weight.shape[1], 2 * h, 2 * w) + state[f"{name}.bias"].view(1, -1, 1, 1)

    def pool(x):
        b, c, h, w = x.shape
        return x.reshape(b, c, h // 2, 2, w // 2, 2).amax(dim=(3, 5))

    c1 = double(x, "c1")
    c2 = double(pool(c1), "c2")
    c3 = double(pool(c2), "c3")
    c4 = double(pool(c3), "c4")
    c5 = double(pool(c4), "c5")
    c6 = double(torch.cat((up(c5, "u6"), c4), 1), "c6")
    c7 = double(torch.cat((up(c6, "u7"), c3), 1), "c7")
    c8 = double(torch.cat((up(c7, "u8"), c2), 1), "c8")
    c9 = double(torch.cat((up(c8, "u9"), c1), 1), "c9")
    logits = torch.einsum("oc,bchw->bohw", state["out.weight"][:, :, 0, 0], c9) + state["out.bias"]
    return 1 / (1 + torch.exp(-logits))


def test_the_whole_network_against_a_functional_one():
    torch.manual_seed(2)
    network = UNet().eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -0.2, 0.2)
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        given = network(image)
        expected = functional_unet(network.state_dict(), image)
        small = network(torch.rand(1, 3, 16, 48))
    assert given.std() > 1e-3
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=0)
    assert small.shape == (1, 1, 16, 48)


@pytest.mark.parametrize("name", METHODS)
@torch.no_grad()
def test_prediction_is_preprocess_network_postprocess(name):
    segmenter = make(name).eval()
    image = torch.rand(2, 3, 33, 47)
    alpha = segmenter.predict(image).alpha
    assert torch.equal(alpha, segmenter.predict(image).alpha)
    stretched = F.interpolate(image, (64, 64), mode="bilinear", align_corners=False)
    if name == "unet_smp":
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        stretched = (stretched - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    probability = segmenter.network(stretched)
    expected = F.interpolate(probability, (33, 47), mode="bilinear", align_corners=False, antialias=True)
    torch.testing.assert_close(alpha, expected, atol=1e-6, rtol=0)
    assert segmenter.training_input_size(1080, 1920) == (64, 64)


def test_dropout_is_random_in_training_only():
    segmenter = make("unet")
    batch = batch_of_discs()
    with torch.no_grad():
        segmenter.train()
        assert segmenter.losses(batch)["bce"] != segmenter.losses(batch)["bce"]
        segmenter.eval()
        assert segmenter.losses(batch)["bce"] == segmenter.losses(batch)["bce"]


def test_sizes():
    assert UNetSegmenter(16 * 7).input_spec.size == 112
    with pytest.raises(ConfigError, match=r"model\.size=100 .* is not a positive multiple of 16"):
        UNetSegmenter(100)
    with pytest.raises(ConfigError, match=r"model\.size=48 .* is not a positive multiple of 32"):
        SmpSegmenter(48)


def test_validation_loss_by_hand():
    segmenter = make("unet")
    alpha = torch.tensor([[[[0.8, 0.4, 0.5, 1.0]]]])
    mask = torch.tensor([[[[1.0, 0.0, 1.0, 1.0]]]])
    expected = -(math.log(0.8) + math.log(0.6) + math.log(0.5)) / 4
    found = segmenter.validation_loss(Prediction(alpha), {"mask": mask})
    assert found.item() == pytest.approx(expected, abs=1e-6)
    # wholly wrong pixels cost -ln(1e-7); the float32 next to 1 - 1e-7 is 1 - 2^-23
    wrong = probability_cross_entropy(torch.tensor([0.0]), torch.tensor([1.0]))
    assert wrong.item() == pytest.approx(7 * math.log(10), abs=1e-4)
    wrong = probability_cross_entropy(torch.tensor([1.0]), torch.tensor([0.0]))
    assert wrong.item() == pytest.approx(23 * math.log(2), abs=1e-4)
    assert make("unet_smp").validation_loss(Prediction(alpha), {"mask": mask}) is None


def test_losses_are_those_of_the_predicted_alpha():
    batch = batch_of_discs()
    for name in METHODS:
        segmenter = make(name).eval()
        with torch.no_grad():
            terms = segmenter.losses(batch)
            p = segmenter.predict(batch["image"]).alpha.double().numpy()
        t = batch["mask"].double().numpy()
        cross = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
        assert terms["bce"].item() == pytest.approx(cross, rel=1e-5)
        if name == "unet_smp":
            per_picture = (2 * (p * t).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + t.sum((1, 2, 3)) + 1)
            assert terms["dice"].item() == pytest.approx(1 - per_picture.mean(), rel=1e-5)
        assert list(terms) == (["bce"] if name == "unet" else ["bce", "dice"])


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_losses_bear_mixed_precision(name):
    segmenter = make(name)
    batch = batch_of_discs()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        terms = segmenter.losses(batch)
        prediction = segmenter.eval().predict(batch["image"])
        judged = segmenter.validation_loss(prediction, batch)
    assert prediction.alpha.dtype == torch.float32
    assert all(torch.isfinite(term) for term in terms.values())
    assert judged is None or torch.isfinite(judged)


@pytest.mark.parametrize("name", METHODS)
def test_gradients_reach_every_parameter(name):
    segmenter = make(name)
    torch.stack(list(segmenter.losses(batch_of_discs()).values())).sum().backward()
    unreached = [n for n, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


@pytest.mark.parametrize("name", METHODS)
@torch.no_grad()
def test_state_dicts_are_loaded_strictly(name):
    first, second = make(name, 0).eval(), make(name, 1).eval()
    image = torch.rand(1, 3, 64, 64)
    state = first.inference_network().state_dict()
    assert not torch.equal(first.predict(image).alpha, second.predict(image).alpha)
    assert second.load_weights(state) == []
    assert torch.equal(first.predict(image).alpha, second.predict(image).alpha)
    some = next(iter(state))
    with pytest.raises(WeightsError, match="1 missing"):
        second.load_weights({n: value for n, value in state.items() if n != some})
    with pytest.raises(WeightsError, match="1 unknown: extra"):
        second.load_weights({**state, "extra": torch.zeros(1)})


@pytest.mark.parametrize("name", METHODS)
def test_recipes_of_the_yaml(name):
    for budget in ("smoke", "quick", "standard", "paper"):
        settings = compose.model_config(
            name, budget, **({} if name == "unet" else {"backbone_weights": None})
        )
        recipes = settings.training.recipes
        assert recipes["official"] == recipes["paper"]
        assert settings.recipe in recipes
    paper = {
        "unet": {"size": 256, "epochs": 50, "batch": 16},
        "unet_smp": {"size": 320, "epochs": 50, "batch": 8},
    }
    assert settings.training.paper == paper[name]
    segmenter = compose.build_segmenter(settings)
    assert segmenter.input_spec.size == paper[name]["size"]
    optimizer = compose.instantiate(recipes["paper"].optimizer)(segmenter.parameters())
    expected = {"unet": (1e-3, 1e-7), "unet_smp": (3e-4, 1e-8)}
    assert (optimizer.defaults["lr"], optimizer.defaults["eps"]) == expected[name]
    assert isinstance(optimizer, torch.optim.Adam)
