"""Animated files as images and as ads: the first frame is taken, and that is told."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.serving import encoded, ramp_and_ellipse, running, send, uploaded


@pytest.fixture(scope="module")
def port():
    with running(ramp_and_ellipse()) as found:
        yield found


def animation(form, frames):
    """A file of several frames, (h, w, 3 or 4) uint8 each."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    first.save(file, form, save_all=True, append_images=rest, duration=100, lossless=True)
    return file.getvalue()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animated_upload_the_first_frame_is_taken_and_that_is_told(port, form):
    red, blue = np.zeros((24, 32, 3), np.uint8), np.zeros((24, 32, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    for path in ("/pictures", "/ads"):
        kept = uploaded(port, animation(form, [red, blue, red]), path)
        assert (kept["width"], kept["height"], kept["animated"]) == (32, 24, True)
        assert (send(port, "GET", f"/pictures/{kept['token']}").picture() == red).all()
        still = uploaded(port, encoded(red, form), path)
        assert still["animated"] is False


def test_an_animated_ad_keeps_the_transparency_of_its_first_frame(port):
    logo = np.zeros((20, 30, 4), np.uint8)
    logo[:, 15:] = (200, 30, 10, 255)
    ad = uploaded(port, animation("WEBP", [logo, logo[:, ::-1].copy()]), "/ads")
    seen = send(port, "GET", f"/pictures/{ad['token']}").picture()
    assert (seen[..., 3] == logo[..., 3]).all()
    assert (seen[:, 15:, :3] == logo[:, 15:, :3]).all()


def test_the_pages_of_a_document_are_no_animation(port):
    page = np.full((10, 10, 3), 90, np.uint8)
    file = io.BytesIO()
    Image.fromarray(page).save(file, "TIFF", save_all=True, append_images=[Image.fromarray(page)])
    assert uploaded(port, file.getvalue())["animated"] is False
