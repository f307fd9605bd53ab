"""`kolbench.load`, `fit`, `evaluate` and `segment`, as the README shows them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import kolbench
from kolbench.config.compose import build_segmenter, literal, model_config
from kolbench.errors import ConfigError, DataError, WeightsError
from kolbench.runs import record
from tests.helpers.commands import kolbench as kolbench_command


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained U2NetP as an official checkpoint would be saved."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "u2netp.pth"
    torch.save(build_segmenter(model_config("u2netp")).network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def segmenter(weights):
    return kolbench.load("u2netp", weights=weights, device="cpu", size=64)


def picture(height=45, width=70):
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def test_alpha_has_the_pictures_own_size(segmenter):
    alpha = segmenter.segment(picture())
    assert alpha.shape == (45, 70)
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_a_file_a_pil_image_and_an_array_give_the_same_alpha(segmenter, tmp_path):
    array = picture()
    path = tmp_path / "photo.png"
    Image.fromarray(array).save(path)
    expected = segmenter.segment(array)
    assert np.array_equal(segmenter.segment(path), expected)
    assert np.array_equal(segmenter.segment(str(path)), expected)
    assert np.array_equal(segmenter.segment(Image.fromarray(array)), expected)


def test_a_rotated_phone_picture_is_segmented_as_it_is_seen(segmenter, tmp_path):
    array = picture()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: to be turned by 90 degrees clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(array))).save(tmp_path / "phone.png", exif=exif)
    assert np.array_equal(segmenter.segment(tmp_path / "phone.png"), segmenter.segment(array))


def test_the_given_weights_are_the_ones_that_predict(segmenter, weights):
    state = torch.load(weights, weights_only=True)
    for name, tensor in segmenter.network.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert not segmenter.training


def test_both_views_of_a_picture(segmenter, weights):
    both = kolbench.load("u2netp", weights=weights, device="cpu", size=64, tta="flip")
    mirrored = segmenter.segment(np.ascontiguousarray(picture()[:, ::-1]))[:, ::-1]
    expected = (segmenter.segment(picture()) + mirrored) / 2
    np.testing.assert_allclose(both.segment(picture()), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"source": "ellipse", "tta": "flop"}, ConfigError, "tta=flop .*Did you mean tta=flip"),
        ({"source": "u2nett"}, ConfigError, "Did you mean u2net"),
        ({"source": "u2netp"}, ConfigError, "must be trained: give weights="),
        ({"source": "u2netp", "weights": "absent.pth"}, WeightsError, "absent.pth"),
        ({"source": "u2netp", "sise": 64}, ConfigError, "Did you mean size"),
        ({"source": "u2netp", "size": 65}, ConfigError, "not a positive multiple of 32"),
    ],
)
def test_mistakes_are_answered(arguments, error, message):
    with pytest.raises(error, match=message):
        kolbench.load(**arguments)


def test_weights_of_another_method_are_refused(weights):
    with pytest.raises(WeightsError, match="does not fit"):
        kolbench.load("modnet", weights=weights)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_arrays_of_another_kind_are_refused(segmenter, bad):
    with pytest.raises(DataError):
        segmenter.segment(bad)


def test_a_device_that_is_not_there_is_an_error(weights):
    if torch.cuda.device_count() > 42:
        pytest.skip("this machine has that many GPUs")
    with pytest.raises(ConfigError, match="cuda:42"):
        kolbench.load("u2netp", weights=weights, device="cuda:42")


@pytest.mark.slow
def test_official_weights_find_the_person(shared):
    """The released MODNet on a street picture: normalisation, size rule and channel order are right."""
    # it lacks heads that only training needs, which is no news to somebody who segments
    modnet = kolbench.load(
        "modnet", weights=shared / "weights" / "modnet_photographic_from_onnx_bnrecal.pth", device="cpu"
    )
    root = shared / "data" / "street_kol"
    alpha = modnet.segment(root / "images" / "0003.jpg")
    mask = np.asarray(Image.open(root / "masks" / "0003.png")) > 127
    assert alpha.shape == mask.shape
    found = alpha > 0.5
    assert (found & mask).sum() / (found | mask).sum() > 0.75


@pytest.mark.slow
def test_a_method_without_weights_is_scored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"budget": "smoke", "data.picture_size": 64, "paths.runs": tmp_path / "it's my runs"}
    run = kolbench.fit("ellipse", **words)
    assert run.folder.parent == tmp_path / "it's my runs" / "ellipse"
    assert run.scores["miou"] == run.record.scores["miou"]
    assert 0.2 < run.scores["miou"] < 0.9
    # the very numbers of the command line
    kolbench_command(
        "experiment=ellipse", "budget=smoke", "data.picture_size=64", "paths.runs=b", cwd=tmp_path
    )
    (other,) = (tmp_path / "b" / "ellipse").iterdir()
    assert record.read(other / "run.json").scores == run.scores
    # a second run of the same second does not meet the first
    again = kolbench.evaluate(experiment="ellipse", threshold=0.25, **words)
    assert again.folder != run.folder
    assert (again.threshold, again.record.threshold_from) == (0.25, "the command")
    alpha = run.load().segment(picture())
    assert alpha.shape == (45, 70)


@pytest.mark.slow
def test_a_training_is_scored_elsewhere_and_put_to_work(tmp_path):
    words = {"budget": "smoke", "data.picture_size": 64, "paths.runs": tmp_path}
    run = kolbench.fit("unet", seed=3, **words)
    assert run.seed == 3
    assert run.history is not None
    assert list(run.history["epoch"]) == [0]
    scored = kolbench.evaluate(run.folder, data="synthetic", **{**words, "data.scene_seed": 1})
    assert scored.method == "unet"
    assert scored.record.threshold_from == "validation"
    alphas = [made.load(device="cpu").segment(picture()) for made in (run, scored)]
    assert np.array_equal(*alphas)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"experiment": "modnett"}, "Did you mean experiment=modnet"),
        ({"experiment": "modnet", "data": "folder"}, "data.root has no value"),
        ({"experiment": "modnet", "budget.epoch": 2}, "Did you mean budget.epochs"),
        ({"experiment": "modnet", "budget.epochs": "many"}, "budget.epochs=many is not a whole number"),
        ({"experiment": "modnet", "seed": {1}}, "no value of a key"),
    ],
)
def test_wrong_words_are_answered_as_on_the_command_line(words, message):
    with pytest.raises(ConfigError, match=message):
        kolbench.fit(**words)


@given(st.text(alphabet="ab '\"\\{}[],=:$ü 1.", max_size=12))
def test_texts_come_through_hydras_grammar_as_they_are(text):
    parsed = OverridesParser.create().parse_override(f"key={literal(text)}").value()
    assert parsed == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1e-5, 1e-5),
        ("true", "true"),
        ("12", "12"),
        (["all", 20, None], ["all", 20, None]),
        ({"a": {"b": [1.5]}}, {"a": {"b": [1.5]}}),
        (Path("x y"), "x y"),
    ],
)
def test_values_come_through_hydras_grammar(value, expected):
    assert OverridesParser.create().parse_override(f"key={literal(value)}").value() == expected
