"""Mattes of any program: read exactly, refused with a reason."""

import numpy as np
import pytest
import torch
from PIL import Image

from kolbench.errors import ConfigError, DataError
from kolbench.models.precomputed import MasksSegmenter

LEVELS = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)

ALPHA = LEVELS / 255


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)


def read(folder, name="a", height=2, width=3, **options):
    alpha = MasksSegmenter(folder, **options).predict(torch.rand(1, 3, height, width), [name]).alpha
    assert alpha.shape == (1, 1, height, width)
    assert alpha.dtype == torch.float32
    return alpha[0, 0].numpy()


def palette_image(indices, colours):
    image = Image.new("P", indices.shape[::-1])
    image.putdata(indices.ravel().tolist())
    image.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return image


WRITTEN = {
    "a.png": LEVELS,
    "a.bmp": LEVELS,
    "a.tif": LEVELS.astype(np.uint16) * 257,
    "a.tiff": ALPHA.astype(np.float32),
    "a.PNG": np.repeat(LEVELS[..., None], 3, axis=2),
    "a.webp": np.dstack([np.full((2, 3, 3), 90, np.uint8), LEVELS]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_common_formats_give_the_same_alpha(tmp_path, name):
    save(tmp_path / name, WRITTEN[name], **({"lossless": True} if name == "a.webp" else {}))
    assert np.abs(read(tmp_path) - ALPHA).max() < 1e-6


def test_sixteen_bits_are_kept(tmp_path):
    deep = np.array([[0, 100, 30000], [40001, 65000, 65535]], np.uint16)
    save(tmp_path / "a.png", deep)
    assert np.abs(read(tmp_path) - deep / 65535).max() < 1e-6


def test_the_alpha_channel_wins_unless_it_is_opaque(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    grey = np.repeat(LEVELS[..., None], 3, axis=2)
    full, none = np.full((2, 3), 255, np.uint8), np.zeros((2, 3), np.uint8)
    cases = {
        "cutout": (np.dstack([colours, LEVELS]), ALPHA),
        "empty_cutout": (np.dstack([colours, none]), none),
        "opaque": (np.dstack([grey, full]), ALPHA),
        "grey_and_alpha": (np.dstack([none, LEVELS]), ALPHA),
    }
    for name, (array, expected) in cases.items():
        save(tmp_path / f"{name}.png", array)
        assert np.abs(read(tmp_path, name) - expected).max() < 1e-6


def test_palettes_and_two_valued_files(tmp_path):
    indices = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    # the colours of Pascal VOC: class 1 is dark red, whose grey level would be 0.15
    palette_image(indices, [(0, 0, 0), (128, 0, 0)]).save(tmp_path / "voc.png")
    palette_image(indices, [(51, 51, 51), (204, 204, 204)]).save(tmp_path / "greys.png")
    save(tmp_path / "bits.png", indices * 255, "1")
    save(tmp_path / "labels.png", np.stack([indices * 200, indices * 30, indices * 0], axis=2))
    for name in ("voc", "bits", "labels"):
        assert np.array_equal(read(tmp_path, name), indices)
    assert np.allclose(read(tmp_path, "greys"), np.where(indices, 0.8, 0.2), atol=1e-6)


def test_masks_of_zero_and_one_are_seen_to_be_dark(tmp_path):
    mask = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    save(tmp_path / "a.png", mask)
    with pytest.warns(UserWarning, match=r"brightest level of .*a\.png is 1 where 255 .*model\.white=1"):
        assert np.allclose(read(tmp_path), mask / 255)
    assert np.array_equal(read(tmp_path, white=1), mask)


def test_grey_jpegs_are_mattes_and_photographs_are_not(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    save(tmp_path / "a.jpg", np.repeat(ramp[..., None], 3, axis=2), quality=95)
    assert np.abs(read(tmp_path, "a", 64, 64) - ramp / 255).max() < 0.02
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for suffix in ("jpg", "png"):
        save(tmp_path / suffix / f"b.{suffix}", colours)
        with pytest.raises(DataError, match=rf"b\.{suffix} .*not (like )?a (matte|mask)"):
            read(tmp_path / suffix, "b", 64, 64)


# pixel centres: 4 samples of 2 pixels lie at -0.25, 0.25, 0.75, 1.25
def test_other_sizes_are_resized_bilinearly(tmp_path):
    save(tmp_path / "a.png", np.array([[0, 255]], np.uint8))
    assert np.allclose(read(tmp_path, "a", 1, 4), [[0, 0.25, 0.75, 1]], atol=1e-6)
    with pytest.raises(DataError, match=r"a\.png is 2x1 px, but the image a is 4x1 px: .*model\.resize=true"):
        read(tmp_path, "a", 1, 4, resize=False)
    assert np.allclose(read(tmp_path, "a", 1, 2, resize=False), [[0, 1]])


def test_turned_mattes_are_refused(tmp_path):
    save(tmp_path / "a.png", LEVELS)
    with pytest.raises(DataError, match=r"3x2 px, but the image a is 2x3 px: it seems to be turned"):
        read(tmp_path, "a", 3, 2)


def test_a_batch_takes_its_mattes_by_name_from_subfolders(tmp_path):
    save(tmp_path / "clip" / "00001.png", LEVELS)
    save(tmp_path / "x.y.png", 255 - LEVELS)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._x.y.png").write_bytes(b"left by a file manager")
    method = MasksSegmenter(tmp_path)
    assert method.input_keys == ("image", "name")
    assert method.truth_access == "none"
    assert not method.trainable
    alpha = method.predict(torch.rand(2, 3, 2, 3), ["x.y", "clip/00001"]).alpha
    assert np.allclose(alpha[:, 0], [1 - ALPHA, ALPHA], atol=1e-6)


def test_all_missing_mattes_are_named_at_once(tmp_path):
    save(tmp_path / "p03.png", LEVELS)
    names = [f"p{index:02}" for index in range(26)]
    method = MasksSegmenter(tmp_path)
    with pytest.raises(DataError) as raised:
        method.check(names)
    message = str(raised.value)
    assert f"25 of 26 images have no matte in {tmp_path}: p00, p01, p02, p04, " in message
    assert "p20, ... (5 more)" in message
    assert "p21" not in message
    with pytest.raises(DataError, match=r"1 of 1 images have no matte in .*: q\."):
        method.predict(torch.rand(1, 3, 2, 3), ["q"])
    method.check(["p03"])


def test_missing_mattes_may_count_as_empty(tmp_path):
    save(tmp_path / "a.png", LEVELS)
    method = MasksSegmenter(tmp_path, missing="empty")
    with pytest.warns(UserWarning, match=r"2 of 3 images have no matte in .*: b, c\. They count as alpha 0"):
        method.check(["a", "b", "c"])
    assert method.absent == {"b", "c"}
    # said once; any further warning would be an error here
    alpha = method.predict(torch.rand(2, 3, 2, 3), ["b", "a"]).alpha
    assert not alpha[0].any()
    assert np.allclose(alpha[1, 0], ALPHA, atol=1e-6)


def test_nothing_outside_the_folder_is_read(tmp_path):
    save(tmp_path / "secret.png", LEVELS)
    save(tmp_path / "mattes" / "a.png", LEVELS)
    (tmp_path / "mattes" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "mattes" / "up").symlink_to(tmp_path)
    (tmp_path / "mattes" / "alias.png").symlink_to(tmp_path / "mattes" / "a.png")
    outside = ["../secret", str(tmp_path / "secret"), "a/../../secret", "up/secret"]
    method = MasksSegmenter(tmp_path / "mattes")
    for name in outside:
        with pytest.raises(DataError, match="1 of 1 images have no matte"):
            method.predict(torch.rand(1, 3, 2, 3), [name])
    for use in (lambda: method.check(["link"]), lambda: method.predict(torch.rand(1, 3, 2, 3), ["link"])):
        with pytest.raises(DataError, match=r"link\.png is a link that leads out of"):
            use()
    assert np.allclose(read(tmp_path / "mattes", "alias"), ALPHA, atol=1e-6)


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"model\.masks_dir=.*absent is no folder"):
        MasksSegmenter(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no images"):
        MasksSegmenter(tmp_path)
    save(tmp_path / "a.png", LEVELS)
    with pytest.raises(ConfigError, match=r"model\.missing=skip"):
        MasksSegmenter(tmp_path, missing="skip")
    with pytest.raises(ConfigError, match=r"model\.white=0"):
        MasksSegmenter(tmp_path, white=0)
    with pytest.raises(ConfigError, match="by their names"):
        MasksSegmenter(tmp_path).segment(np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / "a.bmp", LEVELS)
    with pytest.raises(DataError, match=r"a\.bmp and .*a\.png are mattes of the same image"):
        MasksSegmenter(tmp_path)
