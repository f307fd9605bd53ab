"""Splits and groups of sets without pictures."""

import math

import numpy as np
import pytest

from kolbench.data.config import DataConfig
from kolbench.data.health import dealing
from kolbench.data.health.examination import Examined
from kolbench.data.health.measures import Measures
from kolbench.data.splits import Splits
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
    assert told["leak", "v"] == "The group stands in train and val (30 pictures in all)."
    assert told["leak", "w"] == "The group stands in val and test (20 pictures in all)."
    assert ("splits", "val") not in told
    assert sum(one.file == "test" for one in found) == 2
    assert told["splits", "v"] == "The group has 30 of 50 pictures in groups."
    assert told["splits", "the lists"] == "Pictures that stand in no split and are not used: 1."
    # the paper's split leaves groups alone
    _, paper = dealing.dealt(source, DataConfig(split="paper"))
    assert not any(one.kind == "leak" for one in paper)


def test_what_cannot_be_dealt_is_said_and_all_is_looked_at():
    made, found = dealing.dealt(Named(["a", "b"]), DataConfig())
    assert [one.kind for one in found] == ["folder"]
    assert "2 groups (videos) of 2 pictures cannot be split" in found[0].what
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
