"""What the page's templates and scripts are given of images, thresholds and held products."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.metrics import scores
from kolbench.report.faces import BLUR, HIDE
from kolbench.report.footage import Footage, ShownClip
from kolbench.report.gallery import ENOUGH_HELD, Gallery, names_of
from kolbench.report.inlined import data_uri
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.shots import TRUTH_CUTOFF, Reason, Shot
from kolbench.report.words import percent, percent_range, score_name
from kolbench.runs.method_names import shown_label, shown_name
from kolbench.types import Float64Array

# the scores that follow the threshold slider, and its positions
LIVE = ("miou", "iou", "acc", "f0.3_pooled")
POSITIONS = tuple(percent / 100 for percent in range(101))
# with fewer digits, a live number can differ in its last decimal from the same number in a table
_DIGITS = 9
COLOURS = {
    "fp": FALSE_FOREGROUND,
    "fn": MISSED_FOREGROUND,
    "edge": (255, 0, 200),
    "product": (255, 170, 0),
}
_KINDS = {"none": "", "box": "uses ground-truth box", "mask": "uses ground-truth mask"}
_FACES = {BLUR: "blurred", HIDE: "covered"}

# an image as the script reads it
Entry = dict[str, object]


class Method(NamedTuple):
    """A method as it is named. number: in the page's data. key: its run's label, "" where it says no more."""

    number: int
    name: str
    key: str
    kind: str


class Tile(NamedTuple):
    """A view of an image. source: `image`, `truth` or a method's number. score: of that image, or ""."""

    source: str
    name: str
    score: str


class Row(NamedTuple):
    """An image and its views. number: in the page's data."""

    number: int
    name: str
    width: int
    height: int
    reasons: tuple[Reason, ...]
    tiles: tuple[Tile, ...]


class Soft(NamedTuple):
    """A row of the threshold explorer. at: the run's own threshold. tuned: on validation images."""

    method: Method
    at: str
    tuned: bool


class Recall(NamedTuple):
    """A row about held products, in per cent."""

    name: str
    key: str
    kind: str
    recall: str
    interval: str
    images: str


class PageData(NamedTuple):
    """What the templates are given (`context`) and what the script reads (`data`)."""

    context: dict[str, object]
    data: dict[str, object]


def page_data(
    numbers: Numbers, runs: Sequence[RunNumbers], gallery: Gallery | None, footage: Footage | None
) -> PageData:
    """Everything about images, thresholds and held products.

    Args:
        numbers: of the comparison.
        runs: in the order of the page's data.
        gallery, footage: images and clips; None = there are none.

    Raises:
        KeyError: a gallery or a clip shows a label that is no run of the test set.
    """
    methods = {run.label: _method(number, run) for number, run in enumerate(runs)}
    blobs: dict[str, int] = {}
    shots = gallery.shots if gallery else ()
    entries = _with_scores(shots, numbers, methods, blobs)
    clips = [_clip_data(clip, methods, blobs) for clip in footage.clips] if footage else []
    names = names_of(runs)
    context: dict[str, object] = {
        "colours": COLOURS,
        "qualitative": _qualitative(gallery, numbers, methods) if gallery else None,
        "held": _held(gallery, numbers, methods),
        "thresholds": _thresholds(runs, methods, gallery),
        "footage": footage,
    }
    data: dict[str, object] = {
        "colours": COLOURS,
        "truth_cutoff": TRUTH_CUTOFF,
        "cutoffs": [scores.cutoff_level(position) for position in POSITIONS],
        "methods": [{**live_scores(run), "name": names[run.label]} for run in runs],
        "ramp": _ramp(),
        "shots": entries,
        "clips": clips,
        "blobs": list(blobs),
    }
    return PageData(context, data)


def live_scores(run: RunNumbers) -> dict[str, object]:
    """What the page knows of a run: its scores at each slider position and at its own threshold.

    A hard mask has no other positions.
    """
    own = run.run.threshold
    curve = scores.threshold_curve(run.counts, [*POSITIONS, own])
    rows = [np.round(curve[name], _DIGITS).tolist() for name in LIVE]
    return {
        "label": run.label,
        "at": in_digits(own),
        "cutoff": scores.cutoff_level(own),
        "soft": is_soft(run),
        "own": [row[-1] for row in rows],
        "curves": [row[:-1] for row in rows],
    }


def is_soft(run: RunNumbers) -> bool:
    """Whether any test pixel has an alpha between 0 and 1, so that a threshold decides something."""
    return bool((run.counts.fg[:, 1:-1].any()) or run.counts.bg[:, 1:-1].any())


def in_digits(threshold: float) -> str:
    """At least two decimals, as on the slider, and more where a run has more."""
    return max(f"{threshold:.2f}", f"{threshold:g}", key=len)


def _method(number: int, run: RunNumbers) -> Method:
    name = shown_label(run.label, run.run.method)
    kind = "baseline" if run.is_baseline else _KINDS[run.run.truth_access]
    return Method(number, name, run.label if name != run.label else "", kind)


# --- images


def _qualitative(gallery: Gallery, numbers: Numbers, methods: Mapping[str, Method]) -> dict[str, object]:
    """Rows of images, each score the IoU at the method's own threshold at the size that is scored."""
    iou = {label: numbers.of[label].images["iou"] for label in gallery.labels}
    return {
        "columns": [methods[label] for label in gallery.labels],
        "widest": _widest(gallery.rows, 17),
        "rows": _rows(gallery, gallery.rows, numbers, methods, iou),
        "more": _rows(gallery, gallery.more, numbers, methods, iou),
        "notes": gallery.notes,
        "faces": _FACES.get(gallery.faces),
    }


def _widest(shots: Sequence[Shot], tallest: float) -> float:
    """How wide a tile is at most, in rem, so that the widest image is as tall as that; never above 14."""
    aspects = (shot.size[1] / shot.size[0] for shot in shots)
    return round(min(14.0, tallest * max(aspects, default=1.0)), 1)


def _rows(
    gallery: Gallery,
    shots: Sequence[Shot],
    numbers: Numbers,
    methods: Mapping[str, Method],
    values: Mapping[str, Float64Array],
) -> list[Row]:
    """Rows of tiles, scored by (N,) values of each label."""
    number_of = {shot.name: number for number, shot in enumerate(gallery.shots)}
    row_of = {name: row for row, name in enumerate(numbers.comparison.pictures)}
    return [
        Row(
            number_of[shot.name],
            shot.name,
            *shot.size[::-1],
            shot.reasons,
            (
                Tile("image", "Image", ""),
                Tile("truth", "Ground truth", ""),
                *(
                    Tile(
                        str(methods[label].number),
                        methods[label].name,
                        _per_cent(values, label, row_of, shot),
                    )
                    for label in shot.alphas
                ),
            ),
        )
        for shot in shots
    ]


def _per_cent(values: Mapping[str, Float64Array], label: str, row_of: Mapping[str, int], shot: Shot) -> str:
    """The score of an image, or "" of one that is no test image of the set."""
    return percent(float(values[label][row_of[shot.name]])) if shot.name in row_of else ""


def _with_scores(
    shots: Sequence[Shot], numbers: Numbers, methods: Mapping[str, Method], blobs: dict[str, int]
) -> list[Entry]:
    """The entries of shots, with each method's IoU in per cent at its own threshold and along the slider."""
    entries = [_entry(shot, methods, blobs) for shot in shots]
    place = {name: row for row, name in enumerate(numbers.comparison.pictures)}
    known = [number for number, shot in enumerate(shots) if shot.name in place]
    rows = [place[shots[number].name] for number in known]
    for label in dict.fromkeys(label for shot in shots for label in shot.alphas):
        run = numbers.of[label]
        own = np.round(100 * run.images["iou"][rows], 1).tolist()
        curves = _iou_curves(run, rows)
        for number, value, curve in zip(known, own, curves, strict=True):
            if label in shots[number].alphas:
                scored = entries[number].setdefault("iou", {})
                assert isinstance(scored, dict)
                scored[methods[label].number] = {"own": value, "at": curve}
    return entries


def _iou_curves(run: RunNumbers, rows: Sequence[int]) -> list[list[float]]:
    """Of each row the IoU in per cent at each position of the slider; none for hard masks."""
    if not rows or not is_soft(run):
        return [[] for _ in rows]
    counts = run.counts.rows(rows)
    curves = np.stack([scores.image_scores(counts, position)["iou"] for position in POSITIONS], axis=1)
    return [list(curve) for curve in np.round(100 * curves, 1).tolist()]


def _entry(shot: Shot, methods: Mapping[str, Method], blobs: dict[str, int]) -> Entry:
    """A shot as positions in `blobs`, which holds each file once however often it is shown."""

    def blob(data: bytes, kind: str) -> int:
        return blobs.setdefault(data_uri(data, kind), len(blobs))

    height, width = shot.size
    alphas = {methods[label].number: blob(alpha, "png") for label, alpha in shot.alphas.items()}
    product = {} if shot.product is None else {"product": blob(shot.product, "png")}
    return {
        "name": shot.name,
        "width": width,
        "height": height,
        "image": blob(shot.image, "jpeg"),
        "truth": blob(shot.truth, "png"),
        "alphas": alphas,
        **product,
    }


def _clip_data(clip: ShownClip, methods: Mapping[str, Method], blobs: dict[str, int]) -> dict[str, object]:
    """A clip as the script reads it: its frames as shots are, and J of all frames by number of the run."""
    return {
        "name": clip.name,
        "count": clip.frames,
        "frames": [_entry(shot, methods, blobs) for shot in clip.shots],
        "positions": list(clip.positions),
        "j": {
            methods[label].number: [
                None if math.isnan(value) else round(value, _DIGITS) for value in values.tolist()
            ]
            for label, values in clip.j.items()
        },
    }


def _ramp() -> str:
    """All levels in a row, by which the page sees whether the browser alters what it reads."""
    ramp = io.BytesIO()
    Image.fromarray(np.arange(scores.LEVELS, dtype=np.uint8)[None]).save(ramp, "PNG")
    return data_uri(ramp.getvalue(), "png")


# --- thresholds


def _thresholds(
    runs: Sequence[RunNumbers], methods: Mapping[str, Method], gallery: Gallery | None
) -> dict[str, object]:
    soft = [run for run in runs if is_soft(run)]
    labels = {run.label for run in soft}
    return {
        "soft": [
            Soft(methods[run.label], in_digits(run.run.threshold), run.run.threshold_from == "validation")
            for run in soft
        ],
        "hard": [methods[run.label].name for run in runs if run.label not in labels],
        "live": [(name, f"{score_name(name)} %", scores.DEFINITIONS[name]) for name in LIVE],
        "columns": [methods[label] for label in (gallery.labels if gallery else ()) if label in labels],
        "images": [
            (number, shot.name)
            for number, shot in enumerate(gallery.shots if gallery else ())
            if shot in (gallery.rows if gallery else ())
        ],
    }


# --- held products


def _held(
    gallery: Gallery | None, numbers: Numbers, methods: Mapping[str, Method]
) -> dict[str, object] | None:
    """Recall of held products; None where no test image has one."""
    count = int(max(run.has_product.sum() for run in numbers.runs))
    if not count:
        return None
    recall = {run.label: run.images["product_recall"] for run in numbers.runs}
    shots = gallery.held if gallery else ()
    return {
        "count": count,
        "ranked": count >= ENOUGH_HELD,
        "table": _recalls(numbers, methods, recall),
        "columns": [methods[label] for label in (gallery.labels if gallery else ())],
        "rows": [row._replace(reasons=()) for row in _rows(gallery, shots, numbers, methods, recall)]
        if gallery
        else [],
        "widest": _widest(shots, 12),
        "outlined": any(shot.product for shot in shots),
    }


def _recalls(
    numbers: Numbers, methods: Mapping[str, Method], recall: Mapping[str, Float64Array]
) -> list[Recall]:
    """Methods, those that use ground truth, and baselines, the recorded ones last; each kind by its mIoU."""
    found = numbers.intervals(recall)
    ordered = sorted(numbers.runs, key=lambda run: (methods[run.label].kind, -run.means["miou"]))
    rows = [
        Recall(
            *methods[run.label][1:],
            percent(found[run.label].value),
            percent_range(found[run.label]),
            str(int(run.has_product.sum())),
        )
        for run in sorted(ordered, key=lambda run: run.is_baseline)
    ]
    recorded = {
        name: row["product_recall"]
        for name, row in numbers.recorded_baselines.items()
        if not math.isnan(row.get("product_recall", math.nan))
    }
    return rows + [
        Recall(
            shown_name(name),
            name if shown_name(name) != name else "",
            "baseline",
            percent(value),
            "",
            "",
        )
        for name, value in recorded.items()
    ]
