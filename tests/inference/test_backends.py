"""Runtimes agree with the network, what differs is refused, and a choice is found once and kept."""

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

import kolbench
from kolbench.inference import choices, machine
from kolbench.inference.backends import UNCHANGED, prepare
from kolbench.inference.export import parity
from kolbench.inference.export.graph import network_of
from kolbench.inference.forms import FORMS, ONNX, OPENVINO, TORCH_FORMS, Forms
from kolbench.inference.race import BOUND, Race
from kolbench.models.mirrored import Mirrored
from kolbench.models.onnx import OnnxSegmenter
from kolbench.models.unet import UNetSegmenter
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction
from tests.helpers.encoded import Encoded

CPU = torch.device("cpu")
PICTURE = parity.picture_of(1, 60, 80)
with_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def small(seed=0):
    """Convolution, norm, and one up again, weighted so that alphas spread."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 2, stride=2),
        nn.Sigmoid(),
    )
    for parameter in network.parameters():
        parameter.data.mul_(3)
    return Encoded(network, "stretch").eval()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@with_openvino
def test_openvino_gives_the_networks_alphas():
    segmenter = small()
    found = prepare(segmenter, CPU, PICTURE, OPENVINO)
    assert (found.backend, found.notes) == (OPENVINO, ())
    for size in ((60, 80), (97, 41)):
        picture = parity.picture_of(2, *size)
        expected = segmenter.segment(picture)
        assert np.ptp(expected) > 0.2
        assert np.abs(found.segmenter.segment(picture) - expected).max() < 1e-4
    twice = prepare(Mirrored(segmenter), CPU, PICTURE, OPENVINO)
    assert twice.backend == OPENVINO
    assert np.abs(twice.segmenter.segment(PICTURE) - Mirrored(segmenter).segment(PICTURE)).max() < 1e-4
    # nothing is told to others: what would do so was not loaded
    assert sys.modules["openvino_telemetry"] is None


@with_openvino
def test_a_batch_is_that_many_pictures():
    with Forms(small(), CPU) as forms:
        opened = [forms.build(name) for name in ("onnx", OPENVINO)]
    pictures = np.random.default_rng(0).random((3, 3, 64, 64), np.float32)
    for graph in (each.graph for each in opened if isinstance(each, OnnxSegmenter)):
        alone = np.stack([graph.run(picture).maps for picture in pictures])
        assert np.ptp(alone) > 0.1
        np.testing.assert_allclose(graph.run_batch(pictures), alone, atol=1e-5)


@with_openvino
@pytest.mark.slow
@pytest.mark.parametrize("name", ["u2netp", "modnet"])
def test_openvino_gives_the_alphas_of_the_official_files(shared, name):
    options = {"u2netp": {"divide_by_max": True, "postprocess": "minmax"}, "modnet": {}}[name]
    size = {"u2netp": None, "modnet": 512}[name]
    file = OnnxSegmenter(
        shared / "weights" / f"{name}.onnx", size, mean=(0.5,) * 3, std=(0.5,) * 3, **options
    )
    picture = shared / "data" / "street_kol" / "images" / "0003.jpg"
    expected = file.segment(picture)
    assert np.ptp(expected) > 0.5
    found = file.run_by(OPENVINO)
    assert np.abs(found.segment(picture) - expected).max() <= BOUND
    # the file's own graph is as it was
    assert np.array_equal(file.segment(picture), expected)


@with_openvino
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "size"),
    [("u2netp", "u2netp_from_onnx_bnrecal", 160), ("modnet", "modnet_photographic_from_onnx_bnrecal", 192)],
)
def test_openvino_gives_the_alphas_of_our_own_networks(shared, name, weights, size):
    method = kolbench.load(name, weights=shared / "weights" / f"{weights}.pth", device="cpu", size=size)
    picture = shared / "data" / "street_kol" / "images" / "0007.jpg"
    with Forms(method, CPU) as forms:
        found = forms.build(OPENVINO)
    assert np.abs(found.segment(picture) - method.segment(picture)).max() <= BOUND


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = prepare(small(), CPU, PICTURE, OPENVINO)
    assert found.backend == "eager"
    assert found.notes == (
        "openvino is not used: backend=openvino needs OpenVINO, which is not installed: "
        'pip install "kolbench[openvino]".',
    )


@with_openvino
def test_a_file_is_run_by_openvino_where_nothing_can_export(home, monkeypatch):
    with Forms(small(), CPU) as forms:
        file = forms.build(ONNX)
        monkeypatch.setitem(sys.modules, "onnx", None)
        assert set(prepare(file, CPU, PICTURE).seconds) == {ONNX, OPENVINO}
        assert prepare(file, CPU, PICTURE, OPENVINO).backend == OPENVINO
        assert prepare(file, CPU, PICTURE, ONNX).backend == ONNX
        # our own networks would have to be exported first
        assert set(prepare(small(), CPU, PICTURE).seconds) == set(TORCH_FORMS)
        monkeypatch.setitem(sys.modules, "openvino", None)
        assert prepare(file, CPU, PICTURE).backend == UNCHANGED


class Shifted(Segmenter):
    """Alpha = a half and a bit."""

    def __init__(self, bit):
        super().__init__()
        self.bit = bit

    def predict(self, *inputs):
        return Prediction(torch.full_like(inputs[0][:, :1], 0.5) + self.bit)


def test_what_differs_by_two_thousandths_does_not_enter():
    race = Race("eager", Shifted(0.0), PICTURE)
    assert race.enter("near", lambda: Shifted(0.9e-3))
    assert not race.enter("far", lambda: Shifted(2e-3))
    assert not race.enter("broken", lambda: Shifted(float("nan")))
    assert set(race.runners) == {"eager", "near"}
    assert race.notes[0] == "far is not used: its alpha differs by 2.0e-03."


def test_forms_are_timed_in_turn():
    ran = []

    class Telling(Shifted):
        def __init__(self, name):
            super().__init__(0.0)
            self.name = name

        def predict(self, *inputs):
            ran.append(self.name)
            return super().predict(*inputs)

    race = Race("a", Telling("a"), PICTURE)
    race.enter("b", lambda: Telling("b"))
    ran.clear()
    assert set(race.seconds(["a", "b"])) == {"a", "b"}
    assert "".join(ran) == "ababab"


def test_a_choice_is_found_once_and_read_again(home):
    segmenter = small()
    first = prepare(segmenter, CPU, PICTURE)
    (place,) = (home / "backends").iterdir()
    assert first.backend == min(first.seconds, key=lambda name: first.seconds[name])
    assert first.notes[0].startswith(f"backend={first.backend}: ")
    assert first.notes[0].endswith(f"measured now; kept in {place}")
    kept = json.loads(place.read_text())
    assert kept["form"] == first.backend
    assert kept["seconds"] == dict(first.seconds)
    # whatever was found holds, and nothing is timed again
    place.write_text(json.dumps({**kept, "form": "folded"}))
    second = prepare(segmenter, CPU, PICTURE)
    assert (second.backend, second.seconds) == ("folded", {})
    assert f"as measured on {kept['measured']}" in second.notes[0]
    assert np.abs(second.segmenter.segment(PICTURE) - segmenter.segment(PICTURE)).max() <= BOUND
    for damaged in ("{", json.dumps({**kept, "form": "of tomorrow"}), json.dumps({**kept, "version": 2})):
        place.write_text(damaged)
        assert prepare(segmenter, CPU, PICTURE).seconds
        assert json.loads(place.read_text())["form"] in FORMS


def test_another_network_size_or_machine_has_another_file(home, monkeypatch):
    place = choices.place_of
    digests = [choices.digest_of(network_of(small(seed))) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    moved = small()
    moved.network[1].running_mean += 1e-3
    assert choices.digest_of(network_of(moved)) != digests[0]
    # a head that only training needs is in no official file, and random
    spare = [UNetSegmenter(32, filters=2).eval() for _ in range(2)]
    spare[1].load_state_dict(spare[0].state_dict())
    for each in spare:
        each.network.spare = nn.Linear(3, 3)
    assert len({choices.digest_of(network_of(each)) for each in spare}) == 1
    known = {
        place(digests[0], (64, 64), "cpu", False),
        place(digests[2], (64, 64), "cpu", False),
        place(digests[0], (64, 96), "cpu", False),
        place(digests[0], (64, 64), "cuda:0", False),
        place(digests[0], (64, 64), "cpu", True),
    }
    assert place(digests[0], (64, 64), "cpu", False) in known
    for name, other in (
        ("cpu_model", lambda: "Another CPU"),
        ("cores", lambda: 64),
        ("versions", lambda: {"torch": "99.0"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(machine, name, other)
            known.add(place(digests[0], (64, 64), "cpu", False))
    assert len(known) == 8
    assert all(path.parent == home / "backends" for path in known)
