"""Splits and groups of sets without pictures."""

import math

import numpy as np
import pytest

from kolbench.data.config import DataConfig
from kolbench.data.health import dealing
from kolbench.data.health.examination import Examined
from kolbench.data.health.measures import Measures
from kolbench.data.splits import Splits
from kolbench.report.intervals import fewest_groups
from tests.data.health.test_copies import Named

NAMES = [f"p{number:02d}" for number in range(60)]


def given(**rows: range) -> dict[str, list[int]]:
    return {split: list(members) for split, members in rows.items()}


def test_a_good_split_has_no_faults():
    source = Named(NAMES, given_splits=given(train=range(20), val=range(20, 40), test=range(40, 60)))
    made, found = dealing.dealt(source, DataConfig())
    assert found == []
    assert made.test == list(range(40, 60))


def test_leaks_small_splits_large_groups_and_what_is_unused():
    groups = ["v"] * 30 + ["w"] * 20 + [None] * 10
    source = Named(NAMES, groups, given_splits=given(train=range(22), val=range(22, 42), test=range(42, 59)))
    _, found = dealing.dealt(source, DataConfig())
    told = {(one.kind, one.file): one.what for one in found}
    assert told["leak", "v"] == "The group is in train and in val (30 images in all)."
    assert told["leak", "w"] == "The group is in val and in test (20 images in all)."
    assert ("splits", "val") not in told
    # w, and each of the 9 images without a video, are groups enough
    assert told["splits", "test"] == "Only 17 images: differences of several per cent mean nothing."
    assert sum(one.file == "test" for one in found) == 1
    assert told["splits", "v"] == "The group has 30 of the 50 images in groups."
    assert told["splits", "the lists"] == "1 image in no split, so not used."
    # the paper's split leaves groups alone
    _, paper = dealing.dealt(source, DataConfig(split="paper"))
    assert not any(one.kind == "leak" for one in paper)


@pytest.mark.parametrize(("videos", "few"), [(1, True), (5, True), (6, False)])
def test_too_few_test_groups_are_those_that_give_no_interval(videos, few):
    assert dealing.FEWEST_GROUPS == fewest_groups() == 6
    groups = [f"v{number % videos}" for number in range(60)]
    lists = given(train=range(10), val=range(10, 30), test=range(30, 60))
    held = Named(NAMES, [None] * 30 + groups[:30], given_splits=lists)
    said = [one.what for one in dealing.dealt(held, DataConfig())[1] if one.file == "test"]
    word = "group" if videos == 1 else "groups"
    told = f"30 images in {videos} {word} (videos): too few groups for an interval, which takes 6."
    assert said == ([told] if few else [])


def test_what_cannot_be_dealt_is_said_and_all_is_looked_at():
    made, found = dealing.dealt(Named(["a", "b"]), DataConfig())
    assert [one.kind for one in found] == ["folder"]
    assert "2 groups (videos) of 2 images cannot be split" in found[0].what
    assert made.test == [0, 1]


def test_rows_average_what_can_be_used():
    source = Named(["a", "b", "c"], ["v", None, "v"], given_splits=given(train=range(2), test=range(2, 3)))
    measures = Measures(4, 4, 0.25, math.nan, 0, 1, 0, 1, 1)
    examined = [
        Examined(measures=measures),
        Examined("damaged"),
        Examined(measures=measures._replace(foreground=0.75, product=0.5)),
    ]
    made, _ = dealing.dealt(source, DataConfig(split="test"))
    assert [row.name for row in dealing.split_rows(source, made, examined)] == ["test", "all"]
    [_, everything] = dealing.split_rows(source, made, examined)
    assert everything == ("all", 3, 2, 1, 0.5, 0.5, 1)
    row = dealing.split_rows(source, Splits([1], [], []), examined)[0]
    assert row[:4] == ("train", 1, 0, 0)
    assert np.isnan(row.foreground)
    assert row.product == pytest.approx(math.nan, nan_ok=True)
