"""A training that takes a moment: twelve noise pictures of 32 px, a network of four weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torchvision.transforms import v2

from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.sources.base import Source
from kolbench.engine.team import Plan, Team
from kolbench.engine.training import TrainingConfig
from kolbench.segmenter import PretrainSpec, Segmenter
from kolbench.types import Batch, Prediction, Sample
from tests.helpers.data import NO_LIMIT, data_config

SIZE = 32
ALONE = Team(Plan(torch.device("cpu")))
SPLITS = {"train": list(range(6)), "val": [6, 7, 8], "test": [9, 10, 11]}


class NoisySquares(Source):
    """A bright square on a darker ground, both noisy."""

    def __init__(self) -> None:
        super().__init__([f"p{index}" for index in range(12)], given_splits=SPLITS)

    def read(self, index: int) -> Sample:
        random = np.random.default_rng(index)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[8 : 20 + index % 4, 6:24] = 1
        image = random.integers(0, 160, (SIZE, SIZE, 3)) + 95 * mask[..., None] * random.random()
        return Sample(image.astype(np.uint8), mask)

    def fingerprint(self) -> str:
        return "squares"

    def describe(self) -> list[str]:
        return []


class Tiny(Segmenter):
    """A 1x1 convolution; it has an encoder of its own to pretrain where it is told when that ends."""

    def __init__(self, stop_f: float | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Conv2d(3, 1, 1)
        self.stop_f = stop_f

    def predict(self, *inputs: Tensor) -> Prediction:
        return Prediction(torch.sigmoid(self.network(inputs[0])))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"bce": F.binary_cross_entropy(self.predict(batch["image"]).alpha, batch["mask"])}

    def training_input_size(self, height: int, width: int) -> tuple[int, int]:
        return SIZE, SIZE

    def inference_network(self) -> nn.Module:
        return self.network

    def pretraining(self) -> list[PretrainSpec]:
        if self.stop_f is None:
            return []
        return [PretrainSpec("encoder", TinyEncoder(), 0.1, max_steps=8, check_every=2, stop_f=self.stop_f)]


class TinyEncoder(Segmenter):
    """Gives back the alpha that it reads."""

    input_keys = ("alpha",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.network = nn.Conv2d(1, 1, 1)

    def predict(self, *inputs: Tensor) -> Prediction:
        return Prediction(torch.sigmoid(self.network(inputs[0])))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"bce": F.binary_cross_entropy(self.predict(batch["alpha"]).alpha, batch["mask"])}

    def inference_network(self) -> nn.Module:
        return self.network


class Watching(Callback):
    """Keeps the weights after each step, and those that are validated; stands for a user's own callback."""

    def __init__(self, killed_in_epoch: int | None = None) -> None:
        self.killed_in_epoch = killed_in_epoch
        self.stepped: list[Tensor] = []
        self.validated: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.stepped.append(pl_module.segmenter.network.weight.detach().clone())
        if trainer.current_epoch == self.killed_in_epoch:
            raise KilledError

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0:
            self.validated.append(pl_module.segmenter.network.weight.detach().clone())


class TakenOver(Callback):
    """In the second epoch another process holds the training's folder; keeps what stood there by then."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            folder = trainer.checkpoint_callback.folder
            (folder / ".lease").unlink()
            (folder / ".lease").write_text("token=another")
            self.files = contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class KilledError(Exception):
    """As if the process had been killed."""


def tiny_data(batch: int = 2) -> SegmentationDataModule:
    """Six pictures an epoch."""
    return SegmentationDataModule(
        NoisySquares(), 0, batch, [v2.RandomHorizontalFlip(0.5)], data_config(), NO_LIMIT
    )


def tiny_config(**changes: Any) -> TrainingConfig:
    """Adam at 0.05 for four epochs on the CPU."""

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=0.05)

    return TrainingConfig(
        **{
            "optimizer": optimizer,
            "schedule": None,
            "lr_factor": 1.0,
            "epochs": 4,
            "seed": 0,
            "options": {"precision": "32-true"},
            "team": ALONE,
            "model": {"name": "tiny"},
            **changes,
        }
    )


def best_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of `best.ckpt`."""
    state: dict[str, Tensor] = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    return state
