"""Batch norms that keep their statistics while the network around them is trained."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class FrozenNorms(Callback):
    """Keeps batch norms of the inference network in evaluation mode during training.

    Their scale and shift are trained all the same. With few pictures a batch's statistics are poor ones, and
    norms that an exporter folded have none of their own.

    Args:
        fits: tells by its name whether a norm is kept; None = all are.
    """

    def __init__(self, fits: Callable[[str], bool] | None = None) -> None:
        self.fits = fits

    def norms(self, pl_module: LightningModule) -> list[nn.Module]:
        """The norms that are kept."""
        segmenter: Any = pl_module.segmenter
        return [
            module
            for name, module in segmenter.inference_network().named_modules()
            if isinstance(module, _BatchNorm) and (self.fits is None or self.fits(name))
        ]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Whoever predicted between two epochs may have left everything in train mode."""
        for norm in self.norms(pl_module):
            norm.eval()
