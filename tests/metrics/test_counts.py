"""Counts by name, in memory and in histograms.parquet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kolbench.metrics import scores
from kolbench.metrics.confusion import at_thresholds
from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.metrics.histogram import level_counts
from kolbench.runs import run_folder
from tests.helpers.counted import counted, of, planes


def image_counts(split: str, count: int) -> ImageCounts:
    """Pictures one by one, as evaluation sees them, with everything that scores ask for."""
    part = ImageCounts(split)
    for index, (alpha, mask, product) in enumerate(zip(*planes(4, count), strict=True)):
        part.names.append(f"{split}{index}")
        part.groups.append("video")
        part.tags.append("cup day")
        part.sizes.append((13, 11))
        part.seconds.append(0.25)
        part.notes.append("")
        part.parts.append(level_counts(alpha[None], mask[None], product[None], extra=scores.extra_counts()))
    return part


def same(a: Counts, b: Counts) -> bool:
    return list(a) == list(b) and all(np.array_equal(a[name], b[name]) for name in a)


def test_parts_become_one_and_rows_come_out_again() -> None:
    part = image_counts("test", 5)
    together = level_counts(*planes(4, 5), extra=scores.extra_counts())
    assert same(part.counts, together)
    assert same(part.counts.rows([3, 0]), Counts.joined([together.rows([3]), together.rows([0])]))
    assert same(together.rows(np.array([True, False, False, True, False])), together.rows([0, 3]))
    assert (len(together), len(together.rows([])), len(ImageCounts("empty").counts)) == (5, 0, 0)
    assert np.array_equal(together.pooled().fg[0], together.fg.sum(0))


def test_parts_of_which_one_lacks_a_name_do_without_it() -> None:
    counts = counted(1, 2)
    more = Counts(counts.fg, counts.bg, counts.product, {"own": counts.fg})
    joined = Counts.joined([more, counts])
    assert list(joined) == ["fg", "bg", "product"]
    assert len(joined) == 4
    assert "own" in Counts.joined([more, more])


def test_values_go_with_their_pictures() -> None:
    counts = counted(1, 3)
    valued = replace(counts, values={"sad": np.array([1.0, np.nan, 3]), "own": np.zeros(3)})
    lacking = replace(counts, values={"sad": np.ones(3)})
    joined = Counts.joined([valued, lacking])
    # as with counts, only what all parts have: a mean over some would pass for one over all
    assert list(joined.values) == ["sad"]
    assert np.array_equal(joined.values["sad"], [1, np.nan, 3, 1, 1, 1], equal_nan=True)
    assert valued.rows([2, 0]).values["sad"].tolist() == [3, 1]
    assert valued.pooled().values == {}
    assert valued.holds("sad")
    assert valued.holds("fg")
    assert list(valued) == list(counts)
    assert at_thresholds(valued, [0.2, 0.7]).values("own").shape == (2, 3)
    with pytest.raises(ValueError, match=r"values must all be \(3,\)"):
        replace(counts, values={"sad": np.ones(2)})


def test_histograms_are_read_as_they_were_written(tmp_path: Path) -> None:
    scored = {"val": image_counts("val", 2), "test": image_counts("test", 3)}
    run_folder.write_histograms(tmp_path / "h.parquet", scored)
    found = run_folder.read_histograms(tmp_path / "h.parquet")
    assert list(found) == ["val", "test"]
    for split, part in scored.items():
        assert same(found[split].counts, part.counts)
        for key in ("split", "names", "groups", "tags", "sizes", "seconds", "notes"):
            assert getattr(found[split], key) == getattr(part, key)


def test_files_of_other_versions_are_read(tmp_path: Path) -> None:
    """Without the columns of today they lack a score; columns of tomorrow do no harm."""
    path, part = tmp_path / "h.parquet", image_counts("test", 3)
    run_folder.write_histograms(path, {"test": part})
    table = pd.read_parquet(path)
    table[
        ["split", "name", "group", "tags", "seconds", "notes", "height", "width", "fg", "bg", "product"]
    ].to_parquet(path)
    old = run_folder.read_histograms(path)["test"].counts
    assert same(old, of(part.counts.fg, part.counts.bg, part.counts.product))
    assert "boundary_iou" not in scores.mean_scores(old, 0.5)
    later: dict[str, object] = {
        "tomorrow": "text",
        "curve": [np.arange(256), np.arange(255), None],
        "counts": [np.arange(256)] * 3,
    }
    table.assign(**later).to_parquet(path)
    new = run_folder.read_histograms(path)["test"].counts
    assert list(new) == [*part.counts, "counts"]
    assert "boundary_iou" in scores.mean_scores(new, 0.5)


def test_splits_may_have_been_counted_apart(tmp_path: Path) -> None:
    path, val, test = tmp_path / "h.parquet", image_counts("val", 2), image_counts("test", 2)
    val.parts = [of(val.counts.fg, val.counts.bg, val.counts.product)]
    run_folder.write_histograms(path, {"val": val, "test": test})
    found = run_folder.read_histograms(path)
    assert same(found["val"].counts, val.counts)
    assert same(found["test"].counts, test.counts)
