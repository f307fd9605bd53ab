import hashlib
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
import pytest

from kolbench.data.scenes import backgrounds, person, products
from kolbench.data.scenes.canvas import Frame
from kolbench.data.scenes.person import sample_person
from kolbench.data.scenes.plan import FRAMING_TAGS, Plan, generator, make_plan
from kolbench.data.scenes.pose import pose_at
from kolbench.data.scenes.scene import Scene, compose, contact_sheet, make_clip, make_scene
from kolbench.errors import ConfigError
from tests.helpers.paths import ROOT

SMALL = 64


@lru_cache(maxsize=1)
def scenes() -> list[Scene]:
    return [make_scene(0, index, SMALL) for index in range(120)]


@lru_cache(maxsize=1)
def plans() -> list[Plan]:
    return [make_plan(generator(0, index, 0)) for index in range(300)]


def digest(scene: Scene) -> str:
    arrays = [np.ascontiguousarray(part) for part in scene[:6]]
    return hashlib.sha256(b"".join(part.tobytes() for part in arrays) + repr(scene.tags).encode()).hexdigest()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.slow
def test_shapes_dtypes_and_ranges():
    for scene in scenes()[:20]:
        assert scene.image.shape == scene.foreground.shape == scene.background.shape == (SMALL, SMALL, 3)
        assert scene.image.dtype == scene.foreground.dtype == scene.background.dtype == np.uint8
        assert scene.alpha.shape == scene.product.shape == scene.instances.shape == (SMALL, SMALL)
        assert scene.alpha.dtype == np.float32
        assert scene.product.dtype == scene.instances.dtype == np.uint8
        assert scene.alpha.min() == 0
        assert scene.alpha.max() == 1


def test_the_same_scene_twice_and_in_another_process():
    here = digest(make_scene(5, 17, SMALL))
    np.random.default_rng(1).random()
    cv2.setRNGSeed(3)
    assert digest(make_scene(5, 17, SMALL)) == here
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.data.scenes.test_scene import digest, SMALL;"
        "from kolbench.data.scenes.scene import make_scene; print(digest(make_scene(5, 17, SMALL)))"
    )
    folder = str(ROOT)
    there = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_scenes_of_other_indices_and_seeds_differ():
    digests = {digest(scene) for scene in scenes()} | {
        digest(make_scene(1, index, SMALL)) for index in range(5)
    }
    assert len(digests) == 125


def test_a_scene_looks_the_same_at_another_size():
    for index in range(6):
        large, small = make_scene(0, index, 256), make_scene(0, index, 128)
        shrunk = cv2.resize(large.alpha, (128, 128), interpolation=cv2.INTER_AREA)
        assert iou(shrunk >= 0.5, small.alpha >= 0.5) > 0.95
        plate = cv2.resize(large.background, (128, 128), interpolation=cv2.INTER_AREA).astype(float)
        assert np.abs(plate - small.background).mean() < 6
        assert large.tags == small.tags


def test_composition_equation():
    for scene in scenes()[:40]:
        alpha = scene.alpha.astype(np.float64)[..., None]
        exact = alpha * scene.foreground + (1 - alpha) * scene.background
        assert np.abs(scene.composite - exact).max() <= 0.501


def test_compose_by_hand():
    alpha = np.array([[0.0, 0.25, 1.0]], np.float32)
    foreground = np.full((1, 3, 3), 200, np.uint8)
    background = np.full((1, 3, 3), 100, np.uint8)
    assert compose(alpha, foreground, background)[0, :, 0].tolist() == [100, 125, 200]


def test_the_camera_disturbs_the_composite_only_mildly():
    for scene in scenes()[:40]:
        difference = scene.image.astype(float) - scene.composite
        assert 0.3 < np.abs(difference).mean() < 15
        assert abs(difference.mean()) < 3


def test_products_are_visible_solid_and_owned_by_someone():
    present = 0
    for scene in scenes():
        held = scene.product == 1
        present += bool(held.sum() >= 10)
        assert (scene.alpha[held] >= 0.5).all()
        assert (scene.instances[held] > 0).all()
        assert held.any() or "nothing_held" in scene.tags or "two_people" in scene.tags
    assert present >= 0.95 * len(scenes())


def test_instances_cover_exactly_the_solid_foreground():
    for scene in scenes():
        assert ((scene.instances > 0) == (scene.alpha >= 0.5)).all()
        people = set(np.unique(scene.instances)) - {0}
        assert people == ({1, 2} if "two_people" in scene.tags else {1})


def test_foreground_shares_vary_widely():
    shares = np.array([scene.alpha.mean() for scene in scenes()])
    assert 0.1 < shares.min() < 0.18
    assert 0.5 < shares.max() < 0.75
    assert 0.3 < shares.mean() < 0.42


def test_a_mean_mask_is_a_poor_answer():
    masks = np.stack([scene.alpha >= 0.5 for scene in scenes()])
    guess = masks.mean(0) >= 0.5
    assert np.mean([iou(guess, mask) for mask in masks]) < 0.6


def test_every_tag_appears_and_each_kind_once():
    groups = [
        {*products.KINDS, "nothing_held"},
        set(backgrounds.KINDS),
        {"one_person", "two_people"},
        {"bright", "dim"},
        {tag for _, tag in FRAMING_TAGS},
        set(person.HAIR_STYLES),
    ]
    counts = Counter(tag for plan in plans() for tag in plan.tags)
    assert set(counts) == set().union(*groups, person.POSITIONS, {"own_colours", "distractor"})
    for tags in (plan.tags for plan in plans()):
        assert all(len(group & set(tags)) == 1 for group in groups)
        assert ("nothing_held" in tags) == (not set(person.POSITIONS) & set(tags))
    assert 0.05 < counts["two_people"] / 300 < 0.25


def test_position_tags_say_where_the_product_is():
    """Products before the face lie higher than those before the body, in head heights from the neck."""
    heights: dict[str, list[float]] = {}
    for one in (plan.people[0] for plan in plans()):
        if one.hold is not None:
            heights.setdefault(one.hold.position, []).append(one.hold.y)
    assert max(heights["before_face"]) < 0.2
    assert np.median(heights["before_body"]) > 0.5
    assert np.median(heights["raised"]) < -0.2


def test_hair_is_soft():
    soft = {"long": [], "bald": []}
    for scene in scenes():
        band = (scene.alpha > 0.05) & (scene.alpha < 0.95)
        assert band.mean() > 0.005
        if "long_hair" in scene.tags:
            soft["long"].append(band.sum() / np.sqrt(scene.alpha.sum()))
        if "bald" in scene.tags:
            soft["bald"].append(band.sum() / np.sqrt(scene.alpha.sum()))
    assert np.mean(soft["long"]) > 1.1 * np.mean(soft["bald"])


def test_own_colours_bring_the_background_closer_to_the_people():
    """Mean distance of plate pixels to the nearest of 12 foreground colours, in grey levels."""

    def distance(scene: Scene) -> float:
        inside = scene.foreground[scene.alpha > 0.9].astype(np.float32)
        samples = inside[:: max(1, len(inside) // 60)]
        plate = cv2.resize(scene.background, (12, 12), interpolation=cv2.INTER_AREA).reshape(-1, 1, 3)
        return float(np.linalg.norm(plate - samples[None], axis=2).min(1).mean())

    wanted = [index for index in range(200) if {"plain", "bright"} <= set(plans()[index].tags)]
    plain = [scenes()[i] if i < len(scenes()) else make_scene(0, i, SMALL) for i in wanted]
    own = [distance(scene) for scene in plain if "own_colours" in scene.tags]
    other = [distance(scene) for scene in plain if "own_colours" not in scene.tags]
    assert np.mean(own) < 0.8 * np.mean(other)


def test_foreground_colours_continue_outside_the_matte():
    """Next to the edge the extension resembles the person, so a wrong alpha shows no black fringe."""
    scene = make_scene(0, 3, 128)
    solid = (scene.alpha > 0.9).astype(np.uint8)
    ring = (cv2.dilate(solid, np.ones((7, 7))) == 1) & (scene.alpha == 0)
    assert ring.sum() > 100
    assert abs(scene.foreground[ring].mean() - scene.foreground[solid == 1].mean()) < 40


def test_a_clip_moves_smoothly_before_a_still_camera():
    for index in (1, 4):
        clip = make_clip(0, index, 6, SMALL, fps=10)
        assert digest(clip[0]) == digest(make_scene(0, index, SMALL))
        for before, after in pairwise(clip):
            assert iou(before.alpha >= 0.5, after.alpha >= 0.5) > 0.8
            assert not np.array_equal(before.alpha, after.alpha)
            assert not np.array_equal(before.image, after.image)
            assert np.array_equal(before.background, after.background)
            assert before.tags == after.tags


def test_fps_is_only_the_sampling_of_one_motion():
    slow, fast = make_clip(2, 8, 2, SMALL, fps=10), make_clip(2, 8, 3, SMALL, fps=20)
    assert np.array_equal(slow[1].alpha, fast[2].alpha)


def test_hands_reach_their_grips():
    for index in range(100):
        random = np.random.default_rng(index)
        one = sample_person(random, None, True)
        pose = pose_at(one, 0.3)
        assert one.hold is not None
        assert pose.product is not None
        busy = [arm for arm in pose.arms if arm.grip in ("fingers", "thumb", "fist")]
        assert len(busy) == (2 if one.hold.both_hands else 1)
        for arm in busy:
            grip = one.hold.product.both_grip if one.hold.both_hands else one.hold.product.grip
            expected = pose.product.at((arm.side * grip.x, grip.y))
            np.testing.assert_allclose((arm.hand.x, arm.hand.y), expected, atol=1e-9)


def test_frames_go_there_and_back():
    frame = Frame(0.2, 0.4, 0.3, 0.5, -1.0).child(0.1, 0.2, 0.5, 0.7)
    points = np.array([[0.0, 0.0], [1.0, -2.0], [0.3, 0.4]])
    np.testing.assert_allclose(frame.back(frame.at(points)), points, atol=1e-12)
    xs, ys = np.float32([0.25]), np.float32([0.7])
    u, v = frame.local(xs, ys)
    np.testing.assert_allclose([u[0, 0], v[0, 0]], frame.back((0.25, 0.7)), atol=1e-6)


def test_contact_sheet():
    three = scenes()[:3]
    sheet = contact_sheet(three, 2)
    assert sheet.shape == (2 * 3 * SMALL, 2 * SMALL, 3)
    assert np.array_equal(sheet[:SMALL, SMALL:], three[1].image)
    matte = np.rint(three[2].alpha * 255).astype(np.uint8)
    assert np.array_equal(sheet[4 * SMALL : 5 * SMALL, :SMALL, 0], matte)
    assert (sheet[3 * SMALL :, SMALL:] == 255).all()


@pytest.mark.parametrize(
    ("seed", "index", "frames", "size", "fps"),
    [(-1, 0, 1, 64, 25), (0, -1, 1, 64, 25), (0, 0, 0, 64, 25), (0, 0, 1, 16, 25), (0, 0, 1, 64, 0)],
)
def test_impossible_requests_are_told(seed, index, frames, size, fps):
    with pytest.raises(ConfigError, match="synthetic scene"):
        make_clip(seed, index, frames, size, fps)


def test_an_empty_contact_sheet_is_told():
    with pytest.raises(ConfigError, match="contact sheet"):
        contact_sheet([], 3)
