"""`task=filter`: the background blurred, without colour, in one colour or replaced by a picture."""

import sys
from pathlib import Path
from typing import Any

from kolbench.config.compose import instantiate
from kolbench.errors import ConfigError
from kolbench.inference.apply.outputs import OutputKind, Plain
from kolbench.inference.apply.pipeline import note_of_frames, use
from kolbench.io import images
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.compositing.backdrops import Backdrop
from kolbench.video.compositing.colours import estimate_foreground, require_cleaner


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Writes every input with `filter=` applied to what is behind the KOL.

    Args:
        settings: see using.use; `filter`, see backdrops.make_backdrop; `clean`.

    Returns:
        `pictures`, `frames` and `failed`, each a count.

    Raises:
        KolbenchError: an option is out of range, or see using.use.
    """
    options, read = dict(settings["filter"]), []
    if options["name"] == "image":
        if not options["image"]:
            raise ConfigError("filter=image needs filter.image=FILE.")
        read = [Path(str(options["image"])).expanduser()]
        options["image"] = images.read_rgba(read[0])
        for line in note_of_frames(read[0]):
            print(line, file=sys.stderr)
    backdrop: Backdrop = instantiate(options)
    clean = settings["clean"]
    require_cleaner(clean)

    def make(image: UInt8Array, alpha: Float32Array) -> UInt8Array:
        return backdrop(image, alpha, estimate_foreground(image, alpha, clean))

    return use(settings, [OutputKind("filtered", lambda: Plain(make))], "filtering", read)
