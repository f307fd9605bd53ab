"""Parts of a set: each picture in one of them, clips whole, about as many pictures in each."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.shards import Shard, require_enough, share
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.errors import ConfigError
from tests.helpers.data import NO_LIMIT, data_config


def shares(names: list[str], clips: list[str], count: int) -> list[list[int]]:
    return [share(names, clips, number, count) for number in range(1, count + 1)]


@given(
    clips=st.lists(st.sampled_from(["", "", "a", "b", "c", "d"]), max_size=40),
    count=st.integers(1, 7),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_each_picture_is_in_one_share_with_its_whole_clip(clips, count, order):
    names = [f"{number:02d}" for number in range(len(clips))]
    found = shares(names, clips, count)
    assert sorted(row for rows in found for row in rows) == list(range(len(names)))
    assert all(rows == sorted(rows) for rows in found)
    owners = {row: number for number, rows in enumerate(found) for row in rows}
    for clip in {*clips} - {""}:
        assert len({owners[row] for row, other in enumerate(clips) if other == clip}) == 1
    largest = max((clips.count(clip) for clip in {*clips} - {""}), default=1)
    sizes = [len(rows) for rows in found]
    assert max(sizes) - min(sizes) <= largest
    units = len({*clips} - {""}) + clips.count("")
    assert all(sizes) == (count <= units)
    # the order of the rows changes nothing
    shuffled = list(range(len(names)))
    order.shuffle(shuffled)
    again = shares([names[row] for row in shuffled], [clips[row] for row in shuffled], count)
    assert [sorted(shuffled[row] for row in rows) for rows in again] == found


def test_the_largest_clips_are_dealt_first():
    clips = ["b"] * 2 + ["", ""] + ["a"] * 4 + ["c"] * 3
    names = [str(number) for number in range(len(clips))]
    # a (4), c (3), b (2); then the two pictures of no clip go to the third and the second
    assert shares(names, clips, 3) == [[4, 5, 6, 7], [3, 8, 9, 10], [0, 1, 2]]


def test_so_many_shards_as_clips_and_no_more():
    names, clips = ["x", "y", "z", "single"], ["k", "k", "l", ""]
    require_enough(names, clips, Shard.of("3/3"))
    words = r"shard=1/4: 4 test images are scored, which are of 3 clips .*; there can be 3 shards at most\."
    with pytest.raises(ConfigError, match=words):
        require_enough(names, clips, Shard.of("1/4"))
    with pytest.raises(ConfigError, match=r"shard=2/3: 2 test images are scored; there can be 2 shards"):
        require_enough(["a", "b"], ["", ""], Shard(2, 3))


def opened(shard: Shard | None) -> SegmentationDataModule:
    source = SyntheticSource(seed=3, size=32, scenes={"train": 1, "val": 1, "test": 3})
    config = data_config(protocol="all")
    return SegmentationDataModule(source, 0, 1, [], config, NO_LIMIT, shard=shard)


def test_loaders_give_the_part_and_all_else_is_of_the_whole():
    whole = opened(None)
    seen: dict[str, list[str]] = {"val": [], "test": [], "all": []}
    for number in (1, 2):
        data = opened(Shard(number, 2))
        assert data.evaluated_rows() == whole.evaluated_rows()
        assert data.fingerprint() == whole.fingerprint()
        assert data.test_batch(0)["name"] == whole.test_batch(0)["name"]
        loaders = data.evaluation_dataloaders()
        # there is one validation picture
        assert ("val" in loaders) == (number == 1)
        for split, loader in loaders.items():
            names = [batch["name"][0] for batch in loader]
            assert len(names) == len(loader)
            seen[split] += names
    for split, loader in whole.evaluation_dataloaders().items():
        assert sorted(seen[split]) == sorted(batch["name"][0] for batch in loader)
    with pytest.raises(ConfigError, match="there can be 3 shards at most"):
        opened(Shard(1, 4))
