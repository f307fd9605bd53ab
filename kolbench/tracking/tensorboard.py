"""TensorBoard: event files below the run folder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kolbench.tracking import Overlay, RunInfo, overlay_picture

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class TensorBoardTracker:
    """Writes to `RUN/tensorboard`; look at it with `tensorboard --logdir runs`."""

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    @property
    def writer(self) -> "SummaryWriter":
        """The open event file."""
        if self._writer is None:
            raise RuntimeError("start() comes first")
        return self._writer

    def start(self, run: RunInfo) -> None:
        """Opens the event file."""
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(run.folder / "tensorboard"))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar each."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def curve(self, name: str, thresholds: Sequence[float], scores: Mapping[str, Sequence[float]]) -> None:
        """One scalar series a score, with the threshold in per cent where TensorBoard has its step."""
        for score, values in scores.items():
            for threshold, value in zip(thresholds, values, strict=True):
                self.writer.add_scalar(f"{name}/{score}", value, round(100 * threshold))

    def table(self, name: str, columns: Mapping[str, Sequence[object]]) -> None:
        """A table in Markdown."""
        rows = zip(*columns.values(), strict=True)
        lines = ["|".join(columns), "|".join("---" for _ in columns)]
        lines += ["|".join(_cell(value) for value in row) for row in rows]
        self.writer.add_text(name, "\n".join(f"|{line}|" for line in lines))

    def overlays(self, name: str, step: int, overlays: Sequence[Overlay]) -> None:
        """One image each."""
        for overlay in overlays:
            self.writer.add_image(f"{name}/{overlay.name}", overlay_picture(overlay), step, dataformats="HWC")

    def summary(self, values: Mapping[str, float | int | str]) -> None:
        """Numbers as scalars, words as one text."""
        words = {name: value for name, value in values.items() if isinstance(value, str)}
        for name, value in values.items():
            if not isinstance(value, str):
                self.writer.add_scalar(f"summary/{name}", value)
        self.writer.add_text("summary", "\n".join(f"- {name}: {value}" for name, value in words.items()))

    def finish(self, failed: bool) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()


def _cell(value: object) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
