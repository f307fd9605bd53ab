"""Smoothing over time, cuts and flicker: hand-worked values, independent loops, and real clips."""

import itertools
import math
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kolbench.config import compose
from kolbench.errors import ConfigError
from kolbench.io import masks
from kolbench.video.temporal.cuts import THRESHOLD, CutDetector, Shots, difference, glance
from kolbench.video.temporal.flicker import FlickerMeter, border_radius, near_edge
from kolbench.video.temporal.smooth import Hysteresis, MovingAverage, OneFrameDelay, Stabiliser, Unsmoothed
from tests.helpers.clips import two_views
from tests.helpers.paths import ON_FOOT

FPS = 25
SMOOTHERS = {"none": Unsmoothed, "ofd": OneFrameDelay, "ema": MovingAverage, "hysteresis": Hysteresis}


def frame(*values):
    """One row of alpha that nobody may write into."""
    alpha = np.array([values], np.float32)
    alpha.flags.writeable = False
    return alpha


def smoothed(smoother, alphas, fps=FPS):
    final = []
    for number, alpha in enumerate(alphas):
        final += smoother.push(alpha, number / fps)
    return final + smoother.flush()


def levels(frames):
    """`frames` alphas of 2 x 3 pixels, at 8-bit levels."""
    return hnp.arrays(np.uint8, (frames, 2, 3)).map(lambda a: a.astype(np.float32) / 255)


clips = st.integers(0, 7).flatmap(levels)


# --- one-frame delay


@pytest.mark.parametrize(
    ("before", "middle", "after", "expected"),
    [
        (0.5, 0.875, 0.5625, 0.53125),  # one frame stands out
        (0.5, 0.125, 0.5625, 0.53125),  # also downwards
        (0.5, 0.875, 0.75, 0.875),  # a step: the neighbours disagree
        (0.5, 0.6875, 0.625, 0.6875),  # near to the later neighbour
        (0.5, 0.25, 0.375, 0.25),  # differs from the later one by exactly C: not more than C
        (0.5, 1.0, 0.625, 0.5625),  # the neighbours differ by exactly C: they agree
        (0.5, 1.0, 0.640625, 1.0),
        (0.0, 1.0, 0.0, 0.0),
        (1.0, 0.0, 1.0, 1.0),
    ],
)
def test_one_frame_delay_by_hand(before, middle, after, expected):
    first, second, third = smoothed(OneFrameDelay(tolerance=0.125), map(frame, (before, middle, after)))
    assert (first.item(), second.item(), third.item()) == (before, expected, after)


def test_one_frame_delay_reads_raw_neighbours():
    final = smoothed(OneFrameDelay(), [frame(v) for v in (0, 1, 0, 1, 0)])
    assert [alpha.item() for alpha in final] == [0, 0, 1, 0, 0]


def test_one_frame_delay_is_one_frame_late_and_as_new_after_a_flush():
    smoother = OneFrameDelay()
    for _ in range(2):
        arrived = [len(smoother.push(frame(n / 10), n / FPS)) for n in range(4)]
        assert arrived == [1, 0, 1, 1]
        assert [alpha.item() for alpha in smoother.flush()] == [np.float32(0.3)]
        assert smoother.flush() == []


@given(clips, st.floats(0, 1))
def test_one_frame_delay_equals_a_loop_over_pixels(alphas, tolerance):
    tolerance = np.float32(tolerance)
    expected = alphas.copy()
    for t in range(1, len(alphas) - 1):
        for y, x in np.ndindex(2, 3):
            a, b, c = (alphas[t + step, y, x] for step in (-1, 0, 1))
            if abs(a - c) <= tolerance and abs(b - a) > tolerance and abs(b - c) > tolerance:
                expected[t, y, x] = (a + c) / 2
    final = smoothed(OneFrameDelay(float(tolerance)), alphas)
    assert np.array_equal(np.array(final).reshape(expected.shape), expected)


# --- moving average


def test_moving_average_by_hand():
    # with 0.1 s between frames and a time constant of 0.1 s the weight is 1 - 1/e
    final = smoothed(MovingAverage(0.1), [frame(v) for v in (0, 1, 1, 0.5)], fps=10)
    left = math.exp(-1)
    second, third = 1 - left, 1 - left**2
    expected = [0, second, third, 0.5 + (third - 0.5) * left]
    assert np.allclose([alpha.item() for alpha in final], expected, atol=1e-6)


def test_moving_average_does_not_depend_on_the_frame_rate():
    # the same step, seen at 10, 30 and irregular frames a second, has gone as far 0.6 s later
    times = [n / 10 for n in range(1, 7)], [n / 30 for n in range(1, 19)], [0.033, 0.067, 0.4, 0.433, 0.6]
    ends = []
    for seconds in times:
        smoother = MovingAverage(0.25)
        smoother.push(frame(0), 0.0)
        ends.append([smoother.push(frame(1), moment) for moment in seconds][-1][0].item())
    assert np.allclose(ends, 1 - math.exp(-0.6 / 0.25), atol=1e-6)


def test_moving_average_holds_where_no_time_passes_and_starts_anew_after_a_flush():
    smoother = MovingAverage(0.1)
    assert smoother.push(frame(0.25), 1.0)[0].item() == 0.25
    assert smoother.push(frame(1.0), 1.0)[0].item() == 0.25
    assert smoother.flush() == []
    assert smoother.push(frame(1.0), 0.5)[0].item() == 1.0


# --- hysteresis


def test_hysteresis_by_hand():
    low, high = 127 / 255, 128 / 255
    values = [0.5, 0.45, 0.3, 0.25, 0.49, 0.6, 0.74, 0.75, 0.51, 0.26, 0.2]
    #         fg   kept  kept bg    soft  kept kept  fg    soft  kept  bg
    expected = [0.5, high, high, 0.25, 0.49, low, low, 0.75, 0.51, high, 0.2]
    final = smoothed(Hysteresis(low=0.25, high=0.75), [frame(v) for v in values])
    assert np.array_equal(np.concatenate(final).ravel(), np.array(expected, np.float32))


@given(clips)
def test_hysteresis_alters_only_what_is_on_the_wrong_side(alphas):
    side = None
    for alpha, (final,) in zip(alphas, pushed_one_by_one(Hysteresis(0.2, 0.8), alphas), strict=True):
        side = (
            alpha >= 0.5
            if side is None
            else np.where(alpha >= 0.8, True, np.where(alpha <= 0.2, False, side))
        )
        assert np.array_equal(final >= 0.5, side)
        # also as it is saved in 8 bits
        assert np.array_equal(np.rint(255 * final) >= 128, side)
        stays = (alpha >= 0.5) == side
        assert np.array_equal(final[stays], alpha[stays])
        assert set(np.rint(255 * final[~stays])) <= {127, 128}


def pushed_one_by_one(smoother, alphas):
    return [smoother.push(alpha, number / FPS) for number, alpha in enumerate(alphas)]


# --- all of them


@pytest.mark.parametrize("name", SMOOTHERS)
@settings(max_examples=50)
@given(
    clip=st.integers(0, 7).flatmap(
        lambda n: hnp.arrays(np.float32, (n, 2, 3), elements=st.floats(0, 1, width=32))
    )
)
def test_alphas_stay_alphas_and_inputs_untouched(name, clip):
    clip.flags.writeable = False
    kept = clip.copy()
    final = smoothed(SMOOTHERS[name](), clip)
    assert len(final) == len(clip)
    assert np.array_equal(clip, kept)
    for alpha in final:
        assert alpha.dtype == np.float32
        assert alpha.shape == (2, 3)
        assert alpha.min() >= 0
        assert alpha.max() <= 1


@pytest.mark.parametrize("name", SMOOTHERS)
@given(value=st.floats(0, 1, width=32), count=st.integers(1, 5))
def test_what_does_not_change_is_not_changed(name, value, count):
    assert [alpha.item() for alpha in smoothed(SMOOTHERS[name](), [frame(value)] * count)] == [value] * count


def test_each_choice_of_the_command_line_is_one_of_them_with_its_own_defaults():
    folder = compose.conf_dir() / "smooth"
    assert {path.stem for path in folder.glob("*.yaml")} == SMOOTHERS.keys()
    for name, kind in SMOOTHERS.items():
        options = dict(compose.load_yaml(folder / f"{name}.yaml"))
        assert options.pop("name") == name
        built = compose.instantiate(options)
        assert type(built) is kind
        assert vars(built) == vars(kind())


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("ofd", {"tolerance": 2}, r"smooth\.tolerance=2 is not a number from 0 to 1"),
        ("ofd", {"tolerance": math.nan}, r"smooth\.tolerance=nan is not a number"),
        ("ofd", {"tolerance": True}, r"smooth\.tolerance=True is not a number"),
        ("ema", {"time_constant": 0}, r"smooth\.time_constant=.*from 0\.001 to 10"),
        ("ema", {"time_constant": "long"}, r"smooth\.time_constant=.*from 0\.001 to 10"),
        ("hysteresis", {"low": 0.6}, r"smooth\.low=0\.6 .*from 0 to 0\.5"),
        ("hysteresis", {"low": 0.5}, r"smooth\.low=0\.5 must lie below 0\.5"),
        ("hysteresis", {"high": 0.4}, r"smooth\.high=0\.4 .*from 0\.5 to 1"),
    ],
)
def test_wrong_options_are_named(name, options, told):
    with pytest.raises(ConfigError, match=told):
        SMOOTHERS[name](**options)


# --- shots


SCENES = two_views()
# a frame: its scene, whether the time jumps back before it, and one alpha of 2 x 3 pixels
shots = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([False] * 5 + [True]), st.integers(0, 255)), max_size=12
)


def split_into_shots(frames):
    found = []
    for position, (scene, seek, _) in enumerate(frames):
        if position == 0 or seek or scene != frames[position - 1][0]:
            found.append([])
        found[-1].append(position)
    return found


@given(st.sampled_from(list(SMOOTHERS)), shots)
def test_every_shot_is_smoothed_by_itself_and_nothing_is_lost(name, frames):
    alphas = [frame(level / 255, 1 - level / 255) for _, _, level in frames]
    seconds = list(itertools.accumulate((-0.5 if seek else 1 / FPS for _, seek, _ in frames), initial=0.0))[
        1:
    ]
    stabiliser, shots_of_clip = Stabiliser(SMOOTHERS[name]()), Shots()
    final = []
    for (scene, _, _), alpha, moment in zip(frames, alphas, seconds, strict=True):
        is_cut = shots_of_clip.is_cut(SCENES[scene], moment)
        final += stabiliser.push(alpha, moment, is_cut)
    final += stabiliser.flush()

    expected, before, after = [], FlickerMeter(), FlickerMeter()
    for shot in split_into_shots(frames):
        smoother = SMOOTHERS[name]()
        done = [a for n in shot for a in smoother.push(alphas[n], seconds[n])] + smoother.flush()
        for meter, of_shot in ((before, [alphas[n] for n in shot]), (after, done)):
            meter.cut()
            for alpha in of_shot:
                meter.push(alpha)
        expected += done
    assert len(final) == len(frames)
    assert all(np.array_equal(a, b) for a, b in zip(final, expected, strict=True))
    assert shots_of_clip.cuts == [seconds[shot[0]] for shot in split_into_shots(frames)[1:]]
    assert (stabiliser.before.result(), stabiliser.after.result()) == (before.result(), after.result())


def test_at_a_cut_the_held_alpha_comes_out_unchanged_and_first():
    stabiliser = Stabiliser(OneFrameDelay())
    assert [a.item() for a in stabiliser.push(frame(0.0), 0.0, False)] == [0.0]
    assert stabiliser.push(frame(1.0), 0.04, False) == []
    assert [a.item() for a in stabiliser.push(frame(0.0), 0.08, True)] == [1.0, 0.0]
    # without the cut the 1 would have been taken for an outlier
    joined = Stabiliser(OneFrameDelay())
    final = [a.item() for n, v in enumerate([0, 1, 0]) for a in joined.push(frame(v), n, False)]
    assert [*final, *(a.item() for a in joined.flush())] == [0, 0, 0]


# --- cuts


def test_difference_by_hand():
    halves = np.zeros((40, 64, 3), np.uint8)
    halves[:, 32:] = 255
    # other colours, and light where it was dark: all has changed
    other = np.full_like(halves, 160)
    other[:, 32:] = 80
    assert difference(glance(halves), glance(other)) == pytest.approx(1, abs=1e-9)
    assert difference(glance(halves), glance(halves)) == pytest.approx(0, abs=1e-3)
    # the mirrored picture has the same colours, the darker one the same layout
    assert difference(glance(halves), glance(halves[:, ::-1])) == 0
    assert difference(glance(halves), glance(halves // 2)) < 0.1
    # frames of another size belong to another clip
    assert difference(glance(halves), glance(halves[:20])) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 5), (65, 49), (720, 1280)])
def test_any_size_can_be_glanced_at(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    seen = glance(image)
    assert seen.size == shape
    assert all(histogram.sum() == pytest.approx(1) for histogram in seen.histograms)
    assert max(seen.layout.shape) <= 64
    assert difference(seen, seen) < 1e-3


def test_detector_starts_anew():
    one, two = SCENES
    detector = CutDetector()
    assert [detector.is_cut(image) for image in (one, one, two, two, one)] == [
        False,
        False,
        True,
        False,
        True,
    ]
    detector.reset()
    assert not detector.is_cut(two)
    never = CutDetector(threshold=1)
    assert not any(never.is_cut(image) for image in (one, two, one[:20]))


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, "much", True])
def test_threshold_is_checked(threshold):
    with pytest.raises(ConfigError, match=r"cuts=.* is not a number from 0 to 1"):
        CutDetector(threshold)


@pytest.fixture(scope="module")
def real_clips(shared):
    folders = [shared / "data" / "davis_person" / name for name in ON_FOOT]
    # every frame of half the size; glances are taken of the same area averages
    return {
        folder.name: [small(path) for path in sorted((folder / "images").iterdir())] for folder in folders
    }


def small(path):
    return np.asarray(cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2), cv2.COLOR_BGR2RGB))


def grey(image):
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


@pytest.mark.slow
@pytest.mark.parametrize("look", [np.asarray, grey], ids=["colour", "grey"])
def test_no_false_cut_in_real_clips_and_every_join_found(real_clips, look):
    glances = {name: [glance(look(image)) for image in clip] for name, clip in real_clips.items()}
    within = max(difference(a, b) for clip in glances.values() for a, b in itertools.pairwise(clip))
    assert within < THRESHOLD / 4
    # also at a quarter of the frame rate
    assert max(difference(a, b) for c in glances.values() for a, b in zip(c, c[4:], strict=False)) < THRESHOLD
    pairs = itertools.combinations(glances.values(), 2)
    joins = min(difference(a, b) for one, two in pairs for a in one[::4] for b in two[::4])
    assert joins > (1.7 * THRESHOLD if look is not grey else THRESHOLD)


def greatest(images):
    return max(difference(a, b) for a, b in itertools.pairwise(map(glance, images)))


def test_gradual_changes_are_no_cuts(real_clips):
    pictures = [clip[0] for clip in real_clips.values()]
    for one, two in itertools.pairwise(pictures):
        dissolve = [cv2.addWeighted(one, 1 - n / 6, two, n / 6, 0) for n in range(7)]
        assert greatest(dissolve) < THRESHOLD
        assert difference(glance(one), glance(two)) > THRESHOLD
    for image in pictures:
        fade = [np.rint(image * (1 - n / 25)).astype(np.uint8) for n in range(26)]
        assert greatest(fade) < THRESHOLD
        assert greatest(fade[::-1]) < THRESHOLD


def test_pans_and_changes_of_light_are_no_cuts_but_a_blinding_flash_is_two(real_clips):
    for clip in real_clips.values():
        for image in clip[::20]:
            width = image.shape[1]
            step, view = width // 14, width - 4 * (width // 14)
            assert step >= 0.09 * view
            pan = [image[:, n * step : n * step + view] for n in range(5)]
            assert greatest(pan) < THRESHOLD
            brighter = np.clip(image * (4 / 3), 0, 255).astype(np.uint8)
            assert greatest([image, brighter, image]) < THRESHOLD
            assert greatest([image, image // 2, image]) < THRESHOLD
            detector = CutDetector()
            flash = [image, image, np.full_like(image, 255), image, image]
            assert [detector.is_cut(f) for f in flash] == [False, False, True, True, False]


# --- flicker


def test_flicker_by_hand():
    meter = FlickerMeter()
    # 1 x 8 pixels: diagonal 8.06, so the border's radius is 1
    assert border_radius(1, 8) == 1
    meter.push(frame(0, 0, 0, 1, 1, 1, 1, 1))
    assert meter.result() == (0, None, None, None)
    meter.push(frame(0, 0, 0.5, 1, 1, 1, 1, 0.75))
    mad, iou, border = meter.result()[1:]
    assert mad == pytest.approx(0.75 / 8)
    assert iou == pytest.approx(1 - 5 / 6)
    # edges at 2|3 then at 1|2: pixels 1, 2 and 3
    assert border == pytest.approx(0.5 / 3)
    meter.cut()
    meter.push(frame(0, 0, 0, 0, 0, 0, 0, 0))
    assert meter.result().pairs == 1
    # both empty: the same foreground, and no border in either
    meter.push(frame(0.25, 0, 0, 0, 0, 0, 0, 0))
    assert meter.result() == (2, pytest.approx((0.75 / 8 + 0.25 / 8) / 2), pytest.approx(1 / 12), border)


def test_border_radius_is_that_of_the_contour_score():
    assert [border_radius(*size) for size in ((480, 854), (120, 160), (1080, 1920))] == [8, 2, 18]


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 7), st.integers(1, 7))), st.integers(1, 3))
def test_near_edge_equals_a_loop_over_pixels(foreground, radius):
    expected = np.zeros_like(foreground)
    for y, x in np.ndindex(foreground.shape):
        around = foreground[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        expected[y, x] = around.any() and not around.all()
    assert np.array_equal(near_edge(foreground, radius), expected)


@given(st.integers(0, 6).flatmap(levels))
def test_flicker_equals_means_over_pairs(alphas):
    meter = FlickerMeter()
    mads, ious = [], []
    for before, now in itertools.pairwise(alphas):
        mads.append(np.abs(now.astype(float) - before).mean())
        union = ((now >= 0.5) | (before >= 0.5)).sum()
        ious.append(1 - ((now >= 0.5) & (before >= 0.5)).sum() / union if union else 0)
    for alpha in alphas:
        meter.push(alpha)
    result = meter.result()
    assert result.pairs == len(mads)
    if mads:
        assert result.flicker_mad == pytest.approx(np.mean(mads), abs=1e-6)
        assert result.flicker_iou == pytest.approx(np.mean(ious))
    else:
        assert result[1:] == (None, None, None)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_memory_does_not_grow_with_the_clip(name):
    rng = np.random.default_rng(0)
    stabiliser = Stabiliser(SMOOTHERS[name]())
    sizes = []
    for number in range(200):
        stabiliser.push(rng.random((48, 64), np.float32), number / FPS, False)
        sizes.append(len(pickle.dumps(stabiliser)))
    # numbers take a few bytes more as they get larger
    assert max(sizes[100:]) - max(sizes[4:20]) < 100


def flickering(truth, seed):
    """Alphas of the true masks with what networks do: noisy edges, and holes and blobs for one frame."""
    rng = np.random.default_rng(seed)
    for mask in truth:
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 4)
        waves = cv2.resize(rng.normal(0, 1, (16, 28)).astype(np.float32), mask.shape[::-1])
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1) + 2 * waves * soft * (1 - soft)
        inside = np.argwhere(mask)
        for fill, (y, x) in ((0.0, rng.choice(inside)), (1.0, rng.integers((0, 0), mask.shape))):
            if rng.random() < 0.5:
                cv2.circle(alpha, (int(x), int(y)), int(rng.integers(5, 15)), fill, -1)
        yield np.clip(alpha, 0, 1)


def foreground_iou(alphas, truth):
    pairs = [(alpha >= 0.5, mask > 0) for alpha, mask in zip(alphas, truth, strict=True)]
    return np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs])


def test_smoothers_remove_flicker_of_real_masks(shared):
    folder = shared / "data" / "davis_person" / "hike" / "masks"
    truth = [masks.read_mask(path)[::2, ::2] for path in sorted(folder.iterdir())[:40]]
    alphas = list(flickering(truth, 0))
    meters = {name: FlickerMeter() for name in SMOOTHERS}
    scores = {}
    for name, meter in meters.items():
        final = smoothed(SMOOTHERS[name](), alphas, fps=24)
        scores[name] = foreground_iou(final, truth)
        for alpha in final:
            meter.push(alpha)
    raw, ofd, ema, hysteresis = (meters[name].result() for name in SMOOTHERS)
    assert ofd.flicker_mad < 0.8 * raw.flicker_mad
    assert ofd.flicker_iou < 0.75 * raw.flicker_iou
    assert ema.flicker_mad < 0.8 * raw.flicker_mad
    assert ema.border_flicker < 0.8 * raw.border_flicker
    assert hysteresis.flicker_iou < 0.97 * raw.flicker_iou
    assert scores["ofd"] > scores["none"] + 0.01
    assert min(scores.values()) > scores["none"] - 0.01
