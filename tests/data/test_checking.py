import io

import numpy as np
import pytest
from PIL import Image

from kolbench.data import checking, duplicates
from kolbench.data.checking import checked_hashes, read_all
from kolbench.data.sources.folder import FolderSource
from kolbench.errors import DataError
from kolbench.io import images
from tests.helpers.data_files import HEIGHT, WIDTH, folder, put


def scene(seed: int, height: int = 240, width: int = 180) -> np.ndarray:
    """Random large patches, as the broad shapes of a photograph."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC))


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(checking.perceptual_hash(one) ^ checking.perceptual_hash(other)))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_picture_again_is_near_and_another_is_far(seed):
    image = scene(seed)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=40)
    again = images.rgb_from_bytes(buffer.getvalue(), "again")
    smaller = np.asarray(Image.fromarray(image).resize((120, 160)))
    brighter = np.clip(image.astype(int) // 2 + 60, 0, 255).astype(np.uint8)
    for copy in (again, smaller, brighter):
        assert distance(image, copy) <= duplicates.MAX_DISTANCE
    assert distance(image, scene(seed + 100)) > 4 * duplicates.MAX_DISTANCE


def test_every_bad_picture_is_listed_in_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "CHUNK", 16)
    root = folder(tmp_path, [f"{n:03d}" for n in range(50)])
    bad = list(range(0, 50, 2))
    for number in bad:
        (root / "images" / f"{number:03d}.png").write_bytes(b"<html>")
    put(root / "masks" / "001.png", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    source = FolderSource(root)
    with pytest.raises(DataError) as error:
        checked_hashes(source, "")
    text = str(error.value)
    assert text.startswith("26 of 50 images cannot be used:")
    assert text.count("web page") == 19
    assert "001.png is 20x12 px, but" in text
    assert "and 6 more" in text
    assert text.endswith("data.on_error=skip goes on without them; task=doctor shows them.")
    found = read_all(source, "")
    assert list(found.hashes) == [n for n in range(50) if n not in {*bad, 1}]
    assert sorted(found.faults) == sorted([*bad, 1])
