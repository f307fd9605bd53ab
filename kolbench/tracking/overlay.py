"""An image with its ground truth and what a method says of it, as trackers and run folders show it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.tracking.lettering import GREY, PAPER, Entry, Text, legend, line, stacked, wrapped
from kolbench.types import Float32Array, UInt8Array

OUTLINE = (255, 220, 0)
RIM = (30, 30, 30)
LEGEND = (
    Entry("ground truth", OUTLINE, outlined=True),
    Entry("false positive", FALSE_FOREGROUND),
    Entry("false negative", MISSED_FOREGROUND),
)
# of each of the two views of an image on a sheet, in pixels
SIDE = 320
# what names, scores and legend need of a picture's width
NARROWEST = 420
_GAP, _MARGIN = 4, 24


@dataclass(frozen=True)
class Overlay:
    """An image with its ground truth and what a method says about it.

    image: (H, W, 3) uint8. truth, prediction: (H, W) uint8 in {0, 1}.
    alpha: (H, W) float32 in [0, 1], or None. iou: of the foreground.
    """

    name: str
    image: UInt8Array
    truth: UInt8Array
    prediction: UInt8Array
    alpha: Float32Array | None
    iou: float

    @property
    def score(self) -> str:
        """In words."""
        return f"IoU {self.iou:.3f}"

    @property
    def caption(self) -> str:
        """Name and score in words."""
        return f"{self.name}: {self.score}"


class Heading(NamedTuple):
    """What stands above a sheet. title: large. beside: small and grey after it. lines: below."""

    title: str
    beside: str
    lines: Sequence[str]


def overlay_picture(overlay: Overlay) -> UInt8Array:
    """Image with the outline of the ground truth | prediction: false positives red, false negatives blue.

    What is rightly left out of the prediction is dark and grey.

    Returns:
        (H, 2 W, 3) uint8.
    """
    return np.concatenate([_outlined(overlay), _errors_marked(overlay)], axis=1)


def captioned(overlay: Overlay) -> UInt8Array:
    """The same below its name and score, with a legend; (h, w, 3) uint8, w at least 420."""
    shown = overlay_picture(overlay)
    if shown.shape[1] < NARROWEST:
        shown = overlay_picture(resized(overlay, NARROWEST / shown.shape[1]))
    width = shown.shape[1]
    title = line([Text(overlay.name, bold=True)], width, Text(overlay.score))
    return stacked([title, shown, legend(LEGEND, width)], _GAP)


def sheet(overlays: Sequence[Overlay], heading: Heading) -> UInt8Array:
    """Images in two columns, each under its name and score, below a heading and the legend.

    Every image is brought to the same box, whatever its size and aspect.

    Returns:
        (h, w, 3) uint8, w of 1360 or, for a single image, 692.
    """
    columns = min(2, len(overlays))
    width = columns * _card_width() + (columns - 1) * _MARGIN
    cards = [_card(overlay) for overlay in overlays]
    rows = [cards[first : first + columns] for first in range(0, len(cards), columns)]
    body = [_row(row, width) for row in rows]
    body = [part for part in (_head(heading, width), *body) if part.size]
    return _framed(stacked(body, _MARGIN))


def resized(overlay: Overlay, scale: float) -> Overlay:
    """The same at another size; masks stay masks, cut at one half."""
    height, width = overlay.truth.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    truth, prediction = (
        (cv2.resize(mask.astype(np.float32), size, interpolation=how) >= 0.5).astype(np.uint8)
        for mask in (overlay.truth, overlay.prediction)
    )
    image = np.asarray(cv2.resize(overlay.image, size, interpolation=how), np.uint8)
    return replace(overlay, image=image, truth=truth, prediction=prediction, alpha=None)


def _head(heading: Heading, width: int) -> UInt8Array:
    title = line([Text(heading.title, 26, bold=True), Text(heading.beside, 15, GREY)], width)
    lines = [part for text in heading.lines for part in wrapped(Text(text, 16), width)]
    return stacked([title, *(line([part], width) for part in lines), legend(LEGEND, width, 15)], _GAP)


def _card_width() -> int:
    return 2 * SIDE + _GAP


def _card(overlay: Overlay) -> UInt8Array:
    """Name and score above the two views, centred in their box's width."""
    height, width = overlay.truth.shape
    fitted = resized(overlay, min(SIDE / width, SIDE / height))
    height, width = fitted.truth.shape
    views = np.full((height, _card_width(), 3), PAPER, np.uint8)
    for view, left in ((_outlined(fitted), SIDE - width), (_errors_marked(fitted), SIDE + _GAP)):
        views[:, left : left + width] = view
    # the line of the name is as wide as its image, where that leaves room for it
    room = max(2 * width + _GAP, NARROWEST)
    words = line([Text(overlay.name, bold=True)], room, Text(overlay.score))
    title = np.full((words.shape[0], _card_width(), 3), PAPER, np.uint8)
    left = (_card_width() - room) // 2
    title[:, left : left + room] = words
    return stacked([title, views], _GAP)


def _row(cards: Sequence[UInt8Array], width: int) -> UInt8Array:
    row = np.full((max(len(card) for card in cards), width, 3), PAPER, np.uint8)
    for column, card in enumerate(cards):
        left = column * (_card_width() + _MARGIN)
        row[: len(card), left : left + card.shape[1]] = card
    return row


def _framed(picture: UInt8Array) -> UInt8Array:
    around = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
    return np.pad(picture, around, constant_values=255)


def _outlined(overlay: Overlay) -> UInt8Array:
    outlined = overlay.image.copy()
    truth = np.ascontiguousarray(overlay.truth)
    contours, _ = cv2.findContours(truth, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    width = max(1, min(truth.shape) // 140)
    # the dark rim keeps the line in sight on bright images
    for colour, thickness in ((RIM, 2 * width + 1), (OUTLINE, width)):
        cv2.drawContours(outlined, list(contours), -1, colour, thickness)
    return outlined


def _errors_marked(overlay: Overlay) -> UInt8Array:
    grey = cv2.cvtColor(overlay.image, cv2.COLOR_RGB2GRAY)[..., None] // 3
    marked = np.where(overlay.prediction[..., None] == 1, overlay.image, grey)
    for wrong, colour in (
        (overlay.prediction > overlay.truth, FALSE_FOREGROUND),
        (overlay.prediction < overlay.truth, MISSED_FOREGROUND),
    ):
        marked[wrong] = overlay.image[wrong] // 3 + (np.array(colour) * 2 // 3).astype(np.uint8)
    return marked
