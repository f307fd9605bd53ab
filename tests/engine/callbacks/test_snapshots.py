"""Which epochs leave a picture."""

from types import SimpleNamespace

import cv2
import pytest
import torch

from kolbench.engine.callbacks.snapshots import ProgressPictures


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [(1, [0]), (3, [0, 1, 2]), (11, [0, 2, 4, 6, 8, 10]), (40, [3, 7, 11, 15, 19, 23, 27, 31, 35, 39])],
)
def test_at_most_ten_pictures_and_always_the_last(epochs, kept, tmp_path):
    callback = ProgressPictures(tmp_path / "progress", epochs)
    batch = {"image": torch.ones(1, 3, 300, 600)}
    for epoch in range(epochs):
        trainer = SimpleNamespace(current_epoch=epoch)
        for batch_index in range(2):
            alpha = torch.full((1, 1, 300, 600), 0.2 if batch_index == 0 else 0.9)
            callback.on_validation_batch_end(trainer, None, {"alpha": alpha}, batch, batch_index)
    found = sorted((tmp_path / "progress").glob("epoch_*.png"))
    assert [int(path.stem[-4:]) for path in found] == kept
    first = cv2.imread(str(found[0]), cv2.IMREAD_UNCHANGED)
    assert first is not None
    assert first.shape == (128, 256)
    assert (first == 51).all()
