"""`task=filter`: the background blurred, without colour, in one colour or replaced by a picture."""

import sys
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.compose import instantiate
from kolbench.config.groups import Component
from kolbench.config.schema import TaskResult
from kolbench.errors import ConfigError
from kolbench.inference.apply.config import ApplyConfig
from kolbench.inference.apply.outputs import OutputKind, Plain
from kolbench.inference.apply.pipeline import apply_method, note_of_frames
from kolbench.io import images
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.backdrops import Backdrop
from kolbench.video.compositing.foreground import estimate_foreground, require_foreground_method


@dataclass(frozen=True)
class FilterConfig(ApplyConfig):
    """What `task=filter` reads. filter: see backdrops.make_backdrop."""

    filter: Component


def run(config: FilterConfig) -> TaskResult:
    """Writes every input with `filter=` applied to what is behind the KOL.

    Returns:
        How many inputs failed.

    Raises:
        KolbenchError: an option is out of range, or see pipeline.apply_method.
    """
    options, read = config.filter.to_mapping(), []
    if options["name"] == "image":
        if not options["image"]:
            raise ConfigError("filter=image needs filter.image=FILE.")
        read = [Path(str(options["image"])).expanduser()]
        options["image"] = images.read_rgba(read[0])
        for line in note_of_frames(read[0]):
            print(line, file=sys.stderr)
    backdrop: Backdrop = instantiate(options)
    foreground_method = config.foreground
    require_foreground_method(foreground_method)

    def make(image: UInt8Array, alpha: Float32Array) -> UInt8Array:
        return backdrop(image, alpha, estimate_foreground(image, alpha, foreground_method))

    return apply_method(config, [OutputKind("filtered", lambda: Plain(make))], "filtering", read)
