"""The kernel against counting by masks, and what it refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kolbench.errors import KolbenchError
from kolbench.metrics import scores
from kolbench.metrics.counts import Counts
from kolbench.metrics.histogram import level_counts, value_arrays
from kolbench.metrics.score import ExtraCounts, ExtraValues
from tests.helpers.counted import flat, planes, saved


def same(a: Counts, b: Counts) -> bool:
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**16), drops=st.booleans())
def test_level_counts_equal_counting_by_masks(seed: int, drops: bool) -> None:
    alpha, mask, product = planes(seed)
    keep = torch.rand(alpha.shape, generator=torch.Generator().manual_seed(seed)) > 0.3 if drops else None
    found = level_counts(alpha, mask, product, keep)
    kept = np.ones(alpha.shape, bool) if keep is None else keep.numpy()
    for i, picture in enumerate(saved(alpha)):
        for part, region in zip(
            (found.fg, found.bg, found.product), (mask == 1, mask == 0, product == 1), strict=True
        ):
            expected, _ = np.histogram(picture[region[i].numpy() & kept[i]], bins=np.arange(257))
            assert np.array_equal(part[i], expected)


def test_level_counts_by_hand() -> None:
    alpha = torch.tensor([[0.0, 1.0, 0.5], [0.5, 0.25, 1.0]])[None, None]
    mask = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    product = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])[None, None]
    # 127.5 rounds to the even 128, 63.75 to 64
    found = level_counts(alpha, mask, product)
    assert np.array_equal(found.fg, flat(255, 128, 64))
    assert np.array_equal(found.bg, flat(0, 128, 255))
    assert np.array_equal(found.product, flat(255, 64))
    assert found.fg.dtype == found.bg.dtype == found.product.dtype == np.int64


def test_a_batch_is_counted_as_its_pictures_are() -> None:
    alpha, mask, product = planes(1, n=5)
    together = level_counts(alpha, mask, product)
    for i in range(5):
        alone = level_counts(alpha[i : i + 1], mask[i : i + 1], product[i : i + 1])
        assert same(together.rows([i]), alone)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_masks_of_any_dtype_count_alike(dtype: torch.dtype) -> None:
    alpha, mask, product = planes(2)
    expected = level_counts(alpha, mask, product, mask)
    found = level_counts(alpha, mask.to(dtype), product.to(dtype), mask.to(dtype))
    assert same(expected, found)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_alphas_of_any_float_are_rounded_as_float32(dtype: torch.dtype) -> None:
    alpha, mask, _ = planes(3)
    found, expected = level_counts(alpha.to(dtype), mask), level_counts(alpha.to(dtype).float(), mask)
    assert same(expected, found)


def test_without_a_product_mask_no_product_is_counted() -> None:
    alpha, mask, _ = planes(4)
    assert not level_counts(alpha, mask).product.any()


def test_inputs_stay_as_they_were() -> None:
    given_planes = planes(5)
    before = [plane.clone() for plane in given_planes]
    level_counts(*given_planes, given_planes[1], scores.extra_counts())
    assert all(torch.equal(a, b) for a, b in zip(before, given_planes, strict=True))


def test_no_picture_gives_no_row() -> None:
    empty = torch.zeros(0, 1, 4, 4)
    found = level_counts(empty, empty, extra=scores.extra_counts())
    assert len(found) == 0
    assert {array.shape for _, array in found.items()} == {(0, 256)}
    assert set(found) > {"fg", "bg", "product"}


def test_a_picture_with_no_pixel_kept_counts_nothing() -> None:
    alpha, mask, product = planes(6, n=2)
    found = level_counts(alpha, mask, product, torch.zeros_like(mask))
    assert not any(array.any() for _, array in found.items())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"alpha of nan for image 2 .* diverged"),
        (1.01, r"alpha of 1\.01 for image 2 .* clamp"),
        (-0.25, r"alpha of -0\.25 for image 2 .* clamp"),
        (float("inf"), r"alpha of inf for image 2 .* clamp"),
    ],
)
def test_impossible_alphas_are_refused(value: float, message: str) -> None:
    alpha, mask, _ = planes(7)
    alpha[2, 0, 3, 4] = value
    with pytest.raises(KolbenchError, match=message):
        level_counts(alpha.requires_grad_(), mask)


def test_maps_of_other_shapes_are_refused() -> None:
    alpha, mask, _ = planes(8)
    with pytest.raises(ValueError, match="mask has shape"):
        level_counts(alpha, mask[:, 0])
    with pytest.raises(ValueError, match="keep has shape"):
        level_counts(alpha, mask, None, mask[:1])


def test_counting_is_allowed_where_only_determinism_is() -> None:
    alpha, mask, product = planes(9)
    torch.use_deterministic_algorithms(True)
    try:
        found = level_counts(alpha, mask, product, mask, scores.extra_counts())
    finally:
        torch.use_deterministic_algorithms(False)
    assert np.array_equal(found.fg.sum(1), mask.sum((1, 2, 3)).numpy())


def test_what_scores_ask_for_besides_is_counted_of_the_saved_levels() -> None:
    alpha, mask, product = planes(10)
    seen = []

    def count(levels: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        seen.append((levels.numpy(), truth.numpy()))
        return torch.stack([levels.flatten().bincount(minlength=256), torch.arange(256)])

    found = level_counts(alpha, mask, product, extra=[ExtraCounts(("all", "steps"), count)])
    assert list(found) == ["fg", "bg", "product", "all", "steps"]
    assert np.array_equal(found["all"], found.fg + found.bg)
    assert np.array_equal(found["steps"], np.tile(np.arange(256), (4, 1)))
    assert same(level_counts(alpha, mask, product), Counts(found.fg, found.bg, found.product))
    for i, (levels, truth) in enumerate(seen):
        assert levels.dtype == np.uint8
        assert truth.dtype == bool
        assert np.array_equal(levels, saved(alpha)[i, 0])
        assert np.array_equal(truth, mask[i, 0].numpy() == 1)


@pytest.mark.parametrize("wrong", [torch.zeros(256, dtype=torch.int64), torch.zeros(1, 256)])
def test_counts_of_another_shape_or_that_are_no_integers_are_refused(wrong: torch.Tensor) -> None:
    alpha, mask, _ = planes(11)
    with pytest.raises(KolbenchError, match=r"The counts mine of a score .* must give \(1, 256\) integers"):
        level_counts(alpha, mask, extra=[ExtraCounts(("mine",), lambda levels, truth: wrong)])


def test_values_that_are_not_as_many_as_their_names_are_refused() -> None:
    plane = np.zeros((2, 3), np.uint8)
    good = ExtraValues(("low", "high"), lambda levels, truth: (float(levels.min()), float(truth.max())))
    found = value_arrays([plane, plane + 4], [plane + 1, plane], [good])
    assert {name: array.tolist() for name, array in found.items()} == {"low": [0, 4], "high": [1, 0]}
    assert value_arrays([], [], [good])["low"].shape == (0,)
    bad = ExtraValues(("mine", "yours"), lambda levels, truth: (1.0,))
    with pytest.raises(
        KolbenchError, match=r"values mine, yours of a score are \(1.0,\).*a tuple of 2 floats"
    ):
        value_arrays([plane], [plane], [bad])
