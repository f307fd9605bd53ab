"""The images of the page: each once, in the order of their difficulty, within their bytes."""

import shutil

import pytest

from kolbench.report import gallery
from kolbench.report.numbers import numbers_of
from kolbench.report.shots import text_bytes
from tests.helpers.hand_made_runs import (
    EVERYTHING,
    GOOD,
    HALF,
    NONE,
    columns,
    comparison_of,
    gallery_of,
    some,
    write_run,
)
from tests.helpers.run_folders import make_run


def names_in(shots):
    return [shot.name for shot in shots]


def test_images_stand_hardest_first_and_columns_best_first(tmp_path):
    # mean mIoU: p0 1, p1 0.792, p2 0.625, p3 0.417, p4 0.25
    write_run(tmp_path / "b", "b", [GOOD, HALF, NONE, NONE, NONE])
    write_run(tmp_path / "a", "a", [GOOD, GOOD, GOOD, HALF, NONE])
    found = gallery_of(tmp_path)
    assert found.labels == ("a", "b")
    assert names_in(found.rows) == ["p4", "p3", "p2", "p1", "p0"]
    assert [reason.tag for reason in found.rows[0].reasons] == ["worst of a", "hardest image"]
    assert found.more == found.held == ()


def test_no_image_is_shown_twice_and_eight_are_seen_at_once(tmp_path):
    make_run(tmp_path / "a", "rsudisnet", quality=0.9, pictures=30)
    make_run(tmp_path / "b", "modnet", quality=0.6, pictures=30)
    found = gallery_of(tmp_path)
    assert len(found.rows) == 8
    listed = names_in([*found.rows, *found.more])
    assert len(listed) == len(set(listed)) > 8
    assert all(shot.reasons for shot in (*found.rows, *found.more))
    assert len(found.held) == 6
    assert found.images_held == 20
    assert len(set(names_in(found.shots))) == len(found.shots) >= len(listed)
    # an image of the rows that holds a product is the same object there
    rows = {shot.name: shot for shot in (*found.rows, *found.more)}
    assert all(rows[shot.name] is shot for shot in found.held if shot.name in rows)
    assert len(found.shots) == len({**rows, **{shot.name: shot for shot in found.held}})


def test_images_get_smaller_then_fewer_where_bytes_are_few(tmp_path):
    write_run(tmp_path / "a", "a", [columns(0, n % 9, level=90 + 5 * n) for n in range(12)], size=96)
    comparison = comparison_of(tmp_path)
    whole = some(gallery.gallery_of(comparison))
    assert {shot.size for shot in whole.rows} == {(576, 768)}
    assert {shot.size for shot in whole.more} == {(192, 256)}
    assert text_bytes(whole.shots) <= gallery.MOST_BYTES
    small = some(gallery.gallery_of(comparison, most_bytes=text_bytes(whole.shots) - 1))
    assert {max(shot.size) for shot in small.rows} <= set(gallery.LARGE_SIDES[1:])
    assert names_in(small.rows) == names_in(whole.rows)
    least = some(gallery.gallery_of(comparison, most_bytes=1))
    assert names_in(least.shots) == names_in(whole.rows)[:1]


def test_images_of_held_products_are_the_least_found_ones(tmp_path):
    missed = columns(1, 4)
    write_run(tmp_path / "a", "a", [GOOD, missed, NONE, missed], held=(0, 1, 3))
    write_run(tmp_path / "b", "b", [GOOD, missed, NONE, GOOD], held=(0, 1, 3))
    found = gallery_of(tmp_path)
    assert names_in(found.held) == ["p1", "p3", "p0"]
    assert all(shot.product for shot in found.held)
    assert next(shot for shot in found.shots if shot.name == "p2").product is None


def test_baselines_seeds_and_helped_methods_do_not_judge(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF])
    write_run(tmp_path / "a1", "a", [NONE, GOOD], seed=1)
    write_run(tmp_path / "allfg", "allfg", [EVERYTHING, NONE])
    write_run(tmp_path / "ellipse", "ellipse", [HALF, HALF])
    write_run(tmp_path / "box", "box", [NONE, NONE], truth_access="box")
    found = gallery_of(tmp_path)
    assert found.labels == ("a seed=0", "box", "ellipse")
    assert all(tuple(shot.alphas) == found.labels for shot in found.shots)
    assert [[reason.tag for reason in shot.reasons] for shot in found.rows] == [
        ["worst of a seed=0", "hardest image", "harder quarter"],
        ["median image", "easiest image", "easier quarter"],
    ]
    assert found.notes[1:] == (
        "Of runs that differ in the seed only, the first stands for all.",
        "Uses ground truth: box.",
        "Baseline, which ignores the image: Centred ellipse.",
    )


def test_runs_without_truths_are_left_out_and_named(tmp_path):
    write_run(tmp_path / "a", "a", [GOOD, HALF])
    write_run(tmp_path / "old", "old", [NONE, NONE])
    shutil.rmtree(tmp_path / "old" / "truths")
    found = gallery_of(tmp_path)
    assert found.labels == ("a",)
    assert found.notes[-1] == "Left out, as their run folders hold no images: old."
    shutil.rmtree(tmp_path / "a" / "truths")
    assert gallery.gallery_of(comparison_of(tmp_path)) is None


def test_only_baselines_make_no_gallery(tmp_path):
    write_run(tmp_path / "a", "ellipse", [GOOD, HALF])
    assert gallery.gallery_of(comparison_of(tmp_path)) is None


@pytest.mark.parametrize(
    ("methods", "called"),
    [
        (("modnet", "unet"), {"modnet": "MODNet", "unet": "U-Net"}),
        # trained here and with its authors' weights
        (
            ("modnet", "official_modnet"),
            {"modnet": "MODNet (modnet)", "official_modnet": "MODNet (official_modnet)"},
        ),
    ],
)
def test_methods_are_called_by_their_names_and_told_apart(tmp_path, methods, called):
    for method in methods:
        write_run(tmp_path / method, method, [GOOD])
    assert gallery.names_of(numbers_of(comparison_of(tmp_path)).runs) == called
