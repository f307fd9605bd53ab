"""Real processes that train together, forked from one that has imported everything."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from kolbench.data.portions import Portion
from kolbench.engine import launch
from kolbench.engine.callbacks.scores import MaxFCallback, ScoreCallback
from kolbench.engine.module import SegmentationModule
from kolbench.engine.team import Plan, Team
from kolbench.engine.trainer import make_trainer, quiet_lightning
from kolbench.engine.training import PretrainingData, train
from tests.helpers.forked import Finished, Forked
from tests.helpers.training import Tiny, TinyEncoder, tiny_config, tiny_data

Work = Callable[[Team, Path], None]


class Normed(Tiny):
    """Tiny with a batch norm, whose statistics differ from process to process, and an encoder to pretrain."""

    def __init__(self) -> None:
        super().__init__(stop_f=2.0)
        torch.manual_seed(0)
        self.network: Any = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


class Seen(Callback):
    """Notes the pictures of every step of this process, by epoch."""

    def __init__(self) -> None:
        self.names: list[list[list[str]]] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.names.append([])

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.names[-1].append(list(batch["name"]))


def together(work: Work, folder: Path, size: int) -> list[Finished]:
    """What `size` processes leave that do the same work in a folder; each must end well."""
    folder.mkdir(parents=True)
    known = {**os.environ, launch.MEETING: f"file://{folder}/meeting", "OMP_NUM_THREADS": "1"}
    started = [
        Forked(
            _as_rank,
            work,
            folder,
            size,
            cwd=folder,
            environment={**known, launch.LOCAL_RANK: str(rank)},
        )
        for rank in range(size)
    ]
    done = [each.wait() for each in started]
    assert [each.returncode for each in done] == [0] * size, [each.stderr for each in done]
    return done


def _as_rank(work: Work, folder: Path, size: int) -> None:
    torch.set_num_threads(1)
    with launch.together(Plan(torch.device("cpu"), size, strategy="ddp"), []) as team:
        work(team, folder)
        for _ in () if team.first else launch.orders():
            raise AssertionError


def trained(team: Team, folder: Path) -> None:
    """Trains and leaves `rank-N.pt`, all tensors, and `rank-N.json`, the pictures of each step."""
    data, segmenter, seen = tiny_data(), Normed(), Seen()
    data.divide(Portion(team.rank, team.size))
    train(segmenter, data, tiny_config(team=team, callbacks=[seen], epochs=3), folder / "training")
    torch.save(segmenter.network.state_dict(), folder / f"rank-{team.rank}.pt")
    (folder / f"rank-{team.rank}.json").write_text(json.dumps(seen.names))


def validated(team: Team, folder: Path) -> None:
    """Validates networks of fixed weights; leaves what each process has counted of all, `rank-N.pt`."""
    data, segmenter = tiny_data(batch=6), Tiny()
    data.divide(Portion(team.rank, team.size))
    data.cache_samples(segmenter.training_input_size)
    evaluators = {
        "method": ScoreCallback("val", names=data.validated_names),
        "encoder": MaxFCallback("train", names=data.checked_names),
    }
    checked = PretrainingData(data, "encoder", 2)
    with quiet_lightning():
        for name, (method, pictures) in {
            "method": (segmenter, data),
            "encoder": (TinyEncoder(), checked),
        }.items():
            trainer = make_trainer({}, team, 1, folder, [evaluators[name]], "validating")
            trainer.validate(SegmentationModule(method), datamodule=pictures, verbose=False)
    found = {
        name: {
            "names": next(iter(each.counts.values())).names,
            "fg": torch.from_numpy(next(iter(each.counts.values())).counts.fg),
            "bg": torch.from_numpy(next(iter(each.counts.values())).counts.bg),
            "scores": dict(each.validation_scores()),
        }
        for name, each in evaluators.items()
    }
    torch.save(found, folder / f"rank-{team.rank}.pt")
