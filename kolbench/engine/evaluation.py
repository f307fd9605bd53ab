"""Scores of a method on loaders of pictures, with what the report needs left on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench.engine import completion
from kolbench.engine.callbacks.clip_scores import ClipScoreCallback
from kolbench.engine.callbacks.instance_scores import InstanceScoreCallback, KeepInstances
from kolbench.engine.callbacks.one_loader import OneLoaderCallback
from kolbench.engine.callbacks.progress_bar import progress_callback
from kolbench.engine.callbacks.scores import ScoreCallback
from kolbench.engine.callbacks.shortage import SCORING, Shortage
from kolbench.engine.callbacks.traits import TraitsCallback
from kolbench.engine.devices import describe
from kolbench.engine.module import SegmentationModule
from kolbench.engine.parallel import Precomputed
from kolbench.engine.smoothed import MakeSmoother, SmoothedClips
from kolbench.engine.step_output import StepOutput
from kolbench.engine.trainer import on_device, quiet_lightning, stopping_plainly
from kolbench.io.files import write_json
from kolbench.io.images import thumbnail, write_jpeg, write_png
from kolbench.io.progress import in_terminal
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.metrics.histogram import levels_of, truth_levels
from kolbench.runs.run_folder import DETECTION
from kolbench.segmenter import Segmenter
from kolbench.types import Refiner

# px of the longer side: of the first test images, which reports can show large, and of all further ones
THUMB_PX, FURTHER_THUMB_PX = 768, 256
LARGE_THUMBS = 1000
# what a reader of the seconds must know
TIMING = "timing.json"


def evaluate(
    segmenter: Segmenter,
    loaders: Mapping[str, Any],
    device: torch.device,
    pictures: Path | None = None,
    precision: str = "32-true",
    refiner: Refiner | None = None,
    smoother: MakeSmoother | None = None,
    persons: Path | None = None,
) -> dict[str, ImageCounts]:
    """One prediction of every picture of each loader.

    Args:
        segmenter: the method.
        loaders: split name -> loader of single pictures, as the datamodule's `eval_protocol` has them.
        device: where to predict.
        pictures: folder for `alphas/NAME.png`, `truths/NAME.png`, `products/NAME.png`, `thumbs/NAME.jpg`
            and, where the method finds single persons, the APs of the split `test`, where it is made of
            clips, their flicker and the numbers of each frame, for what its pictures are like, for
            `timing.json`, the device, and for `counted.json` (`kolbench.engine.completion`); None = none.
        precision: as Lightning's.
        refiner: applied to every alpha before it is scored; None = none.
        smoother: makes what smooths the alphas of a clip over time, behind the refiner; None = none does.
        persons: a folder for the single persons of each picture of `test`, instead of their APs, which are of
            all pictures together; None = the pictures are all there are.

    Returns:
        Split name -> counts of its pictures.

    Raises:
        OutOfMemoryError: a picture does not fit into memory.
    """
    evaluator = ScoreCallback(*loaders, extra=scores.extra_counts(), values=scores.extra_values())
    callbacks: list[Callback] = [evaluator]
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        write_json(pictures / TIMING, {"device": describe(timed_on(segmenter, device))})
    if pictures is not None and "test" in loaders:
        test = list(loaders).index("test")
        callbacks += [
            SavePictures(pictures, test),
            InstanceScoreCallback(pictures / DETECTION, test)
            if persons is None
            else KeepInstances(persons, test),
            ClipScoreCallback(pictures, test),
            TraitsCallback(pictures, test),
        ]
    shortage = Shortage(SCORING)
    with quiet_lightning():
        trainer = Trainer(
            **on_device(device),  # type: ignore[arg-type]  # Lightning checks its own options
            precision=precision,  # type: ignore[arg-type]  # Lightning lists the strings it takes
            callbacks=[*callbacks, progress_callback("scoring"), shortage],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=in_terminal(),
            use_distributed_sampler=False,
        )
        refined = SegmentationModule(segmenter, refiner=refiner)
        data: LightningDataModule = EvaluationData(segmenter, loaders)
        if smoother is not None:
            data = SmoothedData(data, refined, smoother)
        module = refined if smoother is None else SegmentationModule(segmenter)
        with shortage.told(), stopping_plainly():
            trainer.test(module, datamodule=data, verbose=False)
    if pictures is not None:
        completion.write_counted(pictures, evaluator.has_alpha, scores.needed(evaluator.has_alpha))
    return evaluator.counts


class EvaluationData(LightningDataModule):
    """What the Trainer is given to score: one loader a split; of methods on arrays, with their alphas."""

    def __init__(self, segmenter: Segmenter, loaders: Mapping[str, Any]) -> None:
        super().__init__()
        self._segmenter = segmenter
        self._loaders = loaders

    def test_dataloader(self) -> list[Any]:
        """The loaders in the order of their splits."""
        function = self._segmenter.array_function()
        if function is None:
            return list(self._loaders.values())
        keys, processes = self._segmenter.input_keys, torch.get_num_threads()
        return [Precomputed(loader, function, keys, processes) for loader in self._loaders.values()]


class SmoothedData(LightningDataModule):
    """The loaders of another datamodule with the alphas of clips smoothed, see SmoothedClips."""

    def __init__(self, data: LightningDataModule, module: SegmentationModule, smoother: MakeSmoother) -> None:
        super().__init__()
        self._data = data
        self._module = module
        self._smoother = smoother

    def test_dataloader(self) -> list[Any]:
        """In the order of the other's."""
        assert self.trainer is not None
        return [
            SmoothedClips(loader, self._module, index, self.trainer, self._smoother)
            for index, loader in enumerate(self._data.test_dataloader())
        ]


def timed_on(segmenter: Segmenter, device: torch.device) -> torch.device:
    """Where the method itself works: processes on the CPU, wherever networks do."""
    return device if segmenter.array_function() is None else torch.device("cpu")


class SavePictures(OneLoaderCallback):
    """Writes each alpha as an 8-bit PNG (the levels that the histograms count), its truth and a thumbnail.

    A true alpha is written in 8 bits, a binary truth as 0 and 255. So is a held product, if there is one.
    """

    def __init__(self, folder: Path, loader_index: int) -> None:
        super().__init__(loader_index)
        self.folder = folder
        self._seen = 0

    def take(self, output: StepOutput, batch: Any) -> None:
        """Saves one batch."""
        levels = levels_of(output["alpha"])[:, 0].cpu().numpy()
        images = (batch["image"] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        truths = truth_levels(batch["mask"], batch.get("matte")).cpu().numpy()
        for name, level, truth, image in zip(batch["name"], levels, truths, images, strict=True):
            write_png(_below(self.folder / "alphas", name, ".png"), level)
            write_png(_below(self.folder / "truths", name, ".png"), truth)
            longest = THUMB_PX if self._seen < LARGE_THUMBS else FURTHER_THUMB_PX
            write_jpeg(_below(self.folder / "thumbs", name, ".jpg"), thumbnail(image, longest))
            self._seen += 1
        self._save_products(batch)

    def _save_products(self, batch: Any) -> None:
        if "product" not in batch:
            return
        for name, product in zip(batch["name"], batch["product"][:, 0].cpu().numpy() > 0, strict=True):
            if product.any():
                write_png(_below(self.folder / "products", name, ".png"), product.astype(np.uint8) * 255)


def _below(folder: Path, name: str, suffix: str) -> Path:
    path = folder / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
