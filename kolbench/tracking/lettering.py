"""Text in images: names, scores and legends, cut to the width that there is."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kolbench.types import UInt8Array

Colour = tuple[int, int, int]
INK, GREY, PAPER = (20, 22, 26), (105, 110, 120), (255, 255, 255)
CUT = "…"
_LEADING = 1.4
# between a swatch and its words, and between the entries of a legend, in heights of the letters
_NEAR, _APART = 0.4, 1.6


class Text(NamedTuple):
    """Words of one look. size: of the letters in pixels."""

    words: str
    size: int = 15
    colour: Colour = INK
    bold: bool = False


class Entry(NamedTuple):
    """A line of a legend. outlined: whether the swatch is a frame rather than a patch."""

    words: str
    colour: Colour
    outlined: bool = False


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it, which has the letters that methods are written with, such as ²."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def width_of(text: Text) -> int:
    """In pixels, rounded up."""
    return int(-(-font(text.size, text.bold).getlength(text.words) // 1))


def height_of(size: int) -> int:
    """Of a line of such letters in pixels."""
    return round(_LEADING * size)


def shortened(text: Text, width: int) -> Text:
    """The words, or as much of their two ends as fits into so many pixels; never nothing."""
    words = text.words
    if width_of(text) <= width:
        return text
    for kept in range(len(words) - 1, 0, -1):
        head, tail = -(-kept // 2), kept // 2
        cut = text._replace(words=words[:head] + CUT + words[len(words) - tail :])
        if width_of(cut) <= width:
            return cut
    return text._replace(words=CUT)


def wrapped(text: Text, width: int) -> list[Text]:
    """The words on as many lines as they need; a word that is wider than a line is shortened."""
    lines: list[str] = []
    for word in text.words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(text._replace(words=longer)) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(text._replace(words=word), width).words)
    return [text._replace(words=line) for line in lines]


def line(left: Sequence[Text], width: int, right: Text | None = None) -> UInt8Array:
    """One line of text, the first words shortened where there is no room; (h, width, 3) uint8.

    Args:
        left: from the left, a space apart, of which only the first is shortened. right: at the right end.
    """
    parts = [*left, *([right] if right else [])]
    height = max(height_of(part.size) for part in parts)
    gap = height // 3
    rest = sum(width_of(part) + gap for part in parts[1:])
    drawn = [shortened(left[0], max(0, width - rest)), *left[1:]]
    strip = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(strip)
    baseline = round(height * 0.74)
    at = 0
    for part in drawn:
        pen.text((at, baseline), part.words, part.colour, font(part.size, part.bold), anchor="ls")
        at += width_of(part) + gap
    if right:
        pen.text((width, baseline), right.words, right.colour, font(right.size, right.bold), anchor="rs")
    return np.asarray(strip, np.uint8)


def legend(entries: Sequence[Entry], width: int, size: int = 14) -> UInt8Array:
    """Swatches with their words, on as many lines as they need; (h, width, 3) uint8."""
    near, apart, height = round(_NEAR * size), round(_APART * size), height_of(size)
    rows: list[list[Entry]] = [[]]
    taken = 0
    for entry in entries:
        wide = size + near + width_of(Text(entry.words, size))
        if rows[-1] and taken + wide > width:
            rows.append([])
            taken = 0
        rows[-1].append(entry)
        taken += wide + apart
    sheet = Image.new("RGB", (width, height * len(rows)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        at, top = 0, number * height + (height - size) // 2
        for entry in row:
            box = (at, top, at + size - 1, top + size - 1)
            thick = max(2, size // 5)
            if entry.outlined:
                pen.rectangle(box, outline=INK, width=thick + 2)
                inner = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
                pen.rectangle(inner, outline=entry.colour, width=thick)
            else:
                pen.rectangle(box, fill=entry.colour)
            room = max(1, width - at - size - near)
            words = shortened(Text(entry.words, size), room)
            place = (at + size + near, number * height + height // 2)
            pen.text(place, words.words, INK, font(size), anchor="lm")
            at += size + near + width_of(words) + apart
    return np.asarray(sheet, np.uint8)


def stacked(strips: Sequence[UInt8Array], gap: int = 0) -> UInt8Array:
    """Strips of one width below each other, on white; (h, w, 3) uint8."""
    space = np.full((gap, strips[0].shape[1], 3), PAPER, np.uint8)
    parts = [part for strip in strips for part in (space, strip)][1:]
    return np.concatenate(parts)
