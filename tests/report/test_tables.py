"""Tables against hand-worked values, the scoring kernel, the papers' text, and readers of each format."""

import csv
import io
import re
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from kolbench.metrics import scores
from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.report import figures, layout, main_table, published, table_files
from kolbench.report.cards import cards_of
from kolbench.report.intervals import mean_interval, pooled_intervals
from kolbench.report.leaderboard import leaderboard_of
from kolbench.report.numbers import POOLED_F, Numbers, f_of_sums
from kolbench.report.sentences import sentences
from kolbench.report.statistics import differences
from kolbench.report.tables import all_tables
from kolbench.report.words import DASH, percent
from kolbench.runs import record, run_folder
from tests.helpers.run_folders import make_run, mixed_runs
from tests.helpers.run_folders import only_comparison as read

GIVEN = (layout.GIVEN_BOX, layout.GIVEN_MASK)


def tables_of(folder):
    return {table.name: table for table in all_tables(read(folder))}


def row_of(table, method):
    frame = table.frame
    (row,) = frame[frame["method"] == method].to_dict("records")
    return row


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Good and bad methods, two seeds, a baseline, helped methods; 30 pictures in 12 videos."""
    folder = tmp_path_factory.mktemp("mixed")
    mixed_runs(folder)
    return folder


@pytest.fixture(scope="module")
def built(mixed):
    return tables_of(mixed)


def counted(*pixels):
    """(256,) counts with so many pixels at each (level, count)."""
    levels = np.zeros(256, np.int64)
    for level, count in pixels:
        levels[level] += count
    return levels


@pytest.fixture
def by_hand(tmp_path):
    """Four pictures of 16 pixels, at threshold 0.5:

    a: perfect: 6 TP, 10 TN. b: TP 2, FN 2, FP 4, TN 8. c: empty truth and prediction. d: empty truth, 4 FP.
    a and b hold a product: a's 2 pixels are found, of b's 4 pixels 1 is.
    """
    folder = make_run(tmp_path / "run", "modnet", threshold=0.5, files=False)
    part = ImageCounts("test", names=list("abcd"), groups=["v", "v", "w", "w"], notes=[""] * 4)
    part.tags = ["day cup", "day", "night", ""]
    part.sizes, part.seconds = [(4, 4)] * 4, [0.1, 0.1, 0.1, 0.1]
    fg = [counted((255, 6)), counted((200, 2), (100, 2)), counted(), counted()]
    bg = [counted((0, 10)), counted((255, 4), (0, 8)), counted((0, 16)), counted((128, 4), (0, 12))]
    product = [counted((255, 2)), counted((200, 1), (100, 3)), counted(), counted()]
    part.parts = [Counts(np.stack(fg), np.stack(bg), np.stack(product))]
    val = read(folder).runs[0].scored["val"]
    run_folder.write_histograms(folder / run_folder.HISTOGRAMS, {"val": val, "test": part})
    return folder


def test_scores_of_four_pictures_worked_by_hand(by_hand):
    row = row_of(tables_of(by_hand)["scores"], "modnet")
    b_miou = (2 / 8 + 8 / 14) / 2
    d_miou = (0 + 12 / 16) / 2
    assert row["miou"] == pytest.approx((1 + b_miou + 1 + d_miou) / 4, abs=1e-15)
    assert row["iou"] == pytest.approx((1 + 0.25 + 1 + 0) / 4, abs=1e-15)
    assert row["acc"] == pytest.approx((1 + 10 / 16 + 1 + 12 / 16) / 4, abs=1e-15)
    assert row["f1"] == pytest.approx((1 + 4 / 10 + 1 + 0) / 4, abs=1e-15)
    assert row["f0.3_pooled"] == pytest.approx(1.3 * 8 / (1.3 * 8 + 0.3 * 2 + 8), abs=1e-15)
    b_mae = (2 * 55 + 2 * 155 + 4 * 255) / 255 / 16
    assert row["mae"] == pytest.approx((0 + b_mae + 0 + 4 * 128 / 255 / 16) / 4, abs=1e-15)
    assert row["product_recall"] == pytest.approx((1 + 0.25) / 2, abs=1e-15)
    assert (row["threshold"], row["threshold from"]) == (0.5, "the command")
    assert (row["pictures"], row["both_empty"]) == (4, 1)


def test_two_groups_are_too_few_for_an_interval_and_stand_one_by_one(by_hand):
    """Video v has a and b, w has c and d; w has no foreground, so its pooled F is 0."""
    table = tables_of(by_hand)["scores"]
    row = row_of(table, "modnet")
    assert pd.isna(row["low"])
    assert pd.isna(row["high"])
    b_miou, d_miou = (2 / 8 + 8 / 14) / 2, (0 + 12 / 16) / 2
    assert row["miou of each group"] == f"v {(1 + b_miou) / 2:.4f}, w {(1 + d_miou) / 2:.4f}"
    for beta2, name in ((0.3, "f0.3_pooled"), (0.09, "f0.09_pooled")):
        f = (1 + beta2) * 8 / ((1 + beta2) * 8 + beta2 * 2 + 4)
        whole = (1 + beta2) * 8 / ((1 + beta2) * 8 + beta2 * 2 + 8)
        assert row[name] == pytest.approx(whole, abs=1e-15)
        assert row[f"{name} of each group"] == f"v {f:.4f}, w 0.0000"
        assert f"{name} 95 %" not in row
    assert any(
        note.startswith("low, high: too few groups for an interval: 2 of at least 6") for note in table.notes
    )
    head, line = csv.reader(io.StringIO(table_files.as_csv(table)).readlines()[:2])
    cells = dict(zip(head, line, strict=True))
    assert (cells["low"], cells["high"]) == ("", "")


def test_differences_of_too_few_groups_stand_one_by_one(by_hand):
    make_run(by_hand.parent / "other", "unet", threshold=0.5, files=False)
    shutil.copy(by_hand / run_folder.HISTOGRAMS, by_hand.parent / "other")
    (row,) = tables_of(by_hand.parent)["differences"].frame.to_dict("records")
    assert row["A - B of each group"] == "v +0.0000, w +0.0000"
    assert pd.isna(row["low"])
    assert row["verdict"] == "no significant difference"


def test_recall_of_products_in_too_few_videos_stands_one_by_one(by_hand):
    table = tables_of(by_hand)["products"]
    assert row_of(table, "modnet")["product_recall of each group"] == f"v {(1 + 0.25) / 2:.4f}"
    assert any("too few groups for an interval: fewer than 6 have a product" in n for n in table.notes)


def test_pooled_scores_of_the_intervals_are_the_kernels(mixed):
    """At every threshold, and where there is nothing to find and nothing found."""
    for run in read(mixed).runs:
        for threshold in scores.THRESHOLDS:
            sums = np.stack(scores.confusion(run.test.counts, threshold), axis=-1).sum(0).astype(float)
            expected = scores.mean_scores(run.test.counts, threshold)
            for name, beta2 in POOLED_F.items():
                assert f_of_sums(sums, beta2) == pytest.approx(expected[name], abs=1e-15)
    assert f_of_sums(np.array([0.0, 0, 0, 9]), 0.3) == 1


def test_intervals_of_pooled_scores_stand_in_brackets_and_are_defined_below(mixed, built):
    comparison, table = read(mixed), built["scores"]
    for run in comparison.runs:
        row = row_of(table, run.label)
        counts = np.stack(scores.confusion(run.test.counts, run.threshold), axis=-1)
        for name, beta2 in POOLED_F.items():
            found = pooled_intervals({"": counts}, partial(f_of_sums, beta2=beta2), comparison.groups)[""]
            assert row[name] == pytest.approx(found.value, abs=1e-12)
            assert row[f"{name} 95 %"] == f"[{found.low:.4f}, {found.high:.4f}]"
            assert found.low < row[name] < found.high
    assert pd.isna(row_of(table, "meanmask")["f0.3_pooled 95 %"])
    assert any(
        note.startswith("In brackets: 95 % confidence interval of the pooled score") for note in table.notes
    )


def test_the_oracle_threshold_worked_by_hand(by_hand):
    """Cutting above level 128 makes d perfect and leaves b as it is; nearest to 0.5 that does so: 0.51."""
    row = row_of(tables_of(by_hand)["scores"], "modnet")
    assert row["oracle threshold"] == 0.51
    assert row["oracle miou"] == pytest.approx((1 + (2 / 8 + 8 / 14) / 2 + 1 + 1) / 4, abs=1e-15)


def test_products_worked_by_hand(by_hand):
    row = row_of(tables_of(by_hand)["products"], "modnet")
    b_miou, d_miou = (2 / 8 + 8 / 14) / 2, 12 / 16 / 2
    assert row["product_recall"] == pytest.approx(0.625, abs=1e-15)
    assert "product_iou" not in row  # by definition the same
    assert (row["pictures with product"], row["share of pictures"]) == (2, 0.5)
    assert row["miou with product"] == pytest.approx((1 + b_miou) / 2, abs=1e-15)
    assert row["miou without product"] == pytest.approx((1 + d_miou) / 2, abs=1e-15)
    assert pd.isna(row["worst group"])


def test_scenarios_worked_by_hand(by_hand):
    """No tag has three pictures, so none is called the worst; the untagged picture counts nowhere."""
    row = row_of(tables_of(by_hand)["scenarios"], "modnet")
    assert row["day (2)"] == pytest.approx((1 + (2 / 8 + 8 / 14) / 2) / 2, abs=1e-15)
    assert row["cup (1)"] == row["night (1)"] == 1.0
    assert pd.isna(row["worst group"])
    assert {key for key in row if "(" in key} == {"day (2)", "cup (1)", "night (1)"}


def test_clips_worked_by_hand(by_hand):
    flicker = {"flicker": 0.1, "border_flicker": 0.4, "true_flicker": 0.05, "true_border_flicker": 0.3}
    assert "clips" not in tables_of(by_hand)
    path = by_hand / run_folder.RUN
    known = record.read(path)
    clips = {"w": record.ClipRecord(("c", "d"), **flicker), "v": record.ClipRecord(("a", "b"))}
    replace(known, clips=clips).write(path)
    frame = tables_of(by_hand)["clips"].frame
    assert list(frame["clip"]) == ["v", "w"]
    # a and b are of v, c and d of w: (1 + 2 / 8) / 2 and (1 + 0) / 2
    assert list(frame["iou"]) == [0.625, 0.5]
    assert list(frame["frames"]) == [2, 2]
    assert pd.isna(frame["flicker at the edge"][0])
    assert frame["flicker at the edge"][1] == 0.4
    assert frame["flicker (truth)"][1] == 0.05


def test_the_headline_is_what_the_runs_recorded(mixed, built):
    for run in read(mixed).runs:
        row = row_of(built["scores"], run.label)
        for name in ("miou", "iou", "acc", "f0.3_pooled", "f1", "mae", "product_recall"):
            assert row[name] == run.record.scores[name]
        found = mean_interval(scores.image_scores(run.test.counts, run.threshold)["miou"], read(mixed).groups)
        # sums over other numbers of columns may differ in their last bit
        assert (row["low"], row["high"]) == pytest.approx((found.low, found.high), abs=1e-12)
        assert row["low"] < row["miou"] < row["high"]


def test_table_2_is_mean_scores_at_each_threshold(mixed, built):
    frame = built["table2"].frame
    for run in read(mixed).runs:
        rows = frame[frame["method"] == run.label].set_index("threshold")
        assert list(rows.index) == list(scores.THRESHOLDS)
        for threshold in scores.THRESHOLDS:
            expected = scores.mean_scores(run.test.counts, threshold)
            for name in ("miou", "acc", "f0.3_pooled", "f0.09_pooled"):
                assert rows.loc[threshold, name] == expected[name]


def test_methods_given_the_truth_and_baselines_stand_apart(built):
    for name, table in built.items():
        rows = [row for _, block in table.blocks for row in block]
        assert sorted(rows) == list(range(len(table.frame))), name
        if "method" in table.frame:
            of = {heading: set(table.frame["method"].iloc[list(block)]) for heading, block in table.blocks}
            assert not of[layout.METHODS] & {"grabcut", "kmeans", "allfg", "ellipse", "meanmask"}, name
            assert of.get(layout.GIVEN_BOX, {"grabcut"}) == {"grabcut"}
            assert of.get(layout.GIVEN_MASK, {"kmeans"}) == {"kmeans"}
    assert [heading for heading, _ in built["scores"].blocks] == [layout.METHODS, layout.BASELINES, *GIVEN]
    assert not {"grabcut", "kmeans"} & set(built["differences"].frame[["A", "B"]].to_numpy().ravel())


def test_baselines_stand_in_the_table_whether_run_or_recorded(mixed, built):
    recorded = read(mixed).runs[0].record.baselines
    for baseline in ("ellipse", "meanmask"):
        row = row_of(built["scores"], baseline)
        assert row["miou"] == recorded[baseline]["miou"]
        assert pd.isna(row["low"])
    assert not pd.isna(row_of(built["scores"], "allfg")["low"])


def test_a_baseline_that_runs_recorded_differently_is_named_with_the_run(tmp_path):
    make_run(tmp_path / "a", "modnet", files=False)
    baselines = {"ellipse": {"threshold": 0.5, **read(tmp_path / "a").runs[0].record.scores}}
    make_run(tmp_path / "b", "unet", files=False, changes={"baselines": baselines})
    (rows,) = (rows for heading, rows in tables_of(tmp_path)["scores"].blocks if heading == layout.BASELINES)
    names = list(tables_of(tmp_path)["scores"].frame["method"].iloc[list(rows)])
    assert names == ["ellipse", "meanmask", "ellipse of unet"]


def test_a_baseline_that_one_run_has_more_scores_of_is_one_row(tmp_path):
    make_run(tmp_path / "a", "modnet", files=False)
    recorded = read(tmp_path / "a").runs[0].record.baselines
    more = {**recorded, "ellipse": {**recorded["ellipse"], "weighted_f": 0.25}}
    make_run(tmp_path / "b", "unet", files=False, changes={"baselines": more})
    found = Numbers(read(tmp_path)).recorded_baselines
    assert found == more


def test_every_score_has_its_definition_below(built):
    for name, shown in {
        "scores": ("miou", "iou", "acc", "f0.3_pooled", "f1", "mae", "product_recall"),
        "table2": ("miou", "acc", "f0.3_pooled", "f0.09_pooled"),
        "scenarios": ("miou",),
        "products": ("product_recall", "miou"),
        "differences": ("miou",),
        "seeds": ("miou",),
    }.items():
        for score in shown:
            assert f"{score}: {scores.DEFINITIONS[score]}." in built[name].notes, (name, score)


def test_differences_are_all_pairs_with_their_verdicts(mixed, built):
    comparison = read(mixed)
    images = {
        run.label: scores.image_scores(run.test.counts, run.threshold)["miou"] for run in comparison.compared
    }
    expected = differences(images, comparison.groups)
    frame = built["differences"].frame
    assert len(frame) == len(expected) == 10
    for row, found in zip(frame.to_dict("records"), expected, strict=True):
        assert (row["A"], row["B"], row["p"], row["p Holm"]) == (found.a, found.b, found.p, found.p_holm)
        assert (row["miou A - B"], row["low"], row["high"]) == tuple(found.interval)
        winner = {"a better": f"{found.a} better", "b better": f"{found.b} better"}
        assert row["verdict"] == winner.get(found.verdict, "no significant difference")


def test_per_cent_and_shares_are_roundings_of_one_number(mixed, built):
    """Card, leaderboard and `main.csv` against the tables at full precision; 0.97949 is no 98.0 %."""
    assert (percent(0.97949), table_files.cell(0.97949)) == ("97.9", "0.9795")
    numbers = Numbers(read(mixed))
    board = leaderboard_of(numbers)
    exact = {row["method"]: row for row in built["scores"].frame.to_dict("records")}
    labels = {"MODNet": "modnet", "U-Net": "unet", "All foreground": "allfg", "Mean mask": "meanmask"}
    best = dict(board.blocks)[""][0]
    assert cards_of(numbers)[0].headline == f"{best.name} · {best.score} %"
    rows = {labels[row.name]: row for _, rows in board.blocks for row in rows if row.name in labels}
    taken = {row["method"]: row for row in csv.DictReader(io.StringIO(main_table.as_csv(board)))}
    assert set(rows) == set(labels.values())
    for name, label in labels.items():
        row, known = rows[label], exact[label]
        assert row.score == percent(known["miou"])
        # sums over other numbers of columns may differ in their last bit
        assert float(taken[name]["miou"]) == pytest.approx(known["miou"], abs=1e-12)
        for column, cell in zip(board.columns, row.cells, strict=True):
            assert cell.text == percent(known[column.key])
            assert abs(float(cell.text) / 100 - float(table_files.cell(known[column.key]))) <= 0.00055
    for label in ("modnet", "unet", "allfg"):
        low, high = exact[label]["low"], exact[label]["high"]
        assert rows[label].interval == f"{percent(low)}{DASH}{percent(high)}"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """One training of unet at four thresholds, kmeans at two, modnet once; all on 30 pictures."""
    folder = tmp_path_factory.mktemp("sweep")
    for threshold in (0.3, 0.45, 0.9):
        words = [f"threshold={threshold}"]
        make_run(
            folder / f"u{threshold}", "unet", threshold=threshold, overrides=words, pictures=30, files=False
        )
    make_run(folder / "u", "unet", pictures=30, files=False)
    for threshold in (0.2, 0.6):
        words = [f"threshold={threshold}"]
        make_run(
            folder / f"k{threshold}", "kmeans", threshold=threshold, overrides=words, pictures=30, files=False
        )
    make_run(folder / "modnet", "modnet", quality=0.6, pictures=30, files=False)
    return folder


@pytest.mark.slow
def test_one_training_at_several_thresholds_is_one_method(sweep):
    comparison, found = read(sweep), tables_of(sweep)
    assert len(found["scores"].frame) == 7 + 2
    pairs = found["differences"].frame[["A", "B"]].to_numpy().tolist()
    # 3 methods, not 7: the threshold from validation, else the nearest to 0.5
    assert pairs == [["kmeans threshold=0.6", "modnet"], ["kmeans threshold=0.6", "unet"], ["modnet", "unet"]]
    alone = differences(
        {
            run.label: scores.image_scores(run.test.counts, run.threshold)["miou"]
            for run in comparison.compared
        },
        comparison.groups,
    )
    assert [row.p_holm for row in alone] == list(found["differences"].frame["p Holm"])
    said = next(text for text in sentences(comparison) if text.startswith("One training at several"))
    assert "unet for unet threshold=0.3, unet threshold=0.45, unet threshold=0.9" in said
    assert "kmeans threshold=0.6 for kmeans threshold=0.2" in said
    assert said in found["differences"].notes
    named = {
        name
        for text in sentences(comparison)
        if text != said
        for name in re.findall(r"unet threshold=\S+", text)
    }
    assert named == set()
    (figure,) = (figure for figure in figures.all_figures(comparison) if figure.name == "ranks")
    assert "unet threshold=0.3 (" not in figure.svg
    assert said in figure.caption


def test_one_method_has_no_differences_and_one_seed_no_spread(tmp_path):
    make_run(tmp_path / "a", "modnet", files=False)
    assert {"differences", "seeds"}.isdisjoint(tables_of(tmp_path))


def test_seeds_worked_by_hand(mixed, built):
    first, second = (run.record.scores["miou"] for run in read(mixed).runs if run.family == "rsudisnet")
    (row,) = built["seeds"].frame.to_dict("records")
    assert (row["method"], row["seeds"], row["runs"]) == ("rsudisnet", "0, 1", 2)
    assert row["miou mean"] == pytest.approx((first + second) / 2, abs=1e-15)
    # the sample standard deviation of two numbers
    assert row["miou sd"] == pytest.approx(abs(first - second) / 2**0.5, abs=1e-15)
    assert (row["miou min"], row["miou max"]) == (min(first, second), max(first, second))


def test_scenarios_average_over_the_pictures_of_a_tag(mixed, built):
    for run in read(mixed).runs:
        miou = scores.image_scores(run.test.counts, run.threshold)["miou"]
        counts = Counter(tag for tags in run.test.tags for tag in tags.split())
        row, means = row_of(built["scenarios"], run.label), {}
        for tag, count in counts.items():
            rows = [i for i, tags in enumerate(run.test.tags) if tag in tags.split()]
            means[tag] = miou[rows].mean()
            assert row[f"{tag} ({count})"] == pytest.approx(means[tag], abs=1e-12)
        assert row["miou there"] == pytest.approx(min(means.values()), abs=1e-12)
        assert means[row["worst group"]] == pytest.approx(min(means.values()), abs=1e-12)


def test_what_is_not_tagged_or_held_has_no_table(tmp_path):
    make_run(tmp_path / "a", "modnet", tags=False, products=False, files=False)
    found = tables_of(tmp_path)
    assert {"scenarios", "products"}.isdisjoint(found)
    assert pd.isna(row_of(found["scores"], "modnet")["product_recall"])


def test_sizes_are_in_the_papers_unit(built):
    row = row_of(built["table1"], "modnet")
    assert row["parameters"] == 6_487_795
    assert row["checkpoint kKB"] == pytest.approx(4 * 6_487_795 / 1024 / 1000, abs=1e-12)
    assert row["GMACs"] == pytest.approx(0.33)
    assert (row["counted at"], row["input"]) == ("48x64", "64x64")
    assert row["peak MiB"] == pytest.approx((4 * 6_487_795 + 3_000_000) / 2**20)
    assert (row["checkpoint 'MB' (paper)"], row["FPS (paper)"], row["input (paper)"]) == (
        26,
        54,
        "512x(width/height)",
    )


def test_no_speed_is_quoted_and_recorded_seconds_say_what_they_are(mixed, built):
    table = built["table1"]
    recorded = "seconds of the scoring pass, not a speed"
    for run in read(mixed).runs:
        row = row_of(table, run.label)
        assert row["FPS"] == "not measured"
        assert row[recorded] == run.record.test_seconds_per_picture
        assert row["scored on"] == "cpu (2 threads)"
    assert {"speed", "FPS low", "FPS high"}.isdisjoint(table.frame)
    assert row_of(table, "modnet")["FPS (paper)"] == 54
    assert "FPS: not measured; task=benchmark measures it." in table.notes


def test_seconds_name_the_device_of_their_evaluation_and_decide_nothing(tmp_path):
    """A run may use an evaluation again that was made elsewhere."""
    gpu = {"timed_on": "cuda:0 (H200)"}
    make_run(tmp_path / "a", "modnet", files=False, pictures=40, quality=0.9, changes=gpu)
    make_run(tmp_path / "b", "unet", files=False, pictures=40, quality=0.4, seconds=99.0)
    size = tables_of(tmp_path)["table1"]
    assert row_of(size, "modnet")["scored on"] == "cuda:0 (H200)"
    assert row_of(size, "unet")["scored on"] == "cpu (2 threads)"
    said = sentences(read(tmp_path))
    assert any(text.startswith("Cheapest: U-Net, 0.12 GMACs") for text in said)
    assert not any("second" in text or " s per" in text for text in said)


def test_published_methods_that_were_not_run_have_rows_of_their_own(built):
    for name, values in (("table1", ["parameters", "FPS"]), ("table2", ["miou", "acc"])):
        table = built[name]
        (rows,) = (rows for heading, rows in table.blocks if heading == layout.NOT_RUN)
        frame = table.frame.iloc[list(rows)]
        assert set(frame["method"]) == {"u2net"}
        assert frame[values].isna().all(axis=None)
    frame = built["table2"].frame
    assert len(frame[frame["method"] == "u2net"]) == 8
    own = frame[frame["method"] == "rsudisnet seed=1"].set_index("threshold")
    assert own.loc[0.8, "miou (paper)"] == 0.8943
    assert pd.isna(own.loc[0.1, "miou (paper)"])


def test_runs_of_older_versions_leave_cells_empty(tmp_path):
    make_run(
        tmp_path / "a",
        "modnet",
        files=False,
        changes={"cost": None, "baselines": {}, "training": {"seconds": 3.5}, "versions": None},
    )
    found = tables_of(tmp_path)
    size, trained = row_of(found["table1"], "modnet"), row_of(found["training"], "modnet")
    for column in ("checkpoint kKB", "GMACs", "counted at", "input", "peak MiB"):
        assert pd.isna(size[column])
    assert trained["seconds"] == 3.5
    assert pd.isna(trained["best epoch"])
    assert any("MODNet is not compared with a baseline" in said for said in sentences(read(tmp_path)))


def test_training_shows_scores_on_training_pictures_beside_the_others(mixed, built):
    run = next(run for run in read(mixed).runs if "whole" in run.scored)
    row = row_of(built["training"], run.label)
    whole = run.scored["whole"]
    rows = [row for row, name in enumerate(whole.names) if name.startswith("train_")]
    assert len(rows) == 30
    expected = scores.mean_scores(whole.counts.rows(rows), run.threshold)["miou"]
    assert row["miou on training pictures"] == expected
    assert (
        row["miou on validation pictures"]
        == scores.mean_scores(run.scored["val"].counts, run.threshold)["miou"]
    )
    assert row["miou on test pictures"] == run.record.scores["miou"]
    assert row["over-fit"] == expected - run.record.scores["miou"]
    assert row["iou on all pictures"] == scores.mean_scores(whole.counts, run.threshold)["iou"]
    assert (row["best epoch"], row["best epoch (paper)"], row["seed"]) == (5, 119, 0)
    assert pd.isna(row_of(built["training"], "modnet")["miou on training pictures"])
    assert {"grabcut", "kmeans", "allfg"}.isdisjoint(built["training"].frame["method"])


def test_each_score_is_reckoned_once(mixed, monkeypatch):
    calls = Counter()
    for name in ("image_scores", "threshold_curve", "best_threshold"):
        real = getattr(scores, name)

        def watched(*given, _real=real, _name=name):
            calls[_name, given[-1] if _name == "image_scores" else ""] += 1
            return _real(*given)

        monkeypatch.setattr(scores, name, watched)
    comparison = read(mixed)
    all_tables(comparison)
    after_tables = calls.total()
    sentences(comparison)
    assert calls.total() == after_tables
    assert sum(count for (name, _), count in calls.items() if name == "image_scores") == 7
    assert calls["best_threshold", ""] == 7


def test_published_scores_are_the_papers(shared):
    text = (shared / "papers" / "rsudisnet.txt").read_text(encoding="utf-8")
    rows = re.findall(r"^(0\.\d)\t((?:0\.\d{4}\t?){9})", text, re.MULTILINE)
    assert [threshold for threshold, _ in rows] == [f"0.{i}" for i in range(2, 10)]
    assert "Models\t\tU2Net\t\t\tMODNet\t\t\tRSUDISNet" in text
    for threshold, printed in rows:
        numbers = [float(number) for number in printed.split()]
        ours = [published.SCORES[method][float(threshold)] for method in ("u2net", "modnet", "rsudisnet")]
        assert [number for point in ours for number in point] == numbers
    assert {len(points) for points in published.SCORES.values()} == {8}
    sizes = re.findall(r"^(U2Net|MODNet|RSUDISNet)\t(\S+)\t(\d+) MB\t(\d+)", text, re.MULTILINE)
    assert len(sizes) == 3
    for name, resolution, megabytes, fps in sizes:
        size = published.SIZES[name.lower()]
        assert size == (name, resolution.replace("×", "x"), int(megabytes), int(fps), None)  # noqa: RUF001 - the paper's sign
    for method, best in (("rsudisnet", "119th epoch indicates"), ("u2net", "148th epoch performs")):
        assert best in text
        assert published.TRAININGS[method].best_epoch == int(best[:3])
    assert "The 200th epoch has the best performance on the validation" in text
    assert published.TRAININGS["modnet"] == (200, 200)
    assert "U2Net is trained through 150 epochs" in text
    assert published.TRAININGS["u2net"].epochs == 150


def test_published_numbers_of_the_tiktok_report(shared):
    text = (shared / "papers" / "tiktok_body_segmentation.txt").read_text(encoding="utf-8")
    assert f"The final parameter number is {published.SIZES['unet'].parameters:,}." in text
    assert f"Average time to predict an image is {published.TIKTOK_SECONDS} second." in text
    assert f"Average iou accuracy on whole dataset is {published.WHOLE_IOU['unet']}." in text
    assert "with GPU for 50 epochs" in text
    assert "the weights we get after epoch 45" in text
    assert published.TRAININGS["unet"] == (50, 45)


NASTY = r"a_b|c&d%e\f#g$h{i}~j^k*l*<m>`n`"


@pytest.fixture
def nasty():
    rows = [
        (layout.METHODS, {"method": NASTY, "score": 0.123456789012345678, "count": 3}),
        (layout.METHODS, {"method": "plain", "score": None, "count": None}),
        (layout.GIVEN_BOX, {"method": "two\nlines", "score": 2e-6, "count": 12_345}),
    ]
    return layout.table("name", "A 100 % title", rows, ["score: share|of 5 % & more."])


def test_csv_reads_back_exactly(nasty):
    head, *rows = csv.reader(io.StringIO(table_files.as_csv(nasty)))
    assert head == ["method", "score", "count", "block"]
    assert [row[0] for row in rows] == [NASTY, "plain", "two\nlines"]
    assert (float(rows[0][1]), rows[1][1], float(rows[2][1])) == (0.123456789012345678, "", 2e-6)
    assert [row[2] for row in rows] == ["3", "", "12345"]
    assert [row[3] for row in rows] == ["", "", layout.GIVEN_BOX]


def test_csv_has_no_block_column_without_headings():
    plain = layout.table("name", "title", [(layout.METHODS, {"method": "a", "score": 0.5})], [])
    assert table_files.as_csv(plain) == "method,score\na,0.5\n"


def test_markdown_cells_stay_in_their_columns(nasty):
    lines = table_files.as_markdown(nasty).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert rows[0] == "| method | score | count |"
    assert rows[1] == "| :--- | ---: | ---: |"
    assert rows[2].startswith(r"| a_b\|c\&d%e\\f#g$h{i}~j^k\*l\*\<m\>\`n\` | 0.1235 | 3 |")
    assert rows[3] == "| plain |  |  |"
    assert rows[4].startswith("| **Uses ground-truth box: not ranked")
    assert rows[5] == "| two lines | 2.0e-06 | 12345 |"
    assert lines[-1] == r"- score: share\|of 5 % \& more."


def test_latex_escapes_what_it_would_execute(nasty):
    text = table_files.as_latex(nasty)
    escaped = (
        r"a\_b\textbar{}c\&d\%e\textbackslash{}f\#g\$h\{i\}\textasciitilde{}j\textasciicircum{}k*l*"
        r"\textless{}m\textgreater{}`n`"
    )
    assert f"{escaped} & 0.1235 & 3 \\\\" in text
    assert r"\multicolumn{3}{l}{\emph{Uses ground-truth box" in text
    assert r"\begin{tabular}{lrr}" in text
    assert [text.count(rf"\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 2, 1]
    assert r"A 100 \% title" in text
    assert r"share\textbar{}of 5 \% \& more." in text
    body = text.partition("\\toprule\n")[2].partition("\\bottomrule")[0]
    for line in body.splitlines():
        if "multicolumn" not in line and "rule" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) == 2


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (0.87654321, "miou", "0.8765"),
        (1.0, "miou", "1.0000"),
        (-0.5, "miou", "-0.5000"),
        (34.0712, "FPS", "34.07"),
        (12345.6, "seconds", "12346"),
        (0.65, "threshold", "0.65"),
        (0.00002, "p", "2.0e-05"),
        (0.0, "p", "0.0000"),
        (7, "pictures", "7"),
        (np.int64(7), "pictures", "7"),
        ("text", "method", "text"),
        (None, "miou", ""),
        (float("nan"), "miou", ""),
        (pd.NA, "count", ""),
    ],
)
def test_cells_are_rounded_for_readers(value, column, shown):
    assert table_files.cell(value, column) == shown


def test_writing_leaves_three_files_and_nothing_else(built, tmp_path):
    folder = tmp_path / "deep" / "tables"
    for table in built.values():
        table_files.write(table, folder)
        table_files.write(table, folder)
    expected = {f"{name}.{ending}" for name in built for ending in ("csv", "md", "tex")}
    assert {path.name for path in folder.iterdir()} == expected
    rows = csv.DictReader((folder / "table2.csv").read_text(encoding="utf-8").splitlines())
    known = built["table2"].frame["miou"].dropna()
    assert [float(row["miou"]) for row in rows if row["miou"]] == list(known)
