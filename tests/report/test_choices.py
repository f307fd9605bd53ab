"""Images chosen as the rules say, by hand."""

import numpy as np
import pytest

from kolbench.report import choices
from kolbench.report.gallery import names_of
from kolbench.report.numbers import numbers_of
from kolbench.report.words import in_per_cent
from tests.helpers.hand_made_runs import GOOD, HALF, NONE, columns, comparison_of, write_run


def compared_of(folder):
    runs = numbers_of(comparison_of(folder)).runs
    return runs, names_of(runs)


def told(found):
    return [(f"p{row}", reason.tag, reason.detail) for row, reason in found]


def test_places_in_the_order_by_hand():
    values = np.array([0.5, 0.1, 0.9, 0.3, 0.7])
    assert choices.quantile_rows(values, [1, 0.75, 0.5, 0.25, 0]) == [2, 4, 0, 3, 1]
    # of six, 25 % is place 1.25 and 75 % is place 3.75; halves go up
    values = np.array([6, 5, 4, 3, 2, 1.0])
    assert choices.quantile_rows(values, [0.25, 0.5, 0.75]) == [4, 2, 1]
    assert choices.quantile_rows(np.zeros(3), [0, 0.5, 1]) == [0, 1, 2]
    assert choices.quantile_rows(np.zeros(1), [0, 0.5, 1]) == [0, 0, 0]


def test_the_largest_by_hand():
    values = np.array([0.2, 0.0, 0.5, 0.2, 0.009, 0.01, 0.3, 0.4, 0.1, 0.1])
    assert choices.largest(values) == [2, 7, 6, 0, 3, 8]
    assert choices.largest(np.array([0.009, 0.0])) == []


def test_images_at_fixed_places_of_the_order(tmp_path):
    # mean mIoU: p0 1, p1 0.792, p2 0.625, p3 0.417, p4 0.25
    write_run(tmp_path / "a", "a", [GOOD, GOOD, GOOD, HALF, NONE])
    write_run(tmp_path / "b", "b", [GOOD, HALF, NONE, NONE, NONE])
    runs, _ = compared_of(tmp_path)
    assert told(choices.at_places(runs)) == [
        ("p2", "median image", "mean mIoU 62.5 %"),
        ("p4", "hardest image", "mean mIoU 25.0 %"),
        ("p0", "easiest image", "mean mIoU 100.0 %"),
        ("p3", "harder quarter", "mean mIoU 41.7 %"),
        ("p1", "easier quarter", "mean mIoU 79.2 %"),
    ]
    assert choices.hardest_first([0, 2, 4, 3], runs) == [4, 3, 2, 0]


def test_the_worst_image_of_each_method(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF, GOOD])
    write_run(tmp_path / "b", "grabcut", [GOOD, NONE, GOOD])
    write_run(tmp_path / "c", "c", [GOOD, GOOD, NONE])
    runs, names = compared_of(tmp_path)
    assert told(choices.worst_of_each(runs, names)) == [
        (
            "p1",
            "worst of a, GrabCut",
            "a mIoU 58.3 % here, its lowest; GrabCut mIoU 25.0 % here, its lowest",
        ),
        ("p2", "worst of c", "c mIoU 25.0 % here, its lowest"),
    ]


def test_of_more_than_six_worst_images_the_shared_and_lowest_are_found(tmp_path):
    found = [HALF, HALF, columns(0, 3), NONE, columns(0, 1), HALF, HALF]
    for number, alpha in enumerate(found):
        alphas = [GOOD] * 7
        alphas[number] = alpha
        write_run(tmp_path / f"{number}", f"m{number}", alphas)
    write_run(tmp_path / "z", "z", [GOOD] * 6 + [HALF])
    runs, names = compared_of(tmp_path)
    # p6 is shared, p3 and p4 are lowest, p0, p1 and p5 are alike, p2 is the least bad
    assert [row for row, _ in choices.worst_of_each(runs, names)] == [6, 3, 4, 0, 1, 5]


def test_many_methods_with_one_worst_image_are_counted(tmp_path):
    for number in range(4):
        write_run(tmp_path / f"{number}", f"m{number}", [GOOD, HALF])
    runs, names = compared_of(tmp_path)
    ((row, reason),) = choices.worst_of_each(runs, names)
    assert (row, reason.tag) == (1, "worst of 4 methods")


def test_disagreements_are_the_largest_spread_of_iou(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF, NONE, HALF])
    write_run(tmp_path / "b", "b", [HALF, HALF, GOOD, NONE])
    write_run(tmp_path / "c", "c", [GOOD, HALF, HALF, NONE])
    runs, names = compared_of(tmp_path)
    assert told(choices.disagreements(runs, names)) == [
        ("p2", "methods disagree", "IoU: b 100.0 %, a 0.0 %"),
        ("p0", "methods disagree", "IoU: a 100.0 %, b 50.0 %"),
        ("p3", "methods disagree", "IoU: a 50.0 %, b 0.0 %"),
    ]


def test_one_method_disagrees_with_nobody(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF])
    assert choices.disagreements(*compared_of(tmp_path)) == []


def test_another_threshold_is_named_with_its_gain(tmp_path):
    # level 100 is foreground up to threshold 0.39, level 230 up to 0.90
    faint, bright = columns(0, 4, level=100), columns(0, 4, level=230)
    bright_halo = np.maximum(columns(0, 4), columns(4, 8, level=200))
    write_run(tmp_path / "a", "a", [faint, bright, bright_halo, GOOD])
    write_run(tmp_path / "b", "b", [GOOD, bright, GOOD, HALF], threshold=0.95)
    assert told(choices.another_threshold(*compared_of(tmp_path))) == [
        ("p0", "another threshold helps a", "mIoU 25.0 % at 0.50, 100.0 % at 0.35"),
        ("p1", "another threshold helps b", "mIoU 25.0 % at 0.95, 100.0 % at 0.90"),
        ("p2", "another threshold helps a", "mIoU 25.0 % at 0.50, 100.0 % at 0.80"),
    ]


def test_held_products_are_those_found_least(tmp_path):
    missed = columns(1, 4)
    write_run(tmp_path / "a", "a", [GOOD, missed, NONE, missed], held=(0, 1, 3))
    write_run(tmp_path / "b", "b", [GOOD, missed, NONE, GOOD], held=(0, 1, 3))
    runs, _ = compared_of(tmp_path)
    assert choices.least_held(runs) == [1, 3, 0]


def test_the_rules_take_turns_and_an_image_keeps_all_its_reasons(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, GOOD, HALF, NONE])
    write_run(tmp_path / "b", "b", [GOOD, HALF, HALF, GOOD])
    reasons = choices.telling(*compared_of(tmp_path))
    # p3 is worst of a and a disagreement, p1 the median; then p2, the hardest, and p0, the easiest
    assert list(reasons) == [3, 1, 2, 0]
    assert [reason.tag for reason in reasons[3]] == ["worst of a", "methods disagree", "harder quarter"]
    assert [reason.tag for reason in reasons[0]] == ["easiest image"]


@pytest.mark.parametrize(("share", "text"), [(0.9787, "97.9 %"), (1, "100.0 %"), (0, "0.0 %")])
def test_shares_in_per_cent(share, text):
    assert in_per_cent(share) == text
