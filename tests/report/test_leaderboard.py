"""The leaderboard, its matrix, its cards and its files, worked by hand from made-up runs."""

import csv
import io
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from kolbench.report import leaderboard, main_table
from kolbench.report.cards import cards_of
from kolbench.report.glossary import entries_of
from kolbench.report.intervals import mean_interval
from kolbench.report.leaderboard import leaderboard_of
from kolbench.report.numbers import Numbers
from kolbench.report.pairwise import MOST, matrix_of
from kolbench.report.sentences import key_findings
from kolbench.report.words import percent
from tests.helpers.run_folders import make_run, mixed_runs
from tests.helpers.run_folders import only_comparison as read


def shown_matrix(numbers):
    matrix = matrix_of(numbers)
    assert matrix is not None
    return matrix


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Two seeds of the best, two alike, a baseline, one with a box; 30 images, 12 videos."""
    folder = tmp_path_factory.mktemp("mixed")
    mixed_runs(folder)
    shutil.rmtree(folder / "oracle")
    return read(folder)


@pytest.fixture(scope="module")
def numbers(comparison):
    return Numbers(comparison)


@pytest.fixture(scope="module")
def board(numbers):
    return leaderboard_of(numbers)


def test_methods_are_ranked_by_miou_and_others_stand_apart(board, numbers):
    blocks = dict(board.blocks)
    methods = blocks[leaderboard.METHODS]
    assert [row.rank for row in methods] == [1, 2, 3]
    assert methods[0].name == "RSUDISNet"
    assert {row.name for row in methods[1:]} == {"MODNet", "U-Net"}
    assert [row.found.value for row in methods] == sorted((row.found.value for row in methods), reverse=True)
    assert [row.name for row in blocks[leaderboard.ORACLES]] == ["GrabCut"]
    assert {row.name for row in blocks[leaderboard.BASELINES]} == {
        "All foreground",
        "Centred ellipse",
        "Mean mask",
    }
    assert [row.rank for heading, rows in board.blocks if heading for row in rows] == [None] * 4
    assert [row.best for row in methods] == [True, False, False]
    assert "uses ground-truth box" in blocks[leaderboard.ORACLES][0].detail
    assert "2 seeds" in methods[0].detail


def test_a_row_of_two_seeds_is_their_mean_with_an_interval_over_images(board, numbers, comparison):
    row = dict(board.blocks)[leaderboard.METHODS][0]
    seeds = [numbers.of[f"rsudisnet seed={seed}"].images["miou"] for seed in (0, 1)]
    assert row.found == mean_interval(np.mean(seeds, axis=0), comparison.groups)
    assert row.score == percent(float(np.mean(seeds)))


def test_the_best_of_a_column_is_what_reads_best(board):
    methods = dict(board.blocks)[leaderboard.METHODS]
    for place, column in enumerate(board.columns):
        values = [row.cells[place].value for row in methods]
        best = min(values) if column.key == "mae" else max(values)
        assert [row.cells[place].best for row in methods] == [
            percent(value) == percent(best) for value in values
        ]
    assert [column.arrow for column in board.columns] == ["↑", "↑", "↓", "↑"]


def test_bars_lie_on_one_axis(board):
    rows = [row for _, rows in board.blocks for row in rows]
    width = board.high - board.low
    for row in rows:
        assert row.bar.at == pytest.approx(100 * (row.found.value - board.low) / width, abs=0.01)
        assert 0 <= row.bar.at <= 100
        if row.found.known:
            assert row.bar.low + row.bar.width == pytest.approx(
                100 * (row.found.high - board.low) / width, abs=0.02
            )
        else:
            assert row.bar.low is None


def test_one_method_has_no_rank_and_is_not_the_best(tmp_path):
    make_run(tmp_path / "a", "modnet", pictures=30, files=False)
    board = leaderboard_of(Numbers(read(tmp_path)))
    (row,) = dict(board.blocks)[leaderboard.METHODS]
    assert (row.rank, row.best, row.tied) == (None, False, False)
    assert not any(cell.best for cell in row.cells)
    assert not board.ranked
    assert matrix_of(Numbers(read(tmp_path))) is None


def test_a_matrix_says_what_the_differences_say(numbers):
    matrix = shown_matrix(numbers)
    assert matrix.names[0] == "RSUDISNet"
    assert len(matrix.rows) == 2
    first, second = matrix.rows
    assert all(cell.significant for cell in first)
    assert second[0] is None
    assert not second[1].significant
    assert second[1].told.startswith(
        f"no significant difference between {matrix.names[1]} and {matrix.names[2]}: "
    )
    (found,) = (d for d in numbers.differences if {d.a, d.b} == {"modnet", "unet"})
    assert f"p = {found.p_holm:.4f}" in second[1].told
    assert second[1].text.lstrip("+") == f"{abs(100 * found.interval.value):.1f}"


def test_a_matrix_of_many_methods_shows_the_best(tmp_path):
    for number in range(MOST + 2):
        make_run(tmp_path / str(number), f"m{number:02}", quality=0.5 + number / 40, pictures=4, files=False)
    numbers = Numbers(read(tmp_path))
    matrix = shown_matrix(numbers)
    assert len(matrix.names) == MOST
    assert matrix.more == 2
    assert "not significantly better than any other method." in key_findings(numbers.comparison)[0]
    assert "no difference between 66 pairs of methods can be significant" in matrix.impossible


def test_cards_name_the_winner_its_evidence_and_its_limits(numbers):
    best, held, caveats = cards_of(numbers)
    assert best.kicker == "Best mIoU"
    assert re.fullmatch(r"RSUDISNet · \d\d\.\d %", best.headline)
    assert "Significantly better than both other methods on 30 images." in best.text
    assert re.fullmatch(r"\d+\.\d.\d+\.\d % recall", held.headline)
    assert "20 images with a held product" in held.text
    assert caveats.headline == "30 images · 12 videos · 1 to 2 seeds"
    assert "Speed was not measured." in caveats.text


def test_few_images_with_a_product_rank_nothing(tmp_path):
    for method in ("modnet", "unet"):
        make_run(tmp_path / method, method, pictures=12, files=False)
    _, held, _ = cards_of(Numbers(read(tmp_path)))
    assert held.text.startswith("Only 8 images with a held product: no ranking.")


def test_too_few_groups_have_no_interval_anywhere(tmp_path):
    for method in ("modnet", "unet"):
        make_run(tmp_path / method, method, pictures=3, files=False)
    found = Numbers(read(tmp_path))
    best, _, caveats = cards_of(found)
    assert "Too few groups for an interval." in best.text
    assert (
        "With 1 independent group no difference between two methods can be significant: score more videos."
        in caveats.text
    )
    assert all(
        not row.interval and row.bar.low is None for _, rows in leaderboard_of(found).blocks for row in rows
    )


def test_a_smoke_run_says_that_its_scores_mean_nothing(tmp_path):
    make_run(tmp_path / "a", "modnet", budget="smoke", pictures=30, files=False)
    assert "Run with budget=smoke: the scores mean nothing." in cards_of(Numbers(read(tmp_path)))[2].text


def test_the_csv_reads_back_exactly(board):
    rows = list(csv.DictReader(io.StringIO(main_table.as_csv(board))))
    shown = [row for _, rows in board.blocks for row in rows]
    assert [float(row["miou"]) for row in rows] == [row.found.value for row in shown]
    assert [row["method"] for row in rows] == [row.name for row in shown]
    for read_back, row in zip(rows, shown, strict=True):
        low = float(read_back["low"]) if read_back["low"] else math.nan
        assert low == pytest.approx(row.found.low, nan_ok=True, abs=0)


def test_markdown_and_latex_have_seven_columns_and_the_best_in_bold(board, comparison):
    text = main_table.as_markdown(comparison, board)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {10}
    assert "**RSUDISNet**" in text
    latex = main_table.as_latex(replace(comparison, name="my_data & more"), board)
    assert r"\textbf{RSUDISNet}" in latex
    assert r"\label{tab:my-data-more}" in latex
    assert r"\caption{Person and held-product segmentation on my\_data \& more: 30 images" in latex
    assert "F0.3 pooled: pixels of all images together. Best in bold." in latex
    assert r"\begin{tabular}{lrrrrrr}" in latex
    body = [line for line in latex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") - line.count(r"\&") for line in body} == {6}


def test_the_glossary_has_each_score_that_is_shown_once():
    entries = entries_of(["miou", "mae", "miou", "no score"])
    assert len({entry.anchor for entry in entries}) == len(entries)
    terms = [entry.term for entry in entries]
    assert terms[-2:] == ["mIoU (miou)", "MAE (mae)"]
    assert "Baseline" in terms


def test_two_methods_of_one_name_are_two_rows_of_two_names(tmp_path):
    for method, quality in (("modnet", 0.9), ("official_modnet", 0.6)):
        make_run(tmp_path / method, method, quality=quality, pictures=12, files=False)
    numbers = Numbers(read(tmp_path))
    names = ["MODNet (modnet)", "MODNet (official_modnet)"]
    rows = dict(leaderboard_of(numbers).blocks)[leaderboard.METHODS]
    assert [row.name for row in rows] == names
    assert not any(name in row.detail for row in rows for name in ("official_modnet", "modnet ·"))
    assert list(shown_matrix(numbers).names) == names
