"""Scoring a method on loaders of pictures, with what the report needs left on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kolbench import imaging
from kolbench.ahead import Ahead
from kolbench.callbacks.detection import DetectionCallback
from kolbench.callbacks.progress import progress_callback
from kolbench.callbacks.scores import ScoreCallback
from kolbench.module import SegmentationModule
from kolbench.progress import in_terminal
from kolbench.runfolder import DETECTION
from kolbench.scored import Scored
from kolbench.segmenter import Segmenter
from kolbench.training import quiet_lightning, stopping_plainly

THUMB_PX = 256

Refiner = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def evaluate(
    segmenter: Segmenter,
    loaders: Mapping[str, Any],
    device: torch.device,
    pictures: Path | None = None,
    precision: str = "32-true",
    refiner: Refiner | None = None,
) -> dict[str, Scored]:
    """One prediction of every picture of each loader.

    Args:
        segmenter: the method.
        loaders: split name -> loader of pictures at their own size.
        device: where to predict.
        pictures: folder for `alphas/NAME.png`, `thumbs/NAME.jpg` and, where persons are told apart, the
            APs of the split `test`; None = none.
        precision: as Lightning's.
        refiner: applied to every alpha before it is judged; None = none.

    Returns:
        Split name -> counts of its pictures.
    """
    judge = ScoreCallback(*loaders)
    callbacks: list[Callback] = [judge]
    if pictures is not None and "test" in loaders:
        test = list(loaders).index("test")
        callbacks += [SavePictures(pictures, test), DetectionCallback(pictures / DETECTION, test)]
    with quiet_lightning():
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision=precision,  # type: ignore[arg-type]  # Lightning lists the strings it takes
            callbacks=[*callbacks, progress_callback("scoring")],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=in_terminal(),
            use_distributed_sampler=False,
        )
        module = SegmentationModule(segmenter, refiner=refiner)
        with stopping_plainly():
            trainer.test(module, [_fed(segmenter, loader) for loader in loaders.values()], verbose=False)
    return judge.scored


def _fed(segmenter: Segmenter, loader: Any) -> Any:
    function = segmenter.picture_function()
    return loader if function is None else Ahead(loader, function, segmenter.reads, torch.get_num_threads())


class SavePictures(Callback):
    """Writes each alpha as an 8-bit PNG (the levels that the histograms count) and a thumbnail."""

    def __init__(self, folder: Path, loader_index: int) -> None:
        self.folder = folder
        self.loader_index = loader_index

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Saves one batch."""
        if dataloader_idx != self.loader_index:
            return
        levels = (outputs["alpha"][:, 0].float() * 255).round().to(torch.uint8).cpu().numpy()
        images = (batch["image"] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        for name, level, image in zip(batch["name"], levels, images, strict=True):
            imaging.write_png(_below(self.folder / "alphas", name, ".png"), level)
            imaging.write_jpeg(_below(self.folder / "thumbs", name, ".jpg"), _thumbnail(image))


def _below(folder: Path, name: str, suffix: str) -> Path:
    path = folder / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _thumbnail(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    scale = THUMB_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
