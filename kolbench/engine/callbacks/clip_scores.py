"""What follows from the frames of clips in time: J and F of each, and how much alphas and truths flicker."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer

from kolbench.engine.callbacks.one_loader import OneLoaderCallback
from kolbench.engine.step_output import StepOutput
from kolbench.io.files import write_json
from kolbench.metrics.video.meter import ClipMeter
from kolbench.runs import clips
from kolbench.runs.run_folder import CLIP_FRAMES, CLIPS
from kolbench.types import Float32Array
from kolbench.video.temporal.flicker import FlickerMeter


@dataclass
class _Meters:
    """Of one clip. pictures: names of its frames so far."""

    pictures: list[str] = field(default_factory=list)
    found: FlickerMeter = field(default_factory=FlickerMeter)
    true: FlickerMeter = field(default_factory=FlickerMeter)
    scores: ClipMeter = field(default_factory=ClipMeter)

    def push(self, name: str, alpha: Float32Array, truth: Float32Array) -> dict[str, float]:
        """Takes the next frame."""
        self.pictures.append(name)
        self.found.push(alpha)
        self.true.push(truth)
        return self.scores.push(alpha, truth)

    def end(self) -> None:
        """Lets go of the last frame."""
        self.found.cut()
        self.true.cut()
        self.scores.end()

    def flicker(self) -> dict[str, object]:
        """What `clips.json` says of the clip."""
        found, true = self.found.result(), self.true.result()
        return {
            "pictures": self.pictures,
            "flicker": found.flicker_mad,
            "border_flicker": found.border_flicker,
            "true_flicker": true.flicker_mad,
            "true_border_flicker": true.border_flicker,
        }


class ClipScoreCallback(OneLoaderCallback):
    """Writes `clips.json` and `clips.parquet` of one loader, where its pictures are frames of clips.

    The first holds the flicker of each clip (`runs.record.ClipRecord`), the second the numbers of each frame
    (`metrics.video.meter.COLUMNS`). Frames without truth are passed over, as only some methods are given
    them: flicker is of the frames that all methods have. Two frames are in memory at most, however long a
    clip is.

    Args:
        folder: of both files.
        loader_index: position of the loader whose pictures count; it gives a clip's frames in time order.
    """

    def __init__(self, folder: Path, loader_index: int) -> None:
        super().__init__(loader_index)
        self.folder = folder
        self._clips: dict[str, _Meters] = {}
        self._frames: list[dict[str, object]] = []

    def take(self, output: StepOutput, batch: Any) -> None:
        """Adds the frames of a batch."""
        for index, clip in enumerate(batch.get("clip", ())):
            if not clip:
                continue
            alpha, truth = (
                np.asarray(planes[index, 0].float().cpu().numpy(), np.float32)
                for planes in (output["alpha"], batch.get("matte", batch["mask"]))
            )
            name = batch["name"][index]
            self._frames.append(
                {clips.CLIP: clip, clips.NAME: name, **self._of(clip).push(name, alpha, truth)}
            )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes what was found."""
        if self._clips:
            write_json(self.folder / CLIPS, {clip: meters.flicker() for clip, meters in self._clips.items()})
            clips.write_frames(self.folder / CLIP_FRAMES, self._frames)

    def _of(self, clip: str) -> _Meters:
        """The meters of a clip; where it is new, the clips before have ended."""
        if clip not in self._clips:
            for meters in self._clips.values():
                meters.end()
            self._clips[clip] = _Meters()
        return self._clips[clip]
