"""TensorBoard: event files below the run folder."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kolbench.tracking.overlay import Overlay, overlay_picture
from kolbench.tracking.tracker import RunInfo


class TensorBoardTracker:
    """Writes to `RUN/tensorboard`; look at it with `tensorboard --logdir runs`."""

    def __init__(self) -> None:
        self._writer: Any = None

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
            self.writer.add_image(f"{name}/{overlay.name}", overlay_picture(overlay), step, dataformats="HWC")

    def summary(self, values: Mapping[str, float | int | str]) -> None:
        """A row of the HPARAMS page, which sorts and filters runs: words as settings, numbers as metrics."""
        from torch.utils.tensorboard.summary import hparams

        words = {name: value for name, value in values.items() if isinstance(value, str)}
        numbers = {f"summary/{name}": value for name, value in values.items() if name not in words}
        # SummaryWriter.add_hparams would open a second event file, a run of its own
        for part in hparams(words, numbers):  # type: ignore[no-untyped-call]
            self.writer.file_writer.add_summary(part)
        for name, value in numbers.items():
            self.writer.add_scalar(name, value)

    def keep(self, folder: Path, files: Sequence[Path]) -> None:
        """Nothing: an event file holds no files, and lies in the run folder."""

    def finish(self, failed: bool) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def _cell(value: object) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
