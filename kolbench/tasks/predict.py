"""`task=predict`: alphas, cut-outs and overlays of pictures and videos, by any method of the suite."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kolbench.inference.apply.outputs import OutputKind, Plain, kinds_of
from kolbench.inference.apply.pipeline import use
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing import renderings
from kolbench.video.compositing.colours import estimate_foreground, require_cleaner


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Writes what `save=` names of every input.

    Args:
        settings: see using.use; `save`, one of the keys of `kinds` or a list of them; `clean`.

    Returns:
        `pictures`, `frames` and `failed`, each a count.

    Raises:
        KolbenchError: see using.use.
    """
    require_cleaner(settings["clean"])
    return use(settings, kinds_of(settings["save"], kinds(settings["clean"])), "predicting")


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
