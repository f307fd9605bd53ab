"""CascadePSP as a method: what its network is fed, what it learns, and that its weights are the refiner's."""

import pytest
import torch
from torchvision.models import mobilenet_v2

from kolbench.config import compose
from kolbench.data import augment
from kolbench.engine.schedule import Milestones
from kolbench.errors import ConfigError, TrainingError
from kolbench.inference.export.graph import network_of
from kolbench.models.cascadepsp import CascadePSPSegmenter
from kolbench.models.components.refinement import RefinementNetwork
from kolbench.models.losses.refinement import refinement_losses
from kolbench.tasks.evaluation import augmentation_of
from tests.helpers.networks import settled

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class FedBoth(torch.nn.Module):
    """Calls a refinement network with what one tensor of four channels holds."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x[:, :3], x[:, 3:])


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    made = CascadePSPSegmenter(32)
    settled(FedBoth(made.network), torch.cat((torch.randn(4, 3, 32, 48), torch.ones(4, 1, 32, 48)), 1))
    return made.eval()


def scene(height=32, width=48):
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    rough = torch.zeros(2, 1, height, width)
    rough[..., height // 4 : height // 2, width // 4 :] = 1
    return image, rough


@torch.no_grad()
def test_alpha_is_the_third_pass_of_the_cascade(segmenter):
    image, rough = scene()
    expected = segmenter.network((image - MEAN) / STD, 2 * rough - 1).out_224.sigmoid()
    torch.testing.assert_close(segmenter.predict(image, rough).alpha, expected)
    assert expected.std() > 0.001
    # the mask matters: another one gives another alpha
    assert not torch.allclose(segmenter.predict(image, 1 - rough).alpha, expected, atol=1e-4)


@torch.no_grad()
def test_larger_pictures_are_seen_small_and_their_masks_are_cut_again(segmenter):
    image, rough = scene(128, 192)
    given = []
    hook = segmenter.network.register_forward_pre_hook(lambda _, inputs: given.append(inputs))
    alpha = segmenter.predict(image, rough).alpha
    hook.remove()
    assert alpha.shape == (2, 1, 128, 192)
    ((seen, mask),) = given
    assert seen.shape == (2, 3, 32, 48)
    # rows 32..63 and columns from 48 on, a quarter as large
    expected = torch.full((2, 1, 32, 48), -1.0)
    expected[..., 8:16, 12:] = 1
    assert torch.equal(mask, expected)


def test_losses_are_those_of_all_six_outputs(segmenter):
    image, rough = scene()
    truth = rough.roll(2, 3)
    with torch.no_grad():
        found = segmenter.losses({"image": image, "rough": rough, "mask": truth})
        expected = refinement_losses(segmenter.network((image - MEAN) / STD, 2 * rough - 1), truth)
    assert len(found) == 12
    assert {name: term.item() for name, term in found.items()} == pytest.approx(
        {name: term.item() for name, term in expected.items()}
    )
    # errors of probabilities are those against a true alpha, where there is one
    with torch.no_grad():
        soft = segmenter.losses({"image": image, "rough": rough, "mask": truth, "matte": 0.75 * truth})
    assert soft["l1_224"] != found["l1_224"]
    assert soft["bce_28"] == found["bce_28"]
    with pytest.raises(TrainingError, match=r"makes none; add .*RoughFromMask.* behind all steps"):
        segmenter.losses({"image": image, "mask": truth})


def test_training_pictures_are_a_third_larger_than_their_crops():
    with torch.device("meta"):
        assert CascadePSPSegmenter(224).training_input_size(300, 400) == (304, 400)
        assert CascadePSPSegmenter(128).training_input_size(1920, 1080) == (304, 176)
        # pictures that are scored lose no pixel by a crop
        assert CascadePSPSegmenter(128).input_spec.input_size(1920, 1080) == (224, 128)


def test_its_weights_are_the_refiners(segmenter):
    state = segmenter.inference_network().state_dict()
    refiner = RefinementNetwork("mobilenet_v2", 0.25).eval()
    refiner.load_state_dict(state)
    image, rough = scene()
    with torch.no_grad():
        expected = segmenter.predict(image, rough).alpha
        found = refiner((image - MEAN) / STD, 2 * rough - 1).out_224.sigmoid()
    assert torch.equal(found, expected)
    # the released file may lack counters of batches, which play no part
    bare = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert CascadePSPSegmenter(32).load_weights(bare) == []


def test_the_papers_network_by_its_settings():
    with torch.device("meta"):
        options = {"backbone": "resnet50", "width": 1}
        paper = compose.build_segmenter(compose.model_config("cascadepsp", "smoke", **options))
    assert sum(parameter.numel() for parameter in paper.parameters()) == 67_683_433
    assert len(paper.inference_network().state_dict()) == 426
    assert "psp.bottleneck.weight" in paper.inference_network().state_dict()


def test_a_backbone_from_imagenet_sees_no_mask_at_first(tmp_path):
    theirs = mobilenet_v2(weights=None).state_dict()
    torch.save(theirs, tmp_path / "mobilenet.pth")
    made = CascadePSPSegmenter(32, backbone_weights=str(tmp_path / "mobilenet.pth"))
    first = made.network.feats.state_dict()["features.0.0.weight"]
    assert torch.equal(first[:, :3], theirs["features.0.0.weight"])
    assert not first[:, 3:].any()
    (said,) = made.beginning
    assert "mobilenet.pth: the backbone's tensors come from it" in said


@pytest.mark.parametrize("recipe", ["official", "paper"])
def test_recipes_crop_and_end_with_a_rough_mask(recipe):
    model = compose.model_config("cascadepsp", "smoke", size=64, recipe=recipe)
    transform = augment.composed(augmentation_of(model), None)
    colours = torch.randint(0, 256, (3, 96, 128), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    masks = torch.zeros(2, 96, 128, dtype=torch.uint8)
    masks[:, 20:76, 30:100] = 1
    grey = 0
    for seed in range(20):
        layers, moved = augment.apply(transform, colours, masks, seed)
        assert layers["image"].shape == (3, 64, 64)
        rough = layers["rough"] > 0
        assert rough.shape == (1, 64, 64)
        # the truth of the crop, not of the whole picture
        assert 0.5 < float((rough & (moved[:1] > 0)).sum() / (rough | (moved[:1] > 0)).sum()) < 1
        grey += bool((layers["image"][0] == layers["image"][1]).all())
    assert grey < 8
    recipe = model.chosen_recipe
    assert recipe.optimizer["lr"] == 2.25e-4
    assert recipe.optimizer["weight_decay"] == 1e-4
    # of 6 epochs, at one half and at five sixths
    assert Milestones.from_mapping(recipe.scheduler).drops(10, 6) == [30, 50]


def test_it_says_why_it_is_never_exported_and_what_is_out_of_range(segmenter):
    with pytest.raises(ConfigError, match=r"given the image alone\. Use it after another method"):
        network_of(segmenter)
    with pytest.raises(ConfigError, match=r"model\.backbone=resnet34 is not a choice; .* resnet18"):
        CascadePSPSegmenter(32, backbone="resnet34")
    with pytest.raises(ConfigError, match=r"model\.size=40 .* multiple of 16"):
        CascadePSPSegmenter(40)
