"""The training curve: one row per epoch, in CSV always, to the trackers as it comes."""

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from kolbench.engine import collective
from kolbench.engine.callbacks.logger import ScalarLogger
from kolbench.engine.step_output import StepOutput
from kolbench.io.files import write_text

Row = dict[str, float]


class History(Callback):
    """Averages each loss term over the epoch's batches and adds the epoch's validation scores.

    What other callbacks log stands in the row too: the value that Lightning's callbacks can watch, or the
    last one that was logged. Rows hold nothing that differs between an interrupted and an uninterrupted run;
    seconds are kept apart in `seconds`.

    Args:
        path: the CSV file; rewritten whole after each epoch.
        scores: gives the epoch's validation scores.
        listen: called with (epoch, row) after each epoch.
    """

    def __init__(
        self,
        path: Path,
        scores: Callable[[], Mapping[str, float]] | None = None,
        listen: Callable[[int, Row], None] | None = None,
    ) -> None:
        self.path = path
        self.scores = scores
        self.listen = listen
        self.rows: list[Row] = []
        self.seconds = 0.0
        self.pictures = 0
        self._sums: dict[str, Tensor | float] = {}
        self._batches = 0
        self._started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the epoch's sums and clock."""
        self._sums = {}
        self._batches = 0
        self._started = time.monotonic()
        if isinstance(trainer.logger, ScalarLogger):
            trainer.logger.latest.clear()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds a batch; the sums stay on the device, so no batch waits for a transfer."""
        output: StepOutput = outputs
        loss = output["loss"]
        assert loss is not None
        for name, value in {"loss": loss, **output["terms"]}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        self._batches += 1
        self.pictures += len(batch["name"]) * collective.size()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the training clock: validation is not training."""
        if not trainer.sanity_checking and self._started:
            self.seconds += time.monotonic() - self._started
            self._started = 0.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the row."""
        if self._started:
            self.seconds += time.monotonic() - self._started
        row: Row = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row |= {f"train/{name}": mean for name, mean in self._means().items()}
        if self.scores:
            row |= {f"val/{name}": float(value) for name, value in self.scores().items()}
        self.rows.append(row | self._logged(trainer, row))
        if not collective.is_first():
            return
        self._write()
        if self.listen:
            self.listen(trainer.current_epoch, self.rows[-1])

    def _means(self) -> Row:
        """Of each loss over the epoch's batches, of all processes."""
        own = {name: float(total) / self._batches for name, total in self._sums.items()}
        found = collective.gathered(own)
        return {name: sum(each[name] for each in found) / len(found) for name in own}

    @staticmethod
    def _logged(trainer: Trainer, row: Row) -> Row:
        """What callbacks have logged beside the row's own entries."""
        latest = trainer.logger.latest if isinstance(trainer.logger, ScalarLogger) else {}
        found = {**latest, **{name: float(value) for name, value in trainer.callback_metrics.items()}}
        return {name: value for name, value in found.items() if name not in row}

    def _write(self) -> None:
        text = io.StringIO()
        columns = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())

    def state_dict(self) -> dict[str, object]:
        """The rows so far travel in the checkpoint, so that a resumed run continues them."""
        return {"rows": self.rows, "seconds": self.seconds, "pictures": self.pictures}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores them."""
        self.rows = list(state_dict["rows"])
        self.seconds = state_dict["seconds"]
        self.pictures = state_dict["pictures"]
