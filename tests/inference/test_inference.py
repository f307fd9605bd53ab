"""Fast forms of a method give its alphas; big pictures are segmented in bounded memory."""

import copy
import functools
import math
import subprocess
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import kolbench
from kolbench.config.compose import build_segmenter, model_config
from kolbench.data.scenes.scene import make_scene
from kolbench.errors import ConfigError
from kolbench.inference import backends
from kolbench.inference.apply.loading import Fast
from kolbench.inference.backends import prepare
from kolbench.inference.export import parity
from kolbench.inference.export.graph import GraphSegmenter, network_of
from kolbench.inference.folding import folded
from kolbench.inference.highres import guided_up, segment_in_bounded_memory, shrunk
from kolbench.models.modnet import MODNetSegmenter
from kolbench.models.rsudisnet import RSUDISNetSegmenter
from kolbench.models.trivial import Ellipse
from kolbench.models.u2net import U2Net, U2NetMaps, U2NetSegmenter
from kolbench.models.unet import UNetSegmenter
from kolbench.models.unet_smp import SmpSegmenter
from kolbench.preprocessing import InputSpec
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction
from tests.helpers.encoded import Encoded

CPU = torch.device("cpu")
SLIM = {"channels": 16, "mid": 8, "gt_mid": 8, "tail": 320}
METHODS = {
    "rsudisnet": lambda: RSUDISNetSegmenter(128, **SLIM),
    "modnet": lambda: MODNetSegmenter(64),
    "modnet_easpp": lambda: MODNetSegmenter(96, context="easpp"),
    "u2netp": lambda: U2NetSegmenter(64, variant="p", postprocess="minmax", resize_mode="shortest_edge"),
    "unet_smp": lambda: SmpSegmenter(64, encoder="resnet18"),
}
# norms that no convolution feeds directly, or that inference never runs
UNFOLDED = {"rsudisnet": {"network.hr.head.0.bn"}, "modnet_easpp": {"network.lr_branch.se_block.norm"}}


def trained(segmenter):
    """Batch norms and weights as after a training."""
    generator = torch.Generator().manual_seed(5)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            for parameter, low in ((module.weight, 0.5), (module.bias, -0.2)):
                if parameter is not None:
                    parameter.data.uniform_(low, low + 1, generator=generator)
    return segmenter.eval()


def method(name):
    torch.manual_seed(3)
    return trained(METHODS[name]())


# drawing a scene costs more than most of what is done with it here
picture_of = functools.cache(parity.picture_of)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_folded_networks_are_the_same_function(name):
    graph = network_of(method(name)).graph.double()
    before = copy.deepcopy(graph.state_dict())
    quick = folded(graph, torch.rand(1, 3, 64, 96, dtype=torch.float64))
    left = {place for place, module in quick.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert left == UNFOLDED.get(name, set())
    assert all(torch.equal(tensor, before[place]) for place, tensor in graph.state_dict().items())
    images = torch.rand(2, 3, 96, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(quick(images), graph(images), rtol=1e-10, atol=1e-12)
        kept = images.float()
        # float32 rounds differently: batch norms were 70 multiplications of their own
        torch.testing.assert_close(quick.float()(kept), graph.float()(kept), rtol=1e-5, atol=5e-5)
        assert torch.equal(kept, images.float())


@pytest.mark.slow
def test_official_modnet_is_the_same_once_folded(shared):
    modnet = kolbench.load(
        "modnet",
        weights=shared / "weights" / "modnet_photographic_from_onnx_bnrecal.pth",
        device="cpu",
        size=256,
    )
    picture = shared / "data" / "street_kol" / "images" / "0003.jpg"
    network = network_of(modnet)
    quick = GraphSegmenter(folded(network.graph, torch.rand(1, 3, 128, 128)), network.spec)
    assert np.abs(quick.segment(picture) - modnet.segment(picture)).max() < 1e-4


class Tangle(nn.Module):
    """Batch norms that must not be folded, each for a reason of its own, and one that must."""

    def __init__(self):
        super().__init__()
        self.read_twice, self.norm_a = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.run_twice, self.norm_b, self.norm_c = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.first, self.second, self.shared_norm = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.before_more, self.norm_and_more = nn.Conv2d(4, 4, 1), ActivatedNorm(4)
        self.apart, self.norm_d = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.plain, self.norm_e = nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.BatchNorm2d(4, affine=False)

    def forward(self, x):
        a = self.read_twice(x)
        x = self.norm_a(a) + a.abs()
        x = self.norm_b(self.run_twice(x)) + self.norm_c(self.run_twice(x * 2))
        x = self.shared_norm(self.first(x)) + self.shared_norm(self.second(x))
        x = self.norm_and_more(self.before_more(x))
        x = self.norm_d(self.apart(x).relu())
        return self.norm_e(self.plain(x))


class ActivatedNorm(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x).relu()


def test_only_a_norm_that_solely_follows_one_convolution_is_folded():
    torch.manual_seed(2)
    tangle = trained(Tangle()).double()
    images = torch.rand(1, 3, 12, 14, dtype=torch.float64)
    quick = folded(tangle, images)
    gone = {name for name, module in quick.named_children() if isinstance(module, nn.Identity)}
    assert gone == {"norm_e"}
    with torch.no_grad():
        torch.testing.assert_close(quick(images), tangle(images), rtol=1e-12, atol=1e-12)


class OneLayer(U2Net):
    """What stands in U2NetP's place, so that it is exported in a moment."""

    def __init__(self):
        nn.Module.__init__(self)
        self.layer = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.BatchNorm2d(1))

    def forward_train(self, image):
        return U2NetMaps(self.layer(image), ())


def one_layer():
    """Fed as U2NetP is, its alphas stretched to [0, 1]."""
    segmenter = U2NetSegmenter(64, variant="p", postprocess="minmax", resize_mode="shortest_edge")
    torch.manual_seed(3)
    segmenter.network = OneLayer()
    return trained(segmenter)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"), [("modnet", "channels_last"), ("modnet", "onnx"), ("one layer", "onnx")]
)
def test_a_prepared_method_gives_the_same_alphas(name, backend):
    segmenter = (one_layer() if name == "one layer" else method(name)).train()
    before = copy.deepcopy(segmenter.state_dict())
    prepared = prepare(segmenter, CPU, picture_of(0, 120, 161), backend=backend)
    assert prepared.backend == backend
    assert prepared.notes == ()
    # what was asked for needs no race
    assert prepared.seconds == {}
    assert prepared.alpha is not None
    assert np.array_equal(prepared.alpha, prepared.segmenter.segment(picture_of(0, 120, 161)))
    for height, width in ((120, 161), (203, 99)):
        picture = picture_of(8, height, width)
        alpha = prepared.segmenter.segment(picture)
        assert alpha.dtype == np.float32
        assert np.abs(alpha - segmenter.segment(picture)).max() <= 1e-3
    assert segmenter.training
    assert all(torch.equal(tensor, before[place]) for place, tensor in segmenter.state_dict().items())


def test_methods_without_a_network_come_back_themselves():
    picture = picture_of(0, 60, 80)
    for segmenter in (Ellipse(), build_segmenter(model_config("grabcut"))):
        for backend in ("auto", "eager"):
            assert prepare(segmenter, CPU, picture, backend) == (segmenter, "unchanged", (), {}, None)
    prepared = prepare(Ellipse(), CPU, picture, "onnx")
    assert prepared.backend == "unchanged"
    assert prepared.notes == ("backend=onnx is for networks only.",)
    with pytest.raises(ConfigError, match=r"backend=onx .*Did you mean backend=onnx"):
        prepare(Ellipse(), CPU, picture, "onx")


def test_little_work_is_not_prepared_for(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path))
    segmenter = trained(UNetSegmenter(32, filters=2))
    picture = picture_of(0, 60, 80)
    few = prepare(segmenter, CPU, picture, pictures=7)
    assert (few.seconds, few.alpha) == ({}, None)
    assert np.array_equal(few.segmenter.segment(picture), segmenter.segment(picture))
    # 100 pictures of a millisecond each: folded, but no format_name is timed
    some = prepare(segmenter, CPU, picture, pictures=100)
    assert (some.backend, some.seconds) == ("channels_last", {})
    assert not any(isinstance(module, nn.BatchNorm2d) for module in some.segmenter.modules())
    assert np.abs(some.segmenter.segment(picture) - segmenter.segment(picture)).max() <= 1e-5
    many = prepare(segmenter, CPU, picture)
    runtimes = {"onnx", "openvino"} if find_spec("openvino") else {"onnx"}
    assert set(many.seconds) == {"eager", "folded", "channels_last"} | runtimes
    assert many.backend == min(many.seconds, key=lambda name: many.seconds[name])


class Counted(nn.Module):
    """Alpha = the mean of the colours; it counts its runs on pictures, whatever copies of it run."""

    runs = 0

    def forward(self, image):
        # not what the folding looks at, which is smaller
        Counted.runs += image.shape[-2:] == (64, 64)
        return image.mean(dim=1, keepdim=True)


@pytest.mark.parametrize(("pictures", "extra"), [(7, 0), (10, 1)])
def test_a_search_costs_one_run(pictures, extra):
    Counted.runs = 0
    segmenter = Encoded(Counted(), "stretch").eval()
    # 4 and 5 times a multiple of 8: smaller than the canvas
    segmenter.input_spec = InputSpec(64, multiple=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    fast = Fast(segmenter, CPU, "auto", pictures)
    alphas = [fast(picture_of(number, 64, 64)) for number in range(pictures)]
    assert Counted.runs == pictures + extra
    for number, alpha in enumerate(alphas):
        assert np.abs(alpha - segmenter.segment(picture_of(number, 64, 64))).max() <= 1e-6


class Pooled(nn.Module):
    """Has no ONNX form at free sizes."""

    def forward(self, image):
        grey = image.mean(dim=1, keepdim=True)
        return F.interpolate(F.adaptive_avg_pool2d(grey, 7), image.shape[-2:])


class Branching(nn.Module):
    """A trace keeps the branch of the size that it was traced with."""

    def forward(self, image):
        grey = image.mean(dim=1, keepdim=True)
        return grey / 2 if image.shape[2] > 200 else grey


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Pooled(), "onnx is not used: This network cannot be written as ONNX: Unsupported"),
        (Branching(), "onnx is not used: its alpha differs by"),
    ],
)
def test_what_does_not_work_is_said_and_left_out(network, reason, capfd):
    segmenter, picture = Encoded(network).eval(), picture_of(3, 90, 100)
    prepared = prepare(segmenter, CPU, picture, "onnx")
    assert prepared.backend == "eager"
    (note,) = prepared.notes
    assert note.startswith(reason)
    assert np.abs(prepared.segmenter.segment(picture) - segmenter.segment(picture)).max() <= 1e-5
    # the exporter would print its whole graph
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_a_network_may_be_compiled():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Sigmoid())
    segmenter, picture = trained(Encoded(network)), picture_of(5, 70, 91)
    prepared = prepare(segmenter, CPU, picture, "compiled")
    assert prepared.notes == ()
    assert prepared.backend == "compiled"
    assert np.abs(prepared.segmenter.segment(picture) - segmenter.segment(picture)).max() <= 1e-5


class Luma(Segmenter):
    """Alpha = the green channel."""

    def predict(self, *inputs):
        return Prediction(inputs[0][:, 1:2])


def test_pictures_up_to_the_limit_are_left_to_the_method():
    segmenter = method("modnet")
    picture = picture_of(1, 101, 203)
    assert np.array_equal(
        segment_in_bounded_memory(segmenter.segment, picture, longest=203), segmenter.segment(picture)
    )
    with pytest.raises(ConfigError, match="longest=0"):
        segment_in_bounded_memory(segmenter.segment, picture, longest=0)


def test_a_picture_without_colours_is_enlarged_bilinearly():
    small_alpha = np.random.default_rng(1).random((30, 41), np.float32)
    grey = np.full((301, 407, 3), 90, np.uint8)
    found = guided_up(grey, shrunk(grey, 41), small_alpha)
    expected = F.interpolate(torch.from_numpy(small_alpha)[None, None], (301, 407), mode="bilinear")[0, 0]
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_texture_inside_regions_leaves_no_trace():
    noise = np.random.default_rng(2).integers(0, 256, (400, 600, 3), np.uint8)
    for level in (0.0, 1.0):
        small = np.full((100, 150), level, np.float32)
        assert np.array_equal(
            guided_up(noise, shrunk(noise, 150), small), np.full((400, 600), level, np.float32)
        )


def test_edges_come_out_closer_than_bilinear_ones():
    """A slanted edge between two noisy colours at 7 times the size; and every one of four scenes."""
    y, x = np.mgrid[:700, :900].astype(np.float32)
    edge = np.clip((x - 300 - 0.3 * y) / 2 + 0.5, 0, 1)
    colours = edge[..., None] * (200, 150, 90) + (1 - edge[..., None]) * (60, 80, 120)
    noisy = colours + np.random.default_rng(0).normal(0, 6, colours.shape)
    cases = [(np.clip(noisy, 0, 255).astype(np.uint8), edge, 900 // 7)]
    scenes = [make_scene(5, index, 512) for index in range(4)]
    cases += [(scene.image, scene.alpha, 512 // 4) for scene in scenes]
    gains = []
    for image, alpha, longest in cases:
        small = shrunk(image, longest)
        coarse = cv2.resize(alpha, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        bilinear = cv2.resize(coarse, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        found = guided_up(image, small, coarse)
        assert found.min() >= 0
        assert found.max() <= 1
        gains.append(np.abs(found - alpha).mean() / np.abs(bilinear - alpha).mean())
    assert gains[0] < 0.5
    assert max(gains) < 1
    assert np.mean(gains[1:]) < 0.85


BIG = """
import numpy as np, torch
from kolbench.inference.highres import segment_in_bounded_memory
from kolbench.models.unet import UNetSegmenter
from kolbench.inference.export import parity
torch.manual_seed(0)
segmenter = UNetSegmenter(256, filters=4).eval()
tile = parity.picture_of(0, 540, 960)
segment_in_bounded_memory(segmenter.segment, tile, longest=480)
picture = np.empty((4320, 7680, 3), np.uint8)
for row in range(8):
    for column in range(8):
        picture[540 * row:540 * (row + 1), 960 * column:960 * (column + 1)] = tile
def kilobytes(key):
    with open('/proc/self/status') as status:
        return int(next(line for line in status if line.startswith(key)).split()[1])
now = kilobytes('VmRSS')
alpha = segment_in_bounded_memory(segmenter.segment, picture)
growth = kilobytes('VmHWM') - now
print(alpha.shape, alpha.dtype, bool(0 <= alpha.min() <= alpha.max() <= 1), growth // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_eight_thousand_pixels_need_half_a_gigabyte():
    """Measured 306 MB, 133 of them the alpha; float copies of the picture alone would be 800."""
    done = subprocess.run([sys.executable, "-c", BIG], capture_output=True, text=True, check=True)
    shape, megabytes = done.stdout.strip().rsplit(" ", 1)
    assert shape == "(4320, 7680) float32 True"
    assert int(megabytes) < 500


def test_bounded_alphas_follow_the_small_one():
    picture = cv2.resize(picture_of(2, 300, 401), (1203, 900), interpolation=cv2.INTER_CUBIC)
    alpha = segment_in_bounded_memory(Luma().segment, picture, longest=401)
    assert alpha.shape == (900, 1203)
    assert np.abs(alpha - Luma().segment(picture)).mean() < 0.01


def threads_of(prepared):
    return prepared.segmenter.graph._session.get_session_options().intra_op_num_threads


@pytest.mark.slow
@pytest.mark.parametrize(("light", "threads"), [(math.inf, 1), (0.0, 2)])
def test_beside_other_work_a_light_network_is_run_on_one_thread(monkeypatch, two_threads, light, threads):
    monkeypatch.setattr(backends, "LIGHT_S", light)
    segmenter, picture = SmpSegmenter(64, encoder="resnet18").eval(), parity.picture_of(0, 64, 64)
    found = prepare(segmenter, CPU, picture, "onnx", in_pipeline=True)
    assert found.backend == "onnx"
    assert threads_of(found) == threads
    np.testing.assert_allclose(found.segmenter.segment(picture), segmenter.segment(picture), atol=1e-3)
    assert threads_of(prepare(segmenter, CPU, picture, "onnx")) == 2
