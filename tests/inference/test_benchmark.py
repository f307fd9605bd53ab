"""Times in turn by a clock of the test, sizes by hand, and threads put back."""

import os
import sys
import time
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from kolbench.config.compose import build_segmenter, model_config
from kolbench.data.flow import FlowOptions, ShotFlow
from kolbench.data.scenes.scene import make_scene
from kolbench.errors import ConfigError
from kolbench.inference import benchmark, machine, video_cost
from kolbench.inference.export.graph import GraphSegmenter
from kolbench.inference.timing import Rule
from kolbench.models.mirrored import Mirrored
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.models.onnx import OnnxSegmenter
from kolbench.preprocessing import InputSpec
from kolbench.runs.benchmark import Form
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction


class Small(nn.Module):
    """A convolution with its norm, and a head that only training needs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 1, 2, stride=2, bias=False)
        self.edge = nn.Conv2d(4, 2, 1)

    def forward(self, image):
        return self.up(self.norm(self.conv(image))).sigmoid()

    def forward_train(self, image):
        features = self.norm(self.conv(image))
        return self.up(features), self.edge(features)


def small():
    torch.manual_seed(0)
    return NetworkSegmenter(InputSpec(64, multiple=32), Small(), ("edge",)).eval()


def forms_of(segmenter, picture):
    training, deployed, size = benchmark.sizes_of(segmenter, picture)
    assert training is not None
    assert deployed is not None
    return training, deployed, size


def measured(opened, threads, *forms, advance=lambda steps: None, batches=(1,)):
    image = benchmark.drawn_picture(48, 40)
    forms = forms or ("channels_last",)
    return benchmark.measure(opened, image, threads, forms, 1, Rule(3, 3), batches, advance)


class Remembers(Segmenter):
    """Its alpha says how many frames of the clip were before, and how bright the flow's picture is."""

    stateful = True

    def __init__(self, flow_options=None):
        super().__init__()
        self.input_keys = ("image",) if flow_options is None else ("image", "flow")
        self.flow_options = flow_options
        self.given = []

    def predict(self, *inputs, state=None):
        count = torch.zeros(()) if state is None else state[0] + 1
        self.given.append((int(count), [entry.clone() for entry in inputs]))
        return Prediction(inputs[0].mean(1, keepdim=True), state=(count,))


def test_frames_of_a_clip_are_timed_with_what_is_kept_of_those_before():
    method, image = Remembers(), benchmark.drawn_picture(48, 40)
    (call,) = video_cost.frame_calls(method, image).values()
    for _ in range(10):
        call()
    assert [count for count, _ in method.given] == list(range(10))
    shown = [np.rint(planes[0].numpy()[0].transpose(1, 2, 0) * 255) for _, planes in method.given]
    assert np.array_equal(shown[3], np.roll(image, 12, 1))
    # the ninth frame is the first one again
    assert np.array_equal(shown[8], image)


def test_flow_is_found_anew_for_each_frame():
    method, image = Remembers(FlowOptions(size=48)), benchmark.drawn_picture(64, 64)
    calls = video_cost.frame_calls(method, image)
    assert list(calls) == ["frame", "flow"]
    for _ in range(3):
        calls["frame"]()
    shot = ShotFlow(FlowOptions(size=48))
    shot.push(np.roll(image, 8, 1))
    expected = shot.push(np.roll(image, 12, 1))
    frame, flow = method.given[2][1]
    assert np.array_equal(np.rint(frame.numpy()[0].transpose(1, 2, 0) * 255), np.roll(image, 8, 1))
    assert flow.shape == frame.shape
    assert np.array_equal(calls["flow"]()[0], image)
    small = cv2.resize(flow.numpy()[0].transpose(1, 2, 0) * 255, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(small - expected).mean() < 4


def test_frames_of_methods_that_remember_nothing_are_pictures():
    assert video_cost.frame_calls(small(), benchmark.drawn_picture(48, 40)) == {}


def test_sizes_of_both_forms_by_hand():
    training, deployed, size = forms_of(small(), (200, 300))
    at_half = 32 * 32
    convolution, transposed, edge = at_half * 4 * 27, at_half * 4 * 4, at_half * 4 * 2
    assert size == (64, 64)
    assert training == (Form(4 * 27 + 8 + 16 + 10, convolution + edge, convolution + edge + transposed))
    # the norm becomes a bias, the head is gone
    assert deployed == Form(4 * 27 + 4 + 16, convolution, convolution + transposed)


def test_both_views_count_in_operations_and_times(tmp_path):
    once, twice = forms_of(small(), (64, 64)), forms_of(Mirrored(small()), (64, 64))
    for one, both in zip(once[:2], twice[:2], strict=True):
        assert both == Form(one.parameters, 2 * one.conv_macs, 2 * one.macs)
    assert twice[2] == once[2]
    runs = []

    def counted(image):
        runs.append(image.shape)
        return image[:, :1]

    form = GraphSegmenter(counted, InputSpec(64, multiple=32))
    found, _ = benchmark._calls(Mirrored(form), benchmark.drawn_picture(48, 40), tmp_path / "x.jpg", (1, 5))
    runs.clear()
    found[benchmark.NETWORK, 1]()
    found[benchmark.NETWORK, 5]()
    assert runs == [(1, 3, 64, 64)] * 2 + [(5, 3, 64, 64)] * 2


def test_forms_of_rcrnet_are_those_of_its_specification():
    """Merged with the edge head: 772,286 parameters, 214,479,400 operations; here the head is gone."""
    segmenter = build_segmenter(model_config("rcrnet", size=224)).eval()
    training, deployed, size = forms_of(segmenter, (480, 640))
    assert size == (224, 224)
    assert (training.parameters, deployed.parameters) == (789_266, 772_286 - (9 * 16 * 12 + 12 + 2 * 12 + 2))
    assert deployed.conv_macs == 214_479_400 - 112**2 * (9 * 16 * 12 + 12 * 2)
    assert deployed.macs > deployed.conv_macs


def test_a_prior_is_a_fourth_channel_as_the_paper_counts():
    """The specification's integers; the head of edges, 1,766 parameters, is none of the deployed form."""
    segmenter = build_segmenter(model_config("rcrnet", size=224, prior=True)).eval()
    training, deployed, _ = forms_of(segmenter, (480, 640))
    assert (training.parameters, training.conv_macs) == (789_410, 220_103_032)
    assert training.macs - training.conv_macs == 2_885_120
    assert deployed.parameters == 772_430 - 1766
    assert deployed.conv_macs == 216_285_736 - 112**2 * (9 * 16 * 12 + 12 * 2)


@pytest.mark.parametrize("backend", ["eager", "channels_last", "onnx"])
def test_a_network_with_a_prior_is_measured(backend):
    def opened():
        return build_segmenter(model_config("portraitnet", "smoke", size=64, prior=True)).eval()

    (speed,) = measured(opened, [1], backend).speeds
    assert speed.backend == backend
    assert speed.network.median_ms > 0
    assert speed.frame.median_ms > 0


def test_methods_without_a_network_have_no_sizes():
    assert benchmark.sizes_of(build_segmenter(model_config("kmeans")), (64, 64)) == (None, None, None)


def test_a_detector_has_parameters_but_no_fixed_operations():
    config = model_config("maskrcnn", size=64, network="fpn_mobilenet_v2", backbone_weights=None)
    segmenter = build_segmenter(config).eval()
    training, deployed, size = benchmark.sizes_of(segmenter, (64, 64))
    assert training == Form(sum(p.numel() for p in segmenter.parameters()))
    assert (deployed, size) == (None, None)


def test_every_number_of_threads_is_used_and_the_old_ones_come_back():
    before = torch.get_num_threads(), cv2.getNumThreads()
    seen, steps = [], []

    class Telling(Small):
        def forward(self, image):
            seen.append((torch.get_num_threads(), cv2.getNumThreads(), tuple(image.shape)))
            return super().forward(image)

    def opened():
        return NetworkSegmenter(InputSpec(64, multiple=32), Telling()).eval()

    found = measured(opened, [2, 1], advance=steps.append)
    assert [speed.threads for speed in found.speeds] == [2, 1]
    assert (found.rounds, len(steps)) == (3, 4)
    assert "stopped after 3 rounds: the 95 % interval of 6 of 6 medians is wider" in found.notes[0]
    # network, picture and file at both numbers of threads, in four rounds, every other one backwards
    forwards = [(count, count, (1, 3, 64, 64)) for count in (2, 2, 2, 1, 1, 1)]
    assert seen[-24:] == (forwards + forwards[::-1]) * 2
    assert all(0 < s.network.p5_ms <= s.network.median_ms <= s.network.p95_ms for s in found.speeds)
    assert all(s.file.median_ms > 0 for s in found.speeds)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


def test_onnx_runtime_is_opened_for_each_number_of_threads(monkeypatch):
    opened_with = []

    def opened(self):
        opened_with.append(torch.get_num_threads())
        return self.train(False)

    monkeypatch.setattr(OnnxSegmenter, "eval", opened)
    found = measured(small, [1, 2], "onnx", batches=(1, 3))
    assert {speed.backend for speed in found.speeds} == {"onnx"}
    assert set(opened_with) == {1, 2}
    assert all(speed.network is not None for speed in found.speeds)
    assert [many.size for many in found.speeds[0].batches] == [3]


def test_forms_are_compared_with_the_first():
    found = measured(small, [1], "eager", "folded", "channels_last", batches=(2,))
    assert [speed.backend for speed in found.speeds] == ["eager", "folded", "channels_last"]
    runs = [(ratio.backend, ratio.what, ratio.batch) for ratio in found.ratios]
    whats = [("network", 1), ("network", 2), ("segment", 1), ("file", 1)]
    assert runs == [(form, *what) for form in ("folded", "channels_last") for what in whats]
    first, folded, _ = found.speeds
    assert found.ratios[0].ratio == pytest.approx(first.network.median_ms / folded.network.median_ms)
    assert all(ratio.low <= ratio.ratio <= ratio.high for ratio in found.ratios)


def test_methods_without_a_network_have_one_form():
    found = measured(lambda: build_segmenter(model_config("ellipse")), [1], "eager", "channels_last")
    assert [speed.backend for speed in found.speeds] == ["unchanged"]
    assert found.ratios == ()


@pytest.mark.parametrize(
    ("others", "load", "busy"),
    [(None, None, None), (0.1, 0.0, False), (0.4, 0.0, True), (None, 2.0, False), (0.0, 2.6, True)],
)
def test_a_machine_is_busy_by_what_others_do(others, load, busy):
    assert benchmark.is_busy(others, load, 2) is busy


def test_a_classic_method_is_measured_as_a_whole():
    (speed,) = measured(lambda: build_segmenter(model_config("kmeans")), [1]).speeds
    assert (speed.backend, speed.network) == ("unchanged", None)
    assert speed.segment.median_ms > 0


def test_a_backend_that_cannot_run_a_method_is_refused():
    with pytest.raises(
        ConfigError, match=r"backend=onnx cannot be measured: backend=onnx is for networks only"
    ):
        measured(lambda: build_segmenter(model_config("ellipse")), [1], "onnx")


@pytest.mark.parametrize(("height", "width"), [(40, 64), (64, 40), (20, 24)])
def test_the_picture_is_the_middle_of_a_scene(height, width):
    image = benchmark.drawn_picture(height, width)
    side = max(height, width, 32)
    scene = make_scene(benchmark.SCENE_SEED, 0, side).image
    top, left = (side - height) // 2, (side - width) // 2
    assert np.array_equal(image, scene[top : top + height, left : left + width])


def test_the_machine_is_described():
    on = measured(small, [1]).machine
    assert on.cpu
    assert on.cores == machine.cores() >= 1
    assert on.torch == str(torch.__version__)
    assert on.torch.partition("+")[0] == on.versions["torch"]
    assert {"python", "onnxruntime", "numpy"} <= set(on.versions)


def test_energy_is_that_of_all_packages_and_counters_begin_anew(tmp_path):
    for name, joules, largest in (
        ("intel-rapl:0", 10, 100),
        ("intel-rapl:1", 95, 100),
        ("intel-rapl:0:0", 5, 9),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(str(1_000_000 * joules))
        (tmp_path / name / "max_energy_range_uj").write_text(str(1_000_000 * largest))
    energy = machine.Energy(tmp_path)
    before = energy.read()
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("12500000")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("3000000")
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("8000000")
    # 2.5 J, and 5 J to the counter's end and 3 more
    assert energy.since(before) == pytest.approx(10.5)
    nowhere = machine.Energy(tmp_path / "none")
    assert (nowhere.measured, nowhere.since(nowhere.read())) == (False, None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_what_a_process_grows_by():
    peak = machine.PeakMemory()
    kept = np.ones(64 * 2**20, np.uint8)
    del kept
    if peak.grown is not None:
        assert 60 * 2**20 < peak.grown < 100 * 2**20


class Wide(nn.Module):
    """64 MiB between its convolutions at an input size of 512 x 512, for 1 KiB of weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 64, 1, bias=False), nn.ReLU(), nn.Conv2d(64, 1, 1))

    def forward(self, image):
        return self.layers(image).sigmoid()


def memory_of(opened, *forms):
    image = benchmark.drawn_picture(48, 40)
    return benchmark._opened(opened, image, [1], forms, lambda count: None).memory


with_peaks = pytest.mark.skipif(machine.PeakMemory().grown is None, reason="no peak of memory is told here")


@with_peaks
def test_memory_is_that_of_a_run_and_runtimes_keep_none_of_it():
    forms = ("eager", "folded", "onnx", *(["openvino"] if find_spec("openvino") else []))
    found = memory_of(lambda: NetworkSegmenter(InputSpec(512, multiple=32), Wide()).eval(), *forms)
    assert tuple(found) == forms
    # some pages may have been this process's before
    assert all(63 * 2**20 <= needed < 3 * 64 * 2**20 for needed in found.values()), found


@with_peaks
def test_what_one_form_needs_is_not_counted_of_another():
    class Wasteful(NetworkSegmenter[Small]):
        def predict(self, *inputs):
            torch.ones(64 * 2**20, dtype=torch.uint8)
            return super().predict(*inputs)

    def opened():
        return Wasteful(InputSpec(64, multiple=32), Small(), ("edge",)).eval()

    found = memory_of(opened, "eager", "folded", "onnx")
    # some pages may have been this process's before
    assert found["eager"] >= 63 * 2**20
    assert max(found["folded"], found["onnx"]) < 16 * 2**20, found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_this_process_does_is_not_others_work(tmp_path, monkeypatch):
    core = min(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {core})
    monkeypatch.setattr(machine, "STAT", tmp_path / "stat")
    clock, own = iter([10.0, 20.0]), iter([(1.0, 0, 0, 0, 0), (4.0, 1.0, 0, 0, 0)])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(os, "times", lambda: next(own))
    ticks = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu 9 9 9 9 9 9 9 9 0 0\ncpu{core} 0 0 0 500 7 0 0 0 0 0\n")
    others = machine.Others()
    # 5 s of user's and 1 s of stolen time within 10 s, of which 4 are this process's
    (tmp_path / "stat").write_text(f"cpu{core} {5 * ticks} 0 0 900 99 0 0 {ticks} 0 0\n")
    assert others.cores == pytest.approx(0.2)
