"""A training of image and video batches in turn, killed and gone on with."""

import pytest
import torch

from kolbench.engine.training import train
from kolbench.types import IMAGE_STEP, VIDEO_STEP
from tests.data.test_video_steps import Ramps, module
from tests.helpers.training import KilledError, Tiny, Watching, best_weights, tiny_config


class InTurn(Tiny):
    """Tiny on the frame, and in video steps on its reference too; it remembers which kinds came."""

    training_steps = (IMAGE_STEP, VIDEO_STEP, VIDEO_STEP)

    def __init__(self):
        super().__init__()
        self.kinds = ""

    def losses(self, batch):
        video = "reference" in batch
        self.kinds += "V" if video else "I"
        terms = super().losses(batch)
        if not video:
            return terms
        other = super().losses({"image": batch["reference"], "mask": batch["reference_mask"]})
        return {**terms, "reference": other["bce"]}


def trained(folder, *callbacks):
    folder.mkdir(exist_ok=True)
    method = InTurn()
    data = module(still=Ramps(["s0", "s1", "s2"], clips=False, given=None))
    train(method, data, tiny_config(callbacks=callbacks), folder)
    return method


def test_it_takes_turns_and_ends_alike_whether_it_was_killed_or_not(tmp_path):
    assert trained(tmp_path / "whole").kinds == 4 * "IVV"
    with pytest.raises(KilledError):
        trained(tmp_path / "killed", Watching(killed_in_epoch=2))
    # it goes on with the epoch in which it was killed
    assert trained(tmp_path / "killed").kinds == 2 * "IVV"
    whole, killed = (tmp_path / name for name in ("whole", "killed"))
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    assert all(
        torch.equal(tensor, best_weights(killed)[name]) for name, tensor in best_weights(whole).items()
    )
