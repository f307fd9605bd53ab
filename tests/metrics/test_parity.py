"""Scores against public toolboxes on drawn and on published maps, and the file that says how near they come.

`KOLBENCH_WRITE_PARITY=1 pytest tests/metrics/test_parity.py` writes kolbench/metrics/parity.json anew, from
which definitions of scores take what they say of toolboxes.
"""

import csv
import dataclasses
import json
import math
import os
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from kolbench.metrics import parity, saliency, scores
from kolbench.metrics.counts import Counts
from kolbench.metrics.histogram import level_counts
from kolbench.metrics.parity import Agreement
from kolbench.metrics.scores.s_measure import quarters_of
from kolbench.metrics.scores.weighted_f import weighted_f
from kolbench.metrics.stretch import Bounds, by_maximum, min_max, requantised, unstretched
from kolbench.metrics.structure import s_measure
from kolbench.types import Float64Array, Int64Array
from tests.helpers.pysodmetrics import NAME, pysodmetrics, version

pytestmark = pytest.mark.usefixtures("all_families")

WRITE = "KOLBENCH_WRITE_PARITY"
PICANET = "maps of PiCANet on SOD"
MATLAB = "the results that sal_eval_toolbox (b4696d6, MATLAB) stores"

Scores = Mapping[str, Float64Array]


class Map(NamedTuple):
    """levels: (H, W) uint8. truth: (H, W) bool."""

    levels: np.ndarray
    truth: np.ndarray


def drawn_maps() -> list[Map]:
    """Twelve soft maps of several ranges, and maps and truths that have a rule of their own."""
    maps = []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        height, width = draw.integers(20, 60, 2)
        y, x = np.mgrid[:height, :width] / 10
        waves = sum(np.sin(draw.uniform(0.3, 2) * (x + y * s) + draw.uniform(0, 6)) for s in (-1, 0, 1))
        soft = 1 / (1 + np.exp(-waves * draw.uniform(0.5, 4) - draw.normal(0, 0.3, waves.shape)))
        low, high = draw.integers(0, 40), draw.integers(180, 256)
        maps.append(Map((low + soft * (high - low)).astype(np.uint8), waves > draw.uniform(-0.5, 0.5)))
    soft, truth = maps[0]
    binary = (truth ^ (soft % 7 == 0)).astype(np.uint8) * 255
    nothing = np.zeros_like(truth)
    return [*maps, Map(binary, truth), Map(soft, nothing), Map(soft, ~nothing), Map(soft * 0, truth)]


def counts_of(maps: list[Map]) -> Counts:
    """With all that scores ask for."""
    extra = scores.extra_counts()
    pairs = ([torch.from_numpy(array)[None, None] for array in (p / 255, truth)] for p, truth in maps)
    return Counts.joined([level_counts(alpha, mask, extra=extra) for alpha, mask in pairs])


def registered_scores(counts: Counts) -> dict[str, Float64Array]:
    """The columns as they are, per picture or of the set."""
    images, means = scores.image_scores(counts, 0.5), scores.mean_scores(counts, 0.5)
    return {name: images.get(name, np.array([means[name]])) for name in means}


def scores_stretched(counts: Counts, stretch: Callable[[Int64Array], Bounds]) -> dict[str, Float64Array]:
    """The same from maps that are stretched first."""
    bounds = stretch(counts.fg + counts.bg)
    cut, own = saliency.at_every_level(requantised(counts, bounds)), saliency.adaptive(counts, bounds)
    f, e = saliency.f_measure(cut), saliency.e_measure(cut)
    return {
        "mae_minmax": saliency.mean_absolute_error(counts, bounds),
        "s_measure": s_measure(quarters_of(counts), bounds),
        "f_mean": f.mean(0),
        "f_max": f.mean(-1).max(keepdims=True),
        "f_adaptive": saliency.f_measure(own),
        "f_mean_pr": saliency.f_of_means(cut).max(keepdims=True),
        "e_mean": e.mean(0),
        "e_max": e.mean(-1).max(keepdims=True),
        "e_adaptive": saliency.e_measure(own),
    }


def weighted(maps: list[Map], stretched: bool) -> dict[str, Float64Array]:
    """Weighted F, which no histogram gives."""
    values = [weighted_f(levels, truth * np.uint8(255), stretched) for levels, truth in maps]
    return {"weighted_f": np.array(values)}


@pytest.fixture
def toolbox(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    (module,) = pysodmetrics(monkeypatch, "sod_metrics")
    return module


def scores_of_toolbox(toolbox: types.ModuleType, maps: list[Map], stretched: bool) -> Scores:
    """PySODMetrics' own, per picture or of the set."""
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        f = toolbox.Fmeasure()  # it says that another class is newer
    e, s, mae = toolbox.Emeasure(), toolbox.Smeasure(), toolbox.MAE()
    weighted = toolbox.WeightedFmeasure()
    for levels, truth in maps:
        given = (levels, truth.astype(np.uint8) * 255) if stretched else (levels / 255, truth)
        for judge in (f, e, s, mae, weighted):
            judge.step(*given, normalize=stretched)
    curves = np.array(f.changeable_fms), np.array(e.changeable_ems)
    p, r = (f.get_results()["pr"][key] for key in "pr")
    return {
        "mae_minmax" if stretched else "mae": np.array(mae.maes),
        "s_measure": np.array(s.sms),
        "f_mean": curves[0].mean(1),
        "f_max": curves[0].mean(0).max(keepdims=True),
        "f_adaptive": np.array(f.adaptive_fms),
        "f_mean_pr": (1.3 * p * r / (0.3 * p + r)).max(keepdims=True),
        "e_mean": curves[1].mean(1),
        "e_max": curves[1].mean(0).max(keepdims=True),
        "e_adaptive": np.array(e.adaptive_ems),
        "weighted_f": np.array(weighted.weighted_fms),
    }


def largest(found: Scores, expected: Scores) -> dict[str, float]:
    """Score that both have -> the largest difference of a picture."""
    shared = [name for name in expected if name in found]
    assert all(found[name].shape == expected[name].shape for name in shared)
    return {name: float(np.abs(found[name] - expected[name]).max()) for name in shared}


def agreement_with_toolbox(toolbox: types.ModuleType, what: str, maps: list[Map]) -> Agreement:
    """The larger difference of maps as they are and of stretched maps."""
    counts = counts_of(maps)
    plain = registered_scores(counts) | weighted(maps, stretched=False)
    both = scores_stretched(counts, min_max) | weighted(maps, stretched=True)
    differences = (
        largest(plain, scores_of_toolbox(toolbox, maps, stretched=False)),
        largest(both, scores_of_toolbox(toolbox, maps, stretched=True)),
    )
    return agreement(f"{NAME} {version()}", what, len(maps), *differences)


def agreement(toolbox: str, maps: str, pictures: int, *found: Mapping[str, float]) -> Agreement:
    differences = {name: max(each.get(name, 0) for each in found) for each in found for name in each}
    return Agreement(toolbox, maps, pictures, {name: power_of_ten(differences[name]) for name in differences})


def power_of_ten(difference: float) -> float:
    """Rounded up, and not below 1e-14, which rounding on another processor may come to."""
    return float(f"1e{math.ceil(math.log10(max(difference, 1e-14)))}")


def is_as_stated(found: Agreement) -> None:
    """Compares with the file, or puts the comparison into it where that is asked for."""
    if os.environ.get(WRITE):
        put(found)
    stated = {(each.toolbox, each.maps): each for each in parity.agreements()}
    assert (found.toolbox, found.maps) in stated, f"{parity.PARITY.name} lacks it; {WRITE}=1 writes it"
    before = stated[found.toolbox, found.maps]
    assert before.pictures == found.pictures
    assert before.within.keys() == found.within.keys()
    worse = {name: value for name, value in found.within.items() if value > before.within[name]}
    assert not worse, f"further off than {parity.PARITY.name} says: {worse}; {WRITE}=1 writes it anew"


def put(found: Agreement) -> None:
    """Writes the file with a comparison in the place of its forerunner."""
    known = {(each.toolbox, each.maps): each for each in [*parity.agreements(), found]}
    entries = [dataclasses.asdict(known[key]) for key in sorted(known)]
    parity.PARITY.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    parity.agreements.cache_clear()


def test_drawn_maps_agree_with_pysodmetrics(toolbox: types.ModuleType) -> None:
    found = agreement_with_toolbox(toolbox, "drawn maps", drawn_maps())
    assert max(found.within.values()) <= 1e-6
    is_as_stated(found)


def test_each_threshold_agrees_with_pysodmetrics(toolbox: types.ModuleType) -> None:
    maps = drawn_maps()
    counts = counts_of(maps)
    for stretch, normalize in ((unstretched, False), (min_max, True)):
        e = toolbox.Emeasure()
        for levels, truth in maps:
            e.step(*((levels, truth * np.uint8(255)) if normalize else (levels / 255, truth)), normalize)
        cut = saliency.at_every_level(requantised(counts, stretch(counts.fg + counts.bg)))
        # theirs begins at level 255
        assert pytest.approx(np.array(e.changeable_ems), abs=1e-12) == saliency.e_measure(cut)[::-1].T


@pytest.fixture(scope="module")
def sod(shared: Path) -> dict[str, Map]:
    """Name -> one of the 40 maps of PiCANet."""
    folder = shared / "data" / "sod"
    read = {path.stem: cv2.imread(str(path), 0) for path in sorted((folder / "maps_picanet").glob("*.png"))}
    return {
        name: Map(m, cv2.imread(str(folder / "masks" / f"{name}.png"), 0) > 127) for name, m in read.items()
    }


@pytest.mark.shared
def test_published_maps_agree_with_pysodmetrics(toolbox: types.ModuleType, sod: dict[str, Map]) -> None:
    found = agreement_with_toolbox(toolbox, PICANET, list(sod.values()))
    assert max(found.within.values()) <= 1e-6
    is_as_stated(found)


def stacked(path: Path, column: str, names: Iterable[str]) -> Float64Array:
    """(names, rows of each) numbers of a column, in the order of the file."""
    rows: dict[str, list[float]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["name"], []).append(float(row[column]))
    return np.array([rows[name] for name in names])


@pytest.mark.shared
def test_published_maps_agree_with_matlabs_stored_results(sod: dict[str, Map], shared: Path) -> None:
    """Each map is divided by its maximum there, and stretched by both extremes for MAE."""
    folder = shared / "data" / "sod"
    pictures = {
        column: stacked(folder / "picanet_matlab.csv", column, sod)[:, 0]
        for column in ("s_measure", "mae", "adp_precision", "adp_recall", "adp_f0.3")
    }
    p, r = (stacked(folder / "picanet_matlab_curves.csv", column, sod) for column in ("precision", "recall"))
    counts = counts_of(list(sod.values()))
    bounds = by_maximum(counts.fg + counts.bg)
    found = scores_stretched(counts, by_maximum)
    own = saliency.adaptive(counts, bounds)
    cut = saliency.at_every_level(requantised(counts, bounds))
    assert saliency.precision(own) == pytest.approx(pictures["adp_precision"], abs=1e-9)
    assert saliency.recall(own) == pytest.approx(pictures["adp_recall"], abs=1e-9)
    assert pytest.approx(p, abs=1e-9) == saliency.precision(cut)[::-1].T
    assert pytest.approx(r, abs=1e-9) == saliency.recall(cut)[::-1].T
    found["mae_minmax"] = scores_stretched(counts, min_max)["mae_minmax"]
    # the pictures' F follow from the stored precision and recall
    f = np.where(p * r > 0, 1.3 * p * r / np.where(p * r > 0, 0.3 * p + r, 1), 0)
    mean_p, mean_r = p.mean(0), r.mean(0)
    expected = {
        "s_measure": pictures["s_measure"],
        "mae_minmax": pictures["mae"],
        "f_adaptive": pictures["adp_f0.3"],
        "f_mean": f.mean(1),
        "f_max": f.mean(0).max(keepdims=True),
        "f_mean_pr": (1.3 * mean_p * mean_r / (0.3 * mean_p + mean_r)).max(keepdims=True),
    }
    differences = largest(found, expected)
    assert max(differences.values()) <= 1e-9
    is_as_stated(agreement(MATLAB, f"{PICANET}, each divided by its maximum,", len(sod), differences))


@pytest.mark.shared
def test_the_means_over_the_published_maps_are_the_golden_ones(sod: dict[str, Map]) -> None:
    counts = counts_of(list(sod.values()))
    found = scores_stretched(counts, by_maximum)
    golden = {"s_measure": 0.868872, "f_adaptive": 0.892809, "f_mean_pr": 0.912740, "f_max": 0.899824}
    for name, value in golden.items():
        assert found[name].mean() == pytest.approx(value, abs=5e-7), name
    assert scores_stretched(counts, min_max)["mae_minmax"].mean() == pytest.approx(0.067163, abs=5e-7)
    cut = saliency.at_every_level(requantised(counts, by_maximum(counts.fg + counts.bg)))
    assert saliency.f_of_means(cut).argmax() == saliency.f_measure(cut).mean(-1).argmax() == 114


def test_a_blurred_disk_has_the_golden_scores() -> None:
    """The disk of the DAVIS figures, moved by 4 px and blurred (sigma 3), stretched by its extremes."""
    blurred = cv2.imread(str(Path(__file__).with_name("blurred_disk.png")), 0)
    y, x = np.mgrid[:120, :160]
    found = scores_stretched(counts_of([Map(blurred, (y - 60) ** 2 + (x - 80) ** 2 <= 900)]), min_max)
    golden = {
        "f_adaptive": 0.886938,
        "f_mean": 0.890933,
        "f_max": 0.938015,
        "mae_minmax": 0.032868,
        "s_measure": 0.931917,
        "e_adaptive": 0.971256,
        "e_mean": 0.950981,
        "e_max": 0.978098,
    }
    for name, value in golden.items():
        assert found[name] == pytest.approx([value], abs=6e-7), name


def test_definitions_say_what_the_file_says() -> None:
    compared = {name for each in parity.agreements() for name in each.within}
    assert compared <= set(scores.DEFINITIONS)
    for name, definition in scores.DEFINITIONS.items():
        assert definition.endswith(parity.agreement(name))
        assert ("; agrees with" in definition) == (name in compared)
    assert parity.agreement("iou") == ""


def test_what_is_said_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = (
        Agreement("A 1", "maps", 3, {"x": 1e-15, "y": 0.1}),
        Agreement("A 1", "views", 4, {"x": 1e-14}),
        Agreement("B", "views", 2, {"x": 1e-7}),
    )
    monkeypatch.setattr(parity, "agreements", lambda: made_up)
    assert parity.agreement("x") == (
        "; agrees with A 1 on 3 maps to 1e-15 and on 4 views to 1e-14, with B on 2 views to 1e-07"
    )
    assert parity.agreement("y") == "; agrees with A 1 on 3 maps to 0.1"


def test_a_comparison_takes_the_place_of_its_forerunner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "PARITY", tmp_path / "parity.json")
    parity.PARITY.write_text("[]")
    parity.agreements.cache_clear()
    first, other = Agreement("A", "maps", 3, {"x": 1.0}), Agreement("B", "maps", 3, {"x": 1.0})
    better = Agreement("A", "maps", 4, {"x": 1e-9})
    try:
        for each in (other, first, better):
            put(each)
        assert parity.agreements() == (better, other)
    finally:
        parity.agreements.cache_clear()
