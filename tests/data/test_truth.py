"""Binary masks and true alphas, told apart by the width of what is grey."""

import cv2
import numpy as np
import pytest

from kolbench.data.truth import has_soft_edges, judged, soft_share
from kolbench.io.masks import MatteReading


def reading(alpha, lossy=False):
    alpha = np.asarray(alpha, np.float32)
    return MatteReading((alpha >= 0.5).astype(np.uint8), alpha, "", bool(np.isin(alpha, (0, 1)).all()), lossy)


def ramp(width, length=60):
    """An edge that is grey over so many columns of 40 rows."""
    row = np.zeros(length, np.float32)
    row[20 : 20 + width] = np.linspace(0.1, 0.9, width)
    row[20 + width :] = 1
    return np.tile(row, (40, 1))


@pytest.mark.parametrize(("width", "inner"), [(1, 0), (2, 0), (4, 0), (5, 1), (9, 5)])
def test_the_share_of_grey_in_the_middle_of_grey(width, inner):
    # the square of 5x5 px does not fit in the first and last two of 40 rows
    assert soft_share(ramp(width)) == pytest.approx(inner * 36 / (width * 40))


def test_what_is_nearly_black_or_white_is_not_grey():
    assert soft_share(np.full((20, 20), 0.05, np.float32)) == 0
    assert soft_share(np.full((20, 20), 0.951, np.float32)) == 0
    assert soft_share(np.full((20, 20), 0.5, np.float32)) == 256 / 400
    assert soft_share(np.zeros((3, 3), np.float32)) == 0


def disk(size=96, radius=30):
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (size // 2, size // 2), radius, 255, -1)
    return mask


def resized(scale, interpolation):
    return cv2.resize(disk(), None, fx=scale, fy=scale, interpolation=interpolation)


@pytest.mark.parametrize(
    "levels",
    [
        disk(),
        resized(0.4, cv2.INTER_AREA),
        resized(0.7, cv2.INTER_LINEAR),
        resized(2, cv2.INTER_CUBIC),
        resized(4, cv2.INTER_LINEAR),
        cv2.GaussianBlur(disk(), (0, 0), 1),
        cv2.imdecode(cv2.imencode(".jpg", disk(), [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE),
    ],
)
def test_masks_that_were_antialiased_resized_or_compressed_are_not_soft(levels):
    assert not has_soft_edges(reading(levels / 255))


def test_hair_is_soft_and_a_lossy_file_never_is():
    assert has_soft_edges(reading(ramp(9)))
    assert not has_soft_edges(reading(ramp(9), lossy=True))


def test_auto_takes_a_quarter_of_soft_masks_for_alphas_and_says_what_it_saw():
    soft, hard, antialiased = reading(ramp(9)), reading(ramp(0)), reading(ramp(1))
    found = judged("auto", [soft, hard, hard, antialiased])
    assert found.truth == "alpha"
    assert found.note.startswith("soft edges in 1 of 4 masks looked at: true alphas, so matting scores")
    assert "data.truth=binary" in found.note
    found = judged("auto", [soft, *[hard] * 4])
    assert found.truth == "binary"
    assert "soft edges in 1 of 5 masks looked at: taken as binary; data.truth=alpha" in found.note
    assert judged("auto", [hard, hard]).note == "masks: two levels at most in 2 looked at: taken as binary"
    assert judged("auto", [antialiased]).truth == "binary"
    # all of them unreadable: reading every picture names them
    assert judged("auto", []).truth == "binary"


def test_what_is_asked_for_is_taken():
    soft, hard = reading(ramp(9)), reading(ramp(0))
    assert judged("binary", [soft]).truth == "binary"
    assert judged("alpha", [hard]).truth == "alpha"
    assert "soft edges in 0 of 1 masks looked at; alphas of hard edges" in judged("alpha", [hard]).note
