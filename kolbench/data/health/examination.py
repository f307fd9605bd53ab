"""Reads every picture of a source once, in one pass, and keeps numbers alone."""

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kolbench.data import listing
from kolbench.data.checking import in_order, perceptual_hash
from kolbench.data.health.fault import Fault, from_message
from kolbench.data.health.file_facts import FileFacts, facts
from kolbench.data.health.measures import Measures, measure, product_outside
from kolbench.data.sources.base import Source
from kolbench.errors import DataError
from kolbench.io import decoding, progress
from kolbench.io.masks import read_mask
from kolbench.types import Sample, UInt8Array


class Examined(NamedTuple):
    """What is known of a picture that was read.

    error: why it cannot be used, "" where it can; the rest is then of no meaning. hash: see
    checking.perceptual_hash. image, mask: digests of the pixels. levels, doubt: see Source.mask_levels.
    files: `image`, `mask` -> what the file says. outside: see measures.product_outside.
    """

    error: str = ""
    measures: Measures | None = None
    hash: np.uint64 = np.uint64(0)
    image: bytes = b""
    mask: bytes = b""
    levels: str = ""
    doubt: str = ""
    files: Mapping[str, FileFacts] = {}
    outside: float = 0.0


def examine_all(source: Source) -> list[Examined]:
    """Reads all pictures, with a progress bar; what cannot be read is among them with its error."""
    return list(in_order(partial(examine, source), len(source), "examining images"))


def examine(source: Source, index: int) -> Examined:
    """Reads and measures one picture."""
    files = source.files(index)
    try:
        sample = source.read(index)
        said = {what: facts(files[what]) for what in ("image", "mask") if what in files}
    except DataError as error:
        return Examined(str(error))
    levels, doubt = source.mask_levels(index)
    return Examined(
        measures=measure(sample),
        hash=perceptual_hash(sample.image),
        image=_digest(sample.image),
        mask=_digest(sample.mask),
        levels=levels,
        doubt=doubt,
        files=said,
        outside=_outside(files, sample),
    )


def _digest(array: UInt8Array) -> bytes:
    found = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    found.update(array.tobytes())
    return found.digest()


def _outside(files: Mapping[str, Path], sample: Sample) -> float:
    """How much of a product lies outside of the mask as its file has it, before the product is added."""
    if sample.product is None or not {"mask", "product"} <= files.keys():
        return 0.0
    try:
        mask = read_mask(files["mask"])
    except DataError:  # no plain mask, but an alpha or a label map
        return 0.0
    return product_outside(mask, sample.product)


def picture_refusals(source: Source, index: int, error: str, plain_masks: bool) -> list[Fault]:
    """Why a picture cannot be used, a fault for each of its files that is to blame.

    A source names the first file that it stumbles over; here each is opened by itself.

    Args:
        source, index: the picture. error: what reading it said. plain_masks: whether mask files are neither
            alphas nor label maps, so that their levels are judged too.
    """
    files = source.files(index)
    bad = {
        path: said
        for what, path in files.items()
        if (said := _refusal(path, what != "image" and plain_masks))
    }
    found = [from_message("unreadable", said, [index], str(path)) for path, said in bad.items()]
    if not any(error.startswith(str(path)) for path in bad):
        kind = "unreadable" if bad or not _differ(files) else "sizes"
        found.append(from_message(kind, error, [index], str(files.get("image", source.names[index]))))
    return found


def _refusal(path: Path, is_mask: bool) -> str:
    """Why a file cannot be read, as a mask or at all; "" where it can."""
    try:
        read_mask(path) if is_mask else decoding.decode_file(path)
    except DataError as error:
        return str(error)
    return ""


def _differ(files: Mapping[str, Path]) -> bool:
    """Whether readable files are of several sizes."""
    return len({facts(path)[:2] for path in files.values()}) > 1


def unreadable_below(root: Path) -> list[Fault]:
    """A fault for each picture file below a folder that cannot be decoded, whatever it is for."""
    paths = listing.visible_files(root, listing.PICTURE_SUFFIXES)
    found = []
    with progress.bar("reading files", len(paths)) as advance:
        for path in paths:
            if said := _refusal(path, is_mask=False):
                found.append(from_message("unreadable", said, file=str(path)))
            advance(1)
    return found


def unscored_refusals(source: Source) -> list[Fault]:
    """A fault for each frame without truth that cannot be read."""
    found = []
    for name in (name for before in source.unscored.values() for name in before):
        try:
            source.read_unscored(name)
        except DataError as error:
            found.append(from_message("unreadable", str(error), file=name))
    return found
