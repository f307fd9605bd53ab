"""How much of the ad was seen: hand-worked clips with irregular frames, and what is written of them."""

import csv
import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from kolbench.errors import ConfigError
from kolbench.video.compositing.filmstrip import Filmstrip, Still, on_display
from kolbench.video.compositing.visibility import COLUMNS, Row, VisibilityReport
from kolbench.video.compositing.visibility_plot import Headline, steps

MOMENTS = (0.0, 0.033, 0.067, 0.4, 0.433, 1.2)  # seconds of frames as phones record them
WIDTH = 8


def row_of(values):
    alpha = np.array([values], np.float32)
    alpha.flags.writeable = False
    return alpha


AD = row_of([1, 1, 1, 1, 0, 0, 0, 0])
NO_AD = row_of([0] * WIDTH)


def hides(quarters):
    """The KOL in front of so many quarters of AD."""
    return row_of([1] * quarters + [0] * (WIDTH - quarters))


def shown(shares, moments=MOMENTS, end=None, **options):
    """A report of frames of which AD shows the shares, in quarters; None = no ad."""
    report = VisibilityReport(**options)
    for share, moment in zip(shares, moments, strict=True):
        hidden = 0 if share is None else round(4 * (1 - share))
        report.push(NO_AD if share is None else AD, hides(hidden), moment)
    if end is not None:
        report.end(end)
    return report


def visible_share(ad_alpha, alpha):
    """Of a single frame."""
    report = VisibilityReport()
    report.push(ad_alpha, alpha, 0.0)
    return report.rows[0].share


def test_visible_share_by_hand():
    assert visible_share(AD, row_of([0, 0.5, 1, 0.25, 1, 1, 1, 1])) == (1 + 0.5 + 0 + 0.75) / 4
    # an ad of half opacity at its last pixel counts half there
    assert visible_share(row_of([1, 0.5]), row_of([0, 1])) == pytest.approx(2 / 3)
    assert visible_share(AD, hides(0)) == 1
    assert visible_share(AD, hides(4)) == 0
    assert visible_share(NO_AD, hides(2)) is None


@given(st.data())
def test_visible_share_is_a_share_and_falls_with_alpha(data):
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    unit = st.floats(0, 1, width=32)
    ad, low, high = (data.draw(hnp.arrays(np.float32, shape, elements=unit)) for _ in range(3))
    more, less = np.maximum(low, high), np.minimum(low, high)
    if ad.sum(dtype=np.float64) == 0:
        assert visible_share(ad, more) is None
    else:
        assert 0 <= visible_share(ad, more) <= visible_share(ad, less) <= 1


def test_durations_come_from_the_timestamps():
    shares = (1, 1, 1, 1, 1, 1)
    rows = shown(shares, end=1.5).rows
    assert [row.seconds for row in rows] == list(MOMENTS)
    assert [row.duration for row in rows] == pytest.approx([0.033, 0.034, 0.333, 0.033, 0.767, 0.3])
    assert [row.frame for row in rows] == [0, 1, 2, 3, 4, 5]
    # without an end the last frame stands as long as the one before it
    assert shown(shares).rows[-1].duration == pytest.approx(0.767)
    assert shown([1], [0.0]).rows[0].duration == 0
    assert shown([1], [0.0], end=0.04).rows[0].duration == 0.04


def test_summary_by_hand():
    # on display for 33, 34, 333, 33, 767 and 300 ms
    summary = shown((1, 0.75, 0.25, None, 0.5, 0), end=1.5).summary()
    assert summary["frames"] == 6
    assert summary["total_seconds"] == pytest.approx(1.5)
    assert summary["ad_seconds"] == pytest.approx(1.467)
    seen = 0.033 * 1 + 0.034 * 0.75 + 0.333 * 0.25 + 0.767 * 0.5
    assert summary["mean_share"] == pytest.approx(seen / 1.467, abs=1e-6)
    assert summary["mean_visible_area"] == pytest.approx(0.5 * seen / 1.5, abs=1e-6)
    assert summary["seconds_25"] == pytest.approx(0.033 + 0.034 + 0.333 + 0.767)
    assert summary["seconds_50"] == pytest.approx(0.033 + 0.034 + 0.767)
    assert summary["seconds_75"] == pytest.approx(0.033 + 0.034)
    assert (summary["longest_view"], summary["longest_view_start"]) == (pytest.approx(0.767), 0.433)


def test_longest_view_is_a_matter_of_time_not_of_frames():
    # three frames of 400 ms together, then one of 767 ms
    shares = (1, 1, 1, 0, 1, 0)
    summary = shown(shares, end=1.21).summary()
    assert (summary["longest_view"], summary["longest_view_start"]) == (pytest.approx(0.767), 0.433)
    # the first of equals, up to the clip's end
    summary = shown((1, 0, 1), (0, 1, 2), end=3).summary()
    assert (summary["longest_view"], summary["longest_view_start"]) == (1, 0)
    assert shown((0.5, 0.75, 1), (0, 1, 2), end=3, view=0.75).summary()["longest_view"] == 2
    assert shown((0.25, None), (0, 1), end=3).summary()["longest_view_start"] is None


def test_cuts_do_not_break_a_view():
    report = VisibilityReport()
    for moment in range(4):
        report.push(AD, hides(1), float(moment), cut=moment == 2)
    assert report.summary()["longest_view"] == 4
    assert [row.cut for row in report.rows] == [False, False, True, False]


def test_areas_by_hand():
    report = VisibilityReport()
    report.push(AD * 0.5, row_of([0.5, 1, 0, 0, 0, 0, 0, 0]), 0.0)
    (row,) = report.rows
    assert row.ad_area == 0.25
    assert row.visible_area == (0.25 + 0 + 0.5 + 0.5) / 8
    assert row.share == 0.625


def test_border_flicker_by_hand():
    # the border's radius is 1 px here; the KOL's edge is at 1|2, then at 2|3, then at 4|5, then nowhere
    alphas = [
        [1, 1, 0.25, 0, 0, 0, 0, 0],
        [1, 1, 1.00, 0, 0, 0, 0, 0],
        [1, 1, 1.00, 1, 1, 0, 0, 0],
        [1, 1, 1.00, 1, 1, 1, 1, 1],
    ]
    report = VisibilityReport()
    for alpha, moment in zip(alphas, (0, 0.5, 0.75, 1.75), strict=True):
        report.push(AD, row_of(alpha), moment)
    # pixels 1, 2, 3: 0.75 of one changed; then 2, 3 (and 4, 5 without ad): one changed; then none holds ad
    # near an edge but pixel 4, which has no ad
    changes = [row.border_change for row in report.rows]
    assert changes == [None, pytest.approx(0.25), pytest.approx(0.5), None]
    assert report.summary()["border_flicker"] == pytest.approx((0.25 + 0.5) / (0.5 + 0.25))


def test_border_flicker_leaves_cuts_out_and_is_none_without_pairs():
    report = VisibilityReport()
    assert report.summary()["border_flicker"] is None
    report.push(AD, hides(1), 0.0)
    report.push(AD, hides(2), 1.0, cut=True)
    assert report.summary()["border_flicker"] is None
    report.push(AD, hides(2), 2.0)
    assert report.summary()["border_flicker"] == 0
    # an ad that comes or goes is no flicker of the edge
    report.push(NO_AD, hides(2), 3.0)
    report.push(AD, hides(2), 4.0)
    assert [row.border_change for row in report.rows] == [None, None, 0, None, None]


def test_border_flicker_does_not_depend_on_the_frame_rate():
    def brightening_edge(moments):
        report = VisibilityReport()
        for seconds in moments:
            report.push(AD, row_of([1, 1, 0.6 + 0.2 * seconds, 0, 0, 0, 0, 0]), seconds)
        return report.summary()["border_flicker"]

    # one of the pixels 2 and 3 at the edge changes by 0.2 a second
    for moments in (np.arange(31) / 30, np.arange(121) / 120, MOMENTS):
        assert brightening_edge(moments) == pytest.approx(0.1, abs=1e-5)


def test_report_of_nothing():
    summary = VisibilityReport().summary()
    assert summary["frames"] == 0
    assert summary["mean_share"] is None
    assert summary["total_seconds"] == 0
    assert VisibilityReport().rows == []


@pytest.mark.parametrize("moments", [(0.0, 0.0), (1.0, 0.5)])
def test_time_goes_forward(moments):
    with pytest.raises(ValueError, match="cannot follow"):
        shown((1, 1), moments)
    with pytest.raises(ValueError, match="cannot end"):
        shown([1], [1.0], end=0.5)


@pytest.mark.parametrize("view", [-1, 1.5, math.nan, "half"])
def test_view_is_checked(view):
    with pytest.raises(ConfigError, match=r"view=.* is not a number from 0 to 1"):
        VisibilityReport(view)


# --- files


def test_files_hold_rows_summary_and_what_each_number_means(tmp_path):
    report = shown((1, 0.75, 0.25, None, 0.5, 0), end=1.5)
    written = report.write(tmp_path / "visibility")
    assert [path.name for path in written] == [f"visibility.{s}" for s in ("csv", "json", "png", "svg")]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    with written[0].open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == Row._fields == tuple(COLUMNS)
    for read, row in zip(rows, report.rows, strict=True):
        for name, value in row._asdict().items():
            expected = math.nan if value is None else float(value)
            assert float(read[name] or "nan") == pytest.approx(expected, abs=1e-6, nan_ok=True)
    content = json.loads(written[1].read_text(encoding="utf-8"))
    assert content["summary"] == report.summary()
    assert content["definitions"].keys() == content["summary"].keys()
    assert content["columns"] == COLUMNS
    assert (content["rows"], content["format"], content["view"]) == ("visibility.csv", 1, 0.5)


def test_prefix_names_the_files_and_old_ones_are_replaced(tmp_path):
    prefix = tmp_path / "new" / "clip.mp4"
    shown((1, 1), (0, 1)).write(prefix)
    written = shown((0, 0), (0, 1)).write(prefix)
    assert [path.name for path in written] == [f"clip.mp4.{s}" for s in ("csv", "json", "png", "svg")]
    assert json.loads(written[1].read_text(encoding="utf-8"))["summary"]["mean_share"] == 0
    assert len(list(prefix.parent.iterdir())) == 4


@pytest.mark.parametrize(("count", "drawn"), [(0, False), (1, False), (2, True), (3000, True)])
def test_plots_are_pictures_whatever_the_length(tmp_path, count, drawn):
    shares = [None if n % 7 == 3 else (n % 5) / 4 for n in range(count)]
    *_, png, svg = shown(shares, [n / 30 for n in range(count)]).write(tmp_path / "plot")
    with Image.open(png) as image:
        assert image.size == (1200, 423)
        ink = np.asarray(image.convert("RGB")).astype(int)
    # the line is blue; a single frame without an end takes no time
    assert ((ink[..., 2] - ink[..., 0]) > 80).any() == drawn
    assert ET.fromstring(svg.read_bytes()).tag.endswith("svg")
    assert svg.stat().st_size < 200_000
    assert "Visible share of the ad" in svg.read_text(encoding="utf-8")


def test_the_same_report_gives_the_same_files(tmp_path):
    first = shown((1, 0.5), (0, 1)).write(tmp_path / "a")
    second = shown((1, 0.5), (0, 1)).write(tmp_path / "b")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes().replace(b"a.csv", b"b.csv") == two.read_bytes()


def test_cuts_and_levels_are_drawn(tmp_path):
    report = VisibilityReport()
    for number in range(4):
        report.push(AD, hides(number), float(number), cut=number == 2)
    svg = report.write(tmp_path / "c")[3].read_text(encoding="utf-8")
    for label in ("25%", "50%", "75%", "cut", "seconds", "50% line", "50% or more is seen"):
        assert f">{label}<" in svg
    # 1, 3/4, 1/2 and 1/4, a second each
    assert "62% on average" in svg
    assert "Half of the ad or more can be seen for 3.0 of 4.0 s (75%)" in svg


def test_seconds_above_the_line_are_shaded(tmp_path):
    png = shown((1, 0), (0, 1), end=2).write(tmp_path / "c")[2]
    with Image.open(png) as image:
        ink = np.asarray(image.convert("RGB")).astype(int)
    green = (ink[..., 1] - ink[..., 0] > 25) & (ink[..., 1] > 200)
    columns = np.flatnonzero(green[120:300].sum(axis=0) > 100)
    # the first of two seconds, between 0.62 and 7.8 inches of 150 px
    middle = 150 * (0.62 + 7.8) / 2
    assert columns.min() < 100
    assert columns.max() == pytest.approx(middle, abs=4)


@pytest.mark.parametrize(
    ("headline", "title"),
    [
        (Headline(0.5, None, 0.0, 2.0), "The ad stands in no frame"),
        (Headline(0.5, 0.3, 0.0, 0.0), "Half of the ad or more can be seen for 0.0 of 0.0 s"),
        (Headline(0.75, 0.3, 0.51, 2.0), "75% of the ad or more can be seen for 0.5 of 2.0 s (26%)"),
    ],
)
def test_the_title_answers_in_plain_words(headline, title):
    assert headline.title == title


# --- frames above the curve


def strip_of(count, size=(30, 40)):
    strip = Filmstrip()
    for number in range(count):
        strip.push(np.full((*size, 3), number % 250, np.uint8), number / 25)
    return strip.stills


@pytest.mark.parametrize("count", [1, 7, 48, 49, 1000, 5000])
def test_a_strip_holds_few_frames_evenly_over_any_clip(count):
    stills = strip_of(count)
    assert min(count, 24) <= len(stills) <= 48
    times = [still.seconds for still in stills]
    assert times[0] == 0
    gaps = np.diff(times)
    assert gaps.size == 0 or gaps.max() == pytest.approx(gaps.min())
    # no part of the clip is left out
    assert count / 25 - times[-1] <= (gaps.max() if gaps.size else 0.04) + 1e-9


def test_stills_are_small_and_keep_their_aspect():
    assert strip_of(1, (1080, 1920))[0].image.shape == (135, 240, 3)
    assert strip_of(1, (1920, 1080))[0].image.shape == (240, 135, 3)


def test_the_frame_on_display_is_the_last_that_began():
    stills = [Still(0.2, np.zeros((1, 1, 3), np.uint8)), Still(1.0, np.ones((1, 1, 3), np.uint8))]
    assert [still.seconds for still in on_display(stills, [0.0, 0.2, 0.99, 1.0, 9.0])] == [
        0.2,
        0.2,
        0.2,
        1,
        1,
    ]


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (100, 100), (40, 160), (400, 20)])
def test_frames_stand_above_the_curve_whole_and_at_their_time(tmp_path, size):
    half = 10
    stills = [
        Still(n / 25, np.full((*size, 3), (250, 0, 0) if n < half else (0, 0, 250), np.uint8))
        for n in range(20)
    ]
    report = shown([1] * 20, [n / 25 for n in range(20)], end=0.8)
    with Image.open(report.write(tmp_path / "c", stills)[2]) as image:
        ink = np.asarray(image.convert("RGB")).astype(int)
    red = (np.abs(ink - (250, 0, 0)).max(axis=2) < 6).any(axis=0)
    blue = (np.abs(ink - (0, 0, 250)).max(axis=2) < 6).any(axis=0)
    # the first half of the time on the left, the other on the right
    middle = 150 * (0.62 + 7.8) / 2
    assert red.any()
    assert np.flatnonzero(red).max() < middle + 150
    assert np.flatnonzero(blue).min() > middle - 150
    assert ink.shape[0] > 423
    assert (ink[:, :4] == 255).all()
    assert (ink[:, -4:] == 255).all()


@given(st.integers(1001, 1400), st.integers(0, 5))
def test_long_clips_are_averaged_over_time(count, seed):
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.uniform(0.01, 0.1, count))
    ends = [*starts[1:], starts[-1] + 0.05]
    shares = [None if rng.random() < 0.1 else float(rng.random()) for _ in range(count)]
    rows = [
        Row(n, start, end - start, share, 1.0, 1.0, None, False)
        for n, (start, end, share) in enumerate(zip(starts, ends, shares, strict=True))
    ]
    edges, means = steps(rows)
    assert (len(edges), len(means)) == (1001, 1000)
    for part in (0, 17, 500, 999):
        low, high = edges[part], edges[part + 1]
        some = [
            (share, min(end, high) - max(start, low))
            for start, end, share in zip(starts, ends, shares, strict=True)
            if share is not None and min(end, high) - max(start, low) > 1e-9
        ]
        if some:
            assert means[part] == pytest.approx(
                np.average([s for s, _ in some], weights=[w for _, w in some]), abs=1e-5
            )
        else:
            assert np.isnan(means[part])
