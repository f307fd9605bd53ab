import numpy as np
import pytest

from kolbench.data.mask_files import edge_share
from kolbench.data.sources.folder import FolderSource
from kolbench.io import images
from tests.helpers.data_files import HEIGHT, WIDTH, folder


def test_mask_warnings_are_told(tmp_path):
    root = folder(tmp_path, ["a", "b"])
    (root / "masks" / "a.png").unlink()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :8] = 255
    mask[:, 8] = 200
    images.write_jpeg(root / "masks" / "a.jpg", mask)
    (root / "masks" / "b.png").write_bytes(b"")
    text = "\n".join(FolderSource(root).describe())
    assert "mask levels in 1 masks read so far: cut at 0.5 (1)" in text
    assert "a.jpg" in text
    assert "lossy" in text


@pytest.mark.parametrize(
    ("rows", "columns", "share"),
    # 5 x 4 px have 14 outermost ones
    [
        (slice(1, 4), slice(1, 3), 0),
        (slice(0, 1), slice(None), 4 / 14),
        (slice(None), slice(0, 1), 5 / 14),
        (slice(3, 5), slice(None), 6 / 14),
        (slice(None), slice(None), 1),
    ],
)
def test_the_share_of_the_edge_that_is_foreground(rows, columns, share):
    mask = np.zeros((5, 4), np.uint8)
    mask[rows, columns] = 1
    assert edge_share(mask) == pytest.approx(share)
    assert edge_share(np.ones((1, 1), np.uint8)) == 1
