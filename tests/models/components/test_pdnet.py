"""PDNet's network: golden counts and maps of the specification, its knobs, references and odd sizes."""

import functools
import json
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from kolbench.engine.cost import count_macs
from kolbench.errors import ConfigError
from kolbench.models.components.blocks import resize_aligned
from kolbench.models.components.pdnet import AUXILIARY, IPDA, PDNet, PDNetOptions, Reference, part_probability
from tests.helpers.networks import count, settled
from tests.helpers.pdnet import fill_by_name, noise

SMALL = PDNetOptions("mobilenet_v2", width=16)
AUXILIARY_WEIGHTS = 4_612


class TwoFrames(nn.Module):
    """A frame and a reference of the same size, as the released code sees them for every frame."""

    def __init__(self, network: PDNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        frame, other = self.network.look(image), self.network.look(image.clone())
        references = [self.network.remember(other)] if other.decoupled else []
        return self.network.segment(frame, references, image.shape[-2:])

    def cached(self, image: Tensor) -> Tensor:
        """The reference's key and value are there already."""
        frame = self.network.look(image)
        return self.network.segment(frame, [reference_like(self.network, frame)], image.shape[-2:])

    def one_encoder(self, image: Tensor) -> object:
        return self.network._levels(image)


def reference_like(network: PDNet, frame) -> Reference:
    batch, _, height, width = frame.decoupled.compressed.shape
    shape = (batch, network.options.parts, height * width, network.options.width // 4)
    return Reference(*torch.ones(2, *shape, device=frame.decoupled.compressed.device))


def on_meta(**options) -> PDNet:
    with torch.device("meta"):
        return PDNet(PDNetOptions(**options)).eval()


def macs(network: PDNet, size: int, method: str = "forward") -> int:
    image = torch.empty(1, 3, size, size, device="meta")
    return count_macs(TwoFrames(network), image, conv_only=True, method=method)


# backbone, last channels -> all parameters, the body's, the laterals', MACs at 480 px of two frames, of one
# encoder, with A of the reference at hand, with its key and value at hand (pdnet.md, section 1)
GOLDEN = [
    ("resnet18", 320, 12_938_695, 11_176_512, 123_904, 33_588_057_600, 14_122_598_400, 19_104_192_000),
    ("resnet50", 320, 25_638_855, 23_508_032, 492_544, 55_794_931_200, 25_226_035_200, 30_207_628_800),
    ("resnet101", 320, 44_630_983, 42_500_160, 492_544, 89_886_758_400, 42_271_948_800, 47_253_542_400),
    ("mobilenet_v2", 320, 3_511_431, 1_811_712, 61_440, 19_215_187_200, 6_936_163_200, 11_917_756_800),
]


@pytest.mark.parametrize(
    ("backbone", "last", "total", "body", "laterals", "two", "encoder", "cached"), GOLDEN
)
def test_golden_counts_of_every_backbone(backbone, last, total, body, laterals, two, encoder, cached):
    network = on_meta(backbone=backbone, mobilenet_last=last)
    assert (count(network), count(network.bkbone)) == (total, body)
    assert sum(count(getattr(network, f"l{level}_adapt")) for level in range(2, 6)) == laterals
    assert sum(count(getattr(network, name)) for name in AUXILIARY) == AUXILIARY_WEIGHTS
    found = tuple(macs(network, 480, method) for method in ("forward", "one_encoder", "cached"))
    assert found == (two, encoder, cached)


def test_golden_counts_of_the_parts():
    network = on_meta()
    merges = [count(getattr(network, name)) for name in ("fuse4", "fuse3", "fuse2")]
    assert (sum(merges), count(network.ipda)) == (886_272, 425_986)
    assert count(network.spatiotemporal_fusion) + count(network.head) == 321_409
    ipda = network.ipda
    assert count(ipda.sup_adapt1) + count(ipda.sup_adapt2) == 156_032
    assert (count(ipda.part_sep_conv[0]), count(ipda.part_att_conv[0])) == (45_440, 2_176)
    assert (count(ipda.sup_head), count(ipda.part_sep_pred)) == (577, 577)
    assert 3 * count(ipda.part_q_conv[0]) == 6_144


@pytest.mark.parametrize(
    ("options", "parameters", "two_frames"),
    [
        ({"backbone": "resnet50", "parts": 1}, 25_423_815, 55_438_963_200),
        ({"backbone": "resnet50", "parts": 3}, 25_531_335, 55_616_947_200),
        ({"backbone": "mobilenet_v2", "parts": 1}, 3_296_391, None),
        ({"backbone": "mobilenet_v2", "parts": 3}, 3_403_911, None),
        ({"backbone": "mobilenet_v2", "mobilenet_last": 1280}, 4_046_471, None),
        ({"backbone": "mobilenet_v2", "ipda": False}, 2_765_189, None),
    ],
)
def test_golden_counts_of_the_knobs(options, parameters, two_frames):
    network = on_meta(**options)
    assert count(network) == parameters
    assert two_frames is None or macs(network, 480) == two_frames


def test_golden_counts_without_ipda_and_of_small_frames():
    base = on_meta(ipda=False)
    assert count(base) == 24_892_613
    image = torch.empty(1, 3, 480, 480, device="meta")
    assert count_macs(base, image, conv_only=True) == 25_242_624_000
    mobile = on_meta(backbone="mobilenet_v2")
    assert (macs(mobile, 64), macs(mobile, 128)) == (341_603_328, 1_366_413_312)
    # the counter of products sees attention too, q k^T and its product with the values
    small = torch.empty(1, 3, 64, 64, device="meta")
    pair = TwoFrames(mobile)
    assert count_macs(pair, small, False) - count_macs(pair, small, True) == 81_920


def test_keys_and_shapes_are_the_released_ones(shared):
    file = shared / "spec" / "keys" / "pdnet_resnet50.json"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    listed = {name: tuple(shape) for name, shape in json.loads(file.read_text()).items()}
    assert {name: tuple(tensor.shape) for name, tensor in on_meta().state_dict().items()} == listed


@pytest.fixture(scope="module")
def golden() -> PDNet:
    """ResNet-50 in float64 with the specification's tensors."""
    network = on_meta().to_empty(device="cpu").double()
    fill_by_name(network, 0.88)
    return network.eval()


def described(x: Tensor, *places: tuple[int, int]) -> list[float]:
    """Mean and deviation (over n - 1, as torch gives it) of a map, and its values at some places."""
    return [float(x.mean()), float(x.std()), *(float(x[0, 0, i, j]) for i, j in places)]


CORNERS = ((0, 0), (48, 48), (95, 95))


@torch.no_grad()
def test_golden_maps_of_two_frames(golden):
    target, reference = noise(1, 96, 96), noise(2, 96, 96)
    frame, other = golden.look(target), golden.look(reference)
    maps = golden.forward_train(target, reference)

    def at_96(x: Tensor) -> Tensor:
        return resize_aligned(x, (96, 96))

    close = functools.partial(pytest.approx, abs=2e-6)
    assert described(maps.final, *CORNERS) == close([1.407386, 1.810130, 1.132372, 4.212985, -0.376267])
    own = golden.segment(frame, [], (96, 96))
    assert described(own, *CORNERS) == close([1.275843, 1.763314, 1.135730, 4.001438, -0.360474])
    auxiliary = [described(at_96(x)) for x in maps.target.auxiliary]
    assert [mean for mean, _ in auxiliary] == close([-3.107326, 0.075840, 3.825475, 2.333848])
    assert [deviation for _, deviation in auxiliary] == close([3.081202, 1.672384, 2.228413, 1.451731])
    saliency = [described(at_96(x.parts.saliency), *CORNERS) for x in (maps.target, maps.reference)]
    assert saliency[0] == close([-0.112643, 1.435123, 0.201361, -0.102800, -0.177971])
    assert saliency[1] == close([0.052082, 1.154341, 0.737176, 0.367377, 0.082629])
    parts = at_96(maps.target.parts.parts).mean((0, 2, 3)).tolist()
    assert parts == close([-0.123756, -0.074568, -0.889135, -0.876077, -0.219072])
    # what is kept of a reference is all that is needed of it
    kept = golden.segment(frame, [golden.remember(other)], (96, 96))
    torch.testing.assert_close(kept, maps.final, rtol=0, atol=1e-12)


@torch.no_grad()
def test_golden_map_of_an_odd_size_at_another_size(golden):
    frame, other = golden.look(noise(3, 61, 83)), golden.look(noise(4, 61, 83))
    found = golden.segment(frame, [golden.remember(other)], (100, 150))
    expected = [0.703885, 1.207928, 0.874203, 1.138807]
    assert described(found, (0, 0), (50, 75)) == pytest.approx(expected, abs=2e-6)


def small(seed: int = 0, **options) -> PDNet:
    torch.manual_seed(seed)
    network = PDNet(replace(SMALL, **options))
    return settled(network, torch.randn(2, 3, 64, 64))


def ipda_of(network: PDNet) -> IPDA:
    assert network.ipda is not None
    return network.ipda


def attention_by_hand(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """(n, c) each: softmax over the reference's positions, one position of the query at a time."""
    rows = [(torch.stack([q @ k for k in key]) * scale).softmax(0) @ value for q in query]
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({}, 1.0),
        ({"attention_scale": "sqrt"}, 4**-0.5),
        ({"attention_residual": False}, 1.0),
        ({"part_activation": "sigmoid"}, 1.0),
    ],
)
@torch.no_grad()
def test_parts_are_put_together_as_equation_2_says(changes, scale):
    network = small(parts=2, **changes)
    ipda, options = ipda_of(network), network.options
    frame, other = (network.look(torch.randn(1, 3, 64, 48)).decoupled for _ in range(2))
    logits = ipda.logits(frame)
    found = ipda(frame, logits, [ipda.remember(other)])
    place = logits.saliency.sigmoid() * (
        logits.parts.softmax(1) if options.part_activation == "softmax" else logits.parts.sigmoid()
    )
    expected = 0
    for k in range(2):
        query, key, value = (
            conv[k](part)[0].flatten(1).T
            for conv, part in (
                (ipda.part_q_conv, frame.parts[k]),
                (ipda.part_k_conv, other.parts[k]),
                (ipda.part_v_conv, other.parts[k]),
            )
        )
        answer = attention_by_hand(query, key, value, scale).T.reshape(1, 4, 4, 3)
        seen = ipda.part_att_conv[k](answer)
        if options.attention_residual:
            seen = seen + frame.parts[k]
        expected = expected + seen * place[:, k : k + 1]
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_nothing_is_assembled_where_nothing_is_salient():
    network = small()
    frame = network.look(torch.randn(1, 3, 64, 64)).decoupled
    logits = ipda_of(network).logits(frame)
    left = torch.zeros_like(logits.saliency)
    left[..., :2] = -torch.inf
    found = ipda_of(network)(frame, logits._replace(saliency=left), [ipda_of(network).remember(frame)])
    assert not found[..., :2].any()
    assert found[..., 2:].any()


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_parts_sum_to_one(parts):
    logits = 5 * torch.randn(2, parts, 6, 7)
    torch.testing.assert_close(part_probability(logits).sum(1), torch.ones(2, 6, 7))


def test_a_single_part_is_everywhere_and_learns_no_place():
    logits = torch.randn(2, 1, 3, 3)
    assert all((part_probability(logits, kind) == 1).all() for kind in ("softmax", "sigmoid"))
    frozen = {name for name, p in small(parts=1).named_parameters() if not p.requires_grad}
    assert frozen == {"ipda.part_sep_pred.weight", "ipda.part_sep_pred.bias"}
    assert all(p.requires_grad for p in small(parts=3).parameters())


@torch.no_grad()
def test_two_references_are_averaged():
    network = small()
    frame = network.look(torch.randn(1, 3, 64, 64))
    first, second = (network.remember(network.look(torch.randn(1, 3, 64, 64))) for _ in range(2))
    logits = ipda_of(network).logits(frame.decoupled)
    alone = [ipda_of(network)(frame.decoupled, logits, [reference]) for reference in (first, second)]
    both = ipda_of(network)(frame.decoupled, logits, [first, second])
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)
    assert not torch.allclose(alone[0], alone[1])
    twice = ipda_of(network)(frame.decoupled, logits, [first, first])
    torch.testing.assert_close(twice, alone[0])


@torch.no_grad()
def test_levels_are_added_where_asked():
    network, adding = small(), small(merge="sum")
    adding.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 32, 32)
    level = network.look(image).levels
    other = adding.look(image).levels
    assert torch.equal(level.x5, other.x5)
    lateral = adding.l4_adapt(adding.bkbone(image).at16)
    expected = resize_aligned(adding.fuse4(other.x5 + lateral), other.x4.shape[-2:])
    torch.testing.assert_close(other.x4, expected)
    assert not torch.allclose(level.x4, other.x4)


@torch.no_grad()
def test_pictures_of_a_batch_do_not_see_each_other():
    # norms that know two pictures of 64 px alone enlarge what float32 rounds off
    network = small().double()
    images = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    torch.testing.assert_close(network(images)[1:], network(images[1:]), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 57), (61, 83)])
def test_any_size_from_16_px_is_seen_and_learned(height, width):
    network = small().train()
    image = torch.randn(2, 3, height, width)
    maps = network.forward_train(image, image.flip(0))
    assert maps.final.shape == (2, 1, height, width)
    maps.final.sum().backward()
    assert network.bkbone.features[0][0].weight.grad.any()
    with torch.no_grad():
        assert network.eval()(image).shape == (2, 1, height, width)


def test_without_ipda_a_frame_stands_alone():
    network = small(ipda=False)
    frame = network.look(torch.randn(1, 3, 32, 32))
    found = network.segment(frame, [], (32, 32))
    assert torch.equal(found, resize_aligned(network.head(frame.levels.x2), (32, 32)))
    with pytest.raises(ValueError, match="has no references"):
        network.remember(frame)


def test_part_names_tell_the_body_from_the_heads():
    names = small().part_names
    assert names["body"] == ("bkbone",)
    assert {"l5_adapt", "fuse2", "ipda", "spatiotemporal_fusion", "head", "head_4"} <= set(names["heads"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet51"}, "Did you mean model.backbone=resnet50"),
        ({"merge": "add"}, "model.merge=add is not a choice"),
        ({"width": 30}, "model.width=30 is no multiple of 4"),
        ({"parts": 0}, "model.parts=0 is not a whole number from 1"),
        ({"ipda_scale": 2.0}, "model.ipda_scale=2.0 is not a number from"),
        ({"part_activation": "relu"}, "model.part_activation=relu is not a choice"),
        ({"attention_scale": "half"}, "model.attention_scale=half is not a choice"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        PDNet(replace(SMALL, **changes))
