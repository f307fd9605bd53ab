"""`task=predict`: alphas, cut-outs and overlays of pictures and videos, by any method of the suite."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kolbench.config.schema import TaskResult
from kolbench.inference.apply.config import ApplyConfig
from kolbench.inference.apply.outputs import OutputKind, Plain, kinds_of
from kolbench.inference.apply.pipeline import use
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing import renderings
from kolbench.video.compositing.colours import estimate_foreground, require_cleaner


@dataclass(frozen=True)
class PredictConfig(ApplyConfig):
    """What `task=predict` reads. save: the kinds of output, see `kinds`."""

    save: tuple[str, ...]


def run(config: PredictConfig) -> TaskResult:
    """Writes what `save=` names of every input.

    Returns:
        How many inputs failed.

    Raises:
        KolbenchError: see using.use.
    """
    require_cleaner(config.clean)
    return use(config, kinds_of(config.save, kinds(config.clean)), "predicting")


def kinds(clean: str) -> dict[str, OutputKind]:
    """What can be saved, by name.

    Args:
        clean: how colours at soft edges are found, one of colours.CLEANS.
    """
    cut_out = _cleaned(renderings.cutout, clean)
    on_black = _cleaned(renderings.on_black, clean)
    found = (
        OutputKind("alpha", lambda: Plain(lambda _, alpha: renderings.alpha8(alpha))),
        OutputKind("alpha16", lambda: Plain(lambda _, alpha: renderings.alpha16(alpha)), deep=True),
        OutputKind("cutout", partial(Plain, cut_out), transparent=True),
        OutputKind("black", partial(Plain, on_black)),
        OutputKind("overlay", partial(Plain, renderings.overlay)),
    )
    return {kind.name: kind for kind in found}


def _cleaned(
    make: Callable[[UInt8Array, Float32Array, Float32Array | None], UInt8Array], clean: str
) -> Callable[[UInt8Array, Float32Array], UInt8Array]:
    return lambda image, alpha: make(image, alpha, estimate_foreground(image, alpha, clean))
