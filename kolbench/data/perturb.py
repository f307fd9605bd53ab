"""Rough masks made up from the truth, which a refiner learns to correct (CascadePSP's training)."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import v2

from kolbench.errors import ConfigError, require_choice
from kolbench.types import UInt8Array

# of a contour's vertices: a run of one in ten is removed, one in ten of the others is kept
SHARE = 10
FEWEST_VERTICES = 10
ROUNDS, EDITS = 250, 4
SET_PIXEL, DILATE = 0.25, 0.5
ELEMENT_PX = (3, 9)
RECTANGLE, ELLIPSE, HALF_HEIGHT, HALF_WIDTH, NO_ELEMENT = range(5)
# the released weights were trained while the code drew 0 to 3 instead of 1 to 4
ELEMENTS = {
    "fixed": (RECTANGLE, ELLIPSE, HALF_HEIGHT, HALF_WIDTH),
    "published": (NO_ELEMENT, RECTANGLE, ELLIPSE, HALF_HEIGHT),
}
# the lowest level of 255 that is foreground
GT_THRESHOLDS = {"official": 1, "128": 128}

# of a sample and of a batch, where the mask stands that is made
ENTRY = "rough"
# the shorter side that larger pictures are changed at where they are scored, the released training's crop
SCORED_PX = 224

# (N, 2) x, y of the pixels along an edge
Contour = npt.NDArray[np.int32]


class Edit(NamedTuple):
    """One change of a mask inside of rows top..bottom - 1 and columns left..right - 1.

    pixel: what the rectangle's middle is set to before, 0 or 1; None = nothing. dilate: else erode.
    kind: of the structuring element, such as ELLIPSE. size: of it in pixels.
    """

    top: int
    bottom: int
    left: int
    right: int
    pixel: int | None
    dilate: bool
    kind: int
    size: int


class RoughFromMask(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Makes up, as `rough`, a coarse mask of the same object out of the truth (hkchengrex/CascadePSP).

    First the outlines lose nine tenths of their vertices and what they enclose is filled, holes too; then
    random rectangles are dilated and eroded until the IoU with that simplified mask falls below a target.
    A mask that would end empty stays the truth. It stands behind all steps that move pixels.

    Args:
        iou: [lowest, highest] target, drawn evenly, in [0, 1]; [0.8, 1.0] in the released code.
        element_choice: `fixed` draws one of four structuring elements; `published` what the released weights
            were trained with: no element (a 3x3 square) instead of the ellipse of half width.
        gt_threshold: what of a soft truth is foreground: `official`, every level above 0, or `128`, from
            one half on. A binary truth is the same with both.
        side: larger masks are changed as copies whose shorter side has so many pixels, as elements and
            rectangles are in pixels; None = at their own size.

    Raises:
        ConfigError: a value is out of range or unknown.
    """

    def __init__(
        self,
        iou: Sequence[float] = (0.8, 1.0),
        element_choice: str = "fixed",
        gt_threshold: str | int = "official",
        side: int | None = None,
    ) -> None:
        super().__init__()
        if not (len(iou) == 2 and 0 <= iou[0] <= iou[1] <= 1):
            raise ConfigError(f"RoughFromMask: iou={list(iou)} must be two growing numbers in [0, 1].")
        if side is not None and side < 1:
            raise ConfigError(f"RoughFromMask: side={side} must be at least 1 pixel.")
        self.iou = (float(iou[0]), float(iou[1]))
        self.kinds = ELEMENTS[require_choice("RoughFromMask: element_choice", element_choice, ELEMENTS)]
        threshold = require_choice("RoughFromMask: gt_threshold", str(gt_threshold), GT_THRESHOLDS)
        self.lowest = GT_THRESHOLDS[threshold]
        self.side = side

    def forward(self, *inputs: Any) -> Any:
        """A sample, a dict of tv_tensors, with `rough` (1, H, W) uint8 in {0, 255}.

        The truth is `matte` (1, H, W) uint8 in 0..255 where the sample has it, else the first of the masks.
        """
        sample: dict[str, Any] = inputs[0]
        truth = _plane(sample["masks"])
        if "matte" in sample:
            truth = (_plane(sample["matte"]) >= self.lowest).astype(np.uint8)
        low, high = self.iou
        target = low + (high - low) * float(torch.rand(()))
        return {**sample, ENTRY: 255 * torch.from_numpy(self._rough(truth, target))[None]}

    def _rough(self, truth: UInt8Array, target: float) -> UInt8Array:
        shorter = min(truth.shape)
        if self.side is None or shorter <= self.side:
            return rough_mask(truth, target, self.kinds)
        scale = self.side / shorter
        size = (round(truth.shape[0] * scale), round(truth.shape[1] * scale))
        made = _resized(rough_mask(_resized(truth, size), target, self.kinds), truth.shape)
        return made if made.any() else truth


def for_scoring() -> RoughFromMask:
    """The rough masks that methods which refine are validated and tested on, the same for all of them."""
    return RoughFromMask(side=SCORED_PX)


def _plane(layers: Tensor) -> UInt8Array:
    """The first of (C, H, W) uint8 layers."""
    return np.ascontiguousarray(layers[0].as_subclass(Tensor).numpy())


def rough_mask(truth: UInt8Array, target: float, kinds: Sequence[int] = ELEMENTS["fixed"]) -> UInt8Array:
    """The truth with simplified outlines, changed until its IoU with these falls below a target.

    Args:
        truth: (H, W) uint8 in {0, 1}. target: in [0, 1]; what 250 rounds do not reach stays above it.
        kinds: structuring elements to draw from.

    Returns:
        (H, W) uint8 in {0, 1}; the truth itself where nothing would be left. Drawn by torch's generator.
    """
    if not truth.any():
        return truth
    made = edited_to(simplified(truth), target, kinds)
    return made if made.any() else truth


def simplified(truth: UInt8Array) -> UInt8Array:
    """The polygons through a random tenth of the vertices of every contour, inner ones too, all filled.

    Contours of less than ten vertices are left out; where none remains, the truth stays as it is.

    Args:
        truth: (H, W) uint8 in {0, 1}.

    Returns:
        (H, W) uint8 in {0, 1}.
    """
    found: tuple[Sequence[Any], Any] = cv2.findContours(truth, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    contours: list[Contour] = [contour[:, 0] for contour in found[0] if len(contour) >= FEWEST_VERTICES]
    polygons = [polygon for contour in contours if len(polygon := _thinned(contour))]
    filled = np.zeros_like(truth)
    # one by one: together, a hole's polygon would cut out what its outline fills
    for polygon in polygons:
        cv2.fillPoly(filled, [polygon], 1)
    return filled if filled.any() else truth


def _thinned(contour: Contour) -> Contour:
    starts = run_starts(contour)
    left = without_run(contour, int(starts[torch.randint(len(starts), ())]))
    kept: Contour = left[torch.randperm(len(left))[: len(left) // SHARE].sort().values.numpy()]
    return kept


def run_starts(contour: Contour) -> npt.NDArray[np.int64]:
    """Where a run of a tenth of the vertices may begin: the tenth of all starts whose ends are closest.

    Args:
        contour: (N, 2) x, y, N at least 10.

    Returns:
        Indices, those of the closest ends first; at least one.
    """
    run = len(contour) // SHARE
    squared = ((contour[run:] - contour[:-run]) ** 2).sum(1)
    starts: npt.NDArray[np.int64] = np.argsort(squared, kind="stable")[: -(-len(squared) // SHARE)]
    return starts


def without_run(contour: Contour, start: int) -> Contour:
    """The contour less a tenth of its N vertices from `start` on; (N - N // 10, 2)."""
    return np.concatenate((contour[:start], contour[start + len(contour) // SHARE :]))


def edited_to(mask: UInt8Array, target: float, kinds: Sequence[int]) -> UInt8Array:
    """Changes a copy in rounds of four random edits, up to 250, until its IoU with the mask is below target.

    Args:
        mask: (H, W) uint8 in {0, 1}. target, kinds: see `rough_mask`.

    Returns:
        (H, W) uint8 in {0, 1}.
    """
    made = mask.copy()
    for _ in range(ROUNDS):
        for draws in torch.rand(EDITS, 9).tolist():
            edit(made, drawn_edit(draws, made.shape, kinds))
        if overlap(made, mask) < target:
            break
    return made


def drawn_edit(draws: Sequence[float], size: tuple[int, ...], kinds: Sequence[int]) -> Edit:
    """The edit that nine numbers in [0, 1) stand for, in a mask of size (H, W)."""
    (height, width), (low, high) = size, ELEMENT_PX
    left, top = int(draws[0] * width), int(draws[1] * height)
    return Edit(
        top=top,
        bottom=top + 1 + int(draws[3] * (height - top)),
        left=left,
        right=left + 1 + int(draws[2] * (width - left)),
        pixel=int(draws[5] * 2) if draws[4] < SET_PIXEL else None,
        dilate=draws[6] < DILATE,
        kind=kinds[int(draws[7] * len(kinds))],
        size=low + int(draws[8] * (high - low + 1)),
    )


def edit(mask: UInt8Array, change: Edit) -> None:
    """Makes one change to a mask (H, W) uint8 in {0, 1}; pixels outside of the rectangle play no part."""
    if change.pixel is not None:
        mask[(change.top + change.bottom) // 2, (change.left + change.right) // 2] = change.pixel
    inside = mask[change.top : change.bottom, change.left : change.right]
    inside[:] = (cv2.dilate if change.dilate else cv2.erode)(inside, element(change.kind, change.size))


@cache
def element(kind: int, size: int) -> UInt8Array:
    """A structuring element, uint8 in {0, 1}: size x size, one side halved (rounded down), or 3 x 3."""
    half = size // 2
    shape, width, height = {
        RECTANGLE: (cv2.MORPH_RECT, size, size),
        ELLIPSE: (cv2.MORPH_ELLIPSE, size, size),
        HALF_HEIGHT: (cv2.MORPH_ELLIPSE, size, half),
        HALF_WIDTH: (cv2.MORPH_ELLIPSE, half, size),
        NO_ELEMENT: (cv2.MORPH_RECT, 3, 3),
    }[kind]
    return np.asarray(cv2.getStructuringElement(shape, (width, height)), np.uint8)


def overlap(first: UInt8Array, second: UInt8Array) -> float:
    """IoU of two masks (H, W) uint8 in {0, 1}, the second not empty."""
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def _resized(mask: UInt8Array, size: tuple[int, ...]) -> UInt8Array:
    """A mask at size (H, W): shrunk by area, enlarged linearly, cut at one half."""
    way = cv2.INTER_AREA if size[0] < mask.shape[0] else cv2.INTER_LINEAR
    levels: Any = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=way)
    return np.asarray(levels >= 0.5, np.uint8)
