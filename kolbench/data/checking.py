"""Reads every image of a source once before a run: bad ones are named together, good ones hashed."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import numpy as np

from kolbench.data import listing
from kolbench.data.sources.base import Source
from kolbench.errors import DataError
from kolbench.io import progress
from kolbench.types import Sample, UInt8Array

CHUNK = 64


def perceptual_hash(image: UInt8Array) -> np.uint64:
    """Computes 64 bits that stay the same when an image is resized or compressed again.

    The signs, against their median, of the 8 x 8 lowest frequencies of the 32 x 32 px grey image (DCT);
    the mean brightness does not count.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low: Any = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def checked_hashes(source: Source, what: str) -> dict[int, np.uint64]:
    """Reads every image with its truth once; index -> perceptual hash.

    Args:
        source: what to read.
        what: stands beside the progress.

    Raises:
        DataError: lists all images that cannot be used.
    """
    hashes: dict[int, np.uint64] = {}
    with progress.bar(what, len(source)) as advance:

        def keep(index: int, image: UInt8Array) -> None:
            hashes[index] = perceptual_hash(image)
            advance(1)

        check_all(source, keep)
    return hashes


def check_all(source: Source, keep: Callable[[int, UInt8Array], None] | None = None) -> None:
    """Reads every image once, frames without truth too, so that no run dies hours later.

    Args:
        source: what to check.
        keep: called with index and (H, W, 3) uint8 RGB of each good image, in order.

    Raises:
        DataError: one error that lists all bad images (the first 20, and how many more); or all truths are
            foreground everywhere, so that whatever calls all a person would be right.
    """
    problems: list[str] = []
    full = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(source), CHUNK):
            indices = range(start, min(start + CHUNK, len(source)))
            for index, outcome in zip(indices, pool.map(partial(_attempt, source), indices), strict=True):
                if isinstance(outcome, DataError):
                    problems.append(str(outcome))
                    continue
                full += bool(outcome.mask.all())
                if keep is not None:
                    keep(index, outcome.image)
        between = [name for before in source.unscored.values() for name in before]
        problems += filter(None, pool.map(partial(_fault, source), between))
    if problems:
        rest = len(problems) - listing.SHOWN
        listed = "\n  ".join(problems[: listing.SHOWN]) + (f"\n  and {rest} more" if rest > 0 else "")
        raise DataError(
            f"{len(problems)} of {len(source) + len(between)} pictures cannot be used:\n  {listed}"
        )
    if full and full == len(source):
        raise DataError(
            f"All {full} masks are foreground everywhere, so there is nothing to tell apart. A mask is black "
            "where there is nobody; where it has other colours or class numbers, say data.person_colour."
        )


def _attempt(source: Source, index: int) -> Sample | DataError:
    try:
        return source.read(index)
    except DataError as error:
        return error


def _fault(source: Source, name: str) -> str:
    """What is wrong with a frame without truth; "" where nothing is."""
    try:
        source.read_unscored(name)
    except DataError as error:
        return str(error)
    return ""
