"""`task=predict`: alphas, cut-outs and overlays of pictures and videos, by any method of the suite."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kolbench.config.schema import TaskResult
from kolbench.inference.apply.config import ApplyConfig
from kolbench.inference.apply.outputs import OutputKind, Plain, kinds_of
from kolbench.inference.apply.pipeline import apply_method
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing import renderings
from kolbench.video.compositing.foreground import estimate_foreground, require_foreground_method


@dataclass(frozen=True)
class PredictConfig(ApplyConfig):
    """What `task=predict` reads. save: the kinds of output, see `kinds`."""

    save: tuple[str, ...]


def run(config: PredictConfig) -> TaskResult:
    """Writes what `save=` names of every input.

    Returns:
        How many inputs failed.

    Raises:
        KolbenchError: see pipeline.apply_method.
    """
    require_foreground_method(config.foreground)
    return apply_method(config, kinds_of(config.save, kinds(config.foreground)), "predicting")


def kinds(foreground_method: str) -> dict[str, OutputKind]:
    """What can be saved, by name.

    Args:
        foreground_method: how colours at soft edges are found, one of foreground.FOREGROUND_METHODS.
    """
    cut_out = _cleaned(renderings.cutout, foreground_method)
    on_black = _cleaned(renderings.on_black, foreground_method)
    found = (
        OutputKind("alpha", lambda: Plain(lambda _, alpha: renderings.alpha8(alpha))),
        OutputKind("alpha16", lambda: Plain(lambda _, alpha: renderings.alpha16(alpha)), deep=True),
        OutputKind("cutout", partial(Plain, cut_out), transparent=True),
        OutputKind("black", partial(Plain, on_black)),
        OutputKind("overlay", partial(Plain, renderings.overlay)),
    )
    return {kind.name: kind for kind in found}


def _cleaned(
    make: Callable[[UInt8Array, Float32Array, Float32Array | None], UInt8Array], foreground_method: str
) -> Callable[[UInt8Array, Float32Array], UInt8Array]:
    return lambda image, alpha: make(image, alpha, estimate_foreground(image, alpha, foreground_method))
