"""Tables of families: their numbers, what they say of lower and higher, and runs that lack a score."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from kolbench.metrics import scores
from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.report.families import families, family_table, leaders
from kolbench.report.intervals import difference_intervals, mean_interval
from kolbench.report.numbers import Numbers
from kolbench.report.sentences import sentences
from kolbench.report.tables import all_tables
from kolbench.report.words import DASH, percent
from kolbench.runs import finished
from kolbench.runs.finished import Comparison, FinishedRun
from kolbench.runs.method_names import shown_name
from kolbench.types import Float64Array
from tests.helpers.run_folders import make_run

PICTURES = 24
MATTING = ("sad", "mad", "mse", "sad_t", "mad_t", "mse_t")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    scores.load([])
    yield
    scores.load([])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two methods and a third that is given the box, without any value."""
    folder = tmp_path_factory.mktemp("families")
    for method, quality, access in (("modnet", 0.9, "none"), ("u2net", 0.5, "none"), ("grabcut", 0.7, "box")):
        make_run(
            folder / method, method, quality=quality, truth_access=access, pictures=PICTURES, files=False
        )
    return finished.test_sets(finished.find(str(folder)))[0]


def valued(comparison: Comparison, **values: dict[str, Float64Array]) -> Comparison:
    """The comparison with values of the test pictures of some methods."""
    return replace(comparison, runs=tuple(_with(run, values.get(run.method, {})) for run in comparison.runs))


def _with(run: FinishedRun, values: dict[str, Float64Array]) -> FinishedRun:
    counts = run.test.counts
    test: ImageCounts = replace(run.test, parts=[Counts.of(dict(counts.items()), values)])
    copy = replace(run)
    copy.__dict__["scored"] = {**run.scored, "test": test}
    return copy


def drawn(seed: int, top: float) -> Float64Array:
    return np.random.default_rng(seed).uniform(0, top, PICTURES)


def test_without_such_scores_there_is_no_such_table(plain: Comparison) -> None:
    assert "boundary_iou" in plain.runs[0].scores
    assert families(Numbers(plain)) == []
    assert not {"saliency", "boundary", "matting"} & {table.name for table in all_tables(plain)}


def test_a_family_has_a_column_and_an_interval_for_each_score(plain: Comparison) -> None:
    modnet, u2net = drawn(0, 1), drawn(1, 0.5)
    comparison = valued(plain, modnet={"boundary_f": modnet}, u2net={"boundary_f": u2net})
    names = [table.name for table in all_tables(comparison)]
    assert names[:2] == ["scores", "boundary"]
    (table,) = families(Numbers(comparison))
    frame = table.frame.set_index("method")
    assert list(frame) == ["boundary_iou", "boundary_iou 95 %", "boundary_f", "boundary_f 95 %"]
    assert frame.loc["modnet", "boundary_f"] == pytest.approx(modnet.mean(), abs=1e-12)
    assert frame.loc["u2net", "boundary_f"] == pytest.approx(u2net.mean(), abs=1e-12)
    found = mean_interval(modnet, comparison.groups)
    assert frame.loc["modnet", "boundary_f 95 %"] == f"[{found.low:.4f}, {found.high:.4f}]"
    # the third has boundary IoU alone
    lacking = frame.loc["grabcut"]
    assert lacking["boundary_iou"] == pytest.approx(comparison.runs[-1].scores["boundary_iou"])
    assert math.isnan(lacking["boundary_f"])
    assert any("not computed for this run; task=score adds it" in note for note in table.notes)
    assert "Higher is better: boundary_iou, boundary_f." in table.notes
    assert any(note.startswith("boundary_f: contour F of DAVIS") for note in table.notes)
    (said,) = leaders(Numbers(comparison), "boundary")
    best = {run.label: run for run in comparison.runs}["modnet"]
    value = percent(best.scores["boundary_iou"])
    ends = rf"\d\d\.\d{DASH}\d\d\.\d"
    assert re.fullmatch(rf"Highest Boundary IoU: MODNet, {value} % \(95 % CI {ends}\)\.", said)
    assert said in sentences(comparison)


def test_errors_may_be_larger_than_one_and_are_better_low(plain: Comparison) -> None:
    values = {
        method: dict(
            zip(
                MATTING,
                (
                    drawn(seed + k, 400.0) if "sad" in name else drawn(seed + k, 0.2)
                    for k, name in enumerate(MATTING)
                ),
                strict=True,
            )
        )
        for seed, method in enumerate(("modnet", "u2net", "grabcut"))
    }
    values["grabcut"]["sad_t"] = np.full(PICTURES, np.nan)
    comparison = valued(plain, **values)
    table = family_table(Numbers(comparison), "matting")
    frame = table.frame.set_index("method")
    sad = values["u2net"]["sad"]
    assert frame.loc["u2net", "sad"] == pytest.approx(sad.mean(), abs=1e-9)
    found = difference_intervals({"": sad}, comparison.groups, bounds=(0, math.inf))[""]
    assert frame.loc["u2net", "sad 95 %"] == f"[{found.low:.1f}, {found.high:.1f}]"
    assert 0 <= found.low < sad.mean() < found.high
    # where a score applies to no picture of a run, its cell is empty
    assert math.isnan(frame.loc["grabcut", "sad_t"])
    assert f"Lower is better: {', '.join(MATTING)}." in table.notes
    (said,) = leaders(Numbers(comparison), "matting")
    best = min(("modnet", "u2net"), key=lambda method: values[method]["sad"].mean())
    value = values[best]["sad"].mean()
    assert said.startswith(f"Lowest SAD: {shown_name(best)}, {value:.1f} [")


def test_a_score_that_one_of_the_compared_lacks_has_no_leader(plain: Comparison) -> None:
    comparison = valued(plain, modnet={"weighted_f": drawn(0, 1)})
    assert [table.name for table in families(Numbers(comparison))] == ["saliency"]
    assert leaders(Numbers(comparison), "saliency") == []
    assert leaders(Numbers(comparison), "matting") == []


def test_counts_of_pictures_are_whole_numbers_and_neither_better_high_nor_low(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    scores.load(["boundary"])
    folder = tmp_path_factory.mktemp("boundary")
    make_run(folder / "modnet", "modnet", pictures=6, files=False)
    (comparison,) = finished.test_sets(finished.find(str(folder)))
    found = family_table(Numbers(comparison), "boundary")
    assert found.frame["mba_images"].dropna().tolist() == [6] * found.frame["mba_images"].notna().sum()
    assert str(found.frame["mba_images"].dtype) == "Int64"
    (directions,) = [note for note in found.notes if note.startswith("Higher is better")]
    assert "mba" in directions
    assert "mba_images" not in directions
