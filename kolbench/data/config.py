"""What the datamodule is asked for: the keys of the `data` group that every layout shares."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from kolbench.data import splits
from kolbench.errors import ConfigError, require_choice

ALL = "all"
PROTOCOLS = ("test", ALL)
# what happens where a picture cannot be used: nothing begins, or it is left out and counted
STOP, SKIP = "stop", "skip"
ON_ERROR = (STOP, SKIP)
CACHES = ("auto", "memory", "disk")
# protocol by its name in earlier versions
OLD_PROTOCOLS = {"whole": ALL}


@dataclass(frozen=True)
class DataConfig:
    """The keys that decide split, checks and loading.

    split: auto, group, paper, files or test (see data.splits). split_seed: of a drawn split. folds, fold:
    cross-validation in so many folds and the one that is tested, counted from 0; 0 folds = none.
    train_pictures: train on so many of the training pictures, drawn by train_draw; None = on all.
    protocol: `test`, or `all` to score every picture too, training ones included. allow_duplicates: whether
    near-duplicates may stand in two splits. on_error: stop, or skip to leave out what cannot be
    read. region_px: width of the transition region of a training picture
    of 512 px. cache: where decoded training pictures are kept. workers: loader processes, or auto.
    colours: whether true foreground and background colours are loaded.

    Raises:
        ConfigError: a value is not one of the choices.
    """

    split: str = "auto"
    split_seed: int = 0
    folds: int = 0
    fold: int = 0
    train_pictures: int | None = None
    train_draw: int = 0
    protocol: str = "test"
    allow_duplicates: bool = False
    region_px: int = 30
    on_error: str = STOP
    cache: str = "auto"
    workers: int | str = "auto"
    colours: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", OLD_PROTOCOLS.get(self.protocol, self.protocol))
        require_choice("data.cache", self.cache, CACHES)
        require_choice("data.on_error", self.on_error, ON_ERROR)
        require_choice("data.protocol", self.protocol, PROTOCOLS)
        if self.folds and not (self.folds >= splits.FEWEST_FOLDS and 0 <= self.fold < self.folds):
            raise ConfigError(
                f"data.fold={self.fold} data.folds={self.folds}: there are at least {splits.FEWEST_FOLDS} "
                "folds, and they are counted from 0."
            )
        if self.fold and not self.folds:
            raise ConfigError(f"data.fold={self.fold} needs data.folds=K, the number of folds.")
        if self.folds and self.split not in ("auto", "group"):
            raise ConfigError(
                f"data.split={self.split} and data.folds={self.folds} are two ways to split; leave one out."
            )
        count = self.workers
        if count != "auto" and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
            raise ConfigError(f"data.workers={count} is neither auto nor a number of processes.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """The shared keys of a resolved `data` group; those of its layout are passed over."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})  # type: ignore[arg-type]  # config.schema has checked the types

    def worker_count(self, accelerated: bool) -> int:
        """Loader processes; `auto` takes some only where the network runs on a GPU."""
        if isinstance(self.workers, int):
            return self.workers
        return min(8, os.cpu_count() or 1) if accelerated else 0
