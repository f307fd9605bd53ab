"""How much alphas flicker on the clips of a data set, beside how much the truth itself changes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.engine.step_output import StepOutput
from kolbench.io.files import write_json
from kolbench.runs.record import ClipFlicker
from kolbench.video.temporal.flicker import FlickerMeter


class ClipScoreCallback(Callback):
    """Writes the flicker of one loader's clips to a JSON file, where its pictures are frames of clips.

    The file holds what `runs.record.ClipFlicker` names, by clip.

    Args:
        path: of the JSON file.
        loader_index: position of the loader whose pictures count; it gives a clip's frames in time order.
    """

    def __init__(self, path: Path, loader_index: int) -> None:
        self.path = path
        self.loader_index = loader_index
        self._meters: dict[str, tuple[FlickerMeter, FlickerMeter]] = {}
        self._pictures: dict[str, list[str]] = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds the frames of a batch."""
        if dataloader_idx != self.loader_index:
            return
        output: StepOutput = outputs
        for index, clip in enumerate(batch.get("clip", ())):
            if not clip:
                continue
            if clip not in self._meters:
                self._end_clips()
            meters = self._meters.setdefault(clip, (FlickerMeter(), FlickerMeter()))
            self._pictures.setdefault(clip, []).append(batch["name"][index])
            for meter, planes in zip(meters, (output["alpha"], batch["mask"]), strict=True):
                meter.push(np.asarray(planes[index, 0].float().cpu().numpy(), np.float32))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes what was found."""
        if self._meters:
            write_json(self.path, {clip: asdict(self._row(clip)) for clip in self._meters})

    def _end_clips(self) -> None:
        """Lets go of the last frames of the clips before."""
        for meters in self._meters.values():
            for meter in meters:
                meter.cut()

    def _row(self, clip: str) -> ClipFlicker:
        found, true = (meter.result() for meter in self._meters[clip])
        return ClipFlicker(
            pictures=tuple(self._pictures[clip]),
            flicker=found.flicker_mad,
            border_flicker=found.border_flicker,
            true_flicker=true.flicker_mad,
            true_border_flicker=true.border_flicker,
        )
