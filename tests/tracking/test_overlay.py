"""Images with ground truth and prediction, as people look at them: colours, names, scores, legend."""

import numpy as np
import pytest

from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.tracking.lettering import Text, height_of, legend, line, shortened, width_of, wrapped
from kolbench.tracking.overlay import (
    LEGEND,
    NARROWEST,
    OUTLINE,
    SIDE,
    Heading,
    Overlay,
    captioned,
    overlay_picture,
    resized,
    sheet,
)

HEADING = Heading("U²-Net-p", "u2netp · budget quick", ("6 of 20 test images.", "Left: image."))


def overlay(height=40, width=60, name="scene", iou=1 / 3):
    """Ground truth in the left half of the middle, prediction shifted by a quarter of it."""
    image = np.full((height, width, 3), 90, np.uint8)
    truth = np.zeros((height, width), np.uint8)
    truth[height // 4 : 3 * height // 4, width // 6 : width // 2] = 1
    prediction = np.roll(truth, width // 6, axis=1)
    return Overlay(name, image, truth, prediction, None, iou)


def blended(colour):
    """A third of the image and two thirds of the colour."""
    return tuple(30 + value * 2 // 3 for value in colour)


def has(picture, colour, tolerance=0):
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance).any())


def test_an_overlay_colours_the_errors():
    scene = overlay()
    picture = overlay_picture(scene)
    assert (picture.shape, picture.dtype) == ((40, 120, 3), np.uint8)
    left, right = picture[:, :60], picture[:, 60:]
    assert tuple(left[10, 20]) == OUTLINE
    assert tuple(left[20, 10]) == OUTLINE
    assert tuple(left[20, 20]) == (90, 90, 90)
    assert tuple(left[0, 0]) == (90, 90, 90)
    whole = scene.truth + 2 * scene.prediction
    expected = [(30, 30, 30), blended(MISSED_FOREGROUND), blended(FALSE_FOREGROUND), (90, 90, 90)]
    for label, colour in enumerate(expected):
        assert np.all(right[whole == label] == colour)
    assert np.all(scene.image == 90)


def test_what_is_rightly_left_out_loses_its_colour():
    scene = overlay()
    scene.image[:] = (200, 40, 40)
    right = overlay_picture(scene)[:, 60:]
    assert len(set(map(int, right[0, 0]))) == 1
    assert tuple(right[20, 25]) == (200, 40, 40)


def test_masks_stay_masks_at_another_size():
    scene = overlay()
    for scale in (0.5, 2, 3.3):
        other = resized(scene, scale)
        assert other.image.shape[:2] == other.truth.shape == (round(40 * scale), round(60 * scale))
        assert set(np.unique(other.truth)) == {0, 1}
        assert other.truth.mean() == pytest.approx(scene.truth.mean(), abs=0.03)


@pytest.mark.parametrize("size", [(40, 60), (900, 30), (300, 900)])
def test_a_captioned_image_has_name_score_and_legend(size):
    picture = captioned(overlay(*size))
    assert picture.shape[1] >= NARROWEST
    first, last = picture[: height_of(15)], picture[-height_of(14) :]
    half = picture.shape[1] // 2
    # the name on the left, the score on the right
    assert (first[:, :half] < 128).any()
    assert (first[:, half:] < 128).any()
    for entry in LEGEND[1:]:
        assert has(last, entry.colour) or has(picture[-3 * height_of(14) :], entry.colour)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_a_sheet_has_two_columns_below_its_heading(count):
    sizes = [(40, 60), (90, 30), (30, 90), (64, 64), (200, 300), (8, 8)]
    picture = sheet([overlay(*size, name=f"image {size}") for size in sizes[:count]], HEADING)
    assert picture.shape[1] == (1360 if count > 1 else 692)
    head = picture[:150]
    for entry in LEGEND:
        assert has(head, entry.colour)
    # nothing touches the margin
    for side in (picture[:20], picture[-20:], picture[:, :20], picture[:, -20:]):
        assert (side == 255).all()
    # errors and outline of each row, whatever its images' sizes
    assert has(picture[150:], OUTLINE)
    assert has(picture[150:], blended(FALSE_FOREGROUND))
    rows = -(-count // 2)
    assert picture.shape[0] <= 200 + rows * (SIDE + 60)


def test_long_names_keep_both_ends_and_their_place():
    name = Text("clips/" + "x" * 300 + "/frame_000123")
    cut = shortened(name, 200)
    assert width_of(cut) <= 200
    assert cut.words.startswith("clips/")
    assert cut.words.endswith("000123")
    assert shortened(Text("short"), 200).words == "short"
    assert shortened(name, 0).words == "…"
    score = Text("IoU 0.123")
    drawn = line([name], 300, score)
    assert drawn.shape == (height_of(15), 300, 3)
    # the space in front of the score stays white
    assert (drawn[:, 300 - width_of(score) - 6 : 300 - width_of(score) - 1] == 255).all()


def test_sentences_are_wrapped_and_lose_no_word():
    text = Text("6 of 20 test images at evenly spaced ranks, from worst to best")
    lines = wrapped(text, 150)
    assert " ".join(part.words for part in lines) == text.words
    assert max(map(width_of, lines)) <= 150
    assert len(lines) > 2
    (single,) = wrapped(Text("x" * 100), 100)
    assert width_of(single) <= 100


def test_a_legend_wraps_instead_of_being_cut():
    wide, narrow = legend(LEGEND, 600), legend(LEGEND, 150)
    assert (len(wide), len(narrow)) == (height_of(14), 3 * height_of(14))
    for entry in LEGEND:
        assert has(narrow, entry.colour)
        assert has(wide, entry.colour)
