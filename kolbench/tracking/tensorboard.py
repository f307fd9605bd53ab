"""TensorBoard: event files below the run folder; epochs as curves, all else that is one number in HPARAMS."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kolbench.tracking.overlay import Overlay, captioned
from kolbench.tracking.tracker import RunInfo

Setting = bool | int | float | str
# of a group: what `method` and `budget` say already
_NO_SETTINGS = ("_target_", "name")
# TensorBoard sorts columns by name and shows five at first: a space in front brings these to the front
_FIRST = ("method", "test/miou", "test/iou", "test/product_recall", "threshold")


class TensorBoardTracker:
    """Writes to `RUN/tensorboard`; look at it with `tensorboard --logdir runs`."""

    def __init__(self) -> None:
        self._writer: Any = None
        self._settings: dict[str, Setting] = {}

    @property
    def writer(self) -> Any:
        """The open event file."""
        if self._writer is None:
            raise RuntimeError("start() comes first")
        return self._writer

    def start(self, run: RunInfo) -> None:
        """Opens the event file; the configuration stands on the TEXT page."""
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(run.folder / "tensorboard"))
        self._settings = settings_of(run.config)
        config = json.dumps(run.config, indent=2, default=str)
        self._writer.add_text("config", textwrap.indent(config, "    "))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar each."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def curve(self, name: str, thresholds: Sequence[float], scores: Mapping[str, Sequence[float]]) -> None:
        """One scalar series a score, with 1000 times the threshold where TensorBoard has its step."""
        for score, values in scores.items():
            for threshold, value in zip(thresholds, values, strict=True):
                self.writer.add_scalar(f"{name}/{score}", value, round(1000 * threshold))

    def table(self, name: str, columns: Mapping[str, Sequence[object]]) -> None:
        """A table in Markdown."""
        rows = zip(*columns.values(), strict=True)
        lines = ["|".join(map(_cell, columns)), "|".join("---" for _ in columns)]
        lines += ["|".join(_cell(value) for value in row) for row in rows]
        self.writer.add_text(name, "\n".join(f"|{line}|" for line in lines))

    def overlays(self, name: str, step: int, overlays: Sequence[Overlay]) -> None:
        """One image each."""
        for overlay in overlays:
            self.writer.add_image(f"{name}/{overlay.name}", captioned(overlay), step, dataformats="HWC")

    def summary(self, values: Mapping[str, float | int | str]) -> None:
        """The run's row of the HPARAMS tab, which sorts and filters runs: settings and final numbers.

        All of them are columns that TensorBoard calls hyper-parameters: what it calls metrics it reads from
        scalars, and each would be a card with a single point.
        """
        from torch.utils.tensorboard.summary import hparams

        # without the first part, a list of columns, which TensorBoard would take from any one run for all
        row = {f" {key}" if key in _FIRST else key: value for key, value in values.items()}
        _, *parts = hparams({**self._settings, **row}, {})  # type: ignore[no-untyped-call]
        # SummaryWriter.add_hparams would open a second event file, a run of its own
        for part in parts:
            self.writer.file_writer.add_summary(part)

    def keep(self, folder: Path, files: Sequence[Path]) -> None:
        """Nothing: an event file holds no files, and lies in the run folder."""

    def finish(self, failed: bool) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def settings_of(config: Mapping[str, object]) -> dict[str, Setting]:
    """What of a configuration runs are sorted by: the seed, and the plain values of `model` and `budget`.

    Keys are those of the command line, such as `model.size`; names, targets and empty values are left out.
    """
    found: dict[str, object] = {"seed": config.get("seed")}
    for group in ("model", "budget"):
        values = config.get(group)
        if isinstance(values, Mapping):
            found |= {f"{group}.{key}": value for key, value in values.items() if key not in _NO_SETTINGS}
    return {key: value for key, value in found.items() if isinstance(value, bool | int | float | str)}


def _cell(value: object) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
