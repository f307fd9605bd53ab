"""Where a batch does not fit into memory: it is halved, and the optimiser's steps stay as they were."""

import json
from collections import Counter
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler
from torch import nn

from kolbench.engine.halving import HALVED, Halved, said
from kolbench.engine.schedule import Milestones
from kolbench.engine.training import train
from kolbench.errors import ConfigError, OutOfMemoryError, TrainingError
from kolbench.segmenter import PretrainSpec
from tests.data.test_video_steps import Ramps, module
from tests.engine.test_video_training import InTurn
from tests.helpers.training import (
    KilledError,
    NoisySquares,
    Tiny,
    TinyEncoder,
    best_weights,
    tiny_config,
    tiny_data,
)

SCHEDULE = Milestones(gamma=0.1, at=(0.5,), warmup_steps=1)


class Crowded(Tiny):
    """Fails as a GPU does on more pictures than fit; remembers the batches and pictures that it took."""

    def __init__(self, fits: int, **options: Any) -> None:
        super().__init__(**options)
        self.fits = fits
        self.taken: list[list[str]] = []

    def losses(self, batch):
        if len(batch["name"]) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        self.taken.append(list(batch["name"]))
        return super().losses(batch)


class Normed(Crowded):
    """With a batch norm over one value a picture."""

    def __init__(self, fits: int) -> None:
        super().__init__(fits)
        self.norm = nn.BatchNorm1d(3)

    def losses(self, batch):
        terms = super().losses(batch)
        return {**terms, "norm": 0 * self.norm(batch["image"].mean(dim=(2, 3))).sum()}


class Steps(Callback):
    """The rate and the gradient of the weight at each step of the optimiser."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.rates: list[float] = []
        self.gradients: list[torch.Tensor] = []
        self.killed_at = killed_at

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])
        self.gradients.append(pl_module.segmenter.network.weight.grad.clone())
        if len(self.rates) == self.killed_at:
            raise KilledError


class Kept(Steps):
    """The same steps whichever copy of the callback sees them."""

    def __deepcopy__(self, memo):
        return self


def batches_of(size, pictures=6):
    data = tiny_data()
    data.batch = size
    return data


def trained(folder, method, batch=4, on_oom="halve", **changes):
    folder.mkdir(exist_ok=True)
    steps = changes.pop("steps", Kept())
    config = tiny_config(
        **{
            "optimizer": partial(torch.optim.SGD, lr=0.5),
            "schedule": SCHEDULE,
            "callbacks": [steps],
            "on_oom": on_oom,
            **changes,
        }
    )
    summary = train(method, batches_of(batch), config, folder)
    return steps, summary


def test_the_largest_divisor_up_to_the_half():
    sizes = {12: [6, 3, 1], 16: [8, 4, 2, 1], 5: [1], 6: [3, 1], 9: [3, 1], 1: []}
    for batch, expected in sizes.items():
        state, found = Halved(0, batch), []
        while (following := state.next(batch)) is not None:
            state = following
            found.append(state.batch)
            assert batch == state.parts(batch) * state.batch
        assert found == expected
        assert state.halved == len(expected)


@pytest.mark.slow
def test_steps_rates_and_pictures_are_those_of_the_whole_batch(tmp_path, capsys):
    whole, _ = trained(tmp_path / "whole", Crowded(4))
    capsys.readouterr()
    method = Crowded(2)
    parts, summary = trained(tmp_path / "parts", method)
    said_lines = capsys.readouterr().out.splitlines()
    assert said(Halved(0, 4), Halved(1, 2), 4) in said_lines
    # six pictures are one batch of four an epoch, in 4 epochs; the rate drops after the second of them
    assert parts.rates == whole.rates == pytest.approx([0.5, 0.5, 0.05, 0.05])
    for mine, its in zip(parts.gradients, whole.gradients, strict=True):
        assert torch.allclose(mine, its, atol=1e-6)
    assert [len(names) for names in method.taken] == 8 * [2]
    assert (summary["halved"], summary["batch"]) == (1, 2)
    ours, theirs = (best_weights(tmp_path / name)["weight"] for name in ("parts", "whole"))
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_it_goes_down_to_one_picture_beside_accumulation_of_ones_own(tmp_path):
    options = {"precision": "32-true", "accumulate_grad_batches": 2}
    runs = {fits: trained(tmp_path / str(fits), Crowded(fits), batch=2, options=options) for fits in (2, 1)}
    (whole, _), (parts, summary) = runs[2], runs[1]
    # three batches of two an epoch are a step of two batches and a step of one
    assert len(parts.rates) == len(whole.rates) == 8
    assert parts.rates == whole.rates
    for mine, its in zip(parts.gradients, whole.gradients, strict=True):
        assert torch.allclose(mine, its, atol=1e-6)
    assert summary["halved"] == 1


@pytest.mark.slow
def test_it_goes_on_from_its_last_checkpoint_and_remembers_how_far_it_was_halved(tmp_path, capsys):
    class Filling(Crowded):
        """Memory is short from the third epoch on."""

        def losses(self, batch):
            self.fits = 6 if len(self.taken) < 2 else 3
            return super().losses(batch)

    whole, _ = trained(tmp_path / "whole", Crowded(6), batch=6)
    capsys.readouterr()
    method = Filling(6)
    with pytest.raises(KilledError):
        trained(tmp_path / "filling", method, batch=6, steps=Kept(killed_at=4))
    out = capsys.readouterr().out
    assert f"going on from {tmp_path / 'filling' / 'last.ckpt'}" in out
    assert [len(names) for names in method.taken] == [6, 6, 3, 3, 3, 3]
    assert Counter(method.taken[2] + method.taken[3]) == Counter(f"p{index}" for index in range(6))
    # killed in the fourth epoch: the next attempt begins with what fitted
    again = Crowded(3)
    steps, summary = trained(tmp_path / "filling", again, batch=6)
    assert "memory ran out" not in capsys.readouterr().out
    assert [len(names) for names in again.taken] == [3, 3]
    assert steps.rates == whole.rates[3:]
    assert (summary["halved"], summary["batch"]) == (1, 3)
    ours, theirs = (best_weights(tmp_path / name)["weight"] for name in ("filling", "whole"))
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_a_training_that_begins_anew_begins_where_it_began(tmp_path):
    class Late(Crowded):
        """The second step of the first epoch is too much."""

        def losses(self, batch):
            self.fits = 1 if len(self.taken) == 1 or self.fits == 1 else 2
            return super().losses(batch)

    whole, _ = trained(tmp_path / "whole", Crowded(2), batch=2)
    steps, _ = trained(tmp_path / "late", Late(2), batch=2)
    # one step was made in vain
    assert len(steps.rates) == len(whole.rates) + 1
    ours, theirs = (best_weights(tmp_path / name)["weight"] for name in ("late", "whole"))
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_nothing_fits(tmp_path):
    message = r"The GPU's memory ran out while training on image p\d of 32x32 px\. .*lower budget\.size="
    with pytest.raises(OutOfMemoryError, match=message) as caught:
        trained(tmp_path / "a", Crowded(0))
    # its traces would keep the arrays of the failure
    assert caught.value.__context__ is None
    assert not (tmp_path / "a" / HALVED).exists()
    message = "on 2 images at once, and 1 leave batch norm a single value"
    with pytest.raises(OutOfMemoryError, match=message):
        trained(tmp_path / "b", Normed(1), batch=4)
    assert not (tmp_path / "b" / HALVED).exists()
    _, summary = trained(tmp_path / "c", Normed(2), batch=4)
    assert summary["batch"] == 2
    with pytest.raises(TrainingError, match="1 a batch, leave batch norm a single value: raise"):
        trained(tmp_path / "d", Normed(1), batch=1)


@pytest.mark.slow
def test_without_halving_the_message_names_batch_size_and_what_to_lower(tmp_path):
    message = (
        r"The GPU's memory ran out while training on a batch of 4 images of 32x32 px\. "
        r"Lower budget\.batch= or budget\.size=, or let on_oom=halve .* "
        r"The last checkpoint, if there is one, is kept\."
    )
    with pytest.raises(OutOfMemoryError, match=message):
        trained(tmp_path / "a", Crowded(2), on_oom="stop")
    assert not (tmp_path / "a" / HALVED).exists()


@pytest.mark.slow
def test_what_is_pretrained_is_halved_by_itself(tmp_path):
    class CrowdedEncoder(TinyEncoder):
        def losses(self, batch):
            if len(batch["name"]) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().losses(batch)

    class Pretrained(Crowded):
        def pretraining(self):
            return [PretrainSpec("encoder", CrowdedEncoder(), 0.1, max_steps=8, check_every=2, stop_f=2.0)]

    method = Pretrained(2)
    _, summary = trained(tmp_path / "a", method, batch=2)
    encoder = summary["pretraining"]["encoder"]
    assert (encoder["steps"], encoder["halved"], encoder["batch"]) == (8, 1, 1)
    assert json.loads((tmp_path / "a" / "encoder" / HALVED).read_text()) == {"halved": 1, "batch": 1}
    assert "halved" not in summary
    assert [len(names) for names in method.taken] == 12 * [2]


def test_what_cannot_be_halved_is_refused_before_it_begins(tmp_path):
    pictures = Ramps(["s0", "s1", "s2"], clips=False, given=None)
    with pytest.raises(ConfigError, match="on_oom=halve would join batches"):
        train(InTurn(), module(still=pictures), tiny_config(on_oom="halve"), tmp_path)
    scheduler = GradientAccumulationScheduler({1: 2})
    with pytest.raises(ConfigError, match="GradientAccumulationScheduler; leave one"):
        train(Tiny(), tiny_data(), tiny_config(on_oom="halve", callbacks=[scheduler]), tmp_path)


def test_pictures_of_an_epoch_are_the_same_in_parts():
    names = {}
    for parts in (1, 2, 4):
        data = batches_of(4)
        data.adapt(Tiny())
        data.cache_samples(lambda height, width: (32, 32))
        data.parts = parts
        loader = data.train_dataloader()
        assert len(loader) == parts
        names[parts] = []
        for epoch in range(3):
            loader.sampler.set_epoch(epoch)
            names[parts].append([name for batch in loader for name in batch["name"]])
    assert names[1] == names[2] == names[4]
    # the fifth and sixth picture of each round are left out, as in whole batches
    assert [len(epoch) for epoch in names[1]] == [4, 4, 4]
    assert len(NoisySquares()) == 12
