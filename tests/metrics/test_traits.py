"""What makes a picture hard: measures worked by hand."""

import math

import cv2
import numpy as np
import pytest

from kolbench.metrics.traits import cut_by_the_frame, edge_contrast, people, traits_of


def blocks(*boxes, height=60, width=80):
    truth = np.zeros((height, width), np.uint8)
    for top, bottom, left, right in boxes:
        truth[top:bottom, left:right] = 1
    return truth


def lab(colour):
    pixel = np.full((1, 1, 3), colour, np.float32) / 255
    return cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0]


def test_people_are_large_parts():
    whole = (10, 50, 10, 30)  # 800 px, of 4,800
    assert people(blocks()) == 0
    assert people(blocks(whole)) == 1
    assert people(blocks(whole, (10, 18, 50, 70))) == 2  # 160 px: a fifth
    assert people(blocks(whole, (10, 18, 50, 69))) == 1
    # touching at a corner they are one
    assert people(blocks(whole, (50, 59, 30, 60))) == 1
    assert people(blocks((0, 5, 0, 9))) == 0  # 45 px: less than a hundredth


def test_contrast_is_that_of_the_colours_at_the_edge():
    truth = blocks((10, 50, 20, 60))
    image = np.where(truth[..., None], (200, 30, 40), (40, 160, 90)).astype(np.uint8)
    expected = np.linalg.norm(lab((200, 30, 40)) - lab((40, 160, 90)))
    assert edge_contrast(image, truth) == pytest.approx(expected, rel=1e-4)
    # what is more than 8 px away from the first pixels inside does not count
    image[19:41, 29:51] = 255
    assert edge_contrast(image, truth) == pytest.approx(expected, rel=1e-4)
    image[18:41, 29:51] = 255
    assert edge_contrast(image, truth) != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("level", [0, 1])
def test_without_an_edge_there_is_no_contrast(level):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert math.isnan(edge_contrast(image, np.full((20, 30), level, np.uint8)))


def test_the_lower_border_does_not_cut():
    assert cut_by_the_frame(blocks((30, 60, 20, 60))) == 0
    # 60 + 60 + 78 pixels of border; both corners belong to the sides
    assert cut_by_the_frame(blocks((30, 60, 0, 60))) == pytest.approx(30 / 198)
    assert cut_by_the_frame(blocks((0, 60, 20, 60))) == pytest.approx(40 / 198)
    assert cut_by_the_frame(np.ones((60, 80), np.uint8)) == 1


def test_all_of_a_picture():
    truth, product = blocks((10, 50, 20, 60)), blocks((10, 20, 20, 60), (0, 5, 0, 5))
    image = np.full((60, 80, 3), 100, np.uint8)
    found = traits_of(image, truth, product)
    assert (found.glcm_entropy, found.luma, found.people, found.cut) == (0, 100, 1, 0)
    assert found.edge_contrast == pytest.approx(0, abs=1e-5)
    assert found.foreground == 1600 / 4800
    # what is held outside the foreground does not count
    assert found.product == 400 / 1600
    assert math.isnan(traits_of(image, truth, None).product)
    assert math.isnan(traits_of(image, truth, blocks()).product)
    assert traits_of(image, truth, None, persons=3).people == 3


def test_large_pictures_are_measured_at_512_px():
    truth = blocks((300, 700, 200, 500), height=768, width=1024)
    image = np.where(truth[..., None], (200, 30, 40), (40, 160, 90)).astype(np.uint8)
    small = cv2.resize(image, (512, 384), interpolation=cv2.INTER_AREA)
    half = cv2.resize(truth, (512, 384), interpolation=cv2.INTER_NEAREST)
    found = traits_of(image, truth)
    assert found.edge_contrast == edge_contrast(small, half)
    assert found.luma == cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).mean()
