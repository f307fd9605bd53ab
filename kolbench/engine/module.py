"""The one LightningModule: it wraps every method, sums its losses and hands its alphas to the callbacks."""

import math
from collections.abc import Callable, Mapping

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from kolbench.engine import collective
from kolbench.engine.schedule import PART, Schedule
from kolbench.engine.step_output import StepOutput, is_scored
from kolbench.errors import ConfigError, TrainingError
from kolbench.segmenter import Clip, Segmenter
from kolbench.types import PRECOMPUTED, Batch, Prediction


class SegmentationModule(LightningModule):
    """Trains and evaluates any Segmenter.

    Args:
        segmenter: the method.
        optimizer: called with the trainable parameters; None where nothing is trained.
        schedule: of the learning rate; None = constant.
        lr_factor: the budget's factor on the recipe's learning rate.
        refiner: called with (image, alpha) after every prediction; None = alpha as predicted.
        lr_factors: names of parts of the inference network, such as `backbone` -> factor on their learning
            rate; the longest name that fits a tensor counts, and 0 leaves a part as it is.

    Raises:
        ConfigError: the network has no such part, a factor is no number from 0 on, or nothing is trained.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        optimizer: Callable[..., Optimizer] | None = None,
        schedule: Schedule | None = None,
        lr_factor: float = 1.0,
        refiner: Callable[[Tensor, Tensor], Tensor] | None = None,
        lr_factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self._optimizer = optimizer
        self._schedule = schedule
        self._lr_factor = lr_factor
        self._refiner = refiner
        self._groups = _parameter_groups(segmenter, lr_factors or {})
        # the clip whose frames come at the moment: its loader and name
        self._at: tuple[int, str] | None = None
        self._clip = Clip(segmenter)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimiser on what requires a gradient, its rate times the budget's factor."""
        assert self._optimizer is not None
        groups = [{"params": parameters, PART: part} for part, (_, parameters) in self._groups.items()]
        optimizer = self._optimizer(groups)
        for (factor, _), group in zip(self._groups.values(), optimizer.param_groups, strict=True):
            group["lr"] = group["lr"] * self._lr_factor * factor
        if self._schedule is None:
            return optimizer
        epochs = self.trainer.max_epochs or 1
        epoch_steps = max(1, int(self.trainer.estimated_stepping_batches) // epochs)
        scheduler = self._schedule.configured(optimizer, epoch_steps, epochs)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def training_step(self, batch: Batch, batch_index: int) -> StepOutput:
        """The summed loss, and each weighted term for the history."""
        terms = self.segmenter.losses(batch)
        _require_terms(self.segmenter, terms)
        loss = torch.stack(list(terms.values())).sum()
        return {"loss": loss, "terms": {name: term.detach() for name, term in terms.items()}}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Takes the gradients of parts away that the schedule freezes at this step."""
        if not getattr(self._schedule, "frozen_at_zero", False):
            return
        for group in optimizer.param_groups:
            if group["lr"] == 0:
                for parameter in group["params"]:
                    parameter.grad = None

    def validation_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> StepOutput:
        """The method's alpha for a batch, and its validation loss where it has one; callbacks score them."""
        prediction = self._predict(batch, dataloader_idx)
        scored = is_scored(batch)
        loss = self.segmenter.validation_loss(prediction, batch) if scored else None
        return {"alpha": prediction.alpha, "loss": loss}

    def test_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> StepOutput:
        """The method's alpha, refined where a refiner is set, and the persons that it finds."""
        prediction = self._predict(batch, dataloader_idx)
        alpha = prediction.alpha
        if self._refiner is not None:
            alpha = self._refiner(batch["image"], alpha)
        return {"alpha": alpha, "instances": prediction.instances}

    def on_validation_epoch_start(self) -> None:
        """All processes validate the same network, and no clip goes on from an epoch before."""
        collective.equal_buffers(self)
        self._at = None

    def on_train_epoch_end(self) -> None:
        """All processes have the same network between two epochs."""
        collective.equal_buffers(self)

    def on_test_epoch_start(self) -> None:
        """No clip goes on from an epoch before."""
        self._at = None

    def _clip_of(self, batch: Batch, loader: int) -> Clip:
        """The clip that a batch goes on with; a new one for another clip and for pictures of none."""
        name = batch.get("clip", [""])[0]
        if not name or self._at != (loader, name):
            self._at = (loader, name)
            self._clip = Clip(self.segmenter)
        return self._clip

    def _predict(self, batch: Batch, loader: int) -> Prediction:
        entries: Mapping[str, Tensor] = batch  # type: ignore[assignment]  # the entries that methods read are tensors
        if PRECOMPUTED in entries:
            return Prediction(entries[PRECOMPUTED])
        inputs = (entries[key] for key in self.segmenter.input_keys)
        prediction = self._clip_of(batch, loader).predict(*inputs)
        # parts that are trained by themselves may be given no image
        if "image" in entries:
            _require_alpha(self.segmenter, prediction, entries["image"])
        return prediction


def _parameter_groups(
    segmenter: Segmenter, factors: Mapping[str, float]
) -> dict[str, tuple[float, list[nn.Parameter]]]:
    """What is trained by the part that `factors` names, "" for the rest, with the factor on its rate.

    Parts with factor 0 lose their gradients.
    """
    network = segmenter.inference_network()
    require_factors(network, factors)
    names = {parameter: name for name, parameter in network.named_parameters()}
    groups: dict[str, tuple[float, list[nn.Parameter]]] = {}
    for parameter in segmenter.parameters():
        part = _part_of(names.get(parameter, ""), factors)
        factor = factors.get(part, 1.0)
        if factor == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            groups.setdefault(part, (factor, []))[1].append(parameter)
    if factors and not groups:
        raise ConfigError("lr_factors leaves all parts as they are, so nothing is trained.")
    return groups


def require_factors(network: nn.Module, factors: Mapping[str, float]) -> None:
    """Refuses factors on learning rates that a network cannot have.

    Raises:
        ConfigError: it has no such part, or a factor is no number from 0 on.
    """
    names = [name for name, _ in network.named_parameters()]
    for part, factor in factors.items():
        if not any(_within(name, part) for name in names):
            parts = ", ".join(name for name, _ in network.named_children())
            raise ConfigError(f"lr_factors.{part}: the network has no such part; its parts are {parts}.")
        if not 0 <= factor < math.inf:
            raise ConfigError(f"lr_factors.{part} must be a number from 0 on, not {factor}.")


def rate_factor(name: str, factors: Mapping[str, float]) -> float:
    """The factor on a tensor's or layer's learning rate: of the longest name it belongs to, else 1."""
    return factors.get(_part_of(name, factors), 1.0)


def _part_of(name: str, factors: Mapping[str, float]) -> str:
    """The longest of the named parts that a tensor belongs to; "" = none."""
    return max((part for part in factors if _within(name, part)), key=len, default="")


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _require_terms(segmenter: Segmenter, terms: object) -> None:
    """A method of one's own is told what its losses must be."""
    wrong = None
    if not isinstance(terms, Mapping) or not terms:
        wrong = f"a {type(terms).__name__}"
    else:
        shapes = {name: tuple(getattr(term, "shape", ("no tensor",))) for name, term in terms.items()}
        wrong = next((f"{name} of shape {shape}" for name, shape in shapes.items() if shape), None)
    if wrong is not None:
        raise TrainingError(
            f"{_place(segmenter)}.losses gives {wrong}; it must give a dict of scalar tensors by name, "
            'such as {"bce": loss.mean()}.'
        )


def _require_alpha(segmenter: Segmenter, prediction: Prediction, image: Tensor) -> None:
    wanted = (image.shape[0], 1, *image.shape[-2:])
    if tuple(prediction.alpha.shape) != wanted:
        raise TrainingError(
            f"{_place(segmenter)}.predict gives alpha of shape {tuple(prediction.alpha.shape)}; it must have "
            f"one channel at the image's size, {wanted}."
        )


def _place(segmenter: Segmenter) -> str:
    return f"{type(segmenter).__module__}.{type(segmenter).__name__}"
