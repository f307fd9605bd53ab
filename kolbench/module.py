"""The one LightningModule: it wraps every method, sums its losses and hands its alphas to the callbacks."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from kolbench.errors import TrainingError
from kolbench.segmenter import Segmenter
from kolbench.types import Batch


class SegmentationModule(LightningModule):
    """Trains and evaluates any Segmenter.

    Args:
        segmenter: the method.
        optimizer: called with the trainable parameters; None where nothing is trained.
        scheduler: `gamma` and `at`, the shares of all epochs after which the rate is multiplied by it.
        lr_factor: the budget's factor on the recipe's learning rate.
        stop_on_nan: stop at the first loss that is not finite.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Mapping[str, Any] | None = None,
        lr_factor: float = 1.0,
        stop_on_nan: bool = True,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._lr_factor = lr_factor
        self._stop_on_nan = stop_on_nan

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser on what requires a gradient, its rate times the budget's factor."""
        assert self._optimizer is not None
        optimizer = self._optimizer([p for p in self.segmenter.parameters() if p.requires_grad])
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * self._lr_factor
        if not self._scheduler:
            return optimizer
        epochs = self.trainer.max_epochs or 1
        milestones = sorted({max(1, round(share * epochs)) for share in self._scheduler["at"]})
        schedule = MultiStepLR(optimizer, milestones, gamma=self._scheduler["gamma"])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

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

    def validation_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """The method's alpha for a batch; callbacks judge it."""
        return self._predict(batch)

    def test_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """As in validation."""
        return self._predict(batch)

    def _predict(self, batch: Batch) -> dict[str, Tensor]:
        given: Mapping[str, Any] = batch
        inputs = [given[key] for key in self.segmenter.reads]
        return {"alpha": self.segmenter.predict(*inputs).alpha}


def _not_finite(terms: Mapping[str, Tensor], batch: Batch, epoch: int) -> str:
    bad = [name for name, term in terms.items() if not torch.isfinite(term)]
    return (
        f"The loss is not finite in epoch {epoch} (terms: {', '.join(bad) or 'their sum'}; pictures: "
        f"{', '.join(batch['name'])}). Lower budget.lr_factor, use trainer.precision=32-true or set "
        "trainer.gradient_clip_val=1; the last checkpoint is kept."
    )
