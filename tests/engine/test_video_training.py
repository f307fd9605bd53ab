"""A training of image and video batches in turn, killed and gone on with."""

import itertools
from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from kolbench.engine.schedule import PART, PolyByStepKind
from kolbench.engine.training import train
from kolbench.errors import ConfigError
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


def trained(folder, *callbacks, still=True, **changes):
    folder.mkdir(exist_ok=True)
    method = InTurn()
    pictures = Ramps(["s0", "s1", "s2"], clips=False, given=None) if still else None
    train(method, module(still=pictures), tiny_config(callbacks=callbacks, **changes), folder)
    return method


class Parts(Callback):
    """After each step: the rates it had, the network's two parts and the momentum of its bias."""

    def __init__(self):
        self.rates, self.weights, self.biases, self.momenta = [], [], [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append({group[PART]: group["lr"] for group in optimizer.param_groups})

    def on_train_batch_end(self, trainer, pl_module, *args):
        network = pl_module.segmenter.network
        self.weights.append(network.weight.detach().clone())
        self.biases.append(float(network.bias.detach()))
        momentum = trainer.optimizers[0].state[network.bias].get("momentum_buffer")
        self.momenta.append(None if momentum is None else float(momentum))


# as COSNet and PDNet have it: the body is the weight here, the heads are the bias
BY_KIND = {"image": {"weight": 1, "rest": 0}, "video": {"weight": 0.01, "rest": 1}}


def by_kind(**options):
    """SGD at 0.1, a tenth of it for the body."""
    return {
        "optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        "schedule": PolyByStepKind(0.9, 2, BY_KIND, **options),
        "lr_factors": {"weight": 0.1},
    }


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


def changed(values):
    """Whether each differs from the one before."""
    return [not torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in itertools.pairwise(values)]


def test_each_part_learns_at_the_rate_of_the_kind_of_step(tmp_path):
    seen = Parts()
    assert trained(tmp_path, seen, **by_kind()).kinds == 4 * "IVV"
    left = [(1 - step / 12) ** 0.9 * (0.5 if step >= 6 else 1) for step in range(12)]
    for step, rates in enumerate(seen.rates):
        image = step % 3 == 0
        assert rates["weight"] == pytest.approx(left[step] * (0.01 if image else 1e-4))
        assert rates[""] == pytest.approx(left[step] * (0 if image else 0.1))
    # from the second step on; each fourth is of pictures
    assert changed(seen.biases) == [True, True, *[False, True, True] * 3]
    assert all(changed(seen.weights))
    # the heads stand still on pictures, but their momentum takes the gradient
    assert all(changed(seen.momenta))


def test_parts_that_are_frozen_see_no_gradient_at_rate_zero(tmp_path):
    seen = Parts()
    trained(tmp_path, seen, **by_kind(frozen_at_zero=True))
    assert seen.momenta[0] is None
    assert changed(seen.momenta[1:]) == [True, *[False, True, True] * 3]
    assert changed(seen.biases) == [True, True, *[False, True, True] * 3]


def test_without_pictures_beside_clips_all_steps_are_of_clips(tmp_path):
    seen = Parts()
    assert set(trained(tmp_path, seen, still=False, **by_kind()).kinds) == {"V"}
    assert seen.rates[0] == pytest.approx({"weight": 1e-4, "": 0.1})


def test_rates_by_kind_go_on_where_a_training_was_killed(tmp_path):
    trained(tmp_path / "whole", **by_kind(phases="official"))
    with pytest.raises(KilledError):
        trained(tmp_path / "killed", Watching(killed_in_epoch=2), **by_kind(phases="official"))
    trained(tmp_path / "killed", **by_kind(phases="official"))
    whole, killed = (best_weights(tmp_path / name) for name in ("whole", "killed"))
    assert all(torch.equal(tensor, killed[name]) for name, tensor in whole.items())
    histories = [(tmp_path / name / "history.csv").read_bytes() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


def test_batches_of_two_kinds_are_not_joined_in_one_step(tmp_path):
    joined = {"options": {"precision": "32-true", "accumulate_grad_batches": 2}}
    with pytest.raises(ConfigError, match=r"accumulate_grad_batches=2 would join.*leave it at 1"):
        trained(tmp_path, **by_kind(), **joined)
