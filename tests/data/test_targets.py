import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchvision.ops import masks_to_boxes

from kolbench.data import targets
from kolbench.errors import ConfigError
from kolbench.io.arrays import boxes_and_instances
from kolbench.types import Batch, UInt8Array

MASKS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 1)
)


def plane(text: str) -> UInt8Array:
    """A mask drawn with . and #."""
    return np.array([[character == "#" for character in row] for row in text.split()], np.uint8)


def mixed_neighbourhood(mask: UInt8Array, reach: int) -> np.ndarray:
    """By definition, pixel by pixel: both classes within `reach` rows and columns, inside the frame."""
    result = np.zeros(mask.shape, bool)
    for y, x in np.ndindex(*mask.shape):
        window = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        result[y, x] = window.min() != window.max()
    return result


def test_band_by_hand() -> None:
    mask = plane("......  ..####  ..####  ..####  ..####  ......")
    expected = [
        [0, 0.5, 0.5, 0.5, 0.5, 0.5],
        [0, 0.5, 0.5, 0.5, 0.5, 0.5],
        [0, 0.5, 0.5, 1, 1, 1],
        [0, 0.5, 0.5, 1, 1, 1],
        [0, 0.5, 0.5, 0.5, 0.5, 0.5],
        [0, 0.5, 0.5, 0.5, 0.5, 0.5],
    ]
    alpha = targets.band(mask)
    assert alpha.dtype == np.float32
    assert np.array_equal(alpha, np.array(expected, np.float32))


def test_band_is_two_pixels_wide_on_a_straight_edge() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 25:] = 1
    alpha = targets.band(mask)
    assert np.flatnonzero(alpha[0] == 0.5).tolist() == [24, 25]
    assert (alpha == alpha[0]).all()


@pytest.mark.parametrize(("width", "each_side"), [(2, 1), (8, 4), (30, 15), (31, 15)])
def test_transition_region_reaches_half_its_width_to_each_side(width: int, each_side: int) -> None:
    mask = np.zeros((20, 100), np.uint8)
    mask[:, 50:] = 1
    region = targets.transition_region(mask, width)
    assert region.dtype == np.uint8
    assert np.flatnonzero(region[7]).tolist() == list(range(50 - each_side, 50 + each_side))
    assert (region == region[0]).all()


@pytest.mark.parametrize("value", [0, 1])
def test_the_frame_makes_no_edge(value: int) -> None:
    mask = np.full((40, 33), value, np.uint8)
    assert (targets.band(mask) == value).all()
    assert not targets.transition_region(mask, 30).any()


@settings(deadline=None, max_examples=80)
@given(mask=MASKS, width=st.integers(2, 30))
def test_targets_follow_their_definition(mask: UInt8Array, width: int) -> None:
    alpha, region = targets.band(mask), targets.transition_region(mask, width)
    edge = mixed_neighbourhood(mask, 1)
    assert set(np.unique(alpha)) <= {0, 0.5, 1}
    assert np.array_equal(alpha == 0.5, edge)
    assert np.array_equal(alpha[~edge], mask[~edge])
    assert np.array_equal(region, mixed_neighbourhood(mask, width // 2))
    assert (region >= edge).all()


@settings(deadline=None, max_examples=40)
@given(mask=MASKS, width=st.integers(2, 12))
def test_targets_treat_both_classes_and_all_directions_alike(mask: UInt8Array, width: int) -> None:
    inverse = (1 - mask).astype(np.uint8)
    assert np.array_equal(targets.band(inverse), 1 - targets.band(mask))
    assert np.array_equal(targets.transition_region(inverse, width), targets.transition_region(mask, width))
    assert np.array_equal(targets.band(mask[:, ::-1]), targets.band(mask)[:, ::-1])
    turned = np.rot90(mask)
    assert np.array_equal(
        targets.transition_region(turned, width), np.rot90(targets.transition_region(mask, width))
    )


def test_a_region_below_the_band_is_refused() -> None:
    with pytest.raises(ValueError, match="1 px cannot hold the band"):
        targets.transition_region(np.zeros((4, 4), np.uint8), 1)
    with pytest.raises(ConfigError, match=r"data\.region_px=1 .* Use 30"):
        targets.scaled_region(1, 512)


@pytest.mark.parametrize(
    ("region", "side", "expected"),
    [
        (30, 512, 30),
        (30, 1024, 60),
        (30, 256, 16),
        (30, 224, 14),
        (30, 128, 8),
        (30, 64, 4),
        (30, 32, 2),
        (31, 512, 32),
        (2, 512, 2),
        (2, 64, 2),
    ],
)
def test_region_scales_with_the_canvas(region: int, side: int, expected: int) -> None:
    assert targets.scaled_region(region, side) == expected


def test_semantic_target_by_hand() -> None:
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., :16, :16] = 1
    # the coarse map is (1, 0; 0, 0); reflection makes both neighbours in a row the other pixel
    expected = torch.tensor([[0.24956, 0.25], [0.25, 0.25044]])
    assert torch.allclose(targets.semantic_target(alpha)[0, 0], expected, atol=1e-6)


def test_semantic_target_reads_the_four_central_pixels_of_each_block() -> None:
    block = torch.zeros(16, 16)
    block[7:9, 7:9] = torch.tensor([[0.2, 0.4], [0.6, 1.0]])
    alpha = block.repeat(3, 4)[None, None]
    semantic = targets.semantic_target(alpha)
    assert semantic.shape == (1, 1, 3, 4)
    assert torch.allclose(semantic, torch.full_like(semantic, 0.55), atol=1e-6)


def test_semantic_target_agrees_with_scipy() -> None:
    alpha = torch.rand(2, 1, 96, 160, generator=torch.Generator().manual_seed(4))
    impulse = np.zeros((3, 3))
    impulse[1, 1] = 1
    kernel = scipy.ndimage.gaussian_filter(impulse, sigma=0.8)
    corners = alpha.numpy()[:, 0].reshape(2, 6, 16, 10, 16)[:, :, 7:9, :, 7:9].mean((2, 4))
    expected = np.stack([scipy.ndimage.correlate(part, kernel, mode="mirror") for part in corners])
    # the kernel's figures are printed to five digits
    assert np.allclose(targets.semantic_target(alpha)[:, 0].numpy(), expected, atol=2e-5)


def test_semantic_target_of_a_full_mask_is_one() -> None:
    full = targets.semantic_target(torch.ones(1, 1, 64, 96))
    assert full.max() <= 1
    assert torch.allclose(full, torch.ones(1, 1, 4, 6), atol=1e-6)


@pytest.mark.parametrize("size", [(16, 32), (40, 32), (32, 33)])
def test_semantic_target_refuses_other_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        targets.semantic_target(torch.zeros(1, 1, *size))


def test_derive_gives_entries_of_a_batch() -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[20:, 30:70] = 1
    derived = targets.derive(mask, 8)
    assert set(derived) == {"alpha", "transition", "semantic"}
    assert set(derived) <= set(Batch.__annotations__)
    assert all(tensor.dtype == torch.float32 for tensor in derived.values())
    assert torch.equal(derived["alpha"][0], torch.from_numpy(targets.band(mask)))
    assert torch.equal(derived["transition"][0], torch.from_numpy(targets.transition_region(mask, 8)).float())
    assert derived["semantic"].shape == (1, 4, 6)
    assert torch.equal(derived["semantic"], targets.semantic_target(derived["alpha"][None])[0])


def test_a_true_alpha_is_the_target_and_all_that_is_soft_in_it_is_transition() -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 16:] = 1
    matte = 255 * mask
    matte[3, 14:18] = [51, 102, 153, 204]
    matte[20, 2] = 1
    derived = targets.derive(mask, 2, matte)
    alpha = mask.astype(np.float32)
    alpha[3, 14:18] = [0.2, 0.4, 0.6, 0.8]
    alpha[20, 2] = 1 / 255
    assert torch.equal(derived["alpha"][0], torch.from_numpy(alpha))
    # a region of 2 px around the edge of the mask, one column to each side, and the soft pixels outside of it
    region = np.zeros((32, 32), np.float32)
    region[:, 15:17] = 1
    region[3, 14:18] = region[20, 2] = 1
    assert torch.equal(derived["transition"][0], torch.from_numpy(region))
    assert torch.equal(derived["semantic"], targets.semantic_target(derived["alpha"][None])[0])


def test_derive_leaves_the_mask_as_it_was() -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = 1
    before = mask.copy()
    targets.derive(mask, 4)
    assert np.array_equal(mask, before)


def blocks(gap: int) -> UInt8Array:
    """A block of 10x8 and one of 10x12 with `gap` columns between, in a frame of 20x40."""
    mask = np.zeros((20, 40), np.uint8)
    mask[5:15, 4:12] = 1
    mask[5:15, 12 + gap : 24 + gap] = 1
    return mask


def test_instances_are_components_the_largest_first() -> None:
    mask = blocks(gap=3)
    labels = targets.instance_labels(mask)
    assert labels.dtype == np.uint8
    assert (labels[5:15, 4:12] == 2).all()
    assert (labels[5:15, 15:27] == 1).all()
    assert np.array_equal(labels > 0, mask > 0)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_thin_gap_does_not_split_a_person(gap: int) -> None:
    mask = blocks(gap)
    assert np.array_equal(targets.instance_labels(mask), mask)


def test_diagonal_neighbours_are_one_instance() -> None:
    mask = np.kron(np.eye(2, dtype=np.uint8), np.ones((8, 8), np.uint8))
    assert np.array_equal(targets.instance_labels(mask), mask)


@pytest.mark.parametrize(("min_area", "kept"), [(None, 2), (80, 2), (81, 1), (120, 1), (121, 0)])
def test_small_components_are_dropped(min_area: int | None, kept: int) -> None:
    assert targets.instance_labels(blocks(gap=3), min_area).max() == kept


def test_the_default_least_area_grows_with_the_frame() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[10:20, 10:25] = 1  # 150 px, less than 0.1 % of the frame
    mask[100:110, 10:26] = 1  # 160 px, exactly 0.1 %
    assert np.array_equal(targets.instance_labels(mask)[::100, 15], [0, 1, 0, 0])
    assert targets.instance_labels(mask).sum() == 160


def test_only_the_largest_instances_are_kept() -> None:
    assert np.array_equal(targets.instance_labels(blocks(gap=3), most=1), blocks(3) * (np.arange(40) >= 15))


@pytest.mark.parametrize("value", [0, 1])
def test_instances_of_an_even_mask(value: int) -> None:
    mask = np.full((12, 9), value, np.uint8)
    assert np.array_equal(targets.instance_labels(mask), mask)


def test_boxes_and_masks_of_labels() -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[1:4, 2:5] = 3
    labels[5, 7] = 1
    labels[0, 0] = 3
    boxes, masks = boxes_and_instances(labels)
    assert boxes.dtype == torch.float32
    assert boxes.tolist() == [[7, 5, 8, 6], [0, 0, 5, 4]]
    assert masks.dtype == torch.uint8
    assert np.array_equal(masks[0].numpy(), labels == 1)
    assert np.array_equal(masks[1].numpy(), labels == 3)


def test_no_instance_gives_empty_tensors() -> None:
    boxes, masks = boxes_and_instances(np.zeros((6, 8), np.uint8))
    assert boxes.shape == (0, 4)
    assert masks.shape == (0, 6, 8)


@settings(deadline=None, max_examples=40)
@given(labels=hnp.arrays(np.uint8, (9, 7), elements=st.integers(0, 5)))
def test_boxes_agree_with_torchvision(labels: UInt8Array) -> None:
    boxes, masks = boxes_and_instances(labels)
    inclusive = masks_to_boxes(masks)
    assert torch.equal(boxes, inclusive + torch.tensor([0, 0, 1, 1]))
    assert np.array_equal(masks.numpy().any(0), labels > 0)
