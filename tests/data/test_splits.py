import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolbench.data.splits import Splits, assert_disjoint, describe, make_fold, make_splits, subset
from kolbench.errors import ConfigError, DataError
from tests.helpers.sources import NamesOnly


def videos(*sizes: int) -> NamesOnly:
    groups = [f"video{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return NamesOnly([f"{group}/{row}" for row, group in enumerate(groups)], list(groups))


def loose(count: int) -> NamesOnly:
    return NamesOnly([f"{row:05d}" for row in range(count)], [None] * count)


def named(splits: Splits, source: NamesOnly) -> dict[str, set[str]]:
    return {split: {source.names[row] for row in rows} for split, rows in splits}


@given(
    groups=st.lists(st.sampled_from([None, "a", "b", "c", "d", "e", "f", "g"]), min_size=3, max_size=60),
    policy=st.sampled_from(["auto", "group", "paper"]),
    seed=st.integers(0, 2**31),
    shuffle=st.randoms(use_true_random=False),
)
def test_splits_are_disjoint_complete_and_the_same_in_any_order(groups, policy, seed, shuffle):
    source = NamesOnly([f"p{row}" for row in range(len(groups))], groups)
    units = len({g for g in groups if g is not None}) + groups.count(None)
    known = any(group is not None for group in groups)
    if policy != "paper" and (units < 3 or (policy == "group" and not known)):
        with pytest.raises(DataError):
            make_splits(source, policy, seed)
        return
    made = make_splits(source, policy, seed)
    assert sorted([*made.train, *made.val, *made.test]) == list(range(len(groups)))
    assert all(rows for _, rows in made)
    assert_disjoint(made, source.names, source.groups, by_group=policy != "paper")
    order = list(range(len(groups)))
    shuffle.shuffle(order)
    other = NamesOnly([source.names[row] for row in order], [groups[row] for row in order])
    assert named(make_splits(other, policy, seed), other) == named(made, source)


def test_the_papers_videos_give_48_6_6_and_differ_by_seed():
    source = videos(*[20] * 60)
    made = make_splits(source, "auto", 0)
    assert [len(rows) for _, rows in made] == [960, 120, 120]
    assert describe(made, source, "auto") == (
        "960 train / 120 val / 120 test images, disjoint by group (48 / 6 / 6 groups)"
    )
    assert make_splits(source, "group", 0) == made
    assert make_splits(source, "auto", 1) != made


@given(sizes=st.lists(st.integers(1, 40), min_size=20, max_size=50), seed=st.integers(0, 1000))
def test_group_splits_balance_picture_counts(sizes, seed):
    made = make_splits(videos(*sizes), "group", seed)
    for (_, rows), fraction in zip(made, (0.8, 0.1, 0.1), strict=True):
        assert abs(len(rows) - fraction * sum(sizes)) <= max(sizes)


def test_fractions_are_kept():
    made = make_splits(loose(1000), "auto", 0, (0.5, 0.25, 0.25))
    assert [len(rows) for _, rows in made] == [500, 250, 250]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1200, [1000, 100, 100]), (1500, [1000, 100, 100]), (120, [100, 10, 10]), (3, [1, 1, 1])],
)
def test_the_papers_split_is_by_picture(count, expected):
    source = NamesOnly([f"{row}" for row in range(count)], ["one video"] * count)
    made = make_splits(source, "paper", 5)
    assert [len(rows) for _, rows in made] == expected
    assert_disjoint(made, source.names, source.groups, by_group=False)
    with pytest.raises(DataError, match="1 groups stand in two splits: one video in train and val"):
        assert_disjoint(made, source.names, source.groups, by_group=True)
    assert "may stand in several splits" in describe(made, source, "paper")


def test_files_win_under_auto_and_are_needed_under_files():
    source = videos(2, 2, 2)
    with pytest.raises(DataError, match=r"data.split=files: there are no split files"):
        make_splits(source, "files", 0)
    source.given_splits = {"train": [3, 2], "val": [0], "test": [5]}
    for policy in ("auto", "files"):
        assert make_splits(source, policy, 9) == Splits([2, 3], [0], [5])
    line = describe(Splits([2, 3], [0], [5]), source, "auto")
    assert line == "2 train / 1 val / 1 test images, disjoint by file list and by group (1 / 1 / 1 groups)"
    source.given_splits = {"train": [3, 2], "val": [0]}
    with pytest.raises(DataError, match=r"no test images: test\.txt"):
        make_splits(source, "auto", 0)


def test_what_cannot_be_split_says_what_to_do():
    with pytest.raises(DataError, match="no groups are known"):
        make_splits(loose(10), "group", 0)
    with pytest.raises(DataError, match=r"2 groups .*data\.split=paper"):
        make_splits(videos(20, 20), "auto", 0)
    with pytest.raises(DataError, match="2 images cannot be split"):
        make_splits(loose(2), "paper", 0)
    with pytest.raises(ConfigError, match=r"Did you mean data\.split=group"):
        make_splits(loose(10), "groups", 0)


def test_leaks_are_named():
    names = ["a", "b", "c", "d"]
    with pytest.raises(DataError, match="1 images stand in two splits: b in train and test"):
        assert_disjoint(Splits([0, 1], [2], [3, 1]), names, [None] * 4, by_group=False)
    groups = ["v", "w", "v", None]
    with pytest.raises(DataError, match=r"1 groups stand in two splits: v in train and val.*groups\.csv"):
        assert_disjoint(Splits([0, 1], [2], [3]), names, groups, by_group=True)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=5, max_size=20),
    folds=st.integers(3, 5),
    seed=st.integers(0, 1000),
)
def test_every_picture_is_tested_in_one_fold_and_no_video_stands_in_two(sizes, folds, seed):
    source = videos(*sizes)
    made = [make_fold(source, folds, fold, seed) for fold in range(folds)]
    assert sorted(row for splits in made for row in splits.test) == list(range(len(source.names)))
    for number, splits in enumerate(made):
        assert splits.val == made[(number + 1) % folds].test
        assert sorted([*splits.train, *splits.val, *splits.test]) == list(range(len(source.names)))
        assert_disjoint(splits, source.names, source.groups, by_group=True)


def test_pictures_without_videos_are_dealt_one_by_one():
    source = loose(50)
    made = make_fold(source, 5, 4, 0)
    assert [len(rows) for _, rows in made] == [30, 10, 10]
    assert describe(made, source, "auto", "fold 4 of 5") == (
        "30 train / 10 val / 10 test images, fold 4 of 5, disjoint by image (no groups known)"
    )
    with pytest.raises(DataError, match="there are only 4 groups"):
        make_fold(videos(3, 3, 3, 3), 5, 0, 0)


@given(
    groups=st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=6, max_size=40),
    draw=st.integers(0, 100),
)
def test_smaller_subsets_are_part_of_larger_ones_and_fill_up_video_after_video(groups, draw):
    source = NamesOnly([f"p{row}" for row in range(len(groups))], groups)
    rows = [row for row in range(len(groups)) if row % 6]
    before: set[int] = set()
    for count in range(1, len(rows) + 1):
        found = set(subset(source, rows, count, draw))
        assert len(found) == count
        assert before < found <= set(rows)
        begun = [
            g for g in {groups[r] for r in found} - {None} if {r for r in rows if groups[r] == g} - found
        ]
        assert len(begun) <= 1
        before = found


def test_draws_differ_and_too_many_are_refused():
    source = loose(30)
    assert subset(source, range(30), 10, 0) != subset(source, range(30), 10, 1)
    with pytest.raises(DataError, match="there are 30 training images"):
        subset(source, range(30), 31, 0)
