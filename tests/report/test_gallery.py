"""Galleries: pictures chosen as the rule says, by hand; bytes that fit together; sheets that show faults."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from kolbench.errors import DataError
from kolbench.io import images, masks
from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.metrics import histogram
from kolbench.metrics.counts import ImageCounts
from kolbench.report import gallery
from kolbench.report.gallery import Gallery, Shot
from kolbench.runs import finished as folders
from kolbench.runs import run_folder
from tests.helpers.run_folders import make_run

# pictures are 8 columns by 6 rows; the truth is the left half, the product its first column
TRUTH = np.zeros((6, 8), bool)
TRUTH[:, :4] = True
PRODUCT = np.zeros((6, 8), bool)
PRODUCT[:, :1] = True
NOTHING = np.zeros((6, 8), bool)


def columns(first, last, level=255):
    """Alpha of a level in these columns, first included, last not."""
    alpha = np.zeros((6, 8), np.uint8)
    alpha[:, first:last] = level
    return alpha


# mIoU by hand of the first c columns, c up to 4: (c/4 + 4/(8-c)) / 2, so 1, 0.583, 0.25; of all 8 it is 0.25
GOOD, HALF, NONE, EVERYTHING = columns(0, 4), columns(0, 2), columns(0, 0), columns(0, 8)


def write_run(
    folder, method, alphas, *, names=None, held=(), threshold=0.5, size=1, seed=0, truth_access="none"
):
    """A run folder by hand; pictures of `held` rows have a product; files are `size` times as large."""
    names = names or [f"p{number}" for number in range(len(alphas))]
    part = ImageCounts("test")
    folder.mkdir(parents=True)
    for row, (name, alpha) in enumerate(zip(names, alphas, strict=True)):
        product = PRODUCT if row in held else NOTHING
        maps = (torch.from_numpy(a)[None, None] for a in (alpha / 255, TRUTH, product))
        counts = histogram.level_counts(*maps)
        part.names.append(name)
        part.groups.append("")
        part.tags.append("")
        part.notes.append("")
        part.sizes.append(TRUTH.shape)
        part.seconds.append(0.1)
        part.parts.append(counts)
        if ".." in name or name.startswith("/"):
            continue
        large = np.ones((size, size), np.uint8)
        for place, pixels in (("alphas", alpha), ("truths", TRUTH * np.uint8(255))):
            (folder / place / name).parent.mkdir(parents=True, exist_ok=True)
            images.write_png(folder / place / f"{name}.png", np.kron(pixels, large).astype(np.uint8))
        (folder / "thumbs" / name).parent.mkdir(parents=True, exist_ok=True)
        images.write_jpeg(folder / "thumbs" / f"{name}.jpg", np.full((6, 8, 3), 200, np.uint8), quality=100)
    run_folder.write_histograms(folder / run_folder.HISTOGRAMS, {"test": part})
    record = {
        "status": "finished",
        "method": method,
        "aid": truth_access,
        "seed": seed,
        "threshold": threshold,
    }
    record |= {"data": "hand", "started": "2026", "overrides": [f"seed={seed}"], "fingerprint": {}}
    (folder / run_folder.RUN).write_text(json.dumps(record))


def galleries_of(folder):
    (found,) = folders.test_sets(folders.find(str(folder)))
    return {made.title: made for made in gallery.all_galleries(found)}


def names_of(made):
    return [shot.name for shot in made.shots]


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def test_places_in_the_order_by_hand():
    values = np.array([0.5, 0.1, 0.9, 0.3, 0.7])
    assert gallery.quantile_rows(values, [1, 0.75, 0.5, 0.25, 0]) == [2, 4, 0, 3, 1]
    # of six, 25 % is place 1.25 and 75 % is place 3.75; halves go up
    values = np.array([6, 5, 4, 3, 2, 1.0])
    assert gallery.quantile_rows(values, [0.25, 0.5, 0.75]) == [4, 2, 1]
    assert gallery.quantile_rows(np.zeros(3), [0, 0.5, 1]) == [0, 1, 2]
    assert gallery.quantile_rows(np.zeros(1), [0, 0.5, 1]) == [0, 0, 0]


def test_the_largest_by_hand():
    values = np.array([0.2, 0.0, 0.5, 0.2, 0.009, 0.01, 0.3, 0.4, 0.1, 0.1])
    assert gallery.largest(values) == [2, 7, 6, 0, 3, 8]
    assert gallery.largest(np.array([0.009, 0.0])) == []


def test_good_and_bad_pictures_are_at_fixed_places(tmp_path):
    # mean mIoU: p0 1, p1 0.792, p2 0.625, p3 0.417, p4 0.25
    write_run(tmp_path / "a", "a", [GOOD, GOOD, GOOD, HALF, NONE])
    write_run(tmp_path / "b", "b", [GOOD, HALF, NONE, NONE, NONE])
    made = galleries_of(tmp_path)["Good and bad"]
    assert names_of(made) == ["p0", "p1", "p2", "p3", "p4"]
    assert [shot.why for shot in made.shots] == [
        "best: mean mIoU 1.000",
        "75 %: mean mIoU 0.792",
        "median: mean mIoU 0.625",
        "25 %: mean mIoU 0.417",
        "worst: mean mIoU 0.250",
    ]


def test_a_picture_at_two_places_is_shown_once(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, NONE])
    made = galleries_of(tmp_path)["Good and bad"]
    assert [(shot.name, shot.why) for shot in made.shots] == [
        ("p0", "best, 75 %, median: mean mIoU 1.000"),
        ("p1", "25 %, worst: mean mIoU 0.250"),
    ]


def test_failures_are_the_worst_picture_of_each_method(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF, GOOD])
    write_run(tmp_path / "b", "b", [GOOD, NONE, GOOD])
    write_run(tmp_path / "c", "c", [GOOD, GOOD, NONE])
    made = galleries_of(tmp_path)["Failures"]
    assert [(shot.name, shot.why) for shot in made.shots] == [
        ("p1", "worst of a (mIoU 0.583), b (mIoU 0.250)"),
        ("p2", "worst of c (mIoU 0.250)"),
    ]
    assert "that most methods share" not in made.rule


def test_of_more_than_six_failures_the_shared_and_lowest_are_shown(tmp_path):
    found = [HALF, HALF, columns(0, 3), NONE, columns(0, 1), HALF, HALF]
    for number, alpha in enumerate(found):
        alphas = [GOOD] * 7
        alphas[number] = alpha
        write_run(tmp_path / f"{number}", f"m{number}", alphas)
    write_run(tmp_path / "z", "z", [GOOD] * 6 + [HALF])
    made = galleries_of(tmp_path)["Failures"]
    # p6 is shared, p3 and p4 are lowest, p0, p1 and p5 are alike, p2 is the least bad
    assert names_of(made) == ["p6", "p3", "p4", "p0", "p1", "p5"]
    assert "Shown are the 6 that most methods share, then the lowest." in made.rule


def test_disagreements_are_the_largest_spread_of_iou(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF, NONE, HALF])
    write_run(tmp_path / "b", "b", [HALF, HALF, GOOD, NONE])
    write_run(tmp_path / "c", "c", [GOOD, HALF, HALF, NONE])
    made = galleries_of(tmp_path)["Disagreements"]
    assert [(shot.name, shot.why) for shot in made.shots] == [
        ("p2", "IoU 1.000 of b, 0.000 of a"),
        ("p0", "IoU 1.000 of a, 0.500 of b"),
        ("p3", "IoU 0.500 of a, 0.000 of b"),
    ]


def test_one_method_disagrees_with_nobody(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF])
    assert list(galleries_of(tmp_path)) == ["Good and bad", "Failures"]


def test_another_threshold_is_named_with_its_gain(tmp_path):
    # level 100 is foreground up to threshold 0.39, level 230 up to 0.90
    faint, bright = columns(0, 4, level=100), columns(0, 4, level=230)
    bright_halo = np.maximum(columns(0, 4), columns(4, 8, level=200))
    write_run(tmp_path / "a", "a", [faint, bright, bright_halo, GOOD])
    write_run(tmp_path / "b", "b", [GOOD, bright, GOOD, HALF], threshold=0.95)
    made = galleries_of(tmp_path)["Another threshold would have saved it"]
    assert [(shot.name, shot.why) for shot in made.shots] == [
        ("p0", "a: mIoU 0.250 at 0.50, 1.000 at 0.35"),
        ("p1", "b: mIoU 0.250 at 0.95, 1.000 at 0.90"),
        ("p2", "a: mIoU 0.250 at 0.50, 1.000 at 0.80"),
    ]


def test_held_products_are_those_found_least(tmp_path):
    missed = columns(1, 4)
    write_run(tmp_path / "a", "a", [GOOD, missed, NONE, missed], held=(0, 1, 3))
    write_run(tmp_path / "b", "b", [GOOD, missed, NONE, GOOD], held=(0, 1, 3))
    made = galleries_of(tmp_path)["Held products"]
    assert [(shot.name, shot.why) for shot in made.shots] == [
        ("p1", "mean product recall 0.000"),
        ("p3", "mean product recall 0.500"),
        ("p0", "mean product recall 1.000"),
    ]


def test_baselines_seeds_and_helped_methods_do_not_judge(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF])
    write_run(tmp_path / "a1", "a", [NONE, GOOD], seed=1)
    write_run(tmp_path / "allfg", "allfg", [EVERYTHING, NONE])
    write_run(tmp_path / "ellipse", "ellipse", [HALF, HALF])
    write_run(tmp_path / "box", "box", [NONE, NONE], truth_access="box")
    found = galleries_of(tmp_path)
    assert list(found) == ["Good and bad", "Failures"]
    for made in found.values():
        assert [list(shot.alphas) for shot in made.shots] == [["a seed=0", "box", "ellipse"]] * len(
            made.shots
        )
        assert "Of runs that differ in the seed only, the first stands for all." in made.rule
        assert "Shown beside them, given part of the truth: box." in made.rule
        assert "Shown beside them, a baseline, which never looks at the picture: ellipse." in made.rule
    assert [shot.why for shot in found["Failures"].shots] == ["worst of a seed=0 (mIoU 0.583)"]


def test_runs_without_truths_are_left_out_and_named(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF])
    write_run(tmp_path / "old", "old", [NONE, NONE])
    shutil.rmtree(tmp_path / "old" / "truths")
    found = galleries_of(tmp_path)
    assert list(found) == ["Good and bad", "Failures"]
    for made in found.values():
        assert made.rule.endswith("Left out, as their run folders hold no truths: old.")
        assert all(list(shot.alphas) == ["a"] for shot in made.shots)
    shutil.rmtree(tmp_path / "a" / "truths")
    assert galleries_of(tmp_path) == {}


def test_only_baselines_make_no_gallery(tmp_path):
    write_run(tmp_path / "a", "ellipse", [GOOD, HALF])
    assert galleries_of(tmp_path) == {}


def test_bytes_are_of_the_thumbnails_size_averaged_over_areas(tmp_path):
    alpha = np.zeros((6, 8), np.uint8)
    alpha[2, 3] = 200
    write_run(tmp_path / "a", "a", [alpha], names=["video/0001"], size=4)
    # a fine checkerboard shrinks to grey; 8-bit levels stay levels
    board = (
        np.kron(np.indices((6, 8)).sum(0) * 0 + 1, np.array([[0, 255], [255, 0]])).repeat(2, 0).repeat(2, 1)
    )
    images.write_png(tmp_path / "a" / "truths" / "video" / "0001.png", board.astype(np.uint8))
    shot = galleries_of(tmp_path)["Failures"].shots[0]
    assert shot.name == "video/0001"
    assert shot.thumb == (tmp_path / "a" / "thumbs" / "video" / "0001.jpg").read_bytes()
    truth, found = decoded(shot.truth), decoded(shot.alphas["a"])
    assert truth.dtype == found.dtype == np.uint8
    assert truth.shape == found.shape == (6, 8)
    assert set(np.unique(truth)) <= {127, 128}
    np.testing.assert_array_equal(found, alpha)


def test_each_file_is_read_once(tmp_path, monkeypatch):
    write_run(tmp_path / "a", "a", [GOOD, HALF, NONE], held=(0, 1, 2))
    write_run(tmp_path / "b", "b", [NONE, HALF, GOOD], held=(0, 1, 2))
    read = []
    original = masks.read_alpha

    def watched(path):
        read.append(path)
        return original(path)

    monkeypatch.setattr(masks, "read_alpha", watched)
    found = galleries_of(tmp_path)
    assert sum(len(made.shots) for made in found.values()) > 6
    # truth and two alphas of three pictures
    assert len(read) == len(set(read)) == 9


@pytest.mark.parametrize("name", ["../../outside", "/etc/hostname"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    write_run(tmp_path / "runs" / "a", "a", [GOOD], names=[name])
    (tmp_path / "runs" / "a" / "truths").mkdir()
    with pytest.raises(DataError, match="leads out of its run folder"):
        galleries_of(tmp_path / "runs")


def test_links_that_leave_the_folder_are_refused(tmp_path):
    write_run(tmp_path / "runs" / "a", "a", [GOOD])
    images.write_png(tmp_path / "secret.png", GOOD)
    (tmp_path / "runs" / "a" / "alphas" / "p0.png").unlink()
    (tmp_path / "runs" / "a" / "alphas" / "p0.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="leads out of its run folder"):
        galleries_of(tmp_path / "runs")


def test_a_whole_run_folder_may_be_reached_through_a_link(tmp_path):
    write_run(tmp_path / "disk" / "a", "a", [GOOD])
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    assert names_of(galleries_of(tmp_path / "runs")["Failures"]) == ["p0"]


@pytest.mark.parametrize("place", ["alphas/p0.png", "truths/p0.png", "thumbs/p0.jpg"])
def test_missing_and_damaged_files_are_named(tmp_path, place):
    write_run(tmp_path / "a", "a", [GOOD])
    (tmp_path / "a" / place).write_bytes(b"\x89PNG no picture")
    with pytest.raises(DataError, match=rf"{place} cannot be read"):
        galleries_of(tmp_path)
    (tmp_path / "a" / place).unlink()
    with pytest.raises(DataError, match=rf"{place} is missing"):
        galleries_of(tmp_path)


def test_alphas_of_another_shape_are_refused(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD])
    images.write_png(tmp_path / "a" / "alphas" / "p0.png", GOOD.T.copy())
    with pytest.raises(DataError, match=r"p0\.png is 6x8 px .* \(8x6 px\)"):
        galleries_of(tmp_path)


@pytest.fixture
def shot(tmp_path):
    """Truth columns 0 to 3; method a finds 2 to 5, at a level of 128."""
    write_run(tmp_path / "a", "a", [columns(2, 6, level=128)])
    return galleries_of(tmp_path)["Failures"].shots[0]


def test_foreground_on_black_by_hand(shot):
    seen = gallery.foreground_on_black(shot, "a", 0.5)
    assert seen.shape == (6, 8, 3)
    assert seen.dtype == np.uint8
    assert (seen[:, 2:6] == 200).all()
    assert (seen[:, [0, 1, 6, 7]] == 0).all()
    # level 128 is above 255 * 0.50 and below 255 * 0.51
    assert (gallery.foreground_on_black(shot, "a", 0.51) == 0).all()


def test_faults_by_hand(shot):
    seen = gallery.faults(shot, "a", 0.5).astype(int)
    grey = 0.6 * 200 + 80
    red = np.round(0.25 * grey + 0.75 * np.array(FALSE_FOREGROUND))
    blue = np.round(0.25 * grey + 0.75 * np.array(MISSED_FOREGROUND))
    assert (seen[:, [2, 3, 6, 7]] == grey).all()
    assert (seen[:, [4, 5]] == red).all()
    assert (seen[:, [0, 1]] == blue).all()
    assert red[0] > 200 > 130 > red[2]
    assert blue[2] > 200 > 100 > blue[0]


def test_sheets_show_every_fault_and_are_the_same_bytes_twice(tmp_path, shot):
    made = Gallery("Good and bad: 1/2", "A rule.", (shot,))
    path = gallery.write_sheet(made, {"a": 0.5}, tmp_path / "sheets")
    assert path == tmp_path / "sheets" / "gallery_good_and_bad_1_2.png"
    first = path.read_bytes()
    gallery.write_sheet(made, {"a": 0.5}, tmp_path / "sheets")
    assert path.read_bytes() == first
    pixels = images.read_rgb(path)
    faults = gallery.faults(shot, "a", 0.5)
    # tiles are 192 px wide, 24 times the picture
    for colour in (faults[0, 0], faults[0, 4]):
        assert (pixels == colour).all(-1).sum() == 12 * 24 * 24
    # the picture, and half of it once more on black
    assert (pixels == 200).all(-1).sum() >= (48 + 24 + 24) * 24 * 24
    assert (pixels[[0, -1]] == 255).all()


def test_sheets_of_many_methods_break_into_lines(tmp_path, shot):
    labels = [f"method {number} with a rather long name that must be broken" for number in range(9)]
    many = Shot(shot.name, shot.why, shot.thumb, shot.truth, dict.fromkeys(labels, shot.alphas["a"]))
    path = gallery.write_sheet(Gallery("Many", "A rule.", (many,)), dict.fromkeys(labels, 0.5), tmp_path)
    pixels = images.read_rgb(path)
    # two lines of five and four methods, each after the picture and its truth
    assert pixels.shape[1] == 6 * 192 + 5 * 8 + 2 * 16
    assert (pixels == gallery.faults(shot, "a", 0.5)[0, 4]).all(-1).sum() == 9 * 12 * 24 * 24


def test_complete_run_folders_give_all_galleries(tmp_path):
    make_run(tmp_path / "a", "rsudisnet", quality=0.9, pictures=10)
    make_run(tmp_path / "b", "modnet", quality=0.6, pictures=10)
    found = galleries_of(tmp_path)
    assert list(found) == [
        "Good and bad",
        "Failures",
        "Disagreements",
        "Another threshold would have saved it",
        "Held products",
    ]
    for made in found.values():
        assert 1 <= len(made.shots) <= 6
        assert len(set(names_of(made))) == len(made.shots)
