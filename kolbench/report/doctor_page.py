"""The doctor's page: one HTML file with what is wrong, thumbnails of it, and what the pictures are like."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from PIL import Image

from kolbench.data.health.diagnosis import Diagnosis
from kolbench.data.health.fault import KINDS, REFUSED, SEVERITIES, Fault, counted
from kolbench.data.health.outliers import QUANTILES, spread
from kolbench.data.sources.base import Source
from kolbench.errors import DataError
from kolbench.io import progress
from kolbench.io.images import read_rgb, thumbnail
from kolbench.report import doctor_figures, inlined
from kolbench.types import UInt8Array

_HERE = "kolbench.report"
# faults of a kind that are shown with thumbnails, and that are listed at all; the table has all of them
MOST_SHOWN = 12
MOST_LISTED = 100
_STYLES = ("summary.css", "tables.css", "figures.css", "doctor.css")
_SIDE = 180  # pixels
_GAP = 4
_OUTLINE = (255, 0, 200)


def severity_in_words(severity: str, number: int) -> str:
    """What stands behind a number of faults of a severity, such as `warnings` behind 2."""
    return "refused by training" if severity == REFUSED else severity if number == 1 else f"{severity}s"


class ShownFault(NamedTuple):
    """A fault as the page has it. thumbs: `data:` URIs."""

    fault: Fault
    thumbs: list[str]


class Section(NamedTuple):
    """All faults of a kind, `faults` of them. more: how many are listed nowhere on the page."""

    kind: str
    title: str
    severity: str
    advice: str
    faults: int
    shown: list[ShownFault]
    listed: list[ShownFault]
    more: int


def render(name: str, diagnosis: Diagnosis, faults: Sequence[Fault], root: Path | None) -> str:
    """The whole page as text; what stands in files and names is escaped.

    Args:
        name: of the data set. diagnosis: of it. faults: as they are shown. root: its folder; None where it
            has none.
    """
    pictures = [one.measures for one in diagnosis.examined if one.measures is not None]
    css = inlined.style_of(_HERE, *_STYLES)
    script = inlined.script_of(_HERE, "doctor.js")
    return inlined.page(_HERE, "doctor.html.j2").render(
        # our own files, and figures that our own code drew
        css=Markup(css),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=_policy(css, script),
        name=name,
        root="" if root is None else str(root),
        pictures=len(diagnosis.examined),
        counts=[
            (severity, severity_in_words(severity, number), number)
            for severity, number in counted(faults).items()
        ],
        lines=diagnosis.lines,
        sections=sections(diagnosis, faults),
        mended=any(found.mended for found in faults),
        rows=diagnosis.rows,
        has_groups=any(row.groups for row in diagnosis.rows),
        has_products=any(row.labelled for row in diagnosis.rows),
        quantiles=list(QUANTILES),
        spreads=[
            (one, [f"{value:.{one.decimals}f}" for value in spread(one.values).values()])
            for one in doctor_figures.measured(pictures)
        ],
        figures=[(figure, Markup(figure.svg)) for figure in doctor_figures.histograms(pictures)],  # noqa: S704
    )


def sections(diagnosis: Diagnosis, faults: Sequence[Fault]) -> list[Section]:
    """The faults by kind, with thumbnails of the first of each."""
    kinds = {kind: [found for found in faults if found.kind == kind] for kind in KINDS}
    there = {kind: found for kind, found in kinds.items() if found}
    ordered = sorted(there, key=lambda kind: SEVERITIES.index(KINDS[kind].severity))
    made = []
    with progress.bar("drawing thumbnails", len(there)) as advance:
        for kind in ordered:
            found = there[kind]
            shown = [_shown(one, diagnosis.source) for one in found[:MOST_SHOWN]]
            rest = [_shown(one, None) for one in found[MOST_SHOWN:MOST_LISTED]]
            more = max(0, len(found) - MOST_LISTED)
            made.append(Section(kind, *KINDS[kind], len(found), shown, rest, more))
            advance(1)
    return made


def _shown(found: Fault, source: Source | None) -> ShownFault:
    pictures = [] if source is None else [_thumb(source, row) for row in found.pictures[:2]]
    return ShownFault(found, [_uri(picture) for picture in pictures if picture is not None])


def _thumb(source: Source, row: int) -> UInt8Array | None:
    """A picture beside its mask, (h, w, 3); as their files are where they do not fit; None without any."""
    try:
        sample = source.read(row)
    except DataError:
        raw = (_raw(path) for what, path in source.files(row).items() if what != "product")
        tiles = [tile for tile in raw if tile is not None]
    else:
        tiles = [outlined(sample.image, sample.mask), np.dstack([sample.mask * np.uint8(255)] * 3)]
    small = [thumbnail(tile, _SIDE) for tile in tiles]
    return beside(small) if small else None


def _raw(path: Path) -> UInt8Array | None:
    try:
        return read_rgb(path)
    except DataError:
        return None


def outlined(image: UInt8Array, mask: UInt8Array) -> UInt8Array:
    """The picture, small, with the mask's outer edge in pink; (H, W, 3) and (H, W) -> (h, w, 3) uint8."""
    small = thumbnail(image, _SIDE).copy()
    inside = thumbnail(mask[..., None] * np.uint8(255), _SIDE)[..., 0] > 127
    outside = np.pad(~inside, 1, constant_values=False)
    near = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    small[inside & near] = _OUTLINE
    return small


def beside(tiles: Sequence[UInt8Array]) -> UInt8Array:
    """Pictures (h, w, 3) in a row, at the top, on grey."""
    height = max(tile.shape[0] for tile in tiles)
    width = sum(tile.shape[1] for tile in tiles) + _GAP * (len(tiles) - 1)
    sheet = np.full((height, width, 3), 128, np.uint8)
    left = 0
    for tile in tiles:
        sheet[: tile.shape[0], left : left + tile.shape[1]] = tile
        left += tile.shape[1] + _GAP
    return sheet


def _uri(picture: UInt8Array) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=80)
    return inlined.data_uri(file.getvalue(), "jpeg")


def _policy(css: str, script: str) -> str:
    """Our own script and style sheet, pictures inside the page, nothing else; the styles are of figures."""
    parts: Mapping[str, str] = {
        "default-src": "'none'",
        "script-src": f"'{inlined.digest(script)}'",
        "style-src": f"'{inlined.digest(css)}'",
        "style-src-elem": f"'{inlined.digest(css)}'",
        "style-src-attr": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())
