from pathlib import Path

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data.sources.alpha import AlphaSource, composed
from kolbench.errors import ConfigError, DataError
from kolbench.io import images
from tests.helpers.data_files import HEIGHT, WIDTH, picture, put
from tests.helpers.tasks import configured

LEVELS = np.zeros((HEIGHT, WIDTH), np.uint8)
LEVELS[:, 8:] = 255
LEVELS[:, 6:8] = 51, 204


def cutout(path: Path, hidden: np.ndarray | int | None = 0, seed: int = 0) -> np.ndarray:
    """Noise behind an alpha; hidden: the colour of what cannot be seen, None = the noise."""
    colours = picture(seed)
    if hidden is not None:
        colours[LEVELS == 0] = hidden
    put(path, np.dstack([colours, LEVELS]))
    return colours


def test_the_alpha_is_the_truth(tmp_path):
    cutout(tmp_path / "a.png")
    source = AlphaSource(tmp_path)
    read = source.read(0)
    assert source.truth == "alpha"
    assert read.matte is not None
    assert read.matte.dtype == np.float32
    assert np.array_equal(read.matte, (LEVELS / 255).astype(np.float32))
    assert np.array_equal(read.mask, LEVELS >= 128)
    binary = AlphaSource(tmp_path, truth="binary")
    assert binary.truth == "binary"
    assert binary.read(0).matte is None
    assert np.array_equal(binary.read(0).mask, read.mask)
    with pytest.raises(ConfigError, match=r"data\.truth=soft"):
        AlphaSource(tmp_path, truth="soft")


def test_a_cutout_without_background_stands_on_white_and_that_is_said(tmp_path):
    colours = cutout(tmp_path / "a.png", hidden=7)
    source = AlphaSource(tmp_path)
    image = source.read(0).image
    assert (image[:, :6] == 255).all()
    assert np.array_equal(image[:, 8:], colours[:, 8:])
    # a fifth of the colour over four fifths of white
    assert np.array_equal(image[:, 6], np.rint(0.2 * colours[:, 6] + 0.8 * 255))
    assert any("warning: 1 of 1 cut-outs looked at have no background" in line for line in source.describe())
    own = AlphaSource(tmp_path, "own")
    assert np.array_equal(own.read(0).image, colours)
    assert not any("warning" in line for line in own.describe())


def test_a_photograph_below_the_alpha_is_the_picture(tmp_path):
    colours = cutout(tmp_path / "a.png", hidden=None)
    source = AlphaSource(tmp_path)
    assert np.array_equal(source.read(0).image, colours)
    assert not any("warning" in line for line in source.describe())
    assert (AlphaSource(tmp_path, "white").read(0).image[:, :6] == 255).all()


def test_pictures_are_put_behind_by_name(tmp_path):
    names = [f"v{number % 3}/{number}" for number in range(9)]
    for number, name in enumerate(names):
        cutout(tmp_path / f"{name}.png", seed=number)
    for level in (10, 20, 30):
        put(tmp_path / "behind" / f"{level}.png", np.full((5, 7, 3), level, np.uint8))
    folder = str(tmp_path / "behind")
    source = AlphaSource(tmp_path, folder)
    assert source.names == sorted(names)
    assert source.groups == [f"v{number}" for number in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
    levels = [int(source.read(row).image[0, 0, 0]) for row in range(9)]
    assert set(levels) == {10, 20, 30}
    read = source.read(0)
    assert read.matte is not None
    expected = 0.2 * picture(0)[:, 6] + 0.8 * levels[0]
    assert np.array_equal(read.image[:, 6], np.rint(expected))
    # what lies behind belongs to the digest, and stays the same where other cut-outs go
    before = source.fingerprint()
    (tmp_path / "v2" / "8.png").unlink()
    fewer = AlphaSource(tmp_path, folder)
    assert [int(fewer.read(row).image[0, 0, 0]) for row in range(8)] == levels[:8]
    assert len({before, fewer.fingerprint(), AlphaSource(tmp_path / "v1").fingerprint()}) == 3


def test_what_is_behind_covers_the_frame_around_its_middle():
    clear = np.zeros((4, 4, 4), np.uint8)
    behind = np.zeros((2, 6, 3), np.uint8)
    behind[:, 2:4] = 200
    # scaled by two: 4 x 12 px, of which the middle four columns are cut
    assert (composed(clear, behind)[:, 1:3] == 200).all()
    assert composed(clear, np.full((1, 1, 3), 9, np.uint8)).tolist() == [[[9] * 3] * 4] * 4
    full = np.dstack([picture(3), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    assert np.array_equal(composed(full, behind), picture(3))


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="holds no image"):
        AlphaSource(tmp_path)
    put(tmp_path / "a.png", picture())
    with pytest.raises(DataError, match=r"a\.png is opaque everywhere, so it is no cut-out"):
        AlphaSource(tmp_path).read(0)
    images.write_jpeg(tmp_path / "b.jpg", picture())
    with pytest.raises(DataError, match=r"b\.jpg is opaque everywhere"):
        AlphaSource(tmp_path).read(1)
    with pytest.raises(DataError, match=r"data\.background=.*nowhere does not exist"):
        AlphaSource(tmp_path, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data\.background=.*empty holds no image"):
        AlphaSource(tmp_path, str(tmp_path / "empty"))


def test_the_yaml(tmp_path):
    cutout(tmp_path / "a.png")
    words = ("data=alpha", f"data.root={tmp_path}", "data.truth=binary", "data.background=own")
    source = instantiate(configured("experiment=ellipse", *words).data.source)
    assert source.truth == "binary"
    assert source.read(0).mask.sum() == HEIGHT * 13
