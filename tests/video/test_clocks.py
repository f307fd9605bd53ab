from fractions import Fraction
from types import SimpleNamespace

import pytest

from kolbench.video.clocks import ClockSurvey, Correction, mended

VIDEO, SOUND = 0, 1
MS = Fraction(1, 1000)


def packets(times, index=VIDEO, duration=40):
    """Packets of one stream at these milliseconds."""
    return [
        SimpleNamespace(stream_index=index, time_base=MS, dts=t, pts=t, duration=duration, size=1)
        for t in times
    ]


def survey(file, jumps_ahead=False):
    found = ClockSurvey(jumps_ahead)
    for packet in file:
        found.add(packet)
    return found.result()


def times(file, mending, index=VIDEO):
    return [packet.pts for packet in mended(file, mending) if packet.stream_index == index]


@pytest.mark.parametrize(
    "given",
    [
        [0, 40, 80, 120],
        # jitter, and the same time twice
        [0, 40, 35, 120],
        [0, 40, 40, 120],
        # a slide show, up to its last picture
        [0, 60_000, 60_040],
        [0, 40, 60_000],
    ],
)
def test_nothing_is_mended_of_one_clock(given):
    assert survey(packets(given)).corrections == {}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        # the clock starts anew, also with a last packet alone
        ([1000, 1040, 1080, 0, 40, 80], [1000, 1040, 1080, 1120, 1160, 1200]),
        ([1000, 1040, 1080, 0], [1000, 1040, 1080, 1120]),
        # twice
        ([500, 540, 0, 40, 10, 50, 0, 40], [500, 540, 580, 620, 590, 630, 580, 620]),
        ([500, 540, 0, 40, 900, 0, 40], [500, 540, 580, 620, 1480, 1520, 1560]),
        # one packet out of line
        ([200, 240, 280, 7, 360, 400], [200, 240, 280, 320, 360, 400]),
        ([1000, 1040, 1080, 7, 1160, 1200], [1000, 1040, 1080, 1120, 1160, 1200]),
        ([0, 40, 90_000, 120, 160], [0, 40, 80, 120, 160]),
    ],
)
def test_parts_follow_each_other(given, wanted):
    file = packets(given)
    assert times(file, survey(file)) == wanted


def test_steps_ahead_are_joints_only_where_the_clock_may_jump():
    file = packets([0, 40, 90_000, 90_040])
    assert survey(file).corrections == {}
    mending = survey(file, jumps_ahead=True)
    assert mending.corrections == {VIDEO: (Correction(2, Fraction(-89_920, 1000)),)}
    assert mending.joints == {VIDEO: frozenset({2})}
    assert mending.restarts == (Fraction(80, 1000),)


def test_streams_of_a_part_stay_in_step_and_none_begins_before_the_last_part_has_ended():
    # sound of the first part is longer by 30 ms, and its last packet comes after the second part's picture
    file = [
        *packets([1000, 1040]),
        *packets([1000, 1055], SOUND, 55),
        *packets([500]),
        *packets([510, 565], SOUND, 55),
        *packets([540]),
    ]
    mending = survey(file)
    assert times([*file], mending) == [1000, 1040, 1100, 1140]
    file = [*packets([1000, 1055], SOUND, 55), *packets([510, 565], SOUND, 55)]
    assert times(file, mending, SOUND) == [1000, 1055, 1110, 1165]


def test_a_stream_whose_clock_jumps_alone_does_not_lead_the_others_astray():
    # the sound steps back by three seconds; later both clocks start anew
    file = [
        *packets([5000, 5040]),
        *packets([5000, 5040, 2000, 2040], SOUND),
        *packets([5080, 5120]),
        *packets([2080, 2120], SOUND),
        *packets([30_000 - 29_000, 1040]),
        *packets([1000, 1040], SOUND),
    ]
    mending = survey(file)
    assert times([p for p in file if p.stream_index == SOUND], mending, SOUND) == [
        5000, 5040, 5080, 5120, 5160, 5200, 5240, 5280,
    ]  # fmt: skip
