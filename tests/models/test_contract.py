"""What every method promises, whatever it is; methods are found by their YAML."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch

from kolbench.config import compose
from kolbench.io import images
from kolbench.models.trivial import MeanMask
from tests.conftest import drawn
from tests.helpers import detectors
from tests.helpers.networks import SLIM, settled

METHODS = sorted(path.stem for path in (compose.conf_dir() / "model").glob("*.yaml"))
# its file fixes 320 px
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name == "official_u2netp")) for name in METHODS]
BLOCK = 8
# odd, smaller than any canvas, and long
SIZES = [(33, 47), (128, 96), (2048, 300)]
NAMES = ["a/1", "b"]
OFFICIAL = {"official_modnet": "modnet.onnx", "official_u2netp": "u2netp.onnx", "onnx": "modnet.onnx"}
HELPED = [
    ("grabcut", "box"),
    ("grabcut", "oracle"),
    ("kmeans", "box"),
    ("kmeans", "oracle"),
    ("meanshift", "box"),
    ("meanshift", "oracle"),
]

# what they are given is made from the truth
REFINING = {"cascadepsp"}

CANVAS = 64
SMALL = {
    "cascadepsp": {"size": CANVAS},
    "contextnet": {"size": CANVAS},
    "cosnet": {"size": CANVAS, "backbone": "mobilenet_v2"},
    # mean shift's time grows with the square of its copy's pixels
    "meanshift": {"max_side": 32},
    "matnet": {"size": CANVAS, "backbone": "mobilenet_v2"},
    "enet": {"size": CANVAS},
    "espnet": {"size": CANVAS},
    "espnetv2": {"size": CANVAS},
    "grabcut": {"size": CANVAS},
    # an untrained network is sure of nobody
    "maskrcnn": {
        "network": detectors.SMALL,
        "min_size": CANVAS,
        "box_samples": 8,
        "proposals": 30,
        "score_threshold": 0.0,
    },
    "mobilenetv3": {"size": CANVAS},
    "modnet": {"size": CANVAS},
    "official_modnet": {"size": CANVAS},
    "onnx": {"size": CANVAS, "multiple": 32},
    "pdnet": {"size": CANVAS, "backbone": "mobilenet_v2"},
    "portraitnet": {"size": CANVAS},
    "stdc": {"size": CANVAS},
    "u2net": {"size": CANVAS},
    "u2netp": {"size": CANVAS},
    "sinet": {"size": CANVAS},
    "unet": {"size": CANVAS},
    "rcrnet": {"size": CANVAS},
    "unet_smp": {"size": CANVAS},
}
# untrained, its products of levels enlarge what float32 rounds off; in float64 test_pdnet allows 1e-9
# of PortraitNet two threads sum transposed convolutions in another order than one
ROUNDING = {"pdnet": 2e-3, "portraitnet": 5e-5}
# widths that no YAML offers
WIDTHS = {"rsudisnet": SLIM}
# neither networks nor worth a process
NO_FUNCTION = {"allfg", "ellipse", "meanmask", "masks", "onnx", "official_modnet", "official_u2netp"}
# what released code holds and counts without an effect: ESPNetV2 never uses it, and PDNet's softmax over the
# parts takes off what all of them share
UNUSED = {"espnetv2": ".eesp.act.weight", "pdnet": ".part_sep_pred.bias"}
# what a YAML asks of the user
PLACEHOLDER = {
    "masks": {"masks_dir": "unused"},
    "onnx": {"file": "unused"},
    "official_modnet": {"file": "unused"},
    "official_u2netp": {"file": "unused"},
}
TRAINABLE = [
    name for name in METHODS if compose.model_config(name, "smoke", **PLACEHOLDER.get(name, {})).training
]


@pytest.fixture(scope="module")
def build(request, tmp_path_factory):
    """Builds a method small, with the files that external methods need."""

    def make(name, **options):
        if name in OFFICIAL:
            shared = request.getfixturevalue("shared")
            options["file"] = str(next((shared / "weights").rglob(OFFICIAL[name])))
        if name == "masks":
            folder = tmp_path_factory.mktemp("mattes")
            options["masks_dir"] = str(folder)
            for seed, matte in enumerate(NAMES):
                path = folder / f"{matte}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write_png(path, np.random.default_rng(seed).integers(0, 256, (40, 30), np.uint8))
        settings = compose.model_config(name, "smoke", **SMALL.get(name, {}), **options)
        torch.manual_seed(0)
        settings = dataclasses.replace(settings, options={**settings.options, **WIDTHS.get(name, {})})
        method = compose.build_segmenter(settings).eval()
        if name == "pdnet":
            # products of levels vanish until norms know them
            settled(method.network, torch.rand(4, 3, 128, 128))
        if name == "maskrcnn":
            # masks are most of a prediction
            method.network.roi_heads.detections_per_img = 4
        if isinstance(method, MeanMask):
            method.fit_mean(torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)))
        return method

    return make


@pytest.fixture(scope="module")
def built(build):
    """The method of a name, built once; nobody may change it."""
    return functools.cache(build)


def inputs(method, height, width, count=2):
    """What `reads` names, for pictures with an object in the middle."""
    generator = np.random.default_rng(height + width)
    # noise of single pixels makes mean shift take minutes
    coarse = generator.integers(0, 40, (count, -(-height // BLOCK), -(-width // BLOCK), 3), np.uint8)
    image = coarse.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)[:, :height, :width].copy()
    mask = np.zeros((count, height, width), np.uint8)
    mask[:, height // 4 : -height // 4, width // 3 : -width // 3] = 1
    image[mask == 1] += 150
    given = {
        "image": torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255,
        "mask": torch.from_numpy(mask)[:, None].float(),
        "flow": torch.from_numpy(image[:, :, ::-1].copy()).permute(0, 3, 1, 2).float() / 255,
        "rough": torch.from_numpy(np.roll(mask, 3, axis=2))[:, None].float(),
        "name": NAMES[:count],
    }
    return [given[key] for key in method.input_keys]


def one(entries, index):
    return [entry[index : index + 1] for entry in entries]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("name", EACH)
@torch.no_grad()
def test_alpha_has_the_pictures_size_and_range(name, height, width, built):
    method = built(name)
    given = inputs(method, height, width, 1)
    before = [entry.clone() if isinstance(entry, torch.Tensor) else list(entry) for entry in given]
    alpha = method.predict(*given).alpha
    assert alpha.shape == (1, 1, height, width)
    assert alpha.dtype == torch.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    for entry, kept in zip(given, before, strict=True):
        assert torch.equal(entry, kept) if isinstance(entry, torch.Tensor) else entry == kept


@pytest.mark.parametrize("name", EACH)
@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one(name, built):
    method = built(name)
    given = inputs(method, 96, 130)
    together = method.predict(*given).alpha
    for index in range(2):
        alone = method.predict(*one(given, index)).alpha
        # batched convolutions may sum in another order
        torch.testing.assert_close(alone, together[index : index + 1], atol=ROUNDING.get(name, 2e-5), rtol=0)


@pytest.mark.parametrize("name", EACH)
@torch.no_grad()
def test_the_same_seed_gives_the_same_alpha(name, build, built):
    first = built(name)
    given = inputs(first, 80, 60, 1)
    expected = first.predict(*given).alpha
    torch.rand(7)
    np.random.default_rng().random()
    assert torch.equal(build(name).predict(*given).alpha, expected)
    assert torch.equal(first.predict(*given).alpha, expected)


@pytest.mark.parametrize("name", EACH)
def test_compared_methods_read_no_truth(name, built):
    method = built(name)
    assert method.truth_access == ("mask" if name in REFINING else "none")
    assert set(method.input_keys) <= {"image", "flow", "name"} | ({"rough"} if name in REFINING else set())
    assert method.input_keys[0] == "image"
    assert ("name" in method.input_keys) == (name == "masks")


@pytest.mark.parametrize(("name", "variant"), HELPED)
@torch.no_grad()
def test_helped_variants_say_so_and_use_it(name, variant, build):
    method = build(name, variant=variant)
    assert method.truth_access == {"box": "box", "oracle": "mask"}[variant]
    assert method.input_keys == ("image", "mask")
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.1
    left, right = torch.zeros(1, 1, 96, 96), torch.zeros(1, 1, 96, 96)
    left[..., 20:76, 12:40] = 1
    right[..., 20:76, 56:84] = 1
    image += torch.cat((left * 0.8, right * 0.8, torch.zeros_like(left)), dim=1)
    for truth, other in ((left, right), (right, left)):
        alpha = method.predict(image, truth).alpha
        assert alpha[truth == 1].mean() > alpha[other == 1].mean() + 0.5


@pytest.mark.parametrize("name", EACH)
@torch.no_grad()
def test_processes_are_given_the_same_function(name, built):
    method = built(name)
    function = method.array_function()
    if function is None:
        assert next(method.inference_network().parameters(), None) is not None or name in NO_FUNCTION
        return
    image = inputs(method, 64, 48, 1)[0]
    array = (image[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    expected = method.predict(image).alpha[0, 0].numpy()
    assert np.array_equal(function(array).alpha, expected)


def test_the_methods_of_the_papers_are_there():
    assert {"rsudisnet", "modnet", "u2net", "u2netp", "unet", "unet_smp", "maskrcnn"} <= set(TRAINABLE)
    assert {"kmeans", "meanshift", "grabcut", "allfg", "ellipse", "meanmask"} <= set(METHODS) - set(TRAINABLE)


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_trainable_method_has_both_recipes(name):
    model = compose.model_config(name, "smoke")
    assert model.training is not None
    assert set(model.training.paper) == {"size", "epochs", "batch"}
    assert set(model.training.recipes) == {"official", "paper"}
    written = model.to_mapping()["training"]
    assert isinstance(written, dict)
    assert set(written) - {"evaluation_only", "quick"} == {
        "paper",
        "short_lr_factor",
        "recipes",
        "channels_last",
    }
    for recipe in written["recipes"].values():
        assert set(recipe) - {"lr_factors"} == {"optimizer", "scheduler", "augment"}


@pytest.mark.parametrize("name", TRAINABLE)
def test_what_only_changes_predictions_stands_at_its_value_while_training(name):
    model = compose.model_config(name, "smoke")
    fixed = model.training.evaluation_only
    assert {key: model.options[key] for key in fixed} == fixed


@pytest.mark.parametrize("name", TRAINABLE)
def test_gradients_reach_every_parameter(name, built, training_batch):
    method = copy.deepcopy(built(name)).train()
    # at half the size, batches of two leave RSUDISNet's innermost norms two values
    batch = training_batch if name == "rsudisnet" else drawn(CANVAS)
    terms = method.losses(batch)
    loss = torch.stack(list(terms.values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    frozen = {key for key, p in method.named_parameters() if not p.requires_grad}
    assert {key.partition(".")[0] for key in frozen} <= {"gt_encoder"}
    unreached = [
        key
        for key, p in method.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert [key for key in unreached if not (name in UNUSED and key.endswith(UNUSED[name]))] == []


@pytest.mark.parametrize("name", TRAINABLE)
@torch.no_grad()
def test_a_state_dict_makes_another_the_same(name, built):
    first, second = built(name), copy.deepcopy(built(name))
    for parameter in second.inference_network().parameters():
        parameter.mul_(0.5)
    given = inputs(first, 80, 60, 1)
    assert not torch.equal(first.predict(*given).alpha, second.predict(*given).alpha)
    assert second.load_weights(first.inference_network().state_dict()) == []
    assert torch.equal(first.predict(*given).alpha, second.predict(*given).alpha)
