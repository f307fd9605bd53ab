"""Training with maps channels last: how tensors lie meanwhile, and what comes of it."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from kolbench.config.compose import model_config
from kolbench.engine.training import train
from tests.helpers.training import KilledError, Tiny, Watching, best_weights, tiny_config, tiny_data


class Convolved(Tiny):
    """Two convolutions whose filters have two layouts."""

    def __init__(self):
        super().__init__()
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)
        self.network = nn.Sequential(*layers)  # type: ignore[assignment]  # of the same use
        # what tests keep after each step
        self.network.weight = self.network[0].weight


class Looking(Callback):
    """Keeps whether filters, images and gradients lie channels last at each step."""

    def __init__(self):
        self.seen = set()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        filters = pl_module.segmenter.network.weight
        self.seen.add((is_last(filters), is_last(filters.grad), self.image))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.image = is_last(batch["image"])


def is_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


def trained(folder, *callbacks, **changes):
    segmenter = Convolved()
    train(segmenter, tiny_data(), tiny_config(callbacks=list(callbacks), **changes), folder)
    return segmenter


def test_all_lies_channels_last_in_every_step(tmp_path):
    looking = Looking()
    trained(tmp_path / "last", looking, channels_last=True)
    assert looking.seen == {(True, True, True)}
    plain = Looking()
    trained(tmp_path / "plain", plain)
    assert plain.seen == {(False, False, False)}


def test_the_weights_are_those_of_the_usual_layout_but_for_rounding(tmp_path):
    last = trained(tmp_path / "last", channels_last=True).state_dict()
    plain = trained(tmp_path / "plain").state_dict()
    begun = Convolved().state_dict()
    for name, tensor in plain.items():
        # Adam at 0.05 moves them by 10,000 times as much
        torch.testing.assert_close(last[name], tensor, rtol=0, atol=1e-5)
        assert (tensor - begun[name]).abs().max() > 0.1


def test_a_killed_training_ends_with_the_same_weights_and_rows(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    trained(whole, channels_last=True)
    with pytest.raises(KilledError):
        trained(killed, Watching(killed_in_epoch=2), channels_last=True)
    trained(killed, channels_last=True)
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    for name, tensor in best_weights(whole).items():
        assert torch.equal(tensor, best_weights(killed)[name])


@pytest.mark.parametrize(("name", "expected"), [("rsudisnet", "cpu"), ("modnet", "never")])
def test_each_method_says_whether_it_is_trained_so(name, expected):
    training = model_config(name).training
    assert training is not None
    assert training.channels_last == expected
