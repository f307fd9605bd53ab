"""GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004) by OpenCV: on a small copy, then once at full size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from kolbench.errors import ConfigError, require_between, require_choice, require_whole
from kolbench.io.masks import near_edge
from kolbench.models.classic import features, oracle
from kolbench.models.classic.oracle import Box
from kolbench.models.classic.picture_segmenter import ACCESS_OF_VARIANT, PictureSegmenter
from kolbench.models.classic.regions import Bools
from kolbench.types import PictureResult, UInt8Array

BACKGROUND, FOREGROUND = cv2.GC_BGD, cv2.GC_FGD
PROBABLY_BACKGROUND, PROBABLY_FOREGROUND = cv2.GC_PR_BGD, cv2.GC_PR_FGD
# the unknown starts as foreground, as in the paper
_TRIMAP_LABELS = np.array([BACKGROUND, FOREGROUND, PROBABLY_FOREGROUND], np.uint8)
# to each side of the small copy's edge, for a short side of 256 px: what full size may change
REFINED_RADIUS = 4
REFINED_SIDE = 256


@dataclass(frozen=True)
class GrabCutOptions:
    """Options of GrabCut.

    variant: `auto` starts from `box`; `box` from the true bounding box, as if a person had drawn it (see
    oracle.true_box); `oracle` from a trimap of the true mask (see oracle.true_trimap).
    box: left, top, right, bottom as shares of width and height; outside is background for certain, so a
    box that is the whole picture leaves none and makes GrabCut fail. iterations: on the small copy.
    size: its short side in pixels. seed: combined with the picture's content.

    Raises:
        ConfigError: a value is out of range.
    """

    variant: str = "auto"
    box: Sequence[float] = (0.2, 0.03, 0.8, 0.98)
    iterations: int = 5
    size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        require_choice("model.variant", self.variant, ACCESS_OF_VARIANT)
        require_whole("model.iterations", self.iterations, 1, 100)
        require_whole("model.size", self.size, 16, 4096)
        require_whole("model.seed", self.seed, 0, 2**31 - 1)
        _require_box(self.box)


def _require_box(box: Any) -> None:
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise ConfigError(f"model.box={box} is not four numbers: [left, top, right, bottom].")
    for value in box:
        require_between("model.box", value, 0, 1)
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise ConfigError(f"model.box={list(box)} is empty: left < right and top < bottom are needed.")


class GrabCutSegmenter(PictureSegmenter):
    """Segments by GrabCut.

    Args:
        variant: see GrabCutOptions.
        options: the other fields of GrabCutOptions.

    Raises:
        ConfigError: a value is out of range.
    """

    # Any: GrabCutOptions checks its own fields
    def __init__(self, variant: str, **options: Any) -> None:
        super().__init__(partial(segment, options=GrabCutOptions(variant, **options)), variant)


def segment(image: UInt8Array, mask: UInt8Array | None = None, *, options: GrabCutOptions) -> PictureResult:
    """Alpha of a picture by GrabCut.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 in {0, 1}; only for the variants `box` and `oracle`.
        options: see GrabCutOptions.

    Returns:
        Alpha (H, W) in {0, 1}. Note `fallback`: GrabCut could not run, for want of fore- or background,
        and the initial guess stands; note `empty`: no pixel is foreground.
    """
    start = starting_labels(image.shape[0], image.shape[1], options, mask)
    seed = features.picture_seed(image, options.seed)
    small = features.shrunk(image, options.size / min(image.shape[:2]))
    found = cut(small, _resized(start, *small.shape[:2]), options.iterations, seed)
    alpha = is_foreground(start if found is None else found)
    if found is not None and small is not image:
        alpha = refined(image, alpha, start, seed)
    notes = {"fallback": float(found is None), "empty": float(not alpha.any())}
    return PictureResult(alpha.astype(np.float32), notes)


def starting_labels(
    height: int, width: int, options: GrabCutOptions, mask: UInt8Array | None = None
) -> UInt8Array:
    """The initial guess (H, W) uint8 in OpenCV's four labels; arguments as `segment`."""
    if options.variant == "auto":
        left, top, right, bottom = options.box
        box = Box(round(left * width), round(top * height), round(right * width), round(bottom * height))
        return _inside_probable(height, width, box)
    assert mask is not None
    if options.variant == "box":
        return _inside_probable(height, width, oracle.true_box(mask))
    return _TRIMAP_LABELS[oracle.true_trimap(mask)]


def _inside_probable(height: int, width: int, box: Box | None) -> UInt8Array:
    labels = np.full((height, width), BACKGROUND, np.uint8)
    if box is not None:
        labels[box.inside()] = PROBABLY_FOREGROUND
    return labels


def cut(image: UInt8Array, labels: UInt8Array, iterations: int, seed: int) -> UInt8Array | None:
    """One run of OpenCV's GrabCut (two mixtures of 5 Gaussians, gamma 50, 8 neighbours).

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) uint8 in OpenCV's four labels; sure ones stay, probable ones may change.
        iterations: of fitting and cutting.
        seed: of the k-means that starts the mixtures.

    Returns:
        The new labels, or None where GrabCut cannot run: fore- or background has no pixel.
    """
    inside = is_foreground(labels)
    if inside.all() or not inside.any():
        return None
    found, background, foreground = labels.copy(), np.zeros((1, 65)), np.zeros((1, 65))
    # OpenCV has one generator per thread, of which every call takes a part
    cv2.setRNGSeed(seed)
    try:
        cv2.grabCut(image, found, (0, 0, 0, 0), background, foreground, iterations, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    return found


def refined(image: UInt8Array, foreground: Bools, start: UInt8Array, seed: int) -> Bools:
    """What a small copy found, cut once more at full size, near its edge only.

    Args:
        image: (H, W, 3) uint8.
        foreground: (h, w) bool, of the small copy.
        start: (H, W) initial guess, whose sure labels stay.
        seed: see `cut`.

    Returns:
        (H, W) bool.
    """
    height, width = image.shape[:2]
    grown: Any = cv2.resize(foreground.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    guess = (grown > 0.5).astype(np.uint8)
    radius = max(1, round(REFINED_RADIUS * min(height, width) / REFINED_SIDE))
    probable = np.where(guess > 0, PROBABLY_FOREGROUND, PROBABLY_BACKGROUND)
    labels = np.where(near_edge(guess, radius), probable, guess)
    labels = np.where(start <= FOREGROUND, start, labels).astype(np.uint8)
    found = cut(image, labels, 1, seed)
    return is_foreground(labels if found is None else found)


def is_foreground(labels: UInt8Array) -> Bools:
    """(H, W) bool: surely or probably foreground."""
    return np.isin(labels, (FOREGROUND, PROBABLY_FOREGROUND))


def _resized(labels: UInt8Array, height: int, width: int) -> UInt8Array:
    return np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
