"""The learning curve's numbers and sentence by hand-worked values; its drawing says what it shows."""

import math
import re

import pytest

from kolbench.report import learning_curve
from kolbench.report.intervals import Interval
from kolbench.report.learning_curve import SizeResult, StartResult, advice

NONE = (math.nan, math.nan)


def sizes(scores, band=None):
    """Results by {pictures: scores of the seeds}."""
    return [
        SizeResult(number, tuple(each), Interval(mean, *((mean - band, mean + band) if band else NONE)))
        for number, each in scores.items()
        for mean in [sum(each) / len(each)]
    ]


def test_what_a_doubling_buys():
    # 0.5 at 4 pictures, 0.1 more at 8 and at 16
    intercept, slope = learning_curve.log_fit([4, 8, 16], [0.5, 0.6, 0.7])
    assert (intercept, slope) == pytest.approx((0.3, 0.1))
    # by least squares: the middle one is off, the slope is not
    assert learning_curve.log_fit([4, 8, 16], [0.5, 0.9, 0.7])[1] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="needs two numbers"):
        learning_curve.log_fit([8, 8], [0.1, 0.2])


@pytest.mark.parametrize(("number", "fitted"), [(2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (9, 4)])
def test_the_larger_half_is_fitted(number, fitted):
    results = sizes({2**power: [0.5] for power in range(1, number + 1)})
    assert learning_curve.tail(results) == results[-fitted:]


def test_still_rising():
    # 50 to 100: one doubling buys 2 points; 100 to 200, where the next 100 lead, is one more
    told = advice(sizes({25: [0.5], 50: [0.80, 0.81], 100: [0.82, 0.83]}))
    assert told == (
        "100 more images would buy about 2.0 points of mIoU (from 100 to 200); still rising: doubling to "
        "200 would buy about 2.0 points."
    )


def test_less_than_seeds_differ_by():
    # the doubling buys 0.4 points, and the seeds lie 0.6 apart; 200 to 300 is 0.585 of a doubling
    told = advice(sizes({50: [0.5, 0.5], 100: [0.896, 0.896], 200: [0.897, 0.903]}))
    assert told == (
        "100 more images would buy about 0.2 points of mIoU (from 200 to 300); doubling to 400 would "
        "buy about 0.4 points, less than seeds differ by (0.6 points), so more seeds must tell."
    )


def test_past_the_knee():
    told = advice(sizes({50: [0.5], 100: [0.9], 200: [0.9]}))
    assert told == (
        "100 more images would buy less than 0.1 points of mIoU (from 200 to 300); you are past the knee: "
        "doubling buys less than 0.1 points."
    )
    # whatever seeds differ by
    assert "you are past the knee" in advice(sizes({50: [0.5, 0.5], 100: [0.9, 0.9], 200: [0.89, 0.911]}))
    # 0.2 points of a doubling are more than 0.1
    assert "still rising" in advice(sizes({50: [0.5], 100: [0.9], 200: [0.902]}))


def test_nothing_can_be_told():
    few = advice(sizes({50: [0.5], 100: [0.9]}))
    assert few == "Nothing can be told about more images: that takes at least 3 sizes."
    assert advice([]) == few
    assert advice(sizes({50: [0.9], 100: [0.9], 200: [0.895]})) == (
        "Nothing can be told about more images: over the last 2 sizes mIoU falls, by about 0.5 points with "
        "each doubling."
    )


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Interval(0.052, 0.031, 0.073), "gained 5.2 points over its start, x (95 % interval +3.1 to +7.3)."),
        (
            Interval(-0.01, -0.03, 0.02),
            "lost 1.0 points against its start, x (95 % interval -3.0 to +2.0), which may be chance.",
        ),
        (Interval(0.05, *NONE), "gained 5.0 points over its start, x (too few groups for an interval)."),
    ],
)
def test_what_training_gained(gain, said):
    told = advice(sizes({50: [0.5], 100: [0.9]}), StartResult("x", 0.8, gain))
    assert told.endswith(f" Training on 100 images {said}")


@pytest.mark.parametrize(
    ("pictures", "shown"),
    [
        ([20, 50, 100, 200, 593], [20, 50, 100, 200, 593]),
        ([20, 50, 100, 500, 550, 593], [20, 50, 100, 593]),
        ([4], [4]),
    ],
)
def test_numbers_at_the_axis_have_room(pictures, shown):
    assert learning_curve.labelled(pictures) == shown


def test_the_drawing_says_what_it_shows():
    results = sizes({20: [0.86, 0.87], 50: [0.88, 0.89], 593: [0.92, 0.93]}, band=0.02)
    start = StartResult("official", 0.845, Interval(0.08, 0.06, 0.1))
    figure = learning_curve.draw(results, start, "modnet over pictures", ["Of 100 test pictures."])
    texts = (
        *("modnet over pictures", "training images (logarithmic axis)", "test mIoU (%)"),
        *("start 84.5", "mean 92.5", "95 % interval of the mean"),
        *(">20<", ">50<", ">593<", "100 more images would buy", "Of 100 test pictures."),
    )
    assert [text for text in texts if text not in figure.svg] == []
    assert figure.png.startswith(b"\x89PNG")
    assert figure.caption == f"{advice(results, start)} Of 100 test pictures."
    assert learning_curve.draw(results, start, "modnet over pictures", ["Of 100 test pictures."]) == figure


def test_a_drawing_without_a_band_says_why():
    figure = learning_curve.draw(sizes({20: [0.86], 50: [0.88]}), None, "x")
    assert "No band: too few groups for an interval." in figure.svg
    assert "interval of the mean" not in figure.svg
    assert "mean" not in re.sub("<[^>]*>", "", figure.svg)
