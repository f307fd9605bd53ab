from itertools import pairwise

import numpy as np
import pytest

from kolbench.data.scenes.scene import make_scene
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.errors import ConfigError

SMALL = 64
BUDGETS = (
    {"train": 4, "val": 2, "test": 2},
    {"train": 200, "val": 40, "test": 60},
    {"train": 600, "val": 100, "test": 100},
    {"train": 1000, "val": 100, "test": 100},
)


def named(source: SyntheticSource, split: str) -> list[str]:
    return [source.names[row] for row in source.given_splits[split]]


def test_no_budget_tests_on_what_another_trains_on():
    sources = [SyntheticSource(0, 64, scenes) for scenes in BUDGETS]
    for one in sources:
        assert len(set(one.names)) == len(set(one.groups)) == len(one) == len(one.scene_numbers)
        assert one.given_splits is not None
        for other in sources:
            for split, rows in one.given_splits.items():
                for foreign in set(BUDGETS[0]) - {split}:
                    elsewhere = other.given_splits[foreign]
                    assert not set(named(one, split)) & set(named(other, foreign))
                    assert not {one.groups[r] for r in rows} & {other.groups[r] for r in elsewhere}
                    numbers = {other.scene_numbers[r] for r in elsewhere}
                    assert not {one.scene_numbers[r] for r in rows} & numbers


def test_a_larger_budget_begins_with_the_scenes_of_a_smaller_one():
    sources = [SyntheticSource(0, 64, scenes) for scenes in BUDGETS]
    for small, large in pairwise(sources):
        assert small.given_splits is not None
        for split, rows in small.given_splits.items():
            assert named(small, split) == named(large, split)[: len(rows)]
            for row, same in list(zip(rows, large.given_splits[split], strict=False))[:1]:
                assert np.array_equal(small.read(row).image, large.read(same).image)
                assert small.tags[row] == large.tags[same]


def test_a_name_holds_the_number_of_its_scene():
    source = SyntheticSource(5, SMALL, {"train": 2, "val": 2, "test": 1})
    numbers = [0, 1, 1_000_000, 1_000_001, 2_000_000]
    assert source.names == [f"scene_{number:07d}" for number in numbers]
    assert source.given_splits == {"train": [0, 1], "val": [2, 3], "test": [4]}
    for row, number in enumerate(numbers):
        scene = make_scene(5, number, SMALL)
        assert np.array_equal(source.read(row).image, scene.image)
        assert source.tags[row] == " ".join(scene.tags)
    assert list(source.tags) == list(source.tags[:])


@pytest.mark.parametrize(
    "scenes", [{"train": 0, "val": 1, "test": 1}, {"train": 1_000_001, "val": 1, "test": 1}]
)
def test_counts_that_a_split_cannot_have_are_told(scenes):
    with pytest.raises(ConfigError, match=r"budget\.scenes=.*1000000"):
        SyntheticSource(0, 64, scenes)
