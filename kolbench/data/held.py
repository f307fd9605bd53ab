"""Which annotated objects are held: those that touch a person, or all that are listed."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from kolbench.data.labels import BACKGROUND, KOL, PRODUCT
from kolbench.data.shapes import Shape, draw

TOUCHING, LISTED, NONE = "touching", "listed", "none"
RULES = (TOUCHING, LISTED, NONE)
# outlines of two objects that touch are drawn some pixels apart, and traced ones end a pixel early
GAP_SHARE, LEAST_GAP = 0.01, 2


def held(shapes: Sequence[Shape], rule: str, height: int, width: int) -> list[Shape]:
    """The shapes less the products that do not count.

    Args:
        shapes: of one picture; the parts of one object have the same group.
        rule: `touching`: a product counts where it comes within 1 % of the picture's longer side, two
            pixels at least, to a person; `listed`: all count; `none`: persons alone do.
        height, width: of the picture.
    """
    if rule == LISTED or all(shape.kind != PRODUCT for shape in shapes):
        return list(shapes)
    others = [shape for shape in shapes if shape.kind != PRODUCT]
    if rule == NONE:
        return others
    person, _ = draw([shape for shape in shapes if shape.kind == KOL], height, width)
    side = 2 * max(LEAST_GAP, round(GAP_SHARE * max(height, width))) + 1
    near: Any = cv2.dilate(person, np.ones((side, side), np.uint8))
    products: dict[object, list[Shape]] = {}
    for number, shape in enumerate(shapes):
        if shape.kind == PRODUCT:
            products.setdefault(number if shape.group is None else (shape.group,), []).append(shape)
    kept = [
        id(s) for parts in products.values() if (draw(parts, height, width)[0] & near).any() for s in parts
    ]
    return [shape for shape in shapes if shape.kind in (KOL, BACKGROUND) or id(shape) in kept]
