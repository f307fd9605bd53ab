"""Strips of small pictures with their names below, one strip below the other."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from kolbench.io import images
from kolbench.report import drawing
from kolbench.types import UInt8Array

_TILE_PX = 128
_MOST_COLUMNS, _FEWEST_COLUMNS = 5, 4
_GAP, _TITLE, _NAME, _LINE = 0.06, 0.27, 0.24, 0.17  # inches

# name below it, of one line or several, and file or (H, W, 3) uint8; all of a strip are drawn in the shape of
# the first
Strip = list[tuple[str, Path | UInt8Array]]


def drawn(strips: Mapping[str, Strip]) -> Drawing:
    """The strips, each below its title.

    Raises:
        DataError: a picture is missing or damaged.
    """
    heights = [_strip_height(strip) for strip in strips.values()]
    page = Drawing(figsize=(drawing.WIDTH, sum(heights)))
    top = sum(heights)
    for (title, strip), height in zip(strips.items(), heights, strict=True):
        _draw_strip(page, top, title, strip)
        top -= height
    return page


def _columns(strip: Strip) -> int:
    rows = -(-len(strip) // _MOST_COLUMNS)
    return max(_FEWEST_COLUMNS, -(-len(strip) // rows))


def _tile_size(strip: Strip) -> tuple[float, float]:
    """Width and height in inches; all pictures of a strip have the shape of the first."""
    width = drawing.WIDTH / _columns(strip) - _GAP
    pixels = _pixels(strip[0][1])
    return width, width * pixels.shape[0] / pixels.shape[1]


def _pixels(shown: Path | UInt8Array) -> UInt8Array:
    return images.read_rgb(shown) if isinstance(shown, Path) else shown


def _strip_height(strip: Strip) -> float:
    rows = -(-len(strip) // _columns(strip))
    return _TITLE + rows * (_tile_size(strip)[1] + _name_height(strip)) + _GAP


def _name_height(strip: Strip) -> float:
    return _NAME + _LINE * max(name.count("\n") for name, _ in strip)


def _draw_strip(page: Drawing, top: float, label: str, strip: Strip) -> None:
    """Tiles with their names below, below the label, from `top` inches downwards."""
    total = page.get_figheight()
    width, height = _tile_size(strip)
    page.text(
        _GAP / 2 / drawing.WIDTH, (top - _TITLE + 0.07) / total, drawing.fitted(label, drawing.WIDTH - _GAP)
    )
    for number, (name, shown) in enumerate(strip):
        row, column = divmod(number, _columns(strip))
        left = _GAP / 2 + column * (width + _GAP)
        bottom = top - _TITLE - row * (height + _name_height(strip)) - height
        place = (left / drawing.WIDTH, bottom / total, width / drawing.WIDTH, height / total)
        tile = page.add_axes(place, xticks=[], yticks=[])
        pixels = images.thumbnail(_pixels(shown), _TILE_PX)
        tile.imshow(pixels, aspect="auto", interpolation="nearest")
        tile.grid(visible=False)
        tile.spines[:].set(visible=True, color=drawing.GREY)
        lines = (drawing.fitted(line, width) for line in name.split("\n"))
        tile.set_xlabel("\n".join(lines), labelpad=2)
