"""Faults of single pictures and of a set, from measures made by hand."""

import math

import pytest

from kolbench.data.health import pictures, whole
from kolbench.data.health.examination import Examined
from kolbench.data.health.file_facts import FileFacts
from kolbench.data.health.measures import Measures
from tests.data.health.test_copies import Named

GOOD = Measures(100, 80, 0.3, math.nan, 0.1, 1, 0, 50.0, 12.0)
SOURCE = Named([f"p{number}" for number in range(10)])


def kinds(**changed: float) -> list[str]:
    examined = Examined(measures=GOOD._replace(**changed))
    return [found.kind for found in pictures.picture_faults(SOURCE, 0, examined)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"foreground": 0.0}, ["empty"]),
        ({"foreground": 1.0, "edge": 1.0}, ["full"]),
        ({"foreground": 0.0019}, ["tiny"]),
        ({"foreground": 0.002}, []),
        ({"edge": 0.8}, []),
        ({"edge": 0.81}, ["inverted"]),
        ({"specks": 2, "objects": 3}, ["specks", "persons"]),
        ({"entropy": 2.9}, ["flat"]),
        ({"product": 0.3}, ["product_whole"]),
        # layouts without product files give empty ones
        ({"product": 0.0}, []),
    ],
)
def test_measures_become_faults(changed, expected):
    assert kinds(**changed) == expected


@pytest.mark.parametrize(
    ("image", "mask", "expected"),
    [
        (1, 1, ""),
        (6, 6, "EXIF orientation 6"),
        (6, 1, "one of them is rotated"),
        (1, 8, "one of them is rotated"),
    ],
)
def test_orientations(image, mask, expected):
    facts = {"image": FileFacts(9, 9, image), "mask": FileFacts(9, 9, mask)}
    found = pictures.picture_faults(SOURCE, 0, Examined(measures=GOOD, files=facts))
    assert [expected in one.what for one in found] == ([True] if expected else [])


def test_doubts_and_profiles_are_said():
    facts = {"image": FileFacts(9, 9, profile="Display P3")}
    examined = Examined(measures=GOOD, files=facts, doubt="9 levels: cut at 0.5", outside=0.06)
    examined = examined._replace(measures=GOOD._replace(product=0.1))
    told = {found.kind: found.what for found in pictures.picture_faults(SOURCE, 0, examined)}
    assert told == {
        "profile": "Its colour profile is Display P3.",
        "product_outside": "6 % of it is outside the mask; it is added to the mask.",
        "levels": "9 levels: cut at 0.5.",
    }


def set_kinds(measures: list[Measures], levels: str = "") -> list[tuple[str, str]]:
    examined = [Examined(measures=one, levels=levels) for one in measures]
    return [(found.kind, found.file) for found in whole.set_faults(SOURCE, examined)]


def test_outliers_of_a_set():
    assert set_kinds([GOOD] * 10) == []
    # turned pictures are of the same shape
    assert set_kinds([GOOD] * 9 + [GOOD._replace(height=80, width=100)]) == []
    odd = [GOOD._replace(height=400, width=320), GOOD._replace(width=30), GOOD._replace(sharpness=12.0)]
    assert set_kinds([GOOD] * 7 + odd) == [("resolution", "p7"), ("aspect", "p8"), ("blurred", "p9")]


def test_a_whole_set_that_is_inverted_full_or_labelled_in_part():
    inverted = GOOD._replace(edge=0.6)
    assert set_kinds([inverted] * 9 + [GOOD]) == [("inverted", "the data set")]
    assert set_kinds([inverted] * 8 + [GOOD] * 2) == []
    full = GOOD._replace(foreground=1.0, edge=1.0, sharpness=math.nan)
    assert set_kinds([full] * 10) == [("all_full", "the data set")]
    held = GOOD._replace(product=0.1)
    assert set_kinds([held] * 3 + [GOOD] * 7) == [("products", "the data set")]
    assert set_kinds([held] * 10) == []


def test_kinds_of_masks():
    levels = ["0/255", "0/255", "empty", "0/1"]
    examined = [Examined(measures=GOOD, levels=kind) for kind in levels]
    [found] = whole.set_faults(SOURCE, examined)
    assert found.what == "Levels: 0/255 (2), 0/1 (1). An example of the rarest: p3."
    assert found.pictures == (3,)
    assert whole.set_faults(SOURCE, examined[:3]) == []
