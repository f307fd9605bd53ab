"""The one LightningModule: it wraps every method, sums its losses and hands its alphas to the callbacks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from kolbench.errors import TrainingError
from kolbench.segmenter import Segmenter
from kolbench.types import PRECOMPUTED, Batch, Prediction

WARMUP_START = 1e-3


class SegmentationModule(LightningModule):
    """Trains and evaluates any Segmenter.

    Args:
        segmenter: the method.
        optimizer: called with the trainable parameters; None where nothing is trained.
        scheduler: `gamma` and `at`, the shares of all epochs after which the rate is multiplied by it;
            `warmup_steps`, optional, over which it rises linearly at first (one epoch at most).
        lr_factor: the budget's factor on the recipe's learning rate.
        stop_on_nan: stop at the first loss that is not finite.
        refiner: called with (image, alpha) after every prediction; None = alpha as predicted.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Mapping[str, Any] | None = None,
        lr_factor: float = 1.0,
        stop_on_nan: bool = True,
        refiner: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._lr_factor = lr_factor
        self._stop_on_nan = stop_on_nan
        self._refiner = refiner

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser on what requires a gradient, its rate times the budget's factor."""
        assert self._optimizer is not None
        optimizer = self._optimizer([p for p in self.segmenter.parameters() if p.requires_grad])
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * self._lr_factor
        if not self._scheduler:
            return optimizer
        epochs = self.trainer.max_epochs or 1
        steps = max(1, int(self.trainer.estimated_stepping_batches) // epochs)
        scheduler = self._scheduler

        def factor(step: int) -> float:
            return rate_factor(step, steps, epochs, **scheduler)

        schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        """The summed loss, and each weighted term for the history.

        Raises:
            TrainingError: the loss is not finite; names the pictures.
        """
        terms = self.segmenter.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        if self._stop_on_nan and not torch.isfinite(loss):
            raise TrainingError(_not_finite(terms, batch, self.current_epoch))
        return {"loss": loss, "terms": {name: term.detach() for name, term in terms.items()}}

    def validation_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """The method's alpha for a batch, and its validation loss where it has one; callbacks judge them."""
        prediction = self._predict(batch)
        return {"alpha": prediction.alpha, "loss": self.segmenter.validation_loss(prediction, batch)}

    def test_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """The method's alpha, refined where a refiner is set, and the persons it tells apart."""
        prediction = self._predict(batch)
        alpha = prediction.alpha
        if self._refiner is not None:
            alpha = self._refiner(batch["image"], alpha)
        return {"alpha": alpha, "instances": prediction.instances}

    def _predict(self, batch: Batch) -> Prediction:
        given: Mapping[str, Any] = batch
        if PRECOMPUTED in given:
            return Prediction(given[PRECOMPUTED])
        return self.segmenter.predict(*(given[key] for key in self.segmenter.input_keys))


def rate_factor(
    step: int, epoch_steps: int, epochs: int, gamma: float, at: Sequence[float], warmup_steps: int = 0
) -> float:
    """What the learning rate is multiplied by at an optimiser step.

    Args:
        step: counted from 0.
        epoch_steps: optimiser steps of an epoch.
        epochs: of the whole training.
        gamma: factor at each milestone.
        at: milestones as shares of all epochs; rounded to whole epochs, the first one never before epoch 1.
        warmup_steps: length of the linear rise from 1/1000, cut to one epoch.
    """
    milestones = {max(1, round(share * epochs)) for share in at}
    decay = gamma ** sum(step >= milestone * epoch_steps for milestone in milestones)
    rise = min(warmup_steps, epoch_steps - 1)
    if step >= rise:
        return float(decay)
    return float(decay * (WARMUP_START + (1 - WARMUP_START) * step / rise))


def _not_finite(terms: Mapping[str, Tensor], batch: Batch, epoch: int) -> str:
    bad = [name for name, term in terms.items() if not torch.isfinite(term)]
    return (
        f"The loss is not finite in epoch {epoch} (terms: {', '.join(bad) or 'their sum'}; pictures: "
        f"{', '.join(batch['name'])}). Lower budget.lr_factor, use trainer.precision=32-true or set "
        "trainer.gradient_clip_val=1; the last checkpoint is kept."
    )
