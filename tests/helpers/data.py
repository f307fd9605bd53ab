"""Datamodules for tests: nothing on disk, no processes."""

from typing import Any

from kolbench.data.config import DataConfig

NO_LIMIT = {"train": None, "val": None, "test": None}


def data_config(**changes: Any) -> DataConfig:
    """The keys of a `data` group as tests use them."""
    return DataConfig(**{"cache": "memory", "workers": 0, **changes})
