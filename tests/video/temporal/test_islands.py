"""keep=largest by hand: what belongs to a part, and which part it is along a clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kolbench.errors import ConfigError
from kolbench.video.temporal.islands import PATIENCE, KeepsAll, KeepsLargest, keeper_of, largest_part

FPS = 25


def rows(*lines):
    """Alphas in tenths, one character a pixel; `#` = 1, `.` = 0. Nobody may write into them."""
    values = {"#": 10, ".": 0, **{str(tenth): tenth for tenth in range(10)}}
    tenths = np.array([[values[character] for character in line] for line in lines], np.float32)
    alpha = tenths / np.float32(10)
    alpha.flags.writeable = False
    return alpha


def kept(*lines):
    return largest_part(rows(*lines))


def same(found, *lines):
    np.testing.assert_array_equal(found, rows(*lines))


def test_the_largest_part_by_hand():
    same(kept("##..###...#"), "....###....")
    # corners touch; of equals the first one
    same(kept("#...", ".#..", "...#"), "#...", ".#..", "....")
    same(kept("##..##"), "##....")
    # the part is counted from 0.5 on: three pixels of 1 and two of 0.4 are no five
    same(kept("4###4...####"), "........####")


def test_the_soft_edge_stays_with_its_part():
    same(kept("..1359##9531...##..."), "..1359##9531........")
    # soft pixels that hang together with nothing that is kept are islands, too
    same(kept("##42..31..#"), "##42.......")
    same(kept("###1...4.4"), "###1......")


def test_soft_pixels_between_two_parts_go_to_the_nearer_one():
    # three soft pixels between 4 and 3 of the parts: one for each, and the middle one, as near to both, stays
    same(kept("####111###"), "####11....")
    same(kept("####11###"), "####1....")
    # what lies behind the other part is not reached past it
    same(kept("####1###1"), "####1....")


def test_what_touches_through_clear_pixels_belongs_to_the_part():
    # a product behind blurred fingers: 0.3 joins it, 0.2 does not
    same(kept("####3##"), "####3##")
    same(kept("####2##"), "####2..")
    # also where it reaches 0.5 nowhere
    same(kept("####2244..#"), "####2244...")


def test_a_faint_haze_joins_nothing_and_the_tail_of_an_edge_stays():
    haze = np.full((1, 200), 0.04, np.float32)
    haze[0, 20:60] = 1
    haze[0, 100:110] = 1
    found = largest_part(haze)
    # r = ceil(0.008 x 200) = 2: the tail is two pixels wide
    expected = np.zeros_like(haze)
    expected[0, 18:62] = haze[0, 18:62]
    np.testing.assert_array_equal(found, expected)


def test_holes_stay_and_what_stands_in_them_goes():
    ring = ["#####", "#...#", "#.7.#", "#...#", "#####"]
    same(kept(*ring), "#####", "#...#", "#...#", "#...#", "#####")


@pytest.mark.parametrize("lines", [("....",), ("##42..",), ("4###4",)])
def test_nothing_to_drop_is_the_same_array(lines):
    alpha = rows(*lines)
    assert largest_part(alpha) is alpha
    assert KeepsAll().push(alpha, 0.0, False) is alpha


def test_without_a_sure_pixel_nothing_is_left():
    same(kept("44.3"), "....")


alphas = hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))).map(
    lambda levels: levels.astype(np.float32) / 255
)


@given(alphas)
def test_what_is_kept_is_unchanged_and_is_one_part(alpha):
    found = largest_part(alpha)
    assert (found.shape, found.dtype) == (alpha.shape, np.float32)
    assert set(np.unique(found[found != alpha])) <= {0.0}
    # twice is as good as once
    np.testing.assert_array_equal(largest_part(found), found)
    assert found.any() == (alpha >= 0.5).any()


def clip(keeper, *lines, cuts=(), fps=FPS):
    """The rows of a clip of one line each, as they come out."""
    found = [keeper.push(rows(line), number / fps, number in cuts) for number, line in enumerate(lines)]
    return ["".join("#" if v == 1 else "." for v in alpha[0]) for alpha in found]


def test_a_clip_stays_with_its_person_while_another_grows():
    found = clip(KeepsLargest(), "###...##", "###..###", "##..####", ".##.####")
    assert found == ["###.....", "###.....", "##......", ".##....."]


def test_a_cut_begins_anew():
    found = clip(KeepsLargest(), "###...##", "##..####", "##..####", cuts=(2,))
    assert found == ["###.....", "##......", "....####"]


def test_of_two_that_overlap_the_one_with_more_is_kept():
    # both came out of one part; three pixels against two
    assert clip(KeepsLargest(), "######..", "##.###..")[1] == "...###.."


def test_a_person_who_is_lost_is_waited_for():
    lost = ".....##."
    found = clip(KeepsLargest(), "###..##.", lost, lost, "###..##.")
    assert found == ["###.....", "........", "........", "###....."]
    # for a quarter of a second
    frames = round(PATIENCE * FPS) + 2
    found = clip(KeepsLargest(), "###..##.", *[lost] * frames)
    assert found[frames - 2] == "........"
    assert found[-1] == lost


def test_empty_frames_stay_empty_and_forget_nothing_at_once():
    found = clip(KeepsLargest(), "........", "##...###", "........", "##...###")
    assert found == ["........", ".....###", "........", ".....###"]


def test_frames_of_another_size_begin_anew():
    keeper = KeepsLargest()
    keeper.push(rows("##......"), 0.0, False)
    same(keeper.push(rows("##...###."), 0.04, False), ".....###.")


def test_keep_is_checked():
    assert isinstance(keeper_of("all"), KeepsAll)
    assert isinstance(keeper_of("largest"), KeepsLargest)
    with pytest.raises(ConfigError, match="keep=biggest is not a choice; it is one of all, largest"):
        keeper_of("biggest")
