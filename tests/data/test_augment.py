import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from kolbench.config.compose import model_config
from kolbench.config.groups import ModelConfig
from kolbench.data import augment
from kolbench.data.transforms import (
    JPEGCompression,
    KeepClean,
    MajorityFilter,
    RandomCropShare,
    RandomTrim,
    ReplaceBackground,
    ScaleAndShift,
    Sharpness,
    Warp,
    continued,
)
from kolbench.errors import ConfigError
from kolbench.tasks.evaluation import augmentation_of


class Pictures:
    """Three training pictures of 32x48 px: a person of one colour on a ground of another."""

    mattes = False

    def __init__(self) -> None:
        self.masks = np.zeros((3, 2, 32, 48), np.uint8)
        self.masks[:, 0, 8:28, 16:32] = 1
        self.colours = np.zeros((3, 3, 32, 48), np.uint8)
        for row, (person, ground) in enumerate([(200, 20), (180, 60), (160, 90)]):
            self.colours[row] = np.where(self.masks[row, :1], person, ground)


def sample():
    image = torch.arange(3 * 32 * 48).reshape(3, 32, 48).to(torch.uint8)
    return image, (image[:2] > 100).to(torch.uint8)


def applied(transform, colours, masks, seed):
    """All layers one after the other, and the masks."""
    layers, moved = augment.apply(transform, colours, masks, seed)
    return torch.cat(list(layers.values())), moved


def test_draws_depend_on_the_seed_alone_and_leave_the_global_generator_as_it_was():
    steps = [RandomCropShare(0.7), v2.RandomVerticalFlip(0.5), v2.RandomHorizontalFlip(0.5)]
    transform = augment.composed(steps, Pictures())
    image, masks = sample()
    before = torch.random.get_rng_state()
    first = [applied(transform, image, masks, seed) for seed in range(12)]
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    again = [applied(transform, image, masks, seed) for seed in range(12)]
    for (image_a, masks_a), (image_b, masks_b) in zip(first, again, strict=True):
        assert image_a.shape == (3, 16, 32)
        assert torch.equal(image_a, image_b)
        assert torch.equal(masks_a, masks_b)
        # the mask moved with its picture
        assert torch.equal(masks_a, (image_a[:2] > 100).to(torch.uint8))
    assert len({image_a.numpy().tobytes() for image_a, _ in first}) > 4


def test_crops_are_of_the_multiple_that_a_network_needs():
    image, masks = sample()
    cropped, _ = applied(RandomCropShare(0.7, multiple=8), image, masks, 0)
    assert cropped.shape == (3, 24, 32)


def test_trims_take_less_than_the_share_of_each_side_by_itself():
    # a picture whose value says its place, 32 x 48
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
    image = torch.stack([rows, columns, rows]).to(torch.uint8)
    masks = (columns > 20).to(torch.uint8)[None]
    windows = set()
    for seed in range(300):
        trimmed, moved = applied(RandomTrim(0.25), image, masks, seed)
        top, left = int(trimmed[0, 0, 0]), int(trimmed[1, 0, 0])
        height, width = trimmed.shape[-2:]
        assert torch.equal(trimmed, image[:, top : top + height, left : left + width])
        assert torch.equal(moved[0], (trimmed[1] > 20).to(torch.uint8))
        # of 8 rows and 12 columns fewer are cut, and never all on the one side
        for begin, cut, most in ((top, 32 - height, 8), (left, 48 - width, 12)):
            assert cut < most
            assert begin < cut or begin == cut == 0
        windows.add((32 - height, 48 - width))
    assert {cut for cut, _ in windows} == set(range(8))
    assert {cut for _, cut in windows} == set(range(12))


@pytest.mark.parametrize("seed", range(6))
def test_crops_and_flips_are_those_of_the_three_numbers_of_earlier_versions(seed):
    """torchvision's RandomCrop of the rounded size, then the flips, drew the same."""
    image, masks = sample()
    old = [v2.RandomCrop((16, 32)), v2.RandomVerticalFlip(0.5), v2.RandomHorizontalFlip(0.5)]
    new = [RandomCropShare(0.7), *old[1:]]
    expected, cropped = (applied(augment.composed(s, Pictures()), image, masks, seed) for s in (old, new))
    assert torch.equal(expected[0], cropped[0])
    assert torch.equal(expected[1], cropped[1])


def test_true_colours_change_like_their_picture():
    image, masks = sample()
    nine = torch.cat([image, image, image])
    steps = [ScaleAndShift(), v2.ColorJitter(0.5, 0.5, 0.5, 0.1), v2.RandomHorizontalFlip(0.5)]
    colours, _ = applied(augment.composed(steps, Pictures()), nine, masks, 3)
    assert colours.shape == (9, 32, 48)
    assert torch.equal(colours[:3], colours[3:6])
    assert torch.equal(colours[:3], colours[6:])
    assert not torch.equal(colours[:3], image)


def test_scale_and_shift_enlarge_by_their_factor_about_the_middle():
    image = torch.zeros(3, 32, 48, dtype=torch.uint8)
    image[:, 12:20, 18:30] = 255
    masks = (image[:1] > 0).to(torch.uint8)
    transform = augment.composed([ScaleAndShift(scale=(2, 2), shift=0)], Pictures())
    larger, moved = applied(transform, image, masks, 0)
    expected = torch.zeros(1, 32, 48, dtype=torch.uint8)
    expected[:, 8:24, 12:36] = 1
    assert torch.equal(moved, expected)
    # a pixel off the edge the picture is all person or all ground
    assert larger[0, 9:23, 13:35].min() == 255
    assert larger[0, :7].max() == 0


def test_what_comes_in_at_the_borders_is_mirrored_in_picture_and_truth():
    image = (torch.arange(48) * 5).to(torch.uint8).expand(3, 32, 48).clone()
    masks = (image[:1] > 150).to(torch.uint8)
    transform = augment.composed([ScaleAndShift(scale=(0.8, 0.8), shift=0.2)], Pictures())
    for seed in range(5):
        smaller, moved = applied(transform, image, masks, seed)
        sure = (smaller[:1].int() - 150).abs() > 8
        assert torch.equal((smaller[:1] > 150)[sure], moved[sure] == 1)
        assert smaller.float().std() > 40


def test_a_warp_turns_scales_and_moves_about_the_middle():
    image = torch.full((3, 40, 60), 10, dtype=torch.uint8)
    image[:, 18:22, 28:32] = 250
    masks = (image[:2] > 100).to(torch.uint8)
    same = Warp(0, (1, 1), 0, p=1)
    assert torch.equal(applied(same, image, masks, 0)[0], image)
    # twice as large: 4 px become 8 about the same middle
    larger, moved = applied(Warp(0, (2, 2), 0, p=1), image, masks, 0)
    assert moved[0].nonzero().min(0).values.tolist() == [16, 26]
    assert moved[0].nonzero().max(0).values.tolist() == [23, 33]
    assert (larger[0, 18:22, 28:32] == 250).all()
    # half as large: grey and background come in at the borders
    smaller, moved = applied(Warp(0, (0.5, 0.5), 0, p=1), image, masks, 0)
    assert (smaller[:, :9] == 128).all()
    assert moved.sum() == 2 * 2 * 2
    assert applied(Warp(p=0), image, masks, 3)[0].equal(image)


def test_a_warp_turns_by_its_angle_whatever_the_sides(monkeypatch):
    masks = torch.zeros(2, 40, 60, dtype=torch.uint8)
    masks[:, 19:21, 20:40] = 1
    image = (masks[:1] * 200).expand(3, -1, -1).contiguous()
    draws = iter([torch.tensor([0.0, 1.0, 1.0]), torch.tensor(1.0), torch.rand(2)])
    monkeypatch.setattr(torch, "rand", lambda *_: next(draws))
    _, moved = applied(Warp(90, p=0.5), image, masks, 0)
    # a level bar of 20x2 px stands upright, as long as before
    rows, columns = moved[0].nonzero().min(0).values.tolist(), moved[0].nonzero().max(0).values.tolist()
    assert (rows, columns) == ([10, 29], [29, 30])


def test_the_clean_view_moves_with_its_picture_and_keeps_its_colours():
    image, masks = sample()
    steps = [v2.RandomHorizontalFlip(1), KeepClean(), v2.ColorJitter(brightness=(0.5, 0.5))]
    layers, moved = augment.apply(augment.composed(steps, Pictures()), image, masks, 1)
    assert list(layers) == ["image", "clean"]
    assert torch.equal(layers["clean"], image.flip(-1))
    assert torch.equal(moved, masks.flip(-1))
    half = (image.flip(-1).float() / 2).floor()
    assert (layers["image"].float() - half).abs().max() <= 1


def test_the_truth_is_smoothed_and_what_lies_in_it_is_cut_to_it():
    truth = torch.zeros(12, 12, dtype=torch.uint8)
    truth[3:9, 3:9] = 1
    truth[0, 11] = 1
    product, persons = torch.zeros_like(truth), 7 * truth
    product[3:5, 3:9] = 1
    image = torch.full((3, 12, 12), 9, dtype=torch.uint8)
    layers, moved = augment.apply(
        augment.composed([MajorityFilter(5)], Pictures()), image, torch.stack([truth, product, persons]), 0
    )
    # a square of 6 px loses three pixels at each corner, of which 9, 12 and 12 of 25 pixels are inside
    smooth = truth.clone()
    smooth[0, 11] = 0
    for row, column in ((3, 3), (3, 4), (4, 3)):
        for y in (row, 11 - row):
            for x in (column, 11 - column):
                smooth[y, x] = 0
    assert torch.equal(moved, torch.stack([smooth, product * smooth, persons * smooth]))
    assert moved.dtype == torch.uint8
    assert torch.equal(layers["image"], image)


def test_sharpness_is_torchvisions_of_a_drawn_factor():
    image, masks = sample()
    changed, same = applied(Sharpness((1.3, 1.3)), image, masks, 0)
    assert torch.equal(changed, v2.functional.adjust_sharpness(image, 1.3))
    assert torch.equal(same, masks)
    factors = [Sharpness((0.8, 1.3)).make_params([])["sharpness_factor"] for _ in range(40)]
    assert 0.8 <= min(factors) < 0.95 < 1.15 < max(factors) <= 1.3


def test_jpeg_changes_pictures_as_pillow_does_and_no_mask():
    image = torch.randint(0, 256, (3, 32, 48), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    masks = (image[:2] > 100).to(torch.uint8)
    for quality in (20, 90):
        changed, same = applied(JPEGCompression((quality, quality)), image, masks, 0)
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
        assert np.array_equal(changed.permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))
        assert torch.equal(same, masks)
    drawn = {JPEGCompression((40, 42)).make_params([])["quality"] for _ in range(50)}
    assert drawn == {40, 41, 42}


def test_the_person_stays_and_stands_on_the_ground_of_another_picture():
    pictures = Pictures()
    transform = augment.composed([v2.RandomApply([ReplaceBackground(p=1)], p=1.0)], pictures)
    image, masks = torch.from_numpy(pictures.colours[0]), torch.from_numpy(pictures.masks[0])
    grounds = set()
    for seed in range(20):
        changed, same_masks = applied(transform, image, masks, seed)
        assert torch.equal(same_masks, masks)
        assert (changed[:, 12:24, 20:28] == 200).all()
        ground = changed[:, masks[0] == 0].float().median().item()
        # the other picture's person is painted over: all of the ground has its ground's colour
        assert (changed[:, :4].float() - ground).abs().max() <= 1
        grounds.add(round(ground))
    assert grounds == {20, 60, 90}


def test_edges_are_blended_from_the_persons_own_colours():
    pictures = Pictures()
    transform = augment.composed([ReplaceBackground(p=1, softness=1.5)], pictures)
    image, masks = torch.from_numpy(pictures.colours[0]).clone(), torch.from_numpy(pictures.masks[0])
    # the edge of the person is mixed with an old ground of 0: that must not be seen again
    image[:, masks[0] == 1] = 240
    image[:, 8:28, 16] = 120
    for seed in range(6):
        changed, _ = applied(transform, image, masks, seed)
        row = changed[0, 18, 10:24].int().tolist()
        assert row == sorted(row)
        assert 120 < row[6] < 240


def test_true_layers_follow_the_replaced_background():
    pictures = Pictures()
    transform = augment.composed([ReplaceBackground(p=1, softness=0)], pictures)
    masks = torch.from_numpy(pictures.masks[0])
    person = torch.full((3, 32, 48), 77, dtype=torch.uint8)
    nine = torch.cat([torch.from_numpy(pictures.colours[0]), person, person])
    colours, _ = applied(transform, nine, masks, 1)
    assert (colours[3:6] == 77).all()
    composed = torch.where(masks[:1] == 1, colours[3:6], colours[6:])
    assert torch.equal(composed, colours[:3])


MOVES = [
    RandomTrim(0.3),
    RandomCropShare(0.7),
    ScaleAndShift((0.7, 1.3), 0.2),
    Warp(p=1),
    v2.RandomHorizontalFlip(1.0),
    v2.RandomRotation(30),
    v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5),
    v2.RandomPerspective(p=1),
    v2.ElasticTransform(20.0),
    v2.RandomResizedCrop((32, 32), antialias=True),
]


@pytest.mark.parametrize("move", MOVES, ids=lambda move: type(move).__name__)
def test_a_true_alpha_moves_as_masks_do_and_keeps_its_levels(move):
    levels = torch.arange(32 * 48).reshape(1, 32, 48) % 251
    matte = levels.to(torch.uint8)
    image = torch.zeros(3, 32, 48, dtype=torch.uint8)
    for seed in range(3):
        # a mask of the same levels goes the same way
        _, moved = augment.apply(move, image, torch.cat([matte, matte, matte]), seed, matte=True)
        assert moved.shape[0] == 3
        assert moved.dtype == torch.uint8
        assert torch.equal(moved[2], moved[0])
        assert set(moved[2].unique().tolist()) <= set(range(251))
        assert len(moved[2].unique()) > 100
        _, plain = augment.apply(move, image, torch.cat([matte, matte]), seed)
        assert torch.equal(moved[:2], plain)


@pytest.mark.parametrize(
    "step",
    [MajorityFilter(5), JPEGCompression((30, 40)), v2.ColorJitter(0.5), KeepClean(), Sharpness((0, 2))],
)
def test_what_moves_no_pixel_leaves_a_true_alpha_alone(step):
    matte = (torch.arange(32 * 48).reshape(1, 32, 48) % 256).to(torch.uint8)
    masks = torch.cat([(matte >= 128).to(torch.uint8), torch.zeros_like(matte), matte])
    image = matte.expand(3, -1, -1).clone()
    _, moved = augment.apply(step, image, masks, 0, matte=True)
    assert torch.equal(moved[2], matte[0])


def test_a_replaced_background_shows_through_a_true_alpha():
    pictures = Pictures()
    pictures.mattes = True
    levels = 255 * pictures.masks[:, :1]
    levels[:, :, 8:28, 12:16] = 51
    levels[:, :, 8:28, 16:18] = 204
    pictures.masks = np.concatenate([pictures.masks, levels], axis=1)
    # every picture is what its alpha makes of its person and its ground
    for row, (person, ground) in enumerate([(200, 20), (180, 60), (160, 90)]):
        alpha = levels[row] / 255
        pictures.colours[row] = np.round(alpha * person + (1 - alpha) * ground)
    transform = augment.composed([ReplaceBackground(p=1)], pictures)
    image, masks = torch.from_numpy(pictures.colours[0]), torch.from_numpy(pictures.masks[0])
    grounds = set()
    for seed in range(12):
        layers, moved = augment.apply(transform, image, masks, seed, matte=True)
        assert torch.equal(moved, masks)
        behind = layers["image"][:, 2, 2].float().mean()
        opacity = masks[2].float() / 255
        expected = opacity * 200 + (1 - opacity) * behind
        # nothing of the old ground, nor of the other picture's person, is left
        assert (layers["image"].float() - expected).abs().max() <= 1.5
        grounds.add(round(float(behind)))
    assert grounds == {20, 60, 90}


def test_colours_are_continued_into_what_is_unknown():
    colours = torch.full((2, 9, 14), 50.0)
    known = torch.ones(1, 9, 14)
    known[:, 2:7, 3:10] = 0
    colours[:, 2:7, 3:10] = 999
    assert torch.allclose(continued(colours, known), torch.full((2, 9, 14), 50.0))
    ramp = torch.linspace(0, 100, 64).expand(1, 64, 64)
    hole = torch.ones(1, 64, 64)
    hole[:, 24:40, 24:40] = 0
    filled = continued(ramp, hole)
    assert torch.equal(filled[hole == 1], ramp[hole == 1])
    assert (filled - ramp).abs().max() < 15
    assert not continued(ramp, torch.zeros(1, 64, 64)).any()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomTrim(1.0), "share=1.0"),
        (lambda: RandomCropShare(0), "share=0"),
        (lambda: RandomCropShare(0.5, multiple=0), "multiple=0"),
        (lambda: ScaleAndShift(scale=(2, 1)), "scale"),
        (lambda: ScaleAndShift(shift=0.7), "shift=0.7"),
        (lambda: JPEGCompression((0, 50)), "quality=.0, 50."),
        (lambda: Warp(degrees=200), "degrees=200"),
        (lambda: Warp(scale=(1, 0.5)), "scale"),
        (lambda: Sharpness((2, 1)), "factor"),
        (lambda: MajorityFilter(4), "side=4 must be an odd number"),
        (lambda: MajorityFilter(-1), "side=-1"),
        (lambda: ReplaceBackground(p=2), "p=2"),
        (lambda: ReplaceBackground(softness=-1), "softness=-1"),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def with_augment(entries):
    values: Any = model_config("modnet").to_mapping()
    training = values["training"]
    recipes = {**training["recipes"], "paper": {**training["recipes"]["paper"], "augment": entries}}
    return ModelConfig.from_mapping({**values, "training": {**training, "recipes": recipes}})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"p": 0.5}, r"recipes\.paper\.augment\[1\].*names no transform"),
        ({"_target_": "torchvision.transforms.v2.RandomFlip"}, r"augment\[1\].*v2 has no RandomFlip"),
        ({"_target_": "torchvision.transforms.v2.RandomHorizontalFlip", "q": 1}, "no option q"),
        ({"_target_": "torch.nn.ReLU"}, "no torchvision.transforms.v2.Transform"),
    ],
)
def test_entries_that_are_no_transforms_are_named_with_their_place(entry, message):
    flip = {"_target_": "torchvision.transforms.v2.RandomHorizontalFlip", "p": 0.5}
    with pytest.raises(ConfigError, match=message):
        augmentation_of(with_augment([flip, entry]))


def test_three_numbers_of_earlier_versions_become_a_list():
    (crop, vertical) = augmentation_of(with_augment({"horizontal": 0.0, "vertical": 0.25, "crop": 0.9}))
    assert isinstance(crop, RandomCropShare)
    assert crop.share == 0.9
    assert isinstance(vertical, v2.RandomVerticalFlip)
    assert vertical.p == 0.25
