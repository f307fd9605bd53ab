"""Bars say what is done, to which method, and never more than there is."""

import io
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from torch.utils.data import DataLoader

from kolbench.engine.callbacks import progress_bar
from kolbench.engine.callbacks.progress_bar import (
    PlainProgress,
    TerminalProgress,
    described,
    progress_callback,
)
from kolbench.engine.callbacks.scores import ScoreCallback
from kolbench.engine.trainer import quiet_lightning
from kolbench.io import progress


class Module(LightningModule):
    """Learns one number."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, _):
        return (self.weight * batch).mean()

    def validation_step(self, batch, _):
        return batch

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def seen(monkeypatch):
    """Everything that bars showed: (description, completed, total)."""
    states = []
    move = TerminalProgress._move

    def watched(self, **changes):
        move(self, **changes)
        (task,) = self._shown.tasks
        states.append((task.description, task.completed, task.total))

    monkeypatch.setattr(TerminalProgress, "_move", watched)
    monkeypatch.setattr("rich.progress.get_console", lambda: Console(file=io.StringIO(), width=80))
    return states


def trainer(bar, **options):
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_model_summary"), False)
    return Trainer(accelerator="cpu", callbacks=[bar], num_sanity_val_steps=0, **quiet, **options)


def test_what_is_done_names_the_method():
    assert described("training gt_encoder", "MODNet") == "training MODNet gt_encoder"
    assert described("scoring", "U²-Net") == "evaluating U²-Net"
    assert described("training", "") == "training"


def test_the_method_is_known_in_its_block_alone():
    with progress.about("MODNet"):
        with progress.about("the baseline Mean mask"):
            assert progress.subject() == "the baseline Mean mask"
        assert progress.subject() == "MODNet"
        made = progress_callback("training")
        assert isinstance(made, PlainProgress)
        assert made.what == "training MODNet"
    assert progress.subject() == ""


def test_a_trainings_bar_counts_the_steps_of_all_epochs(seen):
    bar = TerminalProgress("training MODNet")
    images = DataLoader(torch.ones(6), batch_size=2)
    with quiet_lightning():
        trainer(bar, max_epochs=2).fit(Module(), images, DataLoader(torch.ones(1)))
    assert seen[0] == ("training MODNet", 0, 6)
    assert seen[-1][1:] == (6, 6)
    said = list(dict.fromkeys(description for description, _, _ in seen))
    assert said == [
        "training MODNet",
        "training MODNet, epoch 1 of 2",
        "training MODNet, epoch 1 of 2, validating",
        "training MODNet, epoch 2 of 2",
        "training MODNet, epoch 2 of 2, validating",
    ]
    assert bar._shown is None
    assert all(done <= total for _, done, total in seen)


def test_an_evaluation_has_a_bar_for_each_split(seen):
    bar = TerminalProgress("evaluating MODNet")
    lightning = SimpleNamespace(num_test_batches=[2, 3], callbacks=[bar, ScoreCallback("val", "test")])
    bar.on_test_start(lightning, None)
    for loader, count in enumerate(lightning.num_test_batches):
        for number in range(count):
            bar.on_test_batch_start(lightning, None, None, number, loader)
            bar.on_test_batch_end(lightning, None, None, None, number, loader)
    bar.on_test_end(lightning, None)
    first, second = "evaluating MODNet, validation images", "evaluating MODNet, test images"
    assert seen == [(first, 1, 2), (first, 2, 2), (second, 1, 3), (second, 2, 3), (second, 3, 3)]


def test_a_failure_closes_the_bar(seen):
    bar = TerminalProgress("evaluating MODNet")
    bar.on_test_start(None, None)
    bar.on_exception(None, None, ValueError())
    assert bar._shown is None


def test_without_a_terminal_there_are_lines(monkeypatch):
    monkeypatch.setattr(progress_bar, "in_terminal", lambda: False)
    assert isinstance(progress_callback("training"), PlainProgress)
