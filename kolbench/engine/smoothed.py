"""Alphas of clips, smoothed over time before they are scored."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Trainer

from kolbench.engine.module import SegmentationModule
from kolbench.engine.parallel import Loader
from kolbench.errors import ConfigError
from kolbench.types import PRECOMPUTED, Float32Array
from kolbench.video.temporal.smooth import Smoother, Stabiliser

# pictures know no times; from one frame of a clip to the next
FRAME_SECONDS = 1 / 25

MakeSmoother = Callable[[], Smoother]


def require_clips(smooth: str, in_clips: bool) -> None:
    """Refuses to smooth pictures that are no frames of clips.

    Raises:
        ConfigError: no picture that is scored is of a clip.
    """
    if not in_clips:
        raise ConfigError(
            f"smooth={smooth} calms the frames of clips, but the images that are scored are of no clip. "
            "Leave smooth= away, or take clips, such as data=davis."
        )


class SmoothedClips:
    """The batches of a loader, each with its alpha after refining and smoothing.

    A clip is smoothed by itself, with its frames without truth where the loader gives them; pictures of no
    clip stay as they are. So many frames are in memory as the smoother holds back, and one.

    Args:
        loader: batches of one picture at its own size, those of a clip in time.
        module: predicts, and refines where it has a refiner.
        index: of the loader.
        trainer: whose device and precision count.
        smoother: makes one.
    """

    def __init__(
        self, loader: Loader, module: SegmentationModule, index: int, trainer: Trainer, smoother: MakeSmoother
    ) -> None:
        self.loader = loader
        self._module = module
        self._index = index
        self._trainer = trainer
        self._smoother = smoother

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        stabiliser = Stabiliser(self._smoother())
        held: deque[dict[str, Any]] = deque()
        last, place = "", 0
        self._module.on_test_epoch_start()
        for batch in self.loader:
            started = time.perf_counter()
            alpha = self._alpha_of(batch)
            clip = batch.get("clip", [""])[0]
            begins = not clip or clip != last
            last, place = clip, 0 if begins else place + 1
            final = stabiliser.push(alpha, place * FRAME_SECONDS, begins)
            held.append({**batch, "seconds": batch.get("seconds", 0.0) + time.perf_counter() - started})
            for smoothed in final:
                yield _with(held.popleft(), smoothed)
        for smoothed in stabiliser.flush():
            yield _with(held.popleft(), smoothed)

    @torch.no_grad()
    def _alpha_of(self, batch: Mapping[str, Any]) -> Float32Array:
        """(H, W) float32 in [0, 1], on the processor, so that a GPU's time counts too."""
        precision = self._trainer.precision_plugin
        moved = precision.convert_input(move_data_to_device(batch, self._trainer.strategy.root_device))
        with precision.test_step_context():
            output = self._module.test_step(moved, 0, self._index)
        return np.asarray(output["alpha"][0, 0].float().cpu().numpy(), np.float32)


def _with(batch: Mapping[str, Any], alpha: Float32Array) -> dict[str, object]:
    return {**batch, PRECOMPUTED: torch.from_numpy(alpha)[None, None]}
