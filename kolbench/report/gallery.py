"""Pictures worth a look, chosen by stated rules, with what each method made of them."""

import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from kolbench.errors import DataError
from kolbench.io import images, masks
from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.metrics import scores
from kolbench.report.numbers import Numbers, RunNumbers, numbers_of
from kolbench.runs.finished import Comparison
from kolbench.types import Float64Array, UInt8Array

MOST_SHOTS = 6
QUANTILES = {"best": 1.0, "75 %": 0.75, "median": 0.5, "25 %": 0.25, "worst": 0.0}
# at which a picture's own best threshold is looked for
OWN_THRESHOLDS = tuple(step / 20 for step in range(1, 20))
# a smaller gain in mIoU or spread of IoU is not worth a picture
LEAST_GAIN = 0.01
BoolArray = npt.NDArray[np.bool_]

_KEY = (
    "Above, what each method takes for foreground at its threshold, the rest black; below, its faults: "
    "red is found but false, blue is missed."
)
_TILE, _GAP, _LEAST_WIDTH = 192, 8, 600  # pixels
_COLUMNS = 8  # of methods beside each other


@dataclass(frozen=True)
class Shot:
    """A test picture with its truth and the methods' alphas, all of the thumbnail's size (h, w).

    why: what put it into the gallery. thumb: JPEG. truth: 8-bit grey PNG, 255 = foreground, grey where
    shrinking mixed both. alphas: label -> 8-bit grey PNG.
    """

    name: str
    why: str
    thumb: bytes
    truth: bytes
    alphas: dict[str, bytes]


@dataclass(frozen=True)
class Gallery:
    """At most six shots, and the rule by which they were chosen, as plain text."""

    title: str
    rule: str
    shots: tuple[Shot, ...]


class _Choice(NamedTuple):
    """A gallery before its pictures are read: (row of the picture, why)."""

    title: str
    rule: str
    rows: tuple[tuple[int, str], ...]


def all_galleries(comparison: Comparison) -> list[Gallery]:
    """Good and bad, failures, disagreements, thresholds, held products: those that apply.

    Chosen by the methods that read the picture only; shown are those with a truth given too, and the best
    baseline. Of runs that differ in the seed only, the first stands for all. Runs without stored truths are
    left out, as each rule then says.

    Raises:
        DataError: a picture's file is missing, damaged or of another shape, or its name leaves the folder.
    """
    numbers = numbers_of(comparison)
    firsts = [runs[0] for runs in numbers.families.values()]
    usable = [run for run in firsts if run.run.has_pictures]
    compared = [run for run in usable if run.run.truth_access == "none" and not run.is_baseline]
    if not compared:
        return []
    baselines = sorted((run for run in usable if run.is_baseline), key=lambda run: -run.means["miou"])
    shown = [*compared, *(run for run in usable if run.run.truth_access != "none"), *baselines[:1]]
    notes = _notes(numbers, shown, [run.label for run in firsts if run not in usable])
    choices = [
        _good_and_bad(compared),
        _failures(compared),
        _disagreements(compared),
        _another_threshold(compared),
        _held_products(compared),
    ]
    read = cache(lambda row: _pictures(comparison.pictures[row], shown))
    return [
        Gallery(
            choice.title,
            choice.rule + notes,
            tuple(Shot(comparison.pictures[row], why, *read(row)) for row, why in choice.rows),
        )
        for choice in choices
        if choice.rows
    ]


def _notes(numbers: Numbers, shown: Sequence[RunNumbers], without_truths: Sequence[str]) -> str:
    notes = " Compared are the methods that read the picture only, without baselines."
    if any(len(runs) > 1 for runs in numbers.families.values()):
        notes += " Of runs that differ in the seed only, the first stands for all."
    for kind, labels in (
        ("given part of the truth", [run.label for run in shown if run.run.truth_access != "none"]),
        ("a baseline, which never looks at the picture", [run.label for run in shown if run.is_baseline]),
    ):
        notes += f" Shown beside them, {kind}: {', '.join(labels)}." if labels else ""
    if without_truths:
        notes += f" Left out, as their run folders hold no truths: {', '.join(without_truths)}."
    return notes


def _good_and_bad(compared: Sequence[RunNumbers]) -> _Choice:
    miou = _mean(run.images["miou"] for run in compared)
    places: dict[int, list[str]] = {}
    for name, row in zip(QUANTILES, quantile_rows(miou, list(QUANTILES.values())), strict=True):
        places.setdefault(row, []).append(name)
    return _Choice(
        "Good and bad",
        "The pictures at fixed places when all are ordered by the mean mIoU of the compared methods: the "
        "best, those at 75 %, 50 % and 25 %, and the worst.",
        tuple((row, f"{', '.join(names)}: mean mIoU {miou[row]:.3f}") for row, names in places.items()),
    )


def quantile_rows(values: Float64Array, quantiles: Sequence[float]) -> list[int]:
    """Rows at these places of the ascending order, to the nearest; equal values keep their order."""
    order = np.argsort(values, kind="stable")
    return [int(order[int(np.floor(quantile * (len(values) - 1) + 0.5))]) for quantile in quantiles]


def _failures(compared: Sequence[RunNumbers]) -> _Choice:
    worst: dict[int, list[RunNumbers]] = {}
    for run in compared:
        worst.setdefault(int(run.images["miou"].argmin()), []).append(run)
    lowest = {row: min(run.images["miou"][row] for run in runs) for row, runs in worst.items()}
    rows = sorted(worst, key=lambda row: (-len(worst[row]), lowest[row]))[:MOST_SHOTS]
    more = worst.keys() - rows
    cut = f" Shown are the {MOST_SHOTS} that most methods share, then the lowest." if more else ""
    return _Choice(
        "Failures",
        f"The picture of each compared method's lowest mIoU.{cut}",
        tuple((row, "worst of " + _with_miou(worst[row], row)) for row in rows),
    )


def _with_miou(runs: Iterable[RunNumbers], row: int) -> str:
    return ", ".join(f"{run.label} (mIoU {run.images['miou'][row]:.3f})" for run in runs)


def _disagreements(compared: Sequence[RunNumbers]) -> _Choice:
    iou = np.stack([run.images["iou"] for run in compared])
    rows = largest(iou.max(0) - iou.min(0))
    labels = [run.label for run in compared]

    def why(row: int) -> str:
        high, low = int(iou[:, row].argmax()), int(iou[:, row].argmin())
        return f"IoU {iou[high, row]:.3f} of {labels[high]}, {iou[low, row]:.3f} of {labels[low]}"

    return _Choice(
        "Disagreements",
        "The pictures with the largest spread between the highest and the lowest foreground IoU of the "
        "compared methods.",
        tuple((row, why(row)) for row in rows),
    )


def _another_threshold(compared: Sequence[RunNumbers]) -> _Choice:
    found = [own_best(run) for run in compared]
    gains = np.stack([best - run.images["miou"] for run, (best, _) in zip(compared, found, strict=True)])

    def why(row: int) -> str:
        winner = int(gains[:, row].argmax())
        run, (best, at) = compared[winner], found[winner]
        was = f"{run.images['miou'][row]:.3f} at {run.run.threshold:.2f}"
        return f"{run.label}: mIoU {was}, {best[row]:.3f} at {at[row]:.2f}"

    return _Choice(
        "Another threshold would have saved it",
        "The pictures on which one of the compared methods gains most mIoU if its own threshold is replaced "
        "by the one that is best for this picture alone, of 0.05, 0.10 ... 0.95.",
        tuple((row, why(row)) for row in largest(gains.max(0))),
    )


def own_best(run: RunNumbers) -> tuple[Float64Array, Float64Array]:
    """The highest mIoU of each picture over `OWN_THRESHOLDS`, and the threshold of it.

    Of several thresholds the one nearest to the run's own.
    """
    nearest = sorted(OWN_THRESHOLDS, key=lambda at: abs(at - run.run.threshold))
    rows = np.stack([scores.image_scores(run.counts, at)["miou"] for at in nearest])
    return rows.max(0), np.asarray(nearest)[rows.argmax(0)]


def _held_products(compared: Sequence[RunNumbers]) -> _Choice:
    recall = _mean(run.images["product_recall"] for run in compared)
    held = np.flatnonzero(~np.isnan(recall))
    order = held[np.argsort(recall[held], kind="stable")][:MOST_SHOTS]
    return _Choice(
        "Held products",
        "The pictures whose held product is found least: the lowest mean product recall of the compared "
        "methods.",
        tuple((int(row), f"mean product recall {recall[row]:.3f}") for row in order),
    )


def largest(values: Float64Array) -> list[int]:
    """At most six rows of the largest values, those of at least `LEAST_GAIN`; equal ones keep their order."""
    order = np.argsort(-values, kind="stable")[:MOST_SHOTS]
    return [int(row) for row in order if values[row] >= LEAST_GAIN]


def _mean(values: Iterable[Float64Array]) -> Float64Array:
    rows: Float64Array = np.mean(np.stack(list(values)), axis=0)
    return rows


def _pictures(name: str, shown: Sequence[RunNumbers]) -> tuple[bytes, bytes, dict[str, bytes]]:
    """Thumbnail, truth and alphas of a picture."""
    first = shown[0].run
    thumb = below(first.root, first.thumb_file(name)).read_bytes()
    height, width = images.rgb_from_bytes(thumb, str(first.thumb_file(name))).shape[:2]
    truth = shrunk(below(first.root, first.truth_file(name)), height, width)
    alphas = {
        run.label: shrunk(below(run.run.root, run.run.alpha_file(name)), height, width) for run in shown
    }
    return thumb, truth, alphas


def below(folder: Path, path: Path) -> Path:
    """The path of a file in a run folder.

    Raises:
        DataError: the file does not exist, or its name leads out of the folder.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path} leads out of its run folder {folder}; remove that run.")
    if not path.is_file():
        raise DataError(f"{path} is missing: its run folder is not whole. Copy it again, or repeat the run.")
    return path


def shrunk(path: Path, height: int, width: int) -> bytes:
    """An 8-bit grey PNG file, averaged down to (height, width), as PNG."""
    levels, white = masks.read_alpha(path)
    if white != 255 or abs(levels.shape[0] * width - levels.shape[1] * height) > max(levels.shape):
        raise DataError(
            f"{path} is {levels.shape[1]}x{levels.shape[0]} px and no 8-bit grey of its thumbnail's shape "
            f"({width}x{height} px); repeat the run."
        )
    if levels.shape != (height, width):
        levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_AREA)
    encoded = io.BytesIO()
    Image.fromarray(np.asarray(levels, np.uint8)).save(encoded, "PNG", optimize=True)
    return encoded.getvalue()


def foreground_on_black(shot: Shot, label: str, threshold: float) -> UInt8Array:
    """(h, w, 3): the picture where the method finds foreground, black elsewhere (RSUDISNet, figure 5)."""
    picture, found, _ = _decoded(shot, label, threshold)
    return picture * found[..., None].astype(np.uint8)


def faults(shot: Shot, label: str, threshold: float) -> UInt8Array:
    """(h, w, 3): the picture in pale grey, false positives red, false negatives blue."""
    picture, found, truth = _decoded(shot, label, threshold)
    shown = picture.mean(-1, keepdims=True).repeat(3, axis=-1) * 0.6 + 80
    for where, colour in ((found & ~truth, FALSE_FOREGROUND), (truth & ~found, MISSED_FOREGROUND)):
        shown[where] = 0.25 * shown[where] + 0.75 * np.array(colour)
    return np.asarray(shown.round(), np.uint8)


def write_sheet(gallery: Gallery, thresholds: Mapping[str, float], folder: Path) -> Path:
    """Writes `gallery_TITLE.png`: per shot the picture, the truth, and each method's foreground and faults.

    Args:
        gallery: what to show.
        thresholds: label -> threshold, for all labels of the shots.
        folder: where it goes; made if need be.
    """
    shots = [_sheet_of(shot, thresholds) for shot in gallery.shots]
    width = max(_LEAST_WIDTH, *(shot.shape[1] for shot in shots))
    parts = [_text(text, size, width) for text, size in ((gallery.title, 22), (gallery.rule, 13), (_KEY, 13))]
    for shot, pixels in zip(gallery.shots, shots, strict=True):
        parts += [_text(f"\n{shot.name}: {shot.why}", 15, width), pixels]
    margin = ((2 * _GAP, 2 * _GAP), (2 * _GAP, 2 * _GAP), (0, 0))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gallery_{re.sub('[^a-z0-9]+', '_', gallery.title.lower())}.png"
    images.write_png(path, np.pad(_stacked(parts, 0), margin, constant_values=255))
    return path


def _sheet_of(shot: Shot, thresholds: Mapping[str, float]) -> UInt8Array:
    """Picture and truth in the first column, then a column per method; as many beside each other as fit."""
    pictures = [images.rgb_from_bytes(data, shot.name) for data in (shot.thumb, shot.truth)]
    first = _column("picture\ntruth", pictures)
    columns = []
    for label in shot.alphas:
        at = thresholds[label]
        views = [foreground_on_black(shot, label, at), faults(shot, label, at)]
        columns.append(_column(f"{label}\nthreshold {at:.2f}", views))
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
    """Picture, prediction and truth; a truth's mixed pixel counts as what covers more of it."""
    picture = images.rgb_from_bytes(shot.thumb, shot.name)
    alpha, truth = (
        images.rgb_from_bytes(data, shot.name)[..., 0] for data in (shot.alphas[label], shot.truth)
    )
    return picture, alpha > scores.cutoff_level(threshold), truth > scores.cutoff_level(0.5)
