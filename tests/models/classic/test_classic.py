"""K-Means, Mean Shift, GrabCut: hand-worked pictures, exact optima, results that depend on nothing else."""

import itertools
import time
from functools import partial

import cv2
import joblib
import numpy as np
import pytest
import torch

from kolbench.config import compose
from kolbench.errors import ConfigError
from kolbench.io import masks
from kolbench.io.images import read_rgb
from kolbench.models.classic import features, grabcut, kmeans, lloyd, meanshift, oracle, regions
from kolbench.models.classic.cluster_selection import Selection, select
from kolbench.models.classic.grabcut import GrabCutOptions, GrabCutSegmenter
from kolbench.models.classic.kmeans import KMeansSegmenter
from kolbench.models.classic.lloyd import KMeansOptions
from kolbench.models.classic.meanshift import MeanShiftOptions
from kolbench.models.trivial import MeanMask
from kolbench.runs import code

RED, BLUE = (200, 30, 40), (20, 60, 180)
METHODS = ("kmeans", "meanshift", "grabcut")
# the seconds of mean shift lie in its starts, of which colour alone has few
COARSE = {"pos_weight": 0, "max_side": 64}
FUNCTIONS = {
    "kmeans": partial(kmeans.segment, options=KMeansOptions(), selection=Selection()),
    "meanshift": partial(
        meanshift.segment, options=MeanShiftOptions(bandwidth=30, **COARSE), selection=Selection()
    ),
    "pyramid": partial(meanshift.segment, options=MeanShiftOptions("pyramid"), selection=Selection()),
    "pyramid_kmeans": partial(
        meanshift.segment, options=MeanShiftOptions("pyramid", labels="kmeans"), selection=Selection()
    ),
    "grabcut": partial(grabcut.segment, options=GrabCutOptions()),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def block(height=120, width=90):
    """A red block in the middle of blue; the mask of the block."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : 3 * height // 4, width // 3 : 2 * width // 3] = 1
    return np.where(mask[..., None] > 0, np.uint8(RED), np.uint8(BLUE)), mask


def photo(height, width, seed=0):
    """Patches of colour with noise: no two pixels are quite alike."""
    generator = np.random.default_rng(seed)
    patches = generator.integers(40, 160, (3, 3, 3), np.uint8)
    image = cv2.resize(patches, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int16)
    _, mask = block(height, width)
    image[mask > 0] = 255 - image[mask > 0]
    return np.clip(image + generator.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)


def build(name, **options):
    options = {**(COARSE if name == "meanshift" else {}), **options}
    return compose.build_segmenter(compose.model_config(name, "smoke", **options))


def as_batch(*images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def by_rule(labels, count, rule):
    band, weight = regions.border_band(*labels.shape), regions.centre_weight(*labels.shape)
    return regions.chosen_by_rule(labels, count, rule, band, weight)


def plain_cost(labels, chosen, mask):
    union = np.isin(labels, np.flatnonzero(chosen))
    return (union & (mask > 0)).sum() / (union | (mask > 0)).sum()


def test_two_clusters_of_a_two_coloured_picture_are_its_colours_and_its_object():
    image, mask = block()
    clusters = lloyd.cluster(image, KMeansOptions(k=2, pos_weight=0))
    assert sorted(map(tuple, clusters.centres.tolist())) == sorted([RED, BLUE])
    assert np.array_equal(regions.replaced_by_centroids(clusters), image)
    assert np.array_equal(select(clusters, Selection()).alpha, mask)


@pytest.mark.parametrize("space", features.SPACES)
def test_fewer_colours_than_clusters_give_as_many_clusters_as_colours(space):
    image, _ = block()
    image[:5] = (0, 255, 0)
    clusters = lloyd.cluster(image, KMeansOptions(k=8, space=space, pos_weight=0))
    assert len(clusters.centres) == 3
    assert np.array_equal(regions.replaced_by_centroids(clusters), image)


@pytest.mark.parametrize("labels", [None, "kmeans", "components"])
def test_mean_shift_finds_the_two_colours_by_itself(labels):
    image, mask = block()
    knobs = {"method": "pyramid", "labels": labels} if labels else {"bandwidth": 20}
    clusters = meanshift.cluster(image, MeanShiftOptions(pos_weight=0, k=2, **knobs))
    assert sorted(map(tuple, clusters.centres.tolist())) == sorted([RED, BLUE])
    assert np.array_equal(select(clusters, Selection()).alpha, mask)


def test_components_are_bounded_by_jumps_of_colour():
    image = np.zeros((3, 4, 3), np.uint8)
    image[..., 0] = [[0, 3, 6, 60], [0, 3, 6, 60], [90, 90, 6, 60]]
    labels = meanshift.like_coloured_components(image, 4)
    ramp, bright, corner = labels[0, 0], labels[0, 3], labels[2, 0]
    assert labels.tolist() == [[ramp] * 3 + [bright]] * 2 + [[corner, corner, ramp, bright]]
    assert len({ramp, bright, corner}) == 3


def test_grabcut_finds_the_block_from_the_fixed_box():
    image, mask = block(300, 260)
    result = grabcut.segment(image, options=GrabCutOptions())
    assert np.array_equal(result.alpha, mask)
    assert result.notes == {"fallback": 0.0, "empty": 0.0}


@pytest.mark.parametrize("name", METHODS)
def test_a_box_that_leaves_no_background_falls_back_and_is_counted(name):
    image, _ = block()
    whole = GrabCutOptions(box=(0, 0, 1, 1))
    result = grabcut.segment(image, options=whole)
    assert result.notes["fallback"] == 1
    assert result.alpha.all()
    segmenter = GrabCutSegmenter("auto", box=[0, 0, 1, 1])
    assert segmenter.predict(as_batch(image, image)).aux["fallback"].tolist() == [[[[1.0]]]] * 2
    full, empty = np.ones_like(image[..., 0]), np.zeros_like(image[..., 0])
    assert build(name, variant="box").function(image, empty).notes["empty"] == 1
    if name == "grabcut":
        assert build(name, variant="box").function(image, full).notes["fallback"] == 1
        assert build(name, variant="oracle").function(image, full).alpha.all()


def test_the_band_is_five_percent_wide_and_leaves_out_the_bottom():
    band = regions.border_band(40, 60)
    expected = np.zeros((40, 60), bool)
    expected[:3] = expected[:, :3] = expected[:, 57:] = True
    assert np.array_equal(band, expected)
    assert regions.border_band(1, 1).all()


def test_an_object_cut_by_the_bottom_stays_foreground_and_one_at_the_side_does_not():
    labels = np.zeros((100, 100), np.int32)
    labels[40:, 40:60] = 1
    labels[40:, :20] = 2
    assert by_rule(labels, 3, "border").tolist() == [False, True, False]


def test_rules_by_hand():
    # 20 columns, band 1 px: 20 + 2 * 9 = 38 of 200 pixels
    labels = np.zeros((10, 20), np.int32)
    labels[0] = 1
    labels[4:8, 9:11] = 2
    # 0: 18 / 38 against 172 / 200; 1: 20 / 38 against 20 / 200; 2: 0
    assert by_rule(labels, 3, "border").tolist() == [True, False, True]
    weight = regions.centre_weight(10, 20)
    above = [weight[labels == k].mean() > weight.mean() for k in range(3)]
    assert above == [False, False, True]
    assert by_rule(labels, 3, "centre").tolist() == above
    assert by_rule(labels, 4, "both").tolist() == [False, False, True, False]


def test_a_box_takes_the_place_of_the_frame():
    labels = np.zeros((100, 200), np.int32)
    labels[20:80, 10:40] = 1
    labels[20:80, 140:190] = 2
    clusters = regions.Clusters(labels, np.zeros((3, 3), np.uint8))
    for name in (1, 2):
        mask = (labels == name).astype(np.uint8)
        # alone, neither keeps to the centre; in its box each does
        assert not select(clusters, Selection("auto", "both", clean=False)).alpha[labels == 1].any()
        assert np.array_equal(select(clusters, Selection("box"), mask).alpha, mask)


def test_centre_weight_is_the_stated_gaussian():
    weight = regions.centre_weight(100, 100)
    # u = 0.695, v = 0.845 at the middle of the pixel: about one sigma each way
    assert weight[84, 69] == pytest.approx(np.exp(-((0.195 / 0.2) ** 2 + (0.295 / 0.3) ** 2) / 2))
    assert np.unravel_index(weight.argmax(), weight.shape) in [(54, 49), (54, 50), (55, 49), (55, 50)]


def test_cleaning_opens_closes_and_keeps_the_largest():
    mask = np.zeros((256, 256), np.uint8)
    mask[60:200, 80:160] = 1
    expected = mask.copy()
    mask[100:108, 100:108] = 0  # a hole below 9 px is closed
    mask[20:24, 20:24] = 1  # a speck below 5 px is opened away
    mask[20:50, 180:210] = 1  # not the largest
    assert np.array_equal(regions.cleaned(mask), expected)


@pytest.mark.parametrize("seed", range(20))
def test_best_union_is_the_best_of_all_unions(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 8))
    labels = generator.integers(0, count, (9, 11)).astype(np.int32)
    labels.flat[:count] = np.arange(count)
    mask = (generator.random((9, 11)) < generator.random(count)[labels]).astype(np.uint8)
    chosen = oracle.best_union(labels, count, mask)
    unions = [np.array(union) for union in itertools.product([False, True], repeat=count)]
    if not mask.any():
        assert not chosen.any()
        return
    best = max(plain_cost(labels, union, mask) for union in unions)
    assert plain_cost(labels, chosen, mask) == pytest.approx(best)
    most = max((union[labels] == mask).mean() for union in unions)
    assert (oracle.majority(labels, count, mask)[labels] == mask).mean() == pytest.approx(most)


def test_the_true_box_has_its_margin_and_ends_at_the_frame():
    mask = np.zeros((256, 300), np.uint8)
    mask[40:256, 100:140] = 1
    assert oracle.true_box(mask) == (97, 37, 143, 256)
    assert oracle.true_box(np.kron(mask, np.ones((2, 2), np.uint8))) == (194, 74, 286, 512)
    assert oracle.true_box(np.zeros_like(mask)) is None


def test_the_true_trimap_doubts_seven_pixels_to_each_side():
    mask = np.zeros((256, 256), np.uint8)
    mask[:, 100:] = 1
    row = oracle.true_trimap(mask)[128]
    assert row.tolist() == [0] * 93 + [2] * 14 + [1] * 149


@pytest.mark.parametrize("name", METHODS)
def test_variants_say_what_they_read_and_the_truth_helps(name):
    image, mask = photo(120, 90), block()[1]
    shifted = np.roll(mask, 25, axis=1)
    for variant, truth_access in (("auto", "none"), ("box", "box"), ("oracle", "mask")):
        method = build(name, variant=variant)
        assert method.truth_access == truth_access
        assert method.input_keys == (("image",) if truth_access == "none" else ("image", "mask"))
        assert not method.trainable
    boxed = build(name, variant="box").function(image, shifted).alpha
    assert not boxed[oracle.true_trimap(shifted) == 0][:500].any()
    inside = oracle.true_box(shifted).inside()
    outside = boxed.copy()
    outside[inside] = 0
    assert not outside.any()


def test_oracle_choices_differ_where_accuracy_and_iou_disagree():
    image, mask = block()
    mask[:, 40:] = 0  # a third of the red block only
    by = {
        choice: KMeansSegmenter("oracle", "both", True, choice, k=2, pos_weight=0)
        for choice in oracle.CHOICES
    }
    assert by["union"].function(image, mask).alpha.sum() == 60 * 30
    assert by["majority"].function(image, mask).alpha.sum() == 0


@every_function
@pytest.mark.parametrize("shape", [(33, 47), (48, 31), (5, 4), (1, 1), (1, 30), (2, 2)])
def test_alpha_of_any_size_is_binary_float_and_the_input_untouched(function, shape):
    image = photo(*shape)
    before = image.copy()
    alpha, notes = function(image)
    assert alpha.shape == shape
    assert alpha.dtype == np.float32
    assert np.isin(alpha, (0, 1)).all()
    assert notes["empty"] == float(not alpha.any())
    assert np.array_equal(image, before)


@every_function
def test_one_colour_has_nothing_to_find(function):
    image = np.full((60, 80, 3), 77, np.uint8)
    first, second = function(image), function(image)
    assert np.array_equal(first.alpha, second.alpha)
    # with position, clusters are mere places
    for name, options in (("kmeans", KMeansOptions), ("meanshift", MeanShiftOptions)):
        method = {"kmeans": kmeans, "meanshift": meanshift}[name]
        result = method.segment(image, options=options(pos_weight=0), selection=Selection())
        assert result.notes["empty"] == 1
    assert grabcut.segment(image, options=GrabCutOptions()).notes["fallback"] == 0


@pytest.mark.slow
@every_function
def test_results_depend_on_no_thread_order_or_process(function):
    images = [photo(150, 110, seed) for seed in range(3)]
    expected = [function(image).alpha for image in images]
    threads = cv2.getNumThreads()
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            cv2.setRNGSeed(count)
            for image, alpha in reversed(list(zip(images, expected, strict=True))):
                assert np.array_equal(function(image).alpha, alpha)
    finally:
        cv2.setNumThreads(threads)
    pooled = joblib.Parallel(n_jobs=2)(joblib.delayed(function)(image) for image in images)
    for result, alpha in zip(pooled, expected, strict=True):
        assert np.array_equal(result.alpha, alpha)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_batch_a_single_picture_and_the_function_agree(name):
    images = [photo(100, 80, seed) for seed in (1, 2)]
    method = build(name)
    together = method.predict(as_batch(*images))
    assert together.alpha.shape == (2, 1, 100, 80)
    for index, image in enumerate(images):
        alone = method.predict(as_batch(image))
        result = method.array_function()(image)
        assert torch.equal(alone.alpha[0], together.alpha[index])
        assert np.array_equal(alone.alpha[0, 0].numpy(), result.alpha)
        for note, value in result.notes.items():
            assert together.aux[note].shape == (2, 1, 1, 1)
            assert together.aux[note][index].item() == value


def test_a_pictures_seed_is_its_contents_and_the_methods():
    image, _ = block()
    seed = features.picture_seed(image, 0)
    assert seed == features.picture_seed(np.asfortranarray(image), 0)
    assert 0 <= seed < 2**31
    assert len({seed, features.picture_seed(image, 1), features.picture_seed(image[:, ::-1][1:], 0)}) == 3


def test_features_are_lab_of_known_colours_with_weighted_position():
    image = np.uint8([[[255, 255, 255], [255, 0, 0]], [[0, 0, 0], [0, 0, 255]]])
    points = features.pixel_features(image, "lab", 0.5).T
    # CIE L*a*b* under D65 (published values of sRGB primaries); x, y in halves of 50
    expected = [
        [100, 0, 0, 0, 0],
        [53.24, 80.09, 67.20, 25, 0],
        [0, 0, 0, 0, 25],
        [32.30, 79.19, -107.86, 25, 25],
    ]
    np.testing.assert_allclose(points, expected, atol=0.3)
    assert features.pixel_features(image, "rgb", 0).T.tolist()[1] == [100, 0, 0]


def test_the_nearest_centre_is_the_one_of_a_plain_search():
    generator = np.random.default_rng(0)
    points = generator.normal(size=(5, 40_000)).astype(np.float32)
    centres = generator.normal(size=(7, 5)).astype(np.float32)
    plain = ((points.T[:, None].astype(float) - centres) ** 2).sum(2).argmin(1)
    assert np.array_equal(features.nearest(points, centres), plain)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("kmeans", "k", 1),
        ("kmeans", "k", 11),
        ("kmeans", "k", 4.5),
        ("kmeans", "space", "hsv"),
        ("kmeans", "pos_weight", -1),
        ("kmeans", "rule", "center"),
        ("kmeans", "oracle", "best"),
        ("kmeans", "variant", "gt"),
        ("meanshift", "method", "scipy"),
        ("meanshift", "bandwidth", 0),
        ("meanshift", "quantile", 2),
        ("meanshift", "sp", "wide"),
        ("grabcut", "variant", "gt"),
        ("grabcut", "iterations", 0),
        ("grabcut", "size", True),
        ("grabcut", "box", [0.2, 0.1, 0.8]),
        ("grabcut", "box", [0.8, 0.1, 0.2, 0.9]),
        ("grabcut", "box", [0.2, 0.1, 1.8, 0.9]),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(name, key, value):
    with pytest.raises(ConfigError, match=f"model.{key}="):
        build(name, **{key: value})


def test_the_mean_mask_asks_for_its_mean_and_then_gives_it():
    method = build("meanmask")
    image = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ConfigError, match="no mean mask"):
        method.predict(image)
    mean = torch.tensor([[[[0.0, 1.0], [0.25, 0.5]]]])
    method.fit_mean(mean)
    assert torch.equal(method.predict(image).alpha, MeanMask(mean).predict(image).alpha)
    assert torch.equal(MeanMask(mean).predict(image[..., :2, :2]).alpha, mean.expand(2, 1, 2, 2))


@every_function
def test_long_pictures_take_seconds(function):
    image = photo(256, 2048)
    started = time.process_time()
    assert function(image).alpha.shape == (256, 2048)
    # about 1 s each of one core, however busy the others are
    assert time.process_time() - started < 20


@pytest.mark.slow
@pytest.mark.shared
def test_on_photographs_grabcut_is_far_above_the_ellipse(shared):
    root = shared / "data" / "street_kol"
    ellipse, scores = build("ellipse"), {"grabcut": [], "ellipse": []}
    for name in (root / "val.txt").read_text().split()[:4]:
        image = read_rgb(root / "images" / f"{name}.jpg")
        mask = masks.read_mask(root / "masks" / f"{name}.png") > 0
        found = {
            "grabcut": FUNCTIONS["grabcut"](image).alpha > 0.5,
            "ellipse": ellipse.predict(as_batch(image)).alpha[0, 0].numpy() > 0.5,
        }
        for method, alpha in found.items():
            scores[method].append((alpha & mask).sum() / (alpha | mask).sum())
    assert np.mean(scores["grabcut"]) > np.mean(scores["ellipse"]) + 0.15


def test_a_classic_method_does_not_have_the_code_of_the_others():
    names = ("grabcut", "kmeans", "meanshift")
    for name in names:
        imported = code.closure([f"kolbench.models.classic.{name}"])
        assert [other for other in names if f"kolbench.models.classic.{other}" in imported] == [name]
        assert not any(module.startswith("kolbench.models.components") for module in imported)
