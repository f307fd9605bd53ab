"""A Lightning logger that keeps the last scalars, so that an epoch's row in the history holds them too."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger


class ScalarLogger(Logger):
    """What callbacks such as LearningRateMonitor log; the history takes it up and hands it to the trackers.

    Args:
        folder: where callbacks may keep files of their own.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.latest: dict[str, float] = {}

    @property
    def name(self) -> str:
        """No folder of its own."""
        return ""

    @property
    def version(self) -> str:
        """No folder of its own."""
        return ""

    @property
    def save_dir(self) -> str:
        """The training's folder."""
        return str(self.folder)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keeps the values until the epoch's row is written."""
        self.latest |= {key: float(value) for key, value in metrics.items() if key != "epoch"}

    def log_hyperparams(self, params: Mapping[str, object] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration is kept with the run."""
