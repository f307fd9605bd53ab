"""Names in drawings: where they go, by hand-worked places, and that none lies over another."""

import re
import shutil
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolbench.metrics import scores
from kolbench.report import comparisons, curves, drawing, labels
from kolbench.report.numbers import Numbers
from kolbench.runs import finished
from tests.helpers.run_folders import make_run

SVG = "{http://www.w3.org/2000/svg}"
NOTHING = np.zeros((0, 2))


@pytest.mark.parametrize(
    ("wanted", "gap", "expected"),
    [
        ([], 1.0, []),
        # free ones stay, in the order they came
        ([8.0, 2.0], 1.0, [8.0, 2.0]),
        # two alike move by half a gap each, the first of them down
        ([5.0, 5.0], 2.0, [4.0, 6.0]),
        # the pair at 4 and 4.5 is pushed apart around 4.25; 8 stays
        ([4.0, 8.0, 4.5], 1.5, [3.5, 8.0, 5.0]),
        # what is pushed meets a third: all three around their middle (3 + 4 + 5) / 3
        ([3.0, 5.0, 4.0], 2.0, [2.0, 6.0, 4.0]),
        # the ends of the axes hold
        ([9.8, 9.9], 1.0, [9.0, 10.0]),
        ([-3.0, 0.2], 1.0, [0.0, 1.0]),
        # no room: as far apart as they can be
        ([1.0, 1.0, 1.0], 8.0, [0.0, 5.0, 10.0]),
    ],
)
def test_places_are_spread_apart_by_hand(wanted, gap, expected):
    assert labels.spread(wanted, gap, 0, 10) == pytest.approx(expected)


@given(st.lists(st.floats(-5, 15), min_size=1, max_size=12), st.floats(0.01, 0.9))
def test_spread_places_keep_order_gap_and_bounds(wanted, gap):
    placed = labels.spread(wanted, gap, 0, 10)
    assert min(placed) >= -1e-9
    assert max(placed) <= 10 + 1e-9
    order = np.argsort(wanted, kind="stable")
    steps = np.diff(np.array(placed)[order])
    assert (steps >= gap - 1e-9).all()
    # nothing could be nearer to its place alone: it is there, at a neighbour or at an end
    in_order = np.array(placed)[order]
    for rank, row in enumerate(order):
        touches = (np.abs(np.diff(in_order)[max(0, rank - 1) : rank + 1] - gap) < 1e-6).any()
        at_end = min(abs(placed[row]), abs(placed[row] - 10)) < 1e-6
        assert touches or at_end or placed[row] == pytest.approx(wanted[row], abs=1e-6)


def test_names_stand_beside_their_points_by_hand():
    size = [[30.0, 10.0]]
    # at the right where there is room, the middle of the name as high as the point
    assert labels.beside(np.array([[50.0, 50.0]]), np.array(size), (200, 100), NOTHING).tolist() == [
        [57.5, 45.0]
    ]
    # at the right edge to the left
    assert labels.beside(np.array([[190.0, 50.0]]), np.array(size), (200, 100), NOTHING).tolist() == [
        [152.5, 45.0]
    ]
    # off a line that is avoided
    line = np.column_stack([np.arange(0.0, 200, 2), np.full(100, 50.0)])
    ((_, bottom),) = labels.beside(np.array([[50.0, 50.0]]), np.array(size), (200, 100), line).tolist()
    assert bottom >= 50 or bottom + 10 <= 50
    assert labels.beside(NOTHING, NOTHING, (200, 100), NOTHING).shape == (0, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 250), st.floats(0, 190)), min_size=2, max_size=12))
def test_no_name_lies_over_another_or_outside(points):
    sizes = np.array([[40.0 + 3 * (number % 5), 11.0] for number in range(len(points))])
    corners = labels.beside(np.array(points), sizes, (250, 190), NOTHING)
    assert (corners >= 0).all()
    assert (corners + sizes <= (250, 190)).all()
    for a, b in combinations(range(len(points)), 2):
        apart = (corners[a] >= corners[b] + sizes[b]) | (corners[b] >= corners[a] + sizes[a])
        assert apart.any()


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for number in range(11):
        make_run(folder / str(number), f"net{number:02d}", quality=0.9 - number / 50, pictures=4, files=False)
    make_run(folder / "base", "ellipse", pictures=4, files=False)
    return folder


def numbers_of(folder):
    return Numbers(finished.test_sets(finished.find(str(folder)))[0])


def places(figure):
    """Text -> its (x, y) in the SVG."""
    found = {}
    for text in ET.fromstring(figure.svg).iter(f"{SVG}text"):
        numbers = re.search(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform", ""))
        x, y = numbers.groups() if numbers else (text.get("x"), text.get("y"))
        found.setdefault("".join(text.itertext()), []).append((float(x), float(y)))
    return found


def test_twelve_methods_have_their_names_at_their_lines(twelve):
    numbers = numbers_of(twelve)
    found = places(curves.threshold_curves(numbers))
    names = [*(f"net{number:02d}" for number in range(11)), "Centred ellipse"]
    for panel in (0, 1):
        rows = sorted(found[name][panel][1] for name in names)
        # a line of text apart, all in one column
        assert min(np.diff(rows)) >= 1.19 * drawing.FONT_SIZE
        assert np.ptp([found[name][panel][0] for name in names]) < 0.5
    # from above as their lines end
    last = curves.THRESHOLDS[-1]
    ends = {run.label: scores.mean_scores(run.counts, last)["miou"] for run in numbers.runs}
    called = drawing.names(numbers)
    assert sorted(names, key=lambda name: found[name][0][1]) == [
        called[label] for label in sorted(ends, key=lambda label: -ends[label])
    ]


def test_more_methods_have_a_legend_below(twelve, tmp_path):
    assert labels.legend(numbers_of(twelve)) == []
    shutil.copytree(twelve, tmp_path / "runs")
    make_run(tmp_path / "runs" / "more", "unet", pictures=4, files=False)
    numbers = numbers_of(tmp_path)
    entries = labels.legend(numbers)
    assert len(entries) == 13
    # the best first, baselines last
    assert entries[-1].text == "Centred ellipse"
    means = {drawing.names(numbers)[run.label]: run.means["miou"] for run in numbers.runs}
    order = [means[entry.text] for entry in entries[:-1]]
    assert order == sorted(order, reverse=True)
    found = places(curves.threshold_curves(numbers))
    assert [len(found[f"net{number:02d}"]) for number in range(11)] == [1] * 11


def test_every_point_of_accuracy_against_memory_has_a_name(twelve):
    found = places(comparisons.pareto_memory(numbers_of(twelve)))
    names = [f"net{number:02d}" for number in range(11)]
    assert [len(found[name]) for name in names] == [1] * 11
    boxes = [(*found[name][0], 72 * drawing.text_width(name)) for name in names]
    for (x, y, width), (other_x, other_y, _) in combinations(boxes, 2):
        # centred texts of one width
        assert abs(x - other_x) >= width or abs(y - other_y) >= 0.9 * drawing.FONT_SIZE


def test_methods_that_would_be_called_alike_keep_their_keys():
    shown = drawing.unlike(
        {"modnet": "modnet", "official_modnet": "official_modnet", "u2netp seed=1": "u2netp"}
    )
    assert shown == {
        "modnet": "modnet",
        "official_modnet": "official_modnet",
        "u2netp seed=1": "U²-Net-p seed=1",
    }
