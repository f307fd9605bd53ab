"""What stands behind the person in the files that the page gives, and the colours of soft edges."""

import numpy as np
import pytest

from kolbench import load
from kolbench.video.compositing.foreground import estimate_foreground
from tests.helpers.serving import encoded, ramp_and_ellipse, running, scenery, send, uploaded


@pytest.fixture(scope="module")
def port():
    with running(ramp_and_ellipse()) as found:
        yield found


def test_the_person_s_own_colours_at_soft_edges(port):
    image = scenery(40, 60)
    token = uploaded(port, encoded(image))["token"]
    answer = send(port, "POST", f"/pictures/{token}/foregrounds/0")
    assert answer.status == 200
    found = np.frombuffer(answer.body, np.uint8).reshape(40, 60, 3)
    alpha = np.rint(255 * np.linspace(0, 1, 60)).astype(np.float32)[None].repeat(40, 0) / 255
    assert np.abs(found - estimate_foreground(image, alpha)).max() <= 0.51
    sure = np.frombuffer(send(port, "POST", f"/pictures/{token}/foregrounds/1").body, np.uint8)
    assert (sure.reshape(40, 60, 3) == image).all()


def behind(port, token, **wishes):
    return send(port, "POST", f"/pictures/{token}/files/composite", {"method": 1, **wishes})


def test_a_colour_stands_behind_the_person(port):
    image = scenery(60, 80)
    token = uploaded(port, encoded(image))["token"]
    person = load("ellipse").segment(image) == 1
    found = behind(port, token, background="colour", colour="#0a64c8").picture()
    assert (found[person] == image[person]).all()
    assert (found[~person] == (10, 100, 200)).all()


def test_an_image_covers_the_frame_behind_the_person(port):
    image = scenery(60, 80)
    token = uploaded(port, encoded(image))["token"]
    person = load("ellipse").segment(image) == 1
    # twice as wide as the frame: a quarter at each side is cut off
    room = np.zeros((60, 160, 3), np.uint8)
    room[:, :40], room[:, 40:120], room[:, 120:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stands = uploaded(port, encoded(room))["token"]
    found = behind(port, token, background="image", image=stands).picture()
    assert (found[person] == image[person]).all()
    assert (found[~person] == (0, 255, 0)).all()


def test_a_blurred_background_holds_none_of_the_person_s_colours(port):
    """The background is one colour, so blurred without the person it is that colour still."""
    image = np.full((60, 80, 3), (40, 90, 160), np.uint8)
    person = load("ellipse").segment(image) == 1
    image[person] = (250, 20, 20)
    token = uploaded(port, encoded(image))["token"]
    found = behind(port, token, background="blur", radius=0.1).picture()
    assert (found[person] == (250, 20, 20)).all()
    assert np.abs(found[~person].astype(int) - (40, 90, 160)).max() <= 1
