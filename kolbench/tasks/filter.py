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
from kolbench.inference.apply.pipeline import note_of_frames, use
from kolbench.io import images
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.backdrops import Backdrop
from kolbench.video.compositing.colours import estimate_foreground, require_cleaner


@dataclass(frozen=True)
class FilterConfig(ApplyConfig):
    """What `task=filter` reads. filter: see backdrops.make_backdrop."""

    filter: Component


def run(config: FilterConfig) -> TaskResult:
    """Writes every input with `filter=` applied to what is behind the KOL.

    Returns:
        How many inputs failed.

    Raises:
        KolbenchError: an option is out of range, or see using.use.
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
    clean = config.clean
    require_cleaner(clean)

    def make(image: UInt8Array, alpha: Float32Array) -> UInt8Array:
        return backdrop(image, alpha, estimate_foreground(image, alpha, clean))

    return use(config, [OutputKind("filtered", lambda: Plain(make))], "filtering", read)
