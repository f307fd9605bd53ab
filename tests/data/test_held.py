import numpy as np
import pytest

from kolbench.data.held import held
from kolbench.data.shapes import Shape

HEIGHT, WIDTH = 50, 200


def box(kind: str, left: float, right: float, group: int | None = None) -> Shape:
    points = np.array([[left, 10], [right, 10], [right, 40], [left, 40]], np.float64)
    return Shape(kind, "polygon", points, group)


@pytest.mark.parametrize(
    ("left", "touches"),
    [(55, True), (60, True), (61, True), (62, False), (120, False)],
)
def test_products_within_one_per_cent_of_a_person_are_held(left, touches):
    # of 200 px: the last column of the person is 59, and 61 is near
    person, bag = box("kol", 40, 60), box("product", left, left + 10)
    kept = held([person, bag], "touching", HEIGHT, WIDTH)
    assert kept == ([person, bag] if touches else [person])


def test_an_object_of_several_parts_is_held_whole():
    parts = [
        box("kol", 40, 60),
        box("product", 60, 70, 1),
        box("product", 90, 99, 1),
        box("product", 110, 120, 2),
    ]
    assert held(parts, "touching", HEIGHT, WIDTH) == parts[:3]
    # without groups each is an object of its own
    alone = [part._replace(group=None) for part in parts]
    assert held(alone, "touching", HEIGHT, WIDTH) == alone[:2]


def test_what_touches_a_held_product_alone_is_not_held():
    parts = [box("kol", 40, 60), box("product", 60, 90), box("product", 90, 120)]
    assert held(parts, "touching", HEIGHT, WIDTH) == parts[:2]


def test_other_rules_and_backgrounds():
    parts = [box("kol", 40, 60), box("background", 45, 50), box("product", 60, 90), box("product", 150, 160)]
    assert held(parts, "listed", HEIGHT, WIDTH) == parts
    assert held(parts, "none", HEIGHT, WIDTH) == parts[:2]
    assert held(parts, "touching", HEIGHT, WIDTH) == parts[:3]
    assert held(parts[2:], "touching", HEIGHT, WIDTH) == []
