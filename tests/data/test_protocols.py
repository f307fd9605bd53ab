"""PortraitNet's squares of 224 px: their geometry written out anew, and scores worked out by hand."""

import numpy as np
import pytest
import torch

from kolbench.data import protocols
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.base import Source
from kolbench.engine.evaluation import evaluate
from kolbench.metrics import scores
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction, Sample
from tests.helpers.data import NO_LIMIT, data_config

SIDE = 224


def cubic(x):
    """Keys' kernel with a = -3/4, as OpenCV has it."""
    x = np.abs(x)
    near = 1.25 * x**3 - 2.25 * x**2 + 1
    far = -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def resampling(length):
    """(224, length) weights of cubic interpolation; outside the outermost pixel is repeated."""
    weights = np.zeros((SIDE, length))
    for place in range(SIDE):
        centre = (place + 0.5) * length / SIDE - 0.5
        for neighbour in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            weights[place, min(max(neighbour, 0), length - 1)] += cubic(centre - neighbour)
    return weights


def squared(plane, border):
    """In the middle of a square, pixel by pixel."""
    height, width = plane.shape
    side = max(height, width)
    found = np.full((side, side), border, np.float64)
    top, left = (side - height) // 2, (side - width) // 2
    for y in range(height):
        found[top + y, left : left + width] = plane[y]
    return found


@pytest.mark.parametrize("shape", [(150, 91), (300, 401), (224, 224), (100, 500)])
def test_geometry_written_out(shape):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([y % 251, x % 256, rng.integers(0, 256, shape)], -1).astype(np.uint8)
    mask = (((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.4) ** 2) < 0.12).astype(np.uint8)
    found = protocols.portraitnet_square(Sample(image, mask))
    weights = resampling(max(shape))
    for channel in range(3):
        expected = weights @ squared(image[..., channel], 128) @ weights.T
        # OpenCV's weights have 11 bits
        assert np.abs(found.image[..., channel] - expected.clip(0, 255)).max() < 1.5
    rounded = (weights @ squared(mask, 0) @ weights.T > 0.5).astype(np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(rounded, 2, mode="reflect"), (5, 5))
    assert np.array_equal(found.mask, windows.sum((2, 3)) >= 13)
    assert 0.02 < found.mask.mean() < 0.6


def test_products_and_persons_are_resized_to_the_nearest_and_stay_inside():
    mask = np.zeros((448, 336), np.uint8)
    mask[100:300, 100:200] = 1
    product, persons = np.zeros_like(mask), np.zeros_like(mask)
    product[100:110, 90:120] = mask[100:110, 90:120]
    persons[:, :150], persons[:, 150:] = 3 * mask[:, :150], 5 * mask[:, 150:]
    found = protocols.portraitnet_square(
        Sample(np.zeros((448, 336, 3), np.uint8), mask, product, None, None, None, persons)
    )
    assert found.product is not None
    assert found.instances is not None
    # half as large, and 28 px to the right
    assert found.mask.nonzero()[0].min() == 50
    assert found.mask.nonzero()[1].max() == 127
    corners = [(50, 78), (50, 79), (51, 78)]
    assert found.product.sum() == 5 * 10 - len(corners)
    assert all(found.product[corner] == 0 for corner in corners)
    assert ((found.instances > 0) == found.mask).all()
    assert set(found.instances[60:140, 80:102].ravel()) == {3}
    assert set(found.instances[60:140, 104:126].ravel()) == {5}
    assert found.matte is None
    assert found.foreground is None


class Portraits(Source):
    """224 px high and half as wide: truth of 100x60 px, its left half white. The last shows nobody."""

    def __init__(self) -> None:
        super().__init__(list("abcd"), given_splits={"train": [0], "val": [1], "test": [2, 3]})

    def read(self, index: int) -> Sample:
        mask = np.zeros((224, 112), np.uint8)
        if index < 3:
            mask[50:150, 20:80] = 1
        image = np.zeros((224, 112, 3), np.uint8)
        image[:, 20:50] = 255 * mask[:, 20:50, None]
        return Sample(image, mask)

    def fingerprint(self) -> str:
        return "portraits"

    def describe(self) -> list[str]:
        return ["portraits"]


class Brightness(Segmenter):
    """Takes the red of a picture for its alpha."""

    def predict(self, *inputs):
        return Prediction(inputs[0][:, :1])


def module(protocol):
    config = data_config(allow_duplicates=True)
    return SegmentationDataModule(Portraits(), 0, 1, [], config, NO_LIMIT, eval_protocol=protocol)


def test_scores_by_hand():
    """The truth loses 3 of its pixels at each corner, 6 of them white; the grey around has alpha 128/255."""
    found = {}
    for protocol in ("native", "portraitnet"):
        data = module(protocol)
        scored = evaluate(Brightness(), data.evaluation_dataloaders(), torch.device("cpu"))
        found[protocol] = {
            at: scores.image_scores(scored["test"].counts, at)["iou"].tolist() for at in (0.5, 0.6)
        }
        assert scored["val"].names == ["b"]
    assert found["native"][0.6] == [3000 / 6000, 1]
    assert found["portraitnet"][0.6] == pytest.approx([2994 / (5988 + 6), 1])
    around = 2 * 56 * 224
    assert found["portraitnet"][0.5] == pytest.approx([2994 / (5988 + 6 + around), 0])


def test_a_training_is_validated_at_the_pictures_own_size_under_either_protocol():
    for protocol, shape in (("native", (224, 112)), ("portraitnet", (SIDE, SIDE))):
        data = module(protocol)
        assert next(iter(data.val_dataloader()))["mask"].shape == (1, 1, 224, 112)
        for loader in data.evaluation_dataloaders().values():
            assert {batch["image"].shape[-2:] for batch in loader} == {shape}
        assert data.test_picture(0).mask.shape == data.test_batch(0)["mask"].shape[-2:] == shape
        assert any("eval_protocol=portraitnet" in line for line in data.describe()) == (
            protocol == "portraitnet"
        )
