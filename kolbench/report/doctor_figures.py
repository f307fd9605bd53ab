"""What the images of a data set are like: histograms for the doctor's page."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kolbench.data.health.measures import Measures
from kolbench.report import drawing
from kolbench.report.drawing import Figure
from kolbench.types import Float64Array

HEIGHT = 1.9  # inches
BINS = 24


class Measured(NamedTuple):
    """One measure of all pictures. values: NaN where a picture has none. decimals: in tables."""

    name: str
    title: str
    axis: str
    values: Float64Array
    decimals: int


def measured(pictures: Sequence[Measures]) -> list[Measured]:
    """The measures that are drawn and tabled, in order; those that no picture has are left out."""

    def of(name: str, title: str, axis: str, values: Sequence[float], decimals: int) -> Measured:
        return Measured(name, title, axis, np.asarray(values, np.float64), decimals)

    found = [
        of("foreground", "Foreground", "% of the image", [100 * one.foreground for one in pictures], 1),
        of("product", "Product", "% of the image", [100 * one.product for one in pictures], 1),
        of("side", "Longer side", "px", [max(one.height, one.width) for one in pictures], 0),
        of("aspect", "Aspect ratio", "width / height", [one.width / one.height for one in pictures], 2),
        of(
            "sharpness",
            "Sharpness along the mask's edge",
            "grey levels per pixel",
            [p.sharpness for p in pictures],
            1,
        ),
        of("entropy", "GLCM entropy", "bits", [one.entropy for one in pictures], 1),
    ]
    return [one for one in found if (~np.isnan(one.values)).any()]


@drawing.rules()
def histograms(pictures: Sequence[Measures]) -> list[Figure]:
    """A histogram of each measure in which images differ."""
    return [_histogram(one) for one in measured(pictures) if np.nanmin(one.values) < np.nanmax(one.values)]


def _histogram(one: Measured) -> Figure:
    values = one.values[~np.isnan(one.values)]
    [axes] = drawing.canvas([HEIGHT])
    axes.hist(values, bins=BINS, color=drawing.PALETTE[0])
    axes.axvline(float(np.median(values)), color=drawing.INK, linewidth=1)
    axes.set_xlabel(one.axis)
    axes.set_ylabel("images")
    caption = f"{len(values):,} images. The line is the median, {np.median(values):.{one.decimals}f}."
    return drawing.finish_axes(axes, f"health_{one.name}", one.title, caption)
