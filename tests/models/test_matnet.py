"""MATNet as a method: what it reads, what it learns from, its settings."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from kolbench.config.compose import model_config
from kolbench.data.augment import apply
from kolbench.errors import ConfigError
from kolbench.models.losses import matnet as losses
from kolbench.models.matnet import MATNetSegmenter
from kolbench.tasks.evaluation import augmentation_of

SIDE = 64


def method(**options) -> MATNetSegmenter:
    torch.manual_seed(0)
    return MATNetSegmenter(SIDE, backbone="mobilenet_v2", **options)


def pictures(seed: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def step() -> dict[str, Tensor]:
    mask = torch.zeros(2, 1, SIDE, SIDE)
    mask[..., 16:48, 8:40] = 1
    return {"image": pictures(0), "flow": pictures(1), "mask": mask}


def test_gradients_reach_every_parameter():
    segmenter = method()
    torch.stack(list(segmenter.losses(step()).values())).sum().backward()
    # the scores of a softmax over places share their bias
    still = {name for name, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(name.endswith(("proj1.bias", "proj2.bias")) for name in still)


@pytest.mark.parametrize("hard", ["sobel", "none"])
def test_the_losses_are_those_of_all_six_maps(hard):
    segmenter, batch = method(hard_negatives=hard).eval(), step()
    with torch.no_grad():
        found = segmenter.losses(batch)
        given = [segmenter.input_spec.normalise(batch[name]) for name in ("image", "flow")]
        maps = segmenter.network.forward_train(*given)
    boundary = losses.boundary_target(batch["mask"], 1)
    hardness = losses.hard_background(batch["image"], batch["mask"], boundary)
    hardness = hardness if hard == "sobel" else torch.zeros_like(hardness)
    expected = losses.weighted_error(maps.mask, batch["mask"], hardness)
    torch.testing.assert_close(found["mask"], expected)
    edges = [losses.weighted_error(x, boundary, hardness) for x in (maps.fused, *maps.boundaries)]
    torch.testing.assert_close(found["boundary"], 0.2 * torch.stack(edges).sum())


@torch.no_grad()
def test_a_picture_without_flow_does_not_move():
    segmenter = method().eval()
    image, white = pictures(0), torch.ones(2, 3, SIDE, SIDE)
    assert torch.equal(segmenter.predict(image).alpha, segmenter.predict(image, white).alpha)
    assert not torch.equal(segmenter.predict(image).alpha, segmenter.predict(image, pictures(1)).alpha)
    batch = step()
    still = {name: tensor for name, tensor in batch.items() if name != "flow"}
    assert float(segmenter.losses(still)["mask"]) != float(segmenter.losses(batch)["mask"])


@torch.no_grad()
def test_logits_are_resized_to_the_frame_in_one_step():
    segmenter = method().eval()
    image, flow = torch.rand(1, 3, 90, 150), torch.rand(1, 3, 90, 150)
    given = [segmenter.input_spec.preprocess(each) for each in (image, flow)]
    expected = segmenter.network.segment(given[0], given[1], (90, 150)).sigmoid()
    assert torch.equal(segmenter.predict(image, flow).alpha, expected)


def test_a_turned_picture_is_interpolated_and_its_flow_goes_with_it():
    steps = augmentation_of(model_config("matnet"))
    place = torch.arange(0, 192, 2, dtype=torch.uint8)
    ramp = torch.stack([place.expand(96, 96), place.expand(96, 96).T, 190 - place.expand(96, 96)])
    mask = torch.zeros(1, 96, 96, dtype=torch.uint8)
    layers, _ = apply(v2.Compose(steps), ramp, mask, 3, flow=ramp)
    image, flow = (layers[name].int() for name in ("image", "flow"))
    # its levels are even, those between two of them are not
    assert (image[:, 30:66, 30:66] % 2 == 1).any()
    assert (image - flow)[:, 30:66, 30:66].abs().max() <= 2


def test_released_files_load_with_what_they_hold_for_nothing():
    segmenter, other = method(), method()
    state = dict(segmenter.network.state_dict())
    unused = {"encoder.coa_res3.bna.weight": torch.ones(3), "decoder.pred4.bias": torch.ones(1)}
    assert other.load_weights({**state, **unused}) == []
    without = {name: tensor for name, tensor in state.items() if not name.startswith("decoder.concat")}
    with pytest.warns(UserWarning, match=r"decoder\.concat"):
        assert other.load_weights(without) == ["decoder.concat"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hard_negatives": "hed"}, "model.hard_negatives=hed is not a choice"),
        ({"flow_size": 4}, "model.flow_size=4 is not a whole number from 12"),
        ({"flow_form": "hsv"}, "model.flow_form=hsv is not a choice"),
        ({"flow_floor": -1}, "model.flow_floor=-1 is not a number from 0"),
        ({"size": 32}, "size=32 is not a whole number from 64"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        MATNetSegmenter(**{"size": SIDE, "backbone": "mobilenet_v2", **changes})
