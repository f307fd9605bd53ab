"""Sheets of the shown images as PNG files: each method's foreground, and its errors below it."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from kolbench.io import images
from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.metrics import scores
from kolbench.report.gallery import Gallery, names_of
from kolbench.report.numbers import Numbers
from kolbench.report.shots import TRUTH_CUTOFF, Shot
from kolbench.types import UInt8Array

_KEY = (
    "Above, what each method takes for foreground at its threshold, the rest black; below, its errors: "
    "false positives are red, false negatives blue."
)
_TILE, _GAP, _LEAST_WIDTH = 192, 8, 600  # pixels
_COLUMNS = 8  # of methods beside each other
BoolArray = npt.NDArray[np.bool_]


def foreground_on_black(shot: Shot, label: str, threshold: float) -> UInt8Array:
    """(h, w, 3): the image where the method finds foreground, black elsewhere (RSUDISNet, figure 5)."""
    picture, found, _ = _decoded(shot, label, threshold)
    return picture * found[..., None].astype(np.uint8)


def errors(shot: Shot, label: str, threshold: float) -> UInt8Array:
    """(h, w, 3): true positives as they are, true negatives pale grey, false ones red and blue."""
    picture, found, truth = _decoded(shot, label, threshold)
    grey = picture.mean(-1, keepdims=True).repeat(3, axis=-1) * 0.6 + 80
    shown = np.where((found & truth)[..., None], picture, grey)
    for where, colour in ((found & ~truth, FALSE_FOREGROUND), (truth & ~found, MISSED_FOREGROUND)):
        shown[where] = 0.25 * grey[where] + 0.75 * np.array(colour)
    return np.asarray(shown.round(), np.uint8)


def write_sheets(gallery: Gallery, numbers: Numbers, folder: Path) -> None:
    """Writes `qualitative_results.png` and, where there are any, `held_products.png`."""
    thresholds = {label: numbers.of[label].run.threshold for label in gallery.labels}
    names = names_of(numbers.runs)
    rules = {"Qualitative results": gallery.rows, "Held products": gallery.held}
    for title, shots in rules.items():
        if shots:
            write_sheet(title, " ".join(gallery.notes), shots, thresholds, names, folder)


def write_sheet(
    title: str,
    rule: str,
    shots: Sequence[Shot],
    thresholds: Mapping[str, float],
    names: Mapping[str, str],
    folder: Path,
) -> Path:
    """Writes `TITLE.png`: per shot image, ground truth, and each method's foreground and errors.

    Args:
        title, rule: what stands above.
        shots: at least one.
        thresholds, names: of all labels of the shots.
        folder: where it goes; made if need be.
    """
    sheets = [_sheet_of(shot, thresholds, names) for shot in shots]
    width = max(_LEAST_WIDTH, *(sheet.shape[1] for sheet in sheets))
    parts = [_text(text, size, width) for text, size in ((title, 22), (rule, 13), (_KEY, 13))]
    for shot, pixels in zip(shots, sheets, strict=True):
        why = ", ".join(f"{reason.tag} ({reason.detail})" for reason in shot.reasons)
        parts += [_text(f"\n{shot.name}{': ' if why else ''}{why}", 15, width), pixels]
    margin = ((2 * _GAP, 2 * _GAP), (2 * _GAP, 2 * _GAP), (0, 0))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub('[^a-z0-9]+', '_', title.lower())}.png"
    images.write_png(path, np.pad(_stacked(parts, 0), margin, constant_values=255))
    return path


def _sheet_of(shot: Shot, thresholds: Mapping[str, float], names: Mapping[str, str]) -> UInt8Array:
    """Image and truth in the first column, then a column per method; as many beside each other as fit."""
    pictures = [images.rgb_from_bytes(data, shot.name) for data in (shot.image, shot.truth)]
    first = _column("image,\nground truth", pictures)
    columns = []
    for label in shot.alphas:
        at = thresholds[label]
        views = [foreground_on_black(shot, label, at), errors(shot, label, at)]
        columns.append(_column(f"{names[label]}\nthreshold {at:.2f}", views))
    lines = -(-len(columns) // _COLUMNS)
    each = -(-len(columns) // lines)
    chunks = [columns[start : start + each] for start in range(0, len(columns), each)]
    return _stacked([_stacked([first, *chunk], 1) for chunk in chunks], 0)


def _column(heading: str, views: Sequence[UInt8Array]) -> UInt8Array:
    return _stacked([_text(heading, 12, _TILE, lines=3), *(_fitted(view) for view in views)], 0)


def _fitted(view: UInt8Array) -> UInt8Array:
    """Scaled to a tile's width; never taller than twice that."""
    scale = min(_TILE / view.shape[1], 2 * _TILE / view.shape[0])
    size = (max(1, round(view.shape[1] * scale)), max(1, round(view.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(view, size, interpolation=how), np.uint8)


def _stacked(parts: Sequence[UInt8Array], axis: int) -> UInt8Array:
    """Parts on white, one after the other along an axis, with a gap between."""
    other = 1 - axis
    widest = max(part.shape[other] for part in parts)
    padded = []
    for part in parts:
        room = [(0, 0)] * 3
        room[other] = (0, widest - part.shape[other])
        room[axis] = (0, _GAP)
        padded.append(np.pad(part, room, constant_values=255))
    whole = np.concatenate(padded, axis=axis)
    return np.asarray(np.take(whole, range(whole.shape[axis] - _GAP), axis=axis), np.uint8)


def _text(text: str, size: int, width: int, lines: int | None = None) -> UInt8Array:
    """Black on white, (h, width, 3), broken between words and at line feeds; `lines` fixes their number."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
    letters = max(1, int(width / font.getlength("n")))
    broken = [line for part in text.split("\n") for line in textwrap.wrap(part, letters) or [""]][:lines]
    step = round(size * 1.35)
    page = Image.new("RGB", (width, step * (lines or len(broken))), "white")
    # headings of one line stand at the bottom, near what they name
    top = page.height - step * len(broken)
    for number, line in enumerate(broken):
        ImageDraw.Draw(page).text((0, top + number * step), line, "black", font)
    return np.asarray(page, np.uint8)


def _decoded(shot: Shot, label: str, threshold: float) -> tuple[UInt8Array, BoolArray, BoolArray]:
    """Image, prediction and truth of one size; a mixed pixel of the truth is what covers more of it."""
    alpha, truth = (
        images.rgb_from_bytes(data, shot.name)[..., 0] for data in (shot.alphas[label], shot.truth)
    )
    picture = images.rgb_from_bytes(shot.image, shot.name)
    if picture.shape[:2] != truth.shape:
        size = (truth.shape[1], truth.shape[0])
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return picture, alpha > scores.cutoff_level(threshold), truth > TRUTH_CUTOFF
