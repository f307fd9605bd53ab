"""The one datamodule: splits, checks, loaders; the same for every method."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from kolbench.data import augment, checking, duplicates, splits, targets
from kolbench.data.dataset import (
    EpochSampler,
    EvaluationSet,
    SampleCache,
    StageSet,
    TrainingSet,
    collate,
    seed_for,
)
from kolbench.data.sources.base import Source
from kolbench.errors import ConfigError, require_choice
from kolbench.io import progress
from kolbench.types import Batch

STAGE_CHECK_PICTURES = 100
MEAN_MASK_PX = (128, 128)
SPLITS = ("train", "val", "test")
WHOLE = "whole"
PROTOCOLS = ("test", WHOLE)

Loader = DataLoader[Any]


class SegmentationDataModule(LightningDataModule):
    """Pictures of one source, split once, for training, for stages and for scoring.

    Args:
        source: where pictures and truth come from.
        seed: of the run; decides order and augmentation.
        batch: training pictures in a batch.
        augment: the recipe's `augment` entry.
        settings: the resolved `data` group.
        limit: at most so many pictures of each split; None = all.
        accelerated: whether the network runs on a GPU, so that loading is worth processes.

    Raises:
        DataError: a split is empty, leaks, or its pictures cannot be read.
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        batch: int,
        augment: Mapping[str, float],
        settings: Mapping[str, Any],
        limit: Mapping[str, int | None],
        accelerated: bool = False,
    ) -> None:
        super().__init__()
        self.source = source
        self.seed = seed
        self.batch = batch
        self.augment = dict(augment)
        self.settings = settings
        require_choice("data.cache", settings["cache"], ("auto", "memory", "disk"))
        self.protocol = require_choice("data.protocol", settings["protocol"], PROTOCOLS)
        self.policy = settings["split"]
        made = splits.make_splits(source, self.policy, int(settings["split_seed"]))
        self.rows = {name: _limited(getattr(made, name), limit.get(name)) for name in SPLITS}
        self.splits = dataclasses.replace(
            made, train=self.rows["train"], val=self.rows["val"], test=self.rows["test"]
        )
        self.workers = _workers(settings["workers"], accelerated)
        self._canvas: SampleCache | None = None
        self._canvas_size: tuple[int, int] | None = None
        self._evaluation = {name: EvaluationSet(source, self.rows[name]) for name in ("val", "test")}
        # read once and in order: to keep them would only fill the memory
        self._evaluation[WHOLE] = EvaluationSet(source, self.splits.whole(), memory_bytes=0)

    def evaluated_rows(self) -> dict[str, list[int]]:
        """What a method is scored on: val and test, and `whole` where the protocol asks for it."""
        names = ("val", "test", WHOLE) if self.protocol == WHOLE else ("val", "test")
        return {name: self._evaluation[name].indices for name in names}

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the pictures and their split: content digest and the names in each split."""
        names = {name: [self.source.names[i] for i in rows] for name, rows in self.rows.items()}
        digest = f"{seed_for('splits', names['train'], names['val'], names['test']):016x}"
        return {"source": self.source.fingerprint(), "splits": digest}

    def describe(self) -> list[str]:
        """Lines to print before a run: what the source holds and how it is split."""
        by_group = self.policy != "paper"
        splits.assert_disjoint(self.splits, self.source.names, self.source.groups, by_group)
        lines = [*self.source.describe(), splits.describe(self.splits, self.source, self.policy)]
        if self.protocol == WHOLE:
            count = len(self.splits.whole())
            lines.append(f"data.protocol=whole: all {count} pictures are scored too, training ones included")
        return lines

    def verify(self) -> list[str]:
        """Reads every picture once, refuses near-duplicates across splits; lines to print.

        Raises:
            DataError: lists all bad files, or the pictures that stand in two splits.
        """
        if not self.source.needs_checking:
            return []
        hashes = self.source.known_hashes
        if hashes is None:
            hashes = checking.checked_hashes(self.source, "checking pictures")
        allowed = bool(self.settings["allow_duplicates"]) or self.policy == "paper"
        return duplicates.report(hashes, self.splits, self.source.names, allowed)

    def typical_size(self) -> tuple[int, int]:
        """(height, width) with the median aspect of up to 20 training pictures."""
        rows = self.rows["train"][:20]
        shapes = [self.source.read(index).image.shape[:2] for index in rows]
        aspect = float(np.median([width / height for height, width in shapes]))
        height = int(np.median([height for height, _ in shapes]))
        return height, round(height * aspect)

    def place_on(self, canvas: Callable[[int, int], tuple[int, int]]) -> tuple[int, int]:
        """Decodes the training pictures onto the canvas that the method wants; its (height, width)."""
        size = canvas(*self.typical_size())
        if self._canvas is None or self._canvas_size != size:
            self._require_colours()
            rows = self.rows["train"]
            with progress.bar("preparing training pictures", len(rows)) as advance:
                self._canvas = SampleCache(
                    self.source,
                    rows,
                    size,
                    self.settings["cache"],
                    self.settings["colours"],
                    lambda _: advance(1),
                )
            self._canvas_size = size
        return size

    def mean_mask(self) -> torch.Tensor:
        """The average training mask, (1, 1, 128, 128) float32 in [0, 1]: the same whatever the canvas is."""
        rows = self.rows["train"]
        total = np.zeros(MEAN_MASK_PX, np.float64)
        with progress.bar("averaging training masks", len(rows)) as advance:
            for row in rows:
                mask = self.source.read(row).mask.astype(np.float32)
                total += cv2.resize(mask, MEAN_MASK_PX[::-1], interpolation=cv2.INTER_AREA)
                advance(1)
        return torch.from_numpy(total / len(rows)).float()[None, None]

    def _require_colours(self) -> None:
        if self.settings["colours"] and not self.source.knows_colours:
            raise ConfigError(
                "data.colours=true: only data=synthetic knows the true colours of fore- and background."
            )

    def training_pictures(self) -> tuple[SampleCache, int]:
        """The canvas and the transition region's width on it."""
        if self._canvas is None or self._canvas_size is None:
            raise RuntimeError("place_on() comes before the training loaders")
        return self._canvas, targets.scaled_region(int(self.settings["region_px"]), min(self._canvas_size))

    def train_dataloader(self, draws: int | None = None, stage: str = "") -> Loader:
        """Augmented training batches; `draws` pictures an epoch (default: each once)."""
        canvas, region_px = self.training_pictures()
        assert self._canvas_size is not None
        transform = augment.build(self.augment, self._canvas_size)
        seed = seed_for(self.seed, stage)
        dataset = TrainingSet(canvas, transform, region_px, seed, self.source)
        sampler = EpochSampler(len(dataset), seed, draws)
        batch = min(self.batch, len(dataset))
        return self._loader(dataset, batch, sampler, drop_last=len(sampler) > batch)

    def stage_check_dataloader(self) -> Loader:
        """Training masks on the canvas, for the stop rule of a stage."""
        canvas, region_px = self.training_pictures()
        return self._loader(StageSet(canvas, region_px, STAGE_CHECK_PICTURES), self.batch)

    def val_dataloader(self) -> Loader:
        """Validation pictures one by one at their own size."""
        return self._loader(self._evaluation["val"], 1)

    def test_dataloader(self) -> Loader:
        """Test pictures one by one at their own size."""
        return self._loader(self._evaluation["test"], 1)

    def whole_dataloader(self) -> Loader:
        """Every picture of all splits once, training ones included, one by one at their own size."""
        return self._loader(self._evaluation[WHOLE], 1)

    def evaluation_dataloaders(self) -> dict[str, Loader]:
        """A loader for each entry of `evaluated_rows`."""
        return {name: self._loader(self._evaluation[name], 1) for name in self.evaluated_rows()}

    def test_batch(self, number: int) -> Batch:
        """One test picture, counted from 0, alone in a batch as `evaluation_dataloaders` gives it."""
        return collate([self._evaluation["test"][number]])

    def _loader(
        self, dataset: Dataset[Any], batch: int, sampler: Sampler[Any] | None = None, drop_last: bool = False
    ) -> Loader:
        return DataLoader(
            dataset,
            batch_size=batch,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            drop_last=drop_last,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
        )


def _limited(rows: Sequence[int], limit: int | None) -> list[int]:
    return list(rows) if limit is None else list(rows)[:limit]


def _workers(setting: Any, accelerated: bool) -> int:
    if setting == "auto":
        return min(8, os.cpu_count() or 1) if accelerated else 0
    if isinstance(setting, int) and setting >= 0:
        return setting
    raise ConfigError(f"data.workers={setting} is neither auto nor a number of processes.")
