"""COSNet as a method: its losses by kind of step, what it remembers of a clip, its settings."""

import copy
import itertools

import pytest
import torch
from torch import Tensor

from kolbench.errors import ConfigError, TrainingError
from kolbench.models.components.cosnet import COSNetOptions
from kolbench.models.cosnet import COSNetSegmenter
from kolbench.models.losses.cosnet import COSNetLossOptions, map_error
from kolbench.segmenter import Clip
from tests.helpers.networks import settled

SIDE = 64


def method(**options) -> COSNetSegmenter:
    torch.manual_seed(0)
    return COSNetSegmenter(SIDE, backbone="mobilenet_v2", **options)


def lively(**options) -> COSNetSegmenter:
    """One whose norms know their inputs, so that its alphas tell frames and references apart."""
    segmenter = method(**options)
    settled(segmenter.network, segmenter.input_spec.preprocess(pictures(4, 9)))
    return segmenter


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def step(kind: str) -> dict[str, object]:
    mask = torch.zeros(2, 1, SIDE, SIDE)
    mask[..., 16:48, 8:40] = 1
    batch: dict[str, object] = {"image": pictures(2), "mask": mask}
    if kind == "video":
        return {**batch, "reference": pictures(2, 1), "reference_mask": mask.flip(3)}
    return {**batch, "beside_clips": [True, True]} if kind == "beside clips" else batch


def test_golden_losses():
    logits, target = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    target[..., :2] = 1
    plain = COSNetLossOptions(l1_weight=0)
    assert float(map_error(logits, target, plain)) == pytest.approx(1.386294, abs=1e-6)
    assert float(map_error(logits, target, COSNetLossOptions())) == pytest.approx(1.786294, abs=1e-6)
    # a batch without foreground: the cap
    empty = map_error(logits, torch.zeros_like(target), plain)
    assert float(empty) == pytest.approx(1000 * 0.693147, rel=1e-5)


def learned(segmenter: COSNetSegmenter, kind: str) -> set[str]:
    """Parts of the network that a step's gradient reaches."""
    torch.stack(list(segmenter.losses(step(kind)).values())).sum().backward()
    names = {
        name
        for name, parameter in segmenter.network.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    assert not any(name.startswith("encoder.features") for name in names) or len(names) > 100
    return {".".join(name.split(".")[: 2 if name.startswith("encoder.main") else 1]) for name in names}


HEADS = {"linear_e", "gate", "conv1", "bn1", "main_classifier1", "conv2", "bn2", "main_classifier2"}


@pytest.mark.parametrize(
    ("kind", "terms", "parts"),
    [
        ("video", {"target", "reference"}, {"encoder", *HEADS}),
        ("beside clips", {"encoder"}, {"encoder", "encoder.main_classifier"}),
        ("alone", {"target", "reference", "encoder"}, {"encoder", "encoder.main_classifier", *HEADS}),
    ],
)
def test_each_kind_of_step_teaches_its_parts(kind, terms, parts):
    segmenter = method()
    assert set(segmenter.losses(step(kind))) == terms
    assert learned(segmenter, kind) == parts


def test_the_losses_of_a_video_step_are_those_of_both_maps():
    segmenter = method().eval()
    batch = step("video")
    with torch.no_grad():
        found = segmenter.losses(batch)
        given = [segmenter.input_spec.normalise(batch[name]) for name in ("image", "reference")]
        maps = segmenter.network.forward_pair(*given)
    options = COSNetLossOptions()
    torch.testing.assert_close(found["target"], map_error(maps.target, batch["mask"], options))
    torch.testing.assert_close(
        found["reference"], map_error(maps.reference, batch["reference_mask"], options)
    )


@pytest.mark.parametrize("kind", ["video", "beside clips", "alone"])
def test_a_batch_of_one_is_refused_in_training(kind):
    alone = {name: entry[:1] for name, entry in step(kind).items()}
    segmenter = method()
    with pytest.raises(TrainingError, match=r"one image.*budget\.batch=2 or more"):
        segmenter.losses(alone)
    # norms that keep their statistics need no second picture
    assert segmenter.eval().losses(alone)


def along(segmenter: COSNetSegmenter, frames: Tensor) -> list[Tensor]:
    clip = Clip(segmenter)
    with torch.no_grad():
        return [clip.predict(frame[None]).alpha for frame in frames]


@pytest.mark.parametrize("fusion", ["prediction", "summary", "group"])
def test_frames_are_compared_with_the_first_and_those_between(fusion):
    segmenter = lively(references=2, reference_fusion=fusion)
    frames = pictures(6)
    found = along(segmenter, frames)
    assert min(float(alpha.std()) for alpha in found) > 1e-3
    with torch.no_grad():
        features = [
            segmenter.network.encode(segmenter.input_spec.preprocess(frame[None])) for frame in frames
        ]
        # the first by itself, then all there are, then the first and the last of those that are kept
        for at, others in enumerate([[0], [0], [0, 1], [0, 2], [0, 3], [0, 4]]):
            references = [features[other] for other in others]
            expected = segmenter.network.segment(features[at], references, (SIDE, SIDE), fusion)
            torch.testing.assert_close(found[at], expected, rtol=0, atol=1e-6)
    # another clip does not know this one
    torch.testing.assert_close(along(segmenter, frames[2:3])[0], along(segmenter, frames[2:])[0])


@pytest.mark.parametrize("sampling", ["even", "random"])
@pytest.mark.parametrize("fusion", ["prediction", "summary", "group"])
@torch.no_grad()
def test_frames_are_compared_with_the_references_that_scoring_gives(sampling, fusion):
    segmenter = lively(reference_sampling=sampling, reference_fusion=fusion)
    assert segmenter.input_keys == ("image", "reference")
    assert segmenter.works_on_pictures
    frames, others = pictures(3), pictures(3, 1)[None]
    network, seen = segmenter.network, []
    network.encoder.register_forward_hook(lambda *given: seen.append(given[1][0]))
    clip = Clip(segmenter)
    found = [clip.predict(frame[None], others).alpha for frame in frames]
    # the references of a whole clip are encoded once
    assert len(seen) == (3 + 3 if sampling == "even" else 3 + 3 * 3)

    def encoded(picture):
        return network.encode(segmenter.input_spec.preprocess(picture))

    references = [encoded(other) for other in others.unbind(1)]
    for frame, alpha in zip(frames, found, strict=True):
        expected = network.segment(encoded(frame[None]), references, (SIDE, SIDE), fusion)
        torch.testing.assert_close(alpha, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_references_that_are_drawn_anew_are_not_remembered():
    segmenter = lively(reference_sampling="random")
    frame, first, second = pictures(1), pictures(2, 1)[None], pictures(2, 2)[None]
    clip = Clip(segmenter)
    found = [clip.predict(frame, others).alpha for others in (first, second)]
    assert not torch.equal(*found)
    assert torch.equal(found[1], segmenter.predict(frame, second).alpha)


@pytest.mark.parametrize("sampling", ["even", "random"])
def test_videos_and_single_pictures_take_frames_from_before(sampling):
    frames = pictures(4)
    found = along(lively(reference_sampling=sampling, references=2), frames)
    expected = along(lively(references=2), frames)
    assert all(map(torch.equal, found, expected))


@torch.no_grad()
def test_what_is_kept_of_a_clip_is_bounded_and_spread_over_it(monkeypatch):
    segmenter = method(references=3).eval()
    # features by their number, so that nothing is computed
    monkeypatch.setattr(segmenter.network, "encode", lambda given: given.mean((1, 2, 3), keepdim=True))
    monkeypatch.setattr(segmenter.network, "segment", lambda *given: torch.zeros(1, 1, SIDE, SIDE))
    state = None
    for at in range(1000):
        state = segmenter.predict(torch.full((1, 3, SIDE, SIDE), at / 1000.0), state=state).state
        assert len(state) <= 1 + 6
    first = segmenter.network.encode(segmenter.input_spec.preprocess(torch.zeros(1, 3, SIDE, SIDE)))
    numbers = [round(1000 * 0.2261 * float(kept - first)) for kept in state[1:]]
    assert numbers[0] == 0
    steps = {later - earlier for earlier, later in itertools.pairwise(numbers)}
    assert max(steps) - min(steps) <= 2
    assert numbers[-1] >= 500


def test_the_released_checkpoints_colours_are_blue_first_and_less_a_mean():
    image = torch.tensor([10.0, 100.0, 200.0]).reshape(1, 3, 1, 1).expand(1, 3, SIDE, SIDE) / 255
    seen = []
    segmenter = method(colours="bgr255").eval()
    segmenter.network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        segmenter.predict(image)
    expected = [200 - 104.00699, 100 - 116.66877, 10 - 122.67892]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-3)


def test_backbones_for_two_cores_are_light_unless_told_otherwise():
    assert method().network.options == COSNetOptions("mobilenet_v2").light()
    assert method(width=32, aspp_rates=[2, 4, 8]).network.options.aspp_rates == (2, 4, 8)
    with torch.device("meta"):
        assert COSNetSegmenter(SIDE, backbone="resnet50").network.options == COSNetOptions("resnet50")


def test_shortcut_norms_are_left_as_they_are():
    with torch.device("meta"):
        segmenter = COSNetSegmenter(SIDE, backbone="resnet18")
    left = {name for name, parameter in segmenter.network.named_parameters() if not parameter.requires_grad}
    assert len(left) == 6
    assert all(".downsample.1." in name for name in left)


def test_heads_of_training_may_be_missing():
    segmenter, other = method(), method(l1_weight=1.0)
    heads = ("conv2", "bn2", "main_classifier2", "encoder.main_classifier")
    kept = {name: t for name, t in segmenter.network.state_dict().items() if not name.startswith(heads)}
    with pytest.warns(UserWarning, match="main_classifier2"):
        assert set(other.load_weights(copy.deepcopy(kept))) == set(heads)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colours": "rgb"}, "model.colours=rgb is not a choice"),
        ({"references": 0}, "model.references=0 is not a whole number"),
        ({"reference_fusion": "max"}, "model.reference_fusion=max"),
        ({"reference_sampling": "future"}, "model.reference_sampling=future is not a choice"),
        ({"wbce": "plain"}, "model.wbce=plain"),
        ({"encoder_weight": -1}, "model.encoder_weight=-1 must be at least 0"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        method(**changes)
