"""PDNet as a method: steps on clips and on pictures, what it remembers, recipes and backbones."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from kolbench.config.compose import build_segmenter, model_config
from kolbench.errors import ConfigError, WeightsError
from kolbench.models.checkpoints.read import load_state_strict, read_state_dict
from kolbench.models.losses import pdnet as losses
from kolbench.models.losses.pdnet import LossOptions
from kolbench.models.pdnet import PRESETS, PDNetSegmenter
from kolbench.segmenter import Clip, Segmenter
from tests.helpers.networks import unreached

SMALL: dict[str, Any] = {"backbone": "mobilenet_v2", "width": 16}
FRAMES = [torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(seed)) for seed in range(8)]


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> str:
    """A file with the tensors of an untrained MobileNetV2."""
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("features") / "mobilenet_v2.pth"
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), file)
    return str(file)


def method(**options) -> PDNetSegmenter:
    torch.manual_seed(0)
    return PDNetSegmenter(**{"size": 64, **SMALL, **options})


def semantic(features: str, **options) -> PDNetSegmenter:
    return method(sem_extractor="mobilenet_v2", sem_weights=features, **options)


def lively(**options) -> PDNetSegmenter:
    """In evaluation mode, its norms with the statistics of three frames."""
    segmenter = method(**options)
    for norm in segmenter.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    with torch.no_grad():
        segmenter.network.train().forward_train(torch.randn(3, 3, 64, 64))
    return segmenter.eval()


def step(video: bool, count: int = 2) -> Any:
    generator = torch.Generator().manual_seed(2)
    masks = torch.zeros(2, count, 1, 64, 64)
    masks[0, :, :, 16:48, 20:40] = 1
    masks[1, :, :, 10:40, 24:44] = 1
    image, reference = torch.rand(2, count, 3, 64, 64, generator=generator)
    batch = {"image": image, "mask": masks[0]}
    return {**batch, "reference": reference, "reference_mask": masks[1]} if video else batch


def unlearned(segmenter: PDNetSegmenter) -> set[str]:
    """What a video step does not reach; the softmax over the parts takes off the bias that they share."""
    return set(unreached(segmenter, step(video=True))) - {"network.ipda.part_sep_pred.bias"}


def at_input(logits: Tensor) -> Tensor:
    return nn.functional.interpolate(logits, (64, 64), mode="bilinear", align_corners=True)


def part_loss(segmenter: PDNetSegmenter, logits: Any, mask: Tensor, image: Tensor) -> dict[str, Tensor]:
    """The losses of the parts as the released code has them, put together from their pieces."""
    saliency, parts = at_input(logits.saliency).sigmoid(), at_input(logits.parts).softmax(1)
    true, predicted = parts * mask, parts * saliency
    basis = segmenter.part_basis.relu()
    assert segmenter.features is not None
    given = losses.Semantics(segmenter.features(image), basis)
    return {
        "geo": losses.geometric_loss(true) + losses.geometric_loss(predicted) / 2,
        "area": (losses.area_loss(true) + losses.area_loss(predicted)) / 2,
        "sem": losses.direct_semantic_loss(true, mask, given)
        + losses.direct_semantic_loss(predicted, saliency, given) / 2,
        "orth": losses.orthogonality_loss(basis),
    }


@torch.no_grad()
def test_a_video_step_weights_the_reference_less(features):
    segmenter = semantic(features).eval()
    batch = step(video=True)
    found = segmenter.losses(batch)
    image, reference = (segmenter.input_spec.normalise(batch[name]) for name in ("image", "reference"))
    maps = segmenter.network.forward_train(image, reference)
    frames = (
        (0.8, maps.target, batch["mask"], image),
        (0.64, maps.reference, batch["reference_mask"], reference),
    )

    def error(logits: Tensor, mask: Tensor) -> Tensor:
        logits = at_input(logits)
        absolute = (logits.sigmoid() - mask).abs().mean()
        return losses.weighted_cross_entropy(logits, mask, 1000) + 0.8 * absolute

    expected = {"final": error(maps.final, batch["mask"])}
    for weight, frame, mask, picture in frames:
        terms = {
            "auxiliary": torch.stack([error(logits, mask) for logits in frame.auxiliary]).sum(),
            "saliency": error(frame.parts.saliency, mask),
            **part_loss(segmenter, frame.parts, mask, picture),
        }
        for name, term in terms.items():
            expected[name] = expected.get(name, torch.zeros(())) + weight * term
    assert set(found) == set(expected)
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_an_image_step_is_its_own_reference_and_leaves_parts_alone(features):
    segmenter = semantic(features).eval()
    batch = step(video=False)
    found = segmenter.losses(batch)
    assert set(found) == {"final", "auxiliary", "saliency"}
    own: Any = {**batch, "reference": batch["image"], "reference_mask": batch["mask"]}
    twice = segmenter.losses(own)
    torch.testing.assert_close(found["final"], twice["final"])
    for name in ("auxiliary", "saliency"):
        torch.testing.assert_close(found[name] * (0.8 + 0.64) / 0.8, twice[name])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"losses": ["geo"]}, {"final", "auxiliary", "saliency", "geo"}),
        ({"losses": []}, {"final", "auxiliary", "saliency"}),
        ({"parts": 1}, {"final", "auxiliary", "saliency"}),
        ({"ipda": False}, {"final", "auxiliary"}),
    ],
)
def test_the_rows_of_the_papers_tables(options, names, features):
    segmenter = semantic(features, **options)
    assert set(segmenter.losses(step(video=True))) == names
    assert segmenter.part_basis is None
    assert unlearned(segmenter) == set()


def test_gradients_of_a_video_step_reach_every_parameter_and_no_extractor(features):
    segmenter = semantic(features)
    assert unlearned(segmenter) == set()
    assert segmenter.part_basis.shape == (5, 1280)
    assert (segmenter.part_basis >= 0).all()
    names = set(segmenter.state_dict())
    assert "part_basis" in names
    assert all(name == "part_basis" or name.startswith("network.") for name in names)


def test_without_an_extractors_weights_a_line_says_what_is_left_out():
    segmenter = method()
    assert set(segmenter.losses(step(video=True))) == {"final", "auxiliary", "saliency", "geo", "area"}
    (line,) = segmenter.beginning
    assert line.startswith("model.sem_weights=null: L_sem has no features")
    assert method(losses=["geo"]).beginning == ()


def test_an_extractors_missing_file_is_named_when_it_is_needed():
    segmenter = semantic("nowhere.pth")
    segmenter.losses(step(video=False))
    with pytest.raises(WeightsError, match=r"There is no checkpoint file nowhere\.pth"):
        segmenter.losses(step(video=True))


def test_losses_are_finite_in_mixed_precision(features):
    segmenter = semantic(features)
    with torch.autocast("cpu", torch.bfloat16):
        found = segmenter.losses(step(video=True))
    assert all(term.dtype == torch.float32 and term.isfinite() for term in found.values())


def along(segmenter: PDNetSegmenter, frames: list[Tensor]) -> list[Tensor]:
    clip = Clip(segmenter)
    with torch.no_grad():
        return [clip.predict(frame).alpha for frame in frames]


def by_hand(segmenter: PDNetSegmenter, frame: Tensor, references: list[Tensor]) -> Tensor:
    network = segmenter.network
    with torch.no_grad():
        kept = [network.remember(network.look(segmenter.input_spec.preprocess(x))) for x in references]
        seen = network.look(segmenter.input_spec.preprocess(frame))
        return network.segment(seen, kept, frame.shape[-2:]).sigmoid()


def test_the_first_frame_is_the_reference_of_all():
    segmenter = lively()
    found = along(segmenter, FRAMES[:4])
    for frame, alpha in zip(FRAMES, found, strict=False):
        torch.testing.assert_close(alpha, by_hand(segmenter, frame, [FRAMES[0]]), rtol=0, atol=1e-6)
    alone = along(segmenter, [FRAMES[2]])[0]
    assert (alone - found[2]).abs().max() > 1e-3
    # another clip does not know this one
    torch.testing.assert_close(along(segmenter, [FRAMES[2]])[0], alone)


def test_a_cached_reference_gives_what_its_picture_gives():
    cached = lively()
    anew = copy.deepcopy(cached)
    anew.cache_reference = False
    for one, other in zip(along(cached, FRAMES[:3]), along(anew, FRAMES[:3]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    with torch.no_grad():
        assert [len(m.predict(FRAMES[0]).state or ()) for m in (cached, anew)] == [2, 1]


@pytest.mark.parametrize("cached", [True, False])
def test_two_references_are_the_first_frame_and_one_some_frames_before(cached):
    segmenter = lively(references=2, reference_gap=3, cache_reference=cached)
    found = along(segmenter, FRAMES)
    for at, (frame, alpha) in enumerate(zip(FRAMES, found, strict=True)):
        references = [FRAMES[0], FRAMES[max(0, at - 3)]]
        torch.testing.assert_close(alpha, by_hand(segmenter, frame, references), rtol=0, atol=1e-6)


@torch.no_grad()
def test_what_is_kept_of_a_clip_does_not_grow():
    segmenter = lively(references=2, reference_gap=3)
    state = None
    for at, frame in enumerate(FRAMES):
        state = segmenter.predict(frame, state=state).state
        assert len(state or ()) == 2 * (1 + min(at + 1, 3))


def test_without_ipda_frames_are_pictures():
    segmenter = lively(ipda=False)
    assert not segmenter.stateful
    assert torch.equal(along(segmenter, FRAMES[:2])[1], along(segmenter, [FRAMES[1]])[0])


DIFFERING = {
    "attention_scale": ("none", "sqrt"),
    "attention_residual": (True, False),
    "part_halving": ("official", "eq6"),
    "lambda_orth": (1, 0),
    "wbce": ("cosnet", "balanced"),
    "l1_weight": (0.8, 1),
    "target_weight": (0.8, 1),
    "reference_weight": (0.64, 1),
}


def test_the_papers_recipe_changes_exactly_the_rows_that_differ():
    one, other = (preset._asdict() for preset in (PRESETS["official"], PRESETS["paper"]))
    assert {name: (one[name], other[name]) for name in one} == DIFFERING
    code, paper = (
        build_segmenter(model_config("pdnet", "smoke", recipe=recipe, size=64, **SMALL))
        for recipe in ("official", "paper")
    )
    assert isinstance(code.loss_options, LossOptions)
    for segmenter, place in ((code, 0), (paper, 1)):
        of = {**vars(segmenter.loss_options), **vars(segmenter.network.options)}
        assert {name: of[name] for name in DIFFERING} == {n: both[place] for n, both in DIFFERING.items()}
    same = [{n: v for n, v in vars(s.loss_options).items() if n not in DIFFERING} for s in (code, paper)]
    assert same[0] == same[1]


def test_a_typed_knob_wins_over_the_recipe():
    chosen = {"attention_residual": False, "lambda_orth": 0.0, "l1_weight": 0.0, "attention_scale": "sqrt"}
    segmenter = method(**chosen)
    of = {**vars(segmenter.loss_options), **vars(segmenter.network.options)}
    assert {name: of[name] for name in chosen} == chosen


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_a_body_starts_from_imagenet(backbone, tmp_path):
    torch.manual_seed(3)
    network = getattr(torchvision.models, backbone)(weights=None)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    segmenter = method(backbone=backbone, backbone_weights=str(tmp_path / "weights.pth"))
    first = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    ours = next(part for part in segmenter.network.bkbone.modules() if isinstance(part, nn.Conv2d))
    assert torch.equal(first.weight, ours.weight)


def test_released_checkpoints_load_with_what_else_they_hold(tmp_path):
    state = method().network.state_dict()
    momentum = {
        "state": {0: {"momentum_buffer": torch.zeros(2)}},
        "param_groups": [{"lr": 0.1, "params": [0]}],
    }
    basis = {"w": torch.zeros(5, 512)}
    released = {"epoch": 59, "model": state, "optim": momentum, "part_basis_generator": basis}
    torch.save(released, tmp_path / "released.pth")
    other = PDNetSegmenter(64, **SMALL)
    assert other.load_weights(read_state_dict(tmp_path / "released.pth")) == []
    assert torch.equal(other.network.head.weight, state["head.weight"])


def test_checkpoints_may_lack_the_heads_of_training():
    segmenter = method()
    kept = {n: t for n, t in segmenter.network.state_dict().items() if not n.startswith("head_")}
    with pytest.warns(UserWarning, match="lacks head_1, head_2, head_3, head_4"):
        assert segmenter.load_weights(kept) == ["head_1", "head_2", "head_3", "head_4"]
    with pytest.raises(WeightsError, match="does not fit PDNet"):
        load_state_strict(method(parts=3).network, kept)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 15}, r"model\.size=15 is not a whole number from 16"),
        ({"preset": "papers"}, r"Did you mean model\.preset=paper"),
        ({"references": 3}, r"model\.references=3 is not a whole number from 1 to 2"),
        ({"reference_gap": 0}, r"model\.reference_gap=0 is not"),
        ({"sem_extractor": "resnet50"}, r"model\.sem_extractor=resnet50 is not a choice"),
        ({"resize_mode": "crop"}, r"model\.resize_mode=crop is not a choice"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        method(**changes)


def test_parts_are_drawn_in_colours_inside_the_foreground():
    segmenter = lively(parts=3)
    image = FRAMES[0]
    head = segmenter.network.head
    with torch.no_grad():
        # half of the picture above 0.5
        head.weight /= head.weight.abs().sum() * 1000
        head.bias -= segmenter.predict(image).alpha.median().logit()
        inside = segmenter.predict(image).alpha[0, 0].numpy() > 0.5
    shown = segmenter.visualize(image).astype(int)
    assert shown.shape == (50, 70, 3)
    assert 0.2 < inside.mean() < 0.8
    # grey has equal channels; the colours of parts have not
    spread = np.ptp(shown, axis=2)
    assert (spread[~inside] == 0).all()
    assert (spread[inside] > 20).mean() > 0.9


@pytest.mark.parametrize("options", [{"parts": 1}, {"ipda": False}])
def test_without_parts_the_cut_out_is_drawn(options):
    segmenter = lively(**options)
    assert np.array_equal(segmenter.visualize(FRAMES[0]), Segmenter.visualize(segmenter, FRAMES[0]))
