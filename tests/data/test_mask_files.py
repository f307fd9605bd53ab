import numpy as np

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
