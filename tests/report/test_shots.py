"""Images from run folders: small files of one size, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from kolbench.errors import DataError
from kolbench.io import images, masks
from kolbench.report import faces
from kolbench.report.numbers import numbers_of
from kolbench.report.shots import read_shot
from tests.helpers.hand_made_runs import (
    GOOD,
    HALF,
    NONE,
    PRODUCT,
    TRUTH,
    comparison_of,
    gallery_of,
    write_run,
)


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def shot_of(folder, name="p0", longest=8, **options):
    return read_shot(name, numbers_of(comparison_of(folder)).runs, longest, **options)


def test_files_are_averaged_over_areas_down_to_one_size(tmp_path):
    alpha = np.zeros((6, 8), np.uint8)
    alpha[2, 3] = 200
    write_run(tmp_path / "a", "a", [alpha], names=["video/0001"], held=(0,), size=4)
    # a fine checkerboard shrinks to grey; 8-bit levels stay levels
    board = np.kron(np.ones((6, 8)), np.array([[0, 255], [255, 0]])).repeat(2, 0).repeat(2, 1)
    images.write_png(tmp_path / "a" / "truths" / "video" / "0001.png", board.astype(np.uint8))
    shot = shot_of(tmp_path, "video/0001")
    assert shot.name == "video/0001"
    assert shot.size == (6, 8)
    # an image that is small enough is its file, untouched
    assert shot.image == (tmp_path / "a" / "thumbs" / "video" / "0001.jpg").read_bytes()
    truth, found = decoded(shot.truth), decoded(shot.alphas["a"])
    assert truth.dtype == found.dtype == np.uint8
    assert set(np.unique(truth)) <= {127, 128}
    np.testing.assert_array_equal(found, alpha)
    np.testing.assert_array_equal(decoded(shot.product), PRODUCT * 255)


def test_masks_keep_the_scored_size_where_the_image_is_smaller(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD], size=10)
    shot = shot_of(tmp_path, longest=40)
    assert shot.size == (30, 40)
    assert decoded(shot.truth).shape == (30, 40)
    assert decoded(shot.image).shape == (6, 8, 3)


def test_a_larger_image_is_made_smaller(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD], size=10)
    images.write_jpeg(tmp_path / "a" / "thumbs" / "p0.jpg", np.full((60, 80, 3), 90, np.uint8))
    shot = shot_of(tmp_path, longest=40)
    assert decoded(shot.image).shape == (30, 40, 3)


def test_alphas_of_the_lowest_levels_are_levels(tmp_path):
    """A file of 0 and 1 alone is 1 / 255 where it is 1, not white."""
    faint = TRUTH.astype(np.uint8)
    write_run(tmp_path / "a", "a", [faint])
    assert decoded(shot_of(tmp_path).alphas["a"]).max() == 1


@pytest.mark.parametrize("how", ["blur", "hide"])
def test_no_detail_of_a_head_stays_in_the_file(tmp_path, how):
    # the truth is the left half: 120 x 80 px, so that its upper 48 rows are covered
    write_run(tmp_path / "a", "a", [NONE], size=20)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (15, 20), np.uint8).repeat(8, 0).repeat(8, 1)
    images.write_jpeg(tmp_path / "a" / "thumbs" / "p0.jpg", np.dstack([noise] * 3), quality=95)
    shown, changed = (
        decoded(shot_of(tmp_path, longest=160, faces=faces_as).image).astype(float)
        for faces_as in (faces.SHOW, how)
    )
    head, body = (slice(0, 44), slice(0, 80)), (slice(60, None), slice(100, None))
    assert shown[head].std() > 60
    assert changed[head].std() < (25 if how == "blur" else 4)
    assert np.abs(changed[body] - shown[body]).mean() < 12


def test_each_file_is_read_once(tmp_path, monkeypatch):
    write_run(tmp_path / "a", "a", [GOOD, HALF, NONE], held=(0, 1, 2))
    write_run(tmp_path / "b", "b", [NONE, HALF, GOOD], held=(0, 1, 2))
    read = []
    original = masks.read_alpha

    def watched(path):
        read.append(path)
        return original(path)

    monkeypatch.setattr(masks, "read_alpha", watched)
    assert len(gallery_of(tmp_path).shots) == 3
    # truth, product and two alphas of three images
    assert len(read) == len(set(read)) == 12


@pytest.mark.parametrize("name", ["../../outside", "/etc/hostname"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    write_run(tmp_path / "runs" / "a", "a", [GOOD], names=[name])
    (tmp_path / "runs" / "a" / "truths").mkdir()
    with pytest.raises(DataError, match="leads out of its run folder"):
        gallery_of(tmp_path / "runs")


@pytest.mark.parametrize("place", ["alphas", "products"])
def test_links_that_leave_the_folder_are_refused(tmp_path, place):
    write_run(tmp_path / "runs" / "a", "a", [GOOD], held=(0,))
    images.write_png(tmp_path / "secret.png", GOOD)
    (tmp_path / "runs" / "a" / place / "p0.png").unlink()
    (tmp_path / "runs" / "a" / place / "p0.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="leads out of its run folder"):
        gallery_of(tmp_path / "runs")


def test_a_whole_run_folder_may_be_reached_through_a_link(tmp_path):
    write_run(tmp_path / "disk" / "a", "a", [GOOD])
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    assert [shot.name for shot in gallery_of(tmp_path / "runs").rows] == ["p0"]


@pytest.mark.parametrize("place", ["alphas/p0.png", "truths/p0.png", "thumbs/p0.jpg"])
def test_missing_and_damaged_files_are_named(tmp_path, place):
    write_run(tmp_path / "a", "a", [GOOD])
    (tmp_path / "a" / place).write_bytes(b"\x89PNG no picture")
    with pytest.raises(DataError, match=rf"{place} cannot be read"):
        gallery_of(tmp_path)
    (tmp_path / "a" / place).unlink()
    with pytest.raises(DataError, match=rf"{place} is missing"):
        gallery_of(tmp_path)


@pytest.mark.parametrize("place", ["alphas/p0.png", "thumbs/p0.jpg"])
def test_files_of_another_shape_are_refused(tmp_path, place):
    write_run(tmp_path / "a", "a", [GOOD])
    if place.endswith("png"):
        images.write_png(tmp_path / "a" / place, GOOD.T.copy())
    else:
        images.write_jpeg(tmp_path / "a" / place, np.zeros((8, 6, 3), np.uint8))
    with pytest.raises(DataError, match=rf"{place} is 6x8 px .* \(8x6 px\)"):
        gallery_of(tmp_path)
