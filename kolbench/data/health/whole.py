"""Faults that only the whole set shows: outliers, kinds of masks, products."""

from collections import Counter
from collections.abc import Sequence

from kolbench.data.health.examination import Examined
from kolbench.data.health.fault import Fault, fault, many
from kolbench.data.health.measures import Measures
from kolbench.data.health.outliers import (
    BLURRED_SHARE,
    TIMES_ASPECT,
    TIMES_PIXELS,
    below_median,
    far_from_median,
)
from kolbench.data.mask_files import FOREGROUND_EDGE, INVERTED_SHARE
from kolbench.data.sources.base import Source


def set_faults(source: Source, examined: Sequence[Examined]) -> list[Fault]:
    """What may be wrong with the pictures that can be used, seen together."""
    rows = [row for row, one in enumerate(examined) if one.measures is not None]
    if not rows:
        return []
    measures = [one.measures for one in examined if one.measures is not None]
    return [
        *_unlike_others(source, rows, measures),
        *_full_or_inverted(source, measures),
        *_kinds_of_masks(source, [examined[row].levels for row in rows], rows),
        *_products(source, measures),
        *_said(source, examined),
    ]


def _unlike_others(source: Source, rows: Sequence[int], measures: Sequence[Measures]) -> list[Fault]:
    found = []
    pixels = [float(one.height * one.width) for one in measures]
    for place, share in far_from_median(pixels, TIMES_PIXELS).items():
        one = measures[place]
        what = f"{one.width}x{one.height} px, {share:.2g} times the median number of pixels."
        found.append(fault("resolution", source.names[rows[place]], what, [rows[place]]))
    # upright and lying pictures of one camera are of one shape
    shapes = [max(one.height, one.width) / min(one.height, one.width) for one in measures]
    for place, share in far_from_median(shapes, TIMES_ASPECT).items():
        one = measures[place]
        what = f"{one.width}x{one.height} px, {share:.2g} times the median aspect ratio."
        found.append(fault("aspect", source.names[rows[place]], what, [rows[place]]))
    for place, share in below_median([one.sharpness for one in measures], BLURRED_SHARE).items():
        what = f"Its sharpness along the mask's edge is {100 * share:.0f} % of the data set's median."
        found.append(fault("blurred", source.names[rows[place]], what, [rows[place]]))
    return found


def _full_or_inverted(source: Source, measures: Sequence[Measures]) -> list[Fault]:
    count = len(measures)
    if all(one.foreground == 1 for one in measures) and count == len(source):
        return [fault("all_full", _place(source), f"All pixels of {many(count, 'mask')} are foreground.")]
    covered = sum(one.edge > FOREGROUND_EDGE for one in measures)
    if covered and covered >= INVERTED_SHARE * count:
        what = f"{covered} of {many(count, 'mask')} are foreground along most of the image's border."
        return [fault("inverted", _place(source), what)]
    return []


def _kinds_of_masks(source: Source, levels: Sequence[str], rows: Sequence[int]) -> list[Fault]:
    """A row where masks of one set are of several kinds, such as 0/1 and 0/255, empty ones apart."""
    kinds = Counter(kind for kind in levels if kind not in ("", "empty"))
    if len(kinds) < 2:
        return []
    seen = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
    rarest = min(kinds, key=lambda kind: kinds[kind])
    examples = [row for row, kind in zip(rows, levels, strict=True) if kind == rarest][:2]
    what = f"Levels: {seen}. An example of the rarest: {source.names[examples[0]]}."
    return [fault("mixed_levels", _place(source), what, examples)]


def _products(source: Source, measures: Sequence[Measures]) -> list[Fault]:
    labelled = sum(one.product == one.product for one in measures)
    if labelled in (0, len(measures)):
        return []
    what = (
        f"{labelled} of {many(len(measures), 'image')} {'has' if labelled == 1 else 'have'} a product mask; "
        "held products in the others are not known."
    )
    return [fault("products", _place(source), what)]


def _said(source: Source, examined: Sequence[Examined]) -> list[Fault]:
    """What training warns of as it starts, where single pictures do not show it."""
    if any(one.levels for one in examined):
        return []
    mark = "warning: "
    lines = [line.removeprefix(mark) for line in source.describe() if line.startswith(mark)]
    return [fault("said", _place(source), line) for line in lines]


def _place(source: Source) -> str:
    return str(getattr(source, "root", "the data set"))
