"""What a training from good weights needs: parts with their own rates, and norms that stay as they are."""

from typing import Any

import pytest
import torch
from torch import nn

from kolbench.config.compose import instantiate
from kolbench.engine.callbacks.frozen_norms import FrozenNorms
from kolbench.engine.module import SegmentationModule
from kolbench.engine.schedule import WarmupCosine
from kolbench.engine.training import train
from kolbench.errors import ConfigError
from kolbench.tasks.fit import _schedule
from tests.helpers.training import KilledError, Tiny, Watching, best_weights, tiny_config, tiny_data


class Layers(nn.Sequential):
    """What Watching keeps is the weight of the convolution."""

    @property
    def weight(self) -> torch.Tensor:
        """(1, 3, 1, 1)."""
        layer: Any = self[2]
        kept: torch.Tensor = layer.weight
        return kept


class Normed(Tiny):
    """Tiny with two batch norms before its convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network: Any = Layers(nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


def norms(folder, segmenter=None, **changes):
    folder.mkdir()
    segmenter = segmenter or Normed()
    train(segmenter, tiny_data(), tiny_config(**changes), folder)
    return segmenter.network[0], segmenter.network[1]


def test_norms_learn_their_statistics_unless_they_are_kept(tmp_path):
    for norm in norms(tmp_path / "all"):
        assert norm.num_batches_tracked == 12
    first, second = norms(tmp_path / "named", frozen_norms=frozenset(["0"]))
    assert (first.num_batches_tracked, second.num_batches_tracked) == (0, 12)
    assert torch.equal(first.running_mean, torch.zeros(3))
    # scale and shift are trained all the same
    assert not torch.equal(first.weight, torch.ones(3))
    first, second = norms(tmp_path / "left", lr_factors={"0": 0})
    assert (first.num_batches_tracked, second.num_batches_tracked) == (0, 12)
    for norm in norms(tmp_path / "callback", callbacks=[FrozenNorms()]):
        assert norm.num_batches_tracked == 0


def test_a_killed_training_with_kept_norms_ends_with_the_same_weights(tmp_path):
    chosen = {"frozen_norms": frozenset(["0"]), "lr_factors": {"0": 0.1}, "schedule": WarmupCosine(0.25)}
    norms(tmp_path / "whole", **chosen)
    with pytest.raises(KilledError):
        norms(tmp_path / "killed", callbacks=[Watching(killed_in_epoch=2)], **chosen)
    train(Normed(), tiny_data(), tiny_config(**chosen), tmp_path / "killed")
    expected, found = best_weights(tmp_path / "whole"), best_weights(tmp_path / "killed")
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert (tmp_path / "whole" / "history.csv").read_text() == (
        tmp_path / "killed" / "history.csv"
    ).read_text()


class Dropped(Tiny):
    """Tiny on pictures of which dropout leaves a half."""

    def losses(self, batch: Any) -> dict[str, torch.Tensor]:
        half = nn.functional.dropout(batch["image"], 0.5)
        batch["image"] = half
        return super().losses(batch)


def test_a_killed_training_with_dropout_ends_with_the_same_weights(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    train(Dropped(), tiny_data(), tiny_config(), tmp_path / "whole")
    with pytest.raises(KilledError):
        train(
            Dropped(), tiny_data(), tiny_config(callbacks=[Watching(killed_in_epoch=2)]), tmp_path / "killed"
        )
    train(Dropped(), tiny_data(), tiny_config(), tmp_path / "killed")
    assert (tmp_path / "whole" / "history.csv").read_text() == (
        tmp_path / "killed" / "history.csv"
    ).read_text()
    rows = (tmp_path / "whole" / "history.csv").read_text().splitlines()
    # no two epochs drop the same
    assert len({row.split(",")[3] for row in rows[1:]}) == 4


def groups(**factors):
    module = SegmentationModule(
        Normed(), lambda p: torch.optim.SGD(p, lr=0.1), lr_factor=2, lr_factors=factors
    )
    made: Any = module.configure_optimizers()
    return module, {
        group["part"]: (round(group["lr"], 9), sum(p.numel() for p in group["params"]))
        for group in made.param_groups
    }


def test_parts_have_their_own_rates():
    _, found = groups(**{"0": 0.5, "2": 0.1})
    assert found == {"0": (0.1, 6), "": (0.2, 6), "2": (0.02, 4)}


def test_a_longer_name_counts_and_zero_leaves_a_part_as_it_is():
    module, found = groups(**{"0": 0, "0.bias": 1, "2": 0})
    assert found == {"0.bias": (0.2, 3), "": (0.2, 6)}
    assert [name for name, p in module.segmenter.network.named_parameters() if p.requires_grad] == [
        *("0.bias", "1.weight", "1.bias")
    ]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"backbone": 0.1}, "lr_factors.backbone: the network has no such part; its parts are 0, 1, 2"),
        ({"0": 0, "1": 0, "2": 0}, "nothing is trained"),
        ({"0": -0.1}, "lr_factors.0 must be a number from 0 on, not -0.1"),
        ({"0": float("nan")}, "lr_factors.0 must be a number from 0 on, not nan"),
    ],
)
def test_wrong_parts_are_refused(factors, message):
    with pytest.raises(ConfigError, match=message):
        groups(**factors)


def test_the_rate_rises_and_falls_along_half_a_cosine():
    schedule = WarmupCosine(warmup=0.2, floor=0.1)
    found = [schedule.factor(step, 10) for step in range(11)]
    assert found[0] == pytest.approx(1e-3)
    assert found[1] == pytest.approx(0.5005)
    assert found[2] == 1
    assert found[6] == pytest.approx(0.55)
    assert found[10] == pytest.approx(0.1)
    assert WarmupCosine(warmup=0).factor(0, 5) == 1


def test_a_recipe_names_it_like_any_schedule():
    made: Any = _schedule({"_target_": "kolbench.engine.schedule.WarmupCosine", "warmup": 0.5})
    optimizer = instantiate({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 1.0})(
        [nn.Parameter(torch.zeros(1))]
    )
    scheduler = made.configured(optimizer, epoch_steps=2, epochs=2)["scheduler"]
    rates = []
    for _ in range(4):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-3, 0.5005, 1, 0.01 + 0.99 / 2])


@pytest.mark.parametrize("wrong", [{"warmup": 1}, {"warmup": -0.1}, {"floor": 2}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="WarmupCosine"):
        WarmupCosine(**wrong)
