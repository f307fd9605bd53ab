"""The table of scores: what is best, what stands where, and that it fits the terminal."""

import io

import pytest
from rich.console import Console

from kolbench.tasks.score_table import COLUMNS, Scored, baseline_rows, best_cells, print_table

LONG = "modnet data.root=/a/very/long/path/that/goes/on/and/on/for/ever budget.size=320 seed=17"


def scored(label, miou, mae=0.1, access="none", method=None, **more):
    row = {"truth_access": access, "threshold": 0.5, "miou": miou, "iou": 0.25, "mae": mae, **more}
    return Scored(label, method or label.split()[0], row)


def printed(rows, width, **console):
    out = io.StringIO()
    print_table(rows, "test images", Console(file=out, width=width, highlight=False, **console))
    return out.getvalue()


ROWS = [
    scored("modnet", 0.8, product_recall=0.5, **{"f0.3_pooled": 0.7}),
    scored("official_modnet", 0.9, acc=0.95, product_recall=float("nan")),
    scored(LONG, 0.7),
    scored("grabcut model.variant=box", 0.95, access="box"),
    *baseline_rows([("modnet", {"ellipse": {"threshold": 0.5, "miou": 0.99}})]),
]


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width):
    text = printed(ROWS, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for number in ("0.8000", "0.9000", "0.7000", "0.9500", "0.9900"):
        assert number in text
    # the long label is folded within its cell, whole
    first = text.splitlines()[2].index("thr.") - 1
    assert "".join(line[:first].strip() for line in text.splitlines()).count("/for/ever") == 1
    assert ("accuracy" in text) == (width == 120)


def test_methods_best_first_then_baselines_then_what_uses_ground_truth():
    lines = printed(ROWS, 120).splitlines()
    order = ["MODNet official_modnet", "MODNet modnet", "Centred ellipse", "uses ground-truth box", "GrabCut"]
    places = [next(i for i, line in enumerate(lines) if line.strip().startswith(name)) for name in order]
    assert places == sorted(places)
    assert lines[-1] == "What uses ground truth is not compared with the rows above it."


def test_two_methods_of_one_name_are_told_apart_at_80_columns():
    text = printed(ROWS[:3], 80)
    assert "official_modnet" in text


def test_the_best_of_each_column_is_of_methods_that_may_be_compared():
    best = best_cells(ROWS, COLUMNS)
    assert best["miou"] == "0.9000"  # not the baseline's, not the one with the box
    assert best["product_recall"] == "0.5000"  # nan is none
    assert best_cells([scored("a", 0.5, mae=0.2), scored("b", 0.4, mae=0.1)], COLUMNS)["mae"] == "0.1000"
    assert best_cells(ROWS[:1], COLUMNS) == {}


def test_the_best_is_bold_and_baselines_are_dim():
    lines = printed(ROWS, 120, force_terminal=True, color_system="standard").splitlines()
    best = next(line for line in lines if "official_modnet" in line)
    assert "\x1b[1m0.9000" in best
    assert all("\x1b[1m0.8" not in line for line in lines)
    assert "\x1b[2m" in next(line for line in lines if "Centred ellipse" in line)


def test_columns_that_nobody_has_are_left_out():
    assert "held rec." not in printed([scored("unet", 0.5)], 80)
    assert "held rec. ↑" in printed(ROWS, 80)


def test_each_baseline_is_there_once_unless_its_scores_differ():
    same, other = {"threshold": 0.5, "miou": 0.4}, {"threshold": 0.5, "miou": 0.3}
    rows = baseline_rows([("a", {"ellipse": same}), ("b", {"ellipse": same}), ("c", {"ellipse": other})])
    assert [row.label for row in rows] == ["ellipse", "ellipse for c"]
    assert all(row.baseline for row in rows)


def test_labels_are_no_markup():
    assert "[a,b]" in printed([scored("unet methods=[a,b]", 0.5)], 80)
