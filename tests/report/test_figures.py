"""Figures: the numbers that are drawn, read back from the SVG, and what a page needs of it."""

import base64
import io
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from kolbench.io import images
from kolbench.metrics import scores
from kolbench.metrics.counts import Counts
from kolbench.report import breakdowns, comparisons, curves, drawing, figures, rank_diagram, sizes, statistics
from kolbench.report.numbers import Numbers
from kolbench.runs import finished as folders
from kolbench.runs import run_folder
from kolbench.runs.benchmark import Benchmark, MeasuredOn, Speed, Spread
from tests.helpers.run_folders import make_run

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
ALL = [
    "threshold_curves",
    "precision_recall",
    "roc",
    "distributions",
    "pareto_memory",
    "training",
    "learning",
    "ranks",
    "scenarios",
]
HOSTILE = '_<script>alert("1")</script>&amp;$x^2$-->'


def numbers_of(folder):
    (found,) = folders.test_sets(folders.find(str(folder)))
    return Numbers(found)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "a", "rsudisnet", quality=0.9, pictures=16)
    make_run(folder / "b", "rsudisnet", seed=1, quality=0.85, pictures=16)
    make_run(folder / "c", "modnet", quality=0.8, pictures=16)
    make_run(folder / "d", "kmeans", quality=0.5, pictures=16)
    make_run(folder / "e", "ellipse", quality=0.2, pictures=16)
    make_run(folder / "f", "grabcut", quality=0.95, truth_access="box", pictures=16)
    return folder


@pytest.fixture(scope="module")
def numbers(runs):
    return numbers_of(runs)


@pytest.fixture(scope="module")
def drawn(numbers):
    return {figure.name: figure for figure in figures.all_figures(numbers.comparison)}


def texts(figure):
    return ["".join(text.itertext()) for text in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def ticks(root, axis):
    """(places in the SVG, their values) of the numbers along an axis, from all panels."""
    other, anchor = ("y", "middle") if axis == "x" else ("x", "end")
    found = []
    for group in root.iter(f"{SVG}g"):
        parts = list(group)
        if len(parts) not in (2, 3):
            continue
        marks, labels = parts[-2].findall(f".//{SVG}use"), parts[-1].findall(f"{SVG}text")
        if len(marks) != 1 or len(labels) != 1 or f"text-anchor: {anchor}" not in labels[0].get("style"):
            continue
        if re.fullmatch(r"[\d.]+", labels[0].text):
            found.append((float(marks[0].get(axis)), float(labels[0].text), float(marks[0].get(other))))
    return found


def scale(root, axis, panel=0):
    """SVG place -> value, by the ticks of the panel of that number, counted from above."""
    marks = ticks(root, axis)
    if axis == "x":
        lowest = max(other for *_, other in marks)
        marks = [mark for mark in marks if mark[2] == lowest]
    else:
        left = min(other for *_, other in marks)
        marks = [mark for mark in marks if mark[2] == left]
        breaks = [i for i in range(1, len(marks)) if marks[i][0] > marks[i - 1][0]]
        edges = [0, *breaks, len(marks)]
        marks = marks[edges[panel] : edges[panel + 1]]
    slope, offset = np.polyfit([place for place, *_ in marks], [value for _, value, _ in marks], 1)
    return lambda place: slope * np.asarray(place) + offset


def lines(root, colour):
    """Points of each line of a colour, (N, 2), in the order they were drawn."""
    found = []
    for path in root.iter(f"{SVG}path"):
        if f"stroke: {colour}" in path.get("style", "") and path.get("clip-path"):
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d"))]
            found.append(np.reshape(numbers, (-1, 2)))
    return found


def points(root, colour):
    """Places of markers of a colour."""
    return [
        (float(use.get("x")), float(use.get("y")))
        for use in root.iter(f"{SVG}use")
        if f"stroke: {colour}" in use.get("style", "")
    ]


@pytest.mark.parametrize("shape", ["any levels", "two levels", "one level"])
def test_average_precision_and_auc_are_those_of_scikit_learn(shape):
    random = np.random.default_rng(3)
    fg, bg = random.integers(0, 900, (2, 5, 256))
    fg[:, :100] //= 7
    if shape != "any levels":
        kept = [0, 255] if shape == "two levels" else [77]
        for counts in (fg, bg):
            counts[:, [level for level in range(256) if level not in kept]] = 0
    truth = np.repeat([1, 0], 256)
    levels, weights = np.tile(np.arange(256), 2), np.concatenate([fg.sum(0), bg.sum(0)])

    found = curves.cuts(Counts(fg, bg, fg * 0))

    expected = average_precision_score(truth, levels, sample_weight=weights)
    assert curves.average_precision(*curves.precision_recall_points(found)) == pytest.approx(
        expected, abs=1e-12
    )
    expected = roc_auc_score(truth, levels, sample_weight=weights)
    assert curves.area(*curves.roc_points(found)) == pytest.approx(expected, abs=1e-12)


def test_cuts_by_hand():
    fg, bg = np.zeros((2, 2, 256), np.int64)
    fg[0, 255], fg[1, 100], bg[0, 100], bg[1, 0] = 3, 1, 2, 4

    found = curves.cuts(Counts(fg, bg, fg * 0))

    # level 255 only, then 101 and up, 100 and up, 1 and up, everything
    for place, expected in (
        (0, (3, 0, 1, 6)),
        (154, (3, 0, 1, 6)),
        (155, (4, 2, 0, 4)),
        (254, (4, 2, 0, 4)),
        (255, (4, 6, 0, 0)),
    ):
        assert tuple(part[place] for part in found) == expected
    recall, precision = curves.precision_recall_points(found)
    assert (recall[0], precision[0], recall[-1], precision[-1]) == (0.75, 1.0, 1.0, 0.4)
    # 3/4 at precision 1, the last quarter at 4/6
    assert curves.average_precision(recall, precision) == pytest.approx(0.75 + 0.25 * 4 / 6)
    # trapezium over false rate 0 to 1/3 from 3/4 to 1, then 1
    assert curves.area(*curves.roc_points(found)) == pytest.approx(0.875 / 3 + 2 / 3)


def test_legends_give_ap_and_auc_of_each_method(numbers, drawn):
    for name, what, score in (
        ("precision_recall", "AP", average_precision_score),
        ("roc", "AUC", roc_auc_score),
    ):
        values = {}
        for run in numbers.runs:
            weights = np.concatenate([part.sum(0) for part in (run.counts.fg, run.counts.bg)])
            value = score(np.repeat([1, 0], 256), np.tile(np.arange(256), 2), sample_weight=weights)
            values[run.label] = f"{value:.3f}"
        seeds = np.mean([float(values[f"rsudisnet seed={seed}"]) for seed in (0, 1)])
        said = texts(drawn[name])
        assert what in said
        best_first = [text for text in said if re.search(r" \d\.\d{3}$", text)]
        assert best_first == sorted(best_first, key=lambda text: -float(text[-5:]))
        assert f"MODNet {values['modnet']}" in said
        assert f"Centred ellipse {values['ellipse']}" in said
        assert f"GrabCut (oracle) {values['grabcut']}" in said
        (both,) = (float(text.split()[1]) for text in said if text.startswith("RSUDISNet "))
        assert both == pytest.approx(seeds, abs=1.5e-3)


def test_threshold_curves_draw_the_scores_and_mark_the_threshold(numbers, drawn):
    root = ET.fromstring(drawn["threshold_curves"].svg)
    run = numbers.of["modnet"]
    colour = drawing.styles(numbers)["modnet"].colour
    to_x = scale(root, "x")
    expected = scores.threshold_curve(run.counts, curves.THRESHOLDS)
    for panel, name in enumerate(("miou", "acc")):
        to_y = scale(root, "y", panel)
        line = lines(root, colour)[panel]
        drawn_at = np.interp(curves.THRESHOLDS, to_x(line[:, 0]), to_y(line[:, 1]))
        np.testing.assert_allclose(drawn_at, 100 * expected[name], atol=0.2)
        # each is followed by the one beside the name
        x, y = points(root, colour)[2 * panel]
        value = 100 * numbers.of["modnet"].means[name]
        assert to_x(x) == pytest.approx(run.run.threshold, abs=2e-3)
        assert to_y(y) == pytest.approx(value, abs=0.2)


def test_roc_marks_the_rates_at_the_threshold(numbers, drawn):
    root = ET.fromstring(drawn["roc"].svg)
    at = scores.confusion(numbers.of["kmeans"].counts, numbers.of["kmeans"].run.threshold).pooled()
    expected = at.fp / (at.fp + at.tn), at.tp / (at.tp + at.fn)
    # the first one is beside the name
    x, y = points(root, drawing.styles(numbers)["kmeans"].colour)[0]
    assert (scale(root, "x")(x), scale(root, "y")(y)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("given", "front"),
    [
        ([], []),
        ([(1, 0.5)], [0]),
        # the second costs more and is worse, the last costs the same and is worse
        ([(2, 0.8), (3, 0.7), (1, 0.6), (2, 0.79)], [2, 0]),
        # same score at more cost is beaten; equal in both is not
        ([(1, 0.9), (2, 0.9), (1, 0.9)], [0, 2]),
        ([(4, 0.4), (3, 0.3), (2, 0.2), (1, 0.1)], [3, 2, 1, 0]),
    ],
)
def test_pareto_front_by_hand(given, front):
    assert figures.pareto_front(given) == front


def test_pareto_figures_say_who_has_no_number(tmp_path):
    cost = {"macs": None, "checkpoint": 0, "picture": [48, 64]}
    make_run(tmp_path / "a", "modnet", pictures=4)
    make_run(tmp_path / "b", "oldnet", pictures=4, changes={"cost": cost | {"memory": None}})
    make_run(tmp_path / "c", "oldernet", pictures=4, changes={"cost": None})
    make_run(tmp_path / "d", "ellipse", pictures=4)
    memory = comparisons.pareto_memory(numbers_of(tmp_path))
    assert memory is not None
    assert "Not known for oldernet, oldnet." in memory.caption
    assert [text for text in texts(memory) if not re.fullmatch(r"[\d.]+|.* \(.*\)", text)] == ["MODNet"]
    shutil.rmtree(tmp_path / "a")
    assert comparisons.pareto_memory(numbers_of(tmp_path)) is None


def test_seeds_are_points_with_a_name_each(numbers, drawn):
    said = texts(drawn["pareto_memory"])
    assert {"RSUDISNet seed=0", "RSUDISNet seed=1", "MODNet", "GrabCut (oracle)"} <= set(said)
    assert "Centred ellipse" not in said


def test_accuracy_against_milliseconds_is_of_one_machine(tmp_path):
    for name, quality in (("modnet", 0.9), ("unet", 0.8), ("sinet", 0.7), ("kmeans", 0.4)):
        make_run(tmp_path / name, name, pictures=4, quality=quality, files=False, model={"name": name})

    def of(name, milliseconds, cpu="A CPU", form="channels_last"):
        speed = Speed(2, Spread(milliseconds, low_ms=0.9 * milliseconds, high_ms=1.2 * milliseconds))
        on = MeasuredOn(cpu, 2, busy=name == "unet")
        return Benchmark(name, "w", form, (48, 64), 1, 30, (speed,), on, {"name": name})

    measured = (of("modnet", 100.0), of("unet", 50.0), of("sinet", 5.0, "Another CPU"))
    (found,) = folders.test_sets(folders.find(str(tmp_path)))
    known = Numbers(replace(found, benchmarks=(*measured, of("kmeans", 400.0, form="unchanged"))))
    figure = comparisons.pareto_speed(known)
    assert figure is not None
    for told in (
        "an image of 64x48 px, from memory to alpha, with 2 threads of A CPU (2 cores), while other",
        "networks channels_last.",
        "Not known for SINet.",
    ):
        assert told in figure.caption
    assert {text for text in texts(figure) if text in ("MODNet", "U-Net", "SINet", "K-Means")} == {
        *("MODNet", "U-Net", "K-Means"),
    }
    assert comparisons.pareto_speed(Numbers(found)) is None
    # the table of sizes quotes the benchmark and no seconds of scoring beside it
    rows = sizes.size_and_speed(known).frame.set_index("method")
    assert rows.loc["modnet", ["FPS", "FPS, fastest", "fastest form"]].tolist() == [10, 10, "channels_last"]
    assert pd.isna(rows.loc["modnet", sizes.RECORDED_SECONDS])
    assert "busy with other programs" in rows.loc["unet", "measured on"]


def test_distribution_boxes_are_the_quartiles(numbers, drawn):
    root = ET.fromstring(drawn["distributions"].svg)
    colour = drawing.styles(numbers)["modnet"].colour
    values = 100 * numbers.of["modnet"].images["miou"]
    low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95])
    to_x = scale(root, "x")
    left, right, box, middle = (to_x(line[:, 0]) for line in lines(root, colour))
    np.testing.assert_allclose([*left, *right], [low, first, third, high], atol=0.2)
    np.testing.assert_allclose([box.min(), box.max(), *middle], [first, third, median, median], atol=0.2)
    # the rows: best mean first, baselines last
    names = [text for text in texts(drawn["distributions"]) if not re.fullmatch(r"[\d.]+|mIoU.*", text)]
    assert names == [
        *("GrabCut (oracle)", "RSUDISNet seed=0", "RSUDISNet seed=1", "MODNet", "K-Means"),
        *("Mean mask (mean)", "Centred ellipse"),
    ]
    means = {run.label: run.means["miou"] for run in numbers.runs}
    order = [
        means[label] for label in ("grabcut", "rsudisnet seed=0", "rsudisnet seed=1", "modnet", "kmeans")
    ]
    assert order == sorted(order, reverse=True)
    assert numbers.recorded_baselines["meanmask"]["miou"] > means["ellipse"]


def test_many_points_become_pixels(numbers, drawn, monkeypatch):
    assert len(list(ET.fromstring(drawn["distributions"].svg).iter(f"{SVG}use"))) > 6 * 16
    monkeypatch.setattr(comparisons, "_MOST_POINTS", 6 * 16 - 1)
    root = ET.fromstring(comparisons.distributions(numbers).svg)
    assert len(list(root.iter(f"{SVG}image"))) >= 1
    assert len(list(root.iter(f"{SVG}use"))) < 30


def test_training_curves_and_the_epoch_that_was_kept(numbers, drawn):
    run = numbers.of["modnet"]
    history = run.run.history
    root = ET.fromstring(drawn["training"].svg)
    colour = drawing.styles(numbers)["modnet"].colour
    line = lines(root, colour)[1]
    to_x, to_y = scale(root, "x"), scale(root, "y", 1)
    drawn_at = np.interp(history["epoch"], to_x(line[:, 0]), to_y(line[:, 1]))
    np.testing.assert_allclose(drawn_at, 100 * history["val/miou"], atol=0.3)
    x, y = points(root, colour)[2]
    assert to_x(x) == pytest.approx(5, abs=3e-3)
    assert to_y(y) == pytest.approx(100 * history["val/miou"][5], abs=0.3)


def test_the_best_epoch_is_the_recorded_one_else_the_highest(tmp_path):
    history = pd.DataFrame({"epoch": [3, 4, 5], "val/miou": [0.2, 0.9, 0.4]})
    make_run(tmp_path / "a", "modnet", pictures=4)
    make_run(tmp_path / "b", "unet", pictures=4, changes={"training": None})
    of = numbers_of(tmp_path).of
    assert curves.best_epoch(of["modnet"], history) == 5
    assert curves.best_epoch(of["unet"], history) == 4


def test_learning_shows_the_progress_pictures_in_order(runs, numbers, drawn):
    strip = figures.progress_of(numbers.of["modnet"].run)
    assert [name for name, _ in strip] == ["image", "0", "1", "2", "3", "4", "5"]
    root = ET.fromstring(drawn["learning"].svg)
    tiles = [
        np.asarray(
            Image.open(io.BytesIO(base64.b64decode(image.attrib[HREF].partition(",")[2]))).convert("RGB")
        )
        for image in root.iter(f"{SVG}image")
    ]
    trained = [run for run in numbers.runs if run.run.history is not None]
    paths = [path for run in trained for _, path in figures.progress_of(run.run)]
    assert len(tiles) == len(paths) == 21
    for tile, path in zip(tiles, paths, strict=True):
        expected = images.read_rgb(path)
        # matplotlib writes images upside down or not; their mean colour stays within its scaling
        np.testing.assert_allclose(tile.mean((0, 1)), expected.mean((0, 1)), atol=4)
    called = [drawing.names(numbers)[run.label] for run in trained]
    assert [text for text in texts(drawn["learning"]) if text in called] == called


def test_learning_leaves_out_the_picture_whose_faces_cannot_be_found(numbers):
    figure = figures.learning(numbers, faces="hide")
    assert figure is not None
    assert "picture" not in texts(figure)
    assert len(list(ET.fromstring(figure.svg).iter(f"{SVG}image"))) == 18
    assert "(not shown, as faces are not)" in figure.caption


def test_epochs_are_ordered_as_numbers(tmp_path):
    make_run(tmp_path / "a", "modnet", pictures=4, epochs=3)
    progress = tmp_path / "a" / "progress"
    (progress / "epoch_0002.png").rename(progress / "epoch_10000.png")
    (progress / "epoch_x.png").write_bytes(b"")
    run = numbers_of(tmp_path).runs[0].run
    assert [name for name, _ in figures.progress_of(run)] == ["image", "0", "1", "10000"]
    (progress / "picture.jpg").unlink()
    assert figures.progress_of(run) == []


def test_ranks_are_drawn_at_their_means_with_the_critical_difference(numbers, drawn):
    found = statistics.ranks(
        {run.label: numbers.of[run.label].images["miou"] for run in numbers.comparison.compared},
        numbers.comparison.groups,
    )
    said = texts(drawn["ranks"])
    for label, rank in found.average.items():
        assert f"{drawing.fitted(drawing.names(numbers)[label], 1.4)} ({rank:.2f})" in said
    assert f"CD = {found.critical:.2f}" in said
    assert not any(text.lower().startswith("grabcut") for text in said)
    root = ET.fromstring(drawn["ranks"].svg)
    to_x = scale(root, "x")
    (colour,) = {drawing.styles(numbers)["modnet"].colour}
    assert to_x(lines(root, colour)[0][-1, 0]) == pytest.approx(found.average["modnet"], abs=0.01)
    # the bar of the critical difference begins at rank 1
    bars = [to_x(line[:, 0]) for line in lines(root, "currentColor")]
    assert any(bar == pytest.approx([1, 1 + found.critical], abs=0.01) for bar in bars)
    # and a bar joins each set that do not differ significantly
    for group in found.not_different:
        ends = [min(found.average[label] for label in group), max(found.average[label] for label in group)]
        assert any([bar.min(), bar.max()] == pytest.approx(ends, abs=0.01) for bar in bars)


@pytest.mark.parametrize(
    ("ends", "levels"),
    [
        ([], []),
        ([(1, 2), (2.5, 3)], [0, 0]),
        ([(1, 2), (2, 3), (2.5, 4)], [0, 1, 0]),
        # the third fits beside the first again
        ([(1, 2), (1.5, 3), (2.5, 4), (3.5, 5)], [0, 1, 0, 1]),
    ],
)
def test_bars_that_would_touch_are_drawn_below_each_other(ends, levels):
    assert rank_diagram.bar_levels(ends) == levels


def test_scenarios_by_hand_and_the_worst_tag_needs_three_pictures(tmp_path):
    make_run(tmp_path / "a", "modnet", pictures=8)
    numbers = numbers_of(tmp_path)
    (run,) = numbers.runs
    miou = run.images["miou"]
    # the fixture's tags: stage on pictures 4 and 5 only, dim on every fourth
    means = breakdowns.means_by_tag(miou, numbers.tags)
    assert means["stage"] == pytest.approx(miou[[4, 5]].mean())
    assert means["dim"] == pytest.approx(miou[[0, 4]].mean())
    enough = {tag: means[tag] for tag, rows in numbers.tags.items() if len(rows) >= 3}
    assert breakdowns.worst_tag(means, numbers.tags) == min(enough, key=enough.get)
    assert "stage" not in enough
    assert "stage (2)" in texts(comparisons.scenarios(numbers))


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes_wherever_they_lie(tmp_path, runs, drawn):
    shutil.copytree(runs, tmp_path / "elsewhere" / "runs")
    again = figures.all_figures(numbers_of(tmp_path).comparison)
    assert [figure.name for figure in again] == ALL == list(drawn)
    for figure in again:
        assert figure == drawn[figure.name], figure.name


def test_settings_of_the_program_around_change_nothing(numbers, drawn):
    with matplotlib.rc_context({"axes.facecolor": "pink", "font.size": 20, "svg.fonttype": "path"}):
        assert figures.learning(numbers) == drawn["learning"]
        assert matplotlib.rcParams["font.size"] == 20


def test_svg_is_fit_for_a_page(drawn):
    seen = set()
    for figure in drawn.values():
        root = ET.fromstring(figure.svg)
        assert root.tag == f"{SVG}svg"
        assert figure.svg.startswith("<svg ")
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert not tags & {"style", "script", "metadata", "foreignObject", "a"}
        # an address appears only as the name of an XML namespace
        assert set(re.findall(r'[^"\s]*//[^"\s]*', re.sub(r"base64,[^\"]*", "", figure.svg))) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        ids = {element.get("id") for element in root.iter()} - {None}
        assert not ids & seen
        seen |= ids
        asked = [element.attrib[HREF] for element in root.iter() if element.get(HREF)]
        asked += re.findall(r"url\(([^)]*)\)", figure.svg)
        for target in asked:
            assert target.removeprefix("#") in ids or target.startswith("data:image/png;base64,")


def test_text_and_axes_take_the_colour_of_the_page(drawn):
    for figure in drawn.values():
        assert drawing.INK not in figure.svg
        for text in ET.fromstring(figure.svg).iter(f"{SVG}text"):
            assert "fill: currentColor" in text.get("style")
        allowed = {"currentcolor", "none", drawing.GREY, *drawing.PALETTE}
        assert {found.lower() for found in re.findall(r"(?:fill|stroke): ([^;\"]+)", figure.svg)} <= allowed


def test_png_is_on_white_at_150_dpi(drawn):
    for figure in drawn.values():
        image = Image.open(io.BytesIO(figure.png))
        assert image.width == 720
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        pixels = np.asarray(image.convert("RGBA"))
        assert (pixels[..., 3] == 255).all()
        assert (pixels[[0, -1]][:, [0, -1], :3] == 255).all()


@pytest.mark.slow
def test_names_of_any_letters_stay_text(tmp_path):
    make_run(tmp_path / "a", "x", pictures=6, changes={"method": HOSTILE, "device": HOSTILE})
    make_run(tmp_path / "b", "y", pictures=6, changes={"method": "方法"})
    make_run(tmp_path / "c", "z", pictures=6)
    found = figures.all_figures(numbers_of(tmp_path).comparison)
    assert [figure.name for figure in found] == ALL
    for figure in found:
        assert "script" not in {element.tag.removeprefix(SVG) for element in ET.fromstring(figure.svg).iter()}
        said = " ".join(texts(figure)).replace("\u200b", "")
        # cut in its middle where there is no room
        assert HOSTILE in said or re.search(
            re.escape(HOSTILE[:6]) + r"\S*…\S*" + re.escape(HOSTILE[-3:]), said
        )
        assert "方法" in said


@pytest.mark.slow
def test_many_methods_with_long_names_fit(tmp_path):
    for number in range(12):
        words = [f"model.width={'9' * (number % 8)}{number}"]
        make_run(tmp_path / f"{number}", f"method{number // 2}", pictures=6, overrides=words, files=False)
    numbers = numbers_of(tmp_path)
    for make in (curves.threshold_curves, curves.roc, comparisons.pareto_memory, rank_diagram.ranks):
        figure = make(numbers)
        assert figure is not None
        pixels = np.asarray(Image.open(io.BytesIO(figure.png)).convert("L"))
        # nothing is cut off at the sides or below
        assert (pixels[-200:, [0, 1, -2, -1]] == 255).all()
        assert (pixels[-2:] == 255).all()


def test_what_does_not_apply_is_left_out(tmp_path):
    make_run(tmp_path / "a", "kmeans", pictures=4, tags=False, changes={"cost": None})
    make_run(tmp_path / "b", "grabcut", pictures=4, tags=False, truth_access="box", changes={"cost": None})
    names = [figure.name for figure in figures.all_figures(numbers_of(tmp_path).comparison)]
    assert names == ["threshold_curves", "precision_recall", "roc", "distributions"]


def test_without_any_foreground_there_is_no_recall(tmp_path):
    path = make_run(tmp_path / "a", "modnet", pictures=4) / run_folder.HISTOGRAMS
    scored = run_folder.read_histograms(path)
    for part in scored.values():
        none = part.counts.fg * 0
        part.parts = [Counts(none, part.counts.bg + part.counts.fg, none)]
    run_folder.write_histograms(path, scored)
    numbers = numbers_of(tmp_path)
    assert curves.threshold_curves(numbers) is not None
    assert curves.precision_recall(numbers) is None
    assert curves.roc(numbers) is None


def test_a_method_looks_the_same_in_all_figures(numbers):
    chosen = drawing.styles(numbers)
    assert chosen["rsudisnet seed=0"] == chosen["rsudisnet seed=1"]
    assert chosen["ellipse"].colour == drawing.GREY
    assert [label for label, style in chosen.items() if style.hollow] == ["grabcut"]
    assert len({(style.colour, style.dash) for style in map(drawing.nth_style, range(60))}) == 60
    assert len({(style.colour, style.marker) for style in map(drawing.nth_style, range(60))}) == 60
    assert len({style.colour for style in map(drawing.nth_style, range(12))}) == 12


def linear(colour):
    levels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2 contrast ratio."""
    low, high = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour)) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#15171a", "#181c22"])
def test_colours_stand_out_from_light_and_dark_pages(page):
    assert min(contrast(colour, page) for colour in (*drawing.PALETTE, drawing.GREY)) >= 3


# complete deutan and protan deficiency in linear RGB: Machado, Oliveira, Fernandes 2009, table 1
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]


@pytest.mark.parametrize("vision", [np.eye(3), DEUTAN, PROTAN])
def test_colours_differ_for_colour_blind_readers(vision):
    def lab(colour):
        to_xyz = np.array(
            [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        ) / np.array([[0.9505], [1], [1.089]])
        x, y, z = np.cbrt(to_xyz @ np.clip(np.asarray(vision) @ linear(colour), 0, 1))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    def least(colours):
        return min(np.linalg.norm(lab(a) - lab(b)) for a, b in combinations(colours, 2))

    assert least(drawing.PALETTE[:6]) > 20
    # with twelve methods, dashes and markers tell as well
    assert least(drawing.PALETTE) > 14
    near = [
        (a, b) for a, b in combinations(range(12), 2) if least([drawing.PALETTE[a], drawing.PALETTE[b]]) < 20
    ]
    for a, b in near:
        assert drawing.nth_style(a).marker != drawing.nth_style(b).marker
    alike = [(a, b) for a, b in near if drawing.nth_style(a).dash == drawing.nth_style(b).dash]
    # both red, and with other markers
    assert alike in ([], [(5, 10)])


def test_write_puts_both_files_and_replaces_old_ones(tmp_path, drawn):
    folder = tmp_path / "new" / "figures"
    figures.write(drawn["roc"], folder)
    (folder / "roc.svg").write_text("old")
    figures.write(drawn["roc"], folder)
    assert (folder / "roc.svg").read_text(encoding="utf-8") == drawn["roc"].svg
    assert (folder / "roc.png").read_bytes() == drawn["roc"].png
    assert sorted(path.name for path in folder.iterdir()) == ["roc.png", "roc.svg"]
    ET.parse(folder / "roc.svg")


@pytest.mark.parametrize("inches", [0.2, 0.5, 0.74])
def test_texts_that_are_too_wide_lose_their_middle(inches):
    name = "official_modnet smooth=ema"
    shown = drawing.fitted(name, inches, 8)
    first, cut, last = shown.partition("…")
    assert cut
    assert name.startswith(first)
    assert name.endswith(last)
    assert len(first) - len(last) in (0, 1)
    assert drawing.text_width(shown, 8) <= inches
    # the most that fits: two letters more are too wide
    more = f"{name[: len(first) + 1]}…{name[len(name) - len(last) - 1 :]}"
    assert drawing.text_width(more, 8) > inches
    assert drawing.fitted(name, 5, 8) == name
