"""Reads every image of a source once before a run: bad ones are named together, good ones hashed."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np

from kolbench.data import listing
from kolbench.data.sources.base import Source
from kolbench.errors import DataError
from kolbench.io import progress
from kolbench.types import Sample, UInt8Array

CHUNK = 64
T = TypeVar("T")
ADVICE = "data.on_error=skip goes on without them; task=doctor shows them."


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


@dataclass(frozen=True)
class Readings:
    """What reading every image of a source has shown.

    hashes: index -> perceptual hash of the good ones. faults: index -> what is wrong with an image or its
    truth. unscored: the same of frames without truth, by name. full: number of truths that are foreground
    everywhere.
    """

    hashes: dict[int, np.uint64] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    full: int = 0


def checked_hashes(source: Source, what: str, advice: str = ADVICE) -> dict[int, np.uint64]:
    """Reads every image with its truth once; index -> perceptual hash.

    Args:
        source: what to read.
        what: stands beside the progress.
        advice: what to do where some cannot be used.

    Raises:
        DataError: lists all images that cannot be used.
    """
    found = read_all(source, what)
    refuse(source, found, advice)
    return found.hashes


def in_order(function: Callable[[int], T], count: int, what: str) -> Iterator[T]:
    """What a function gives for 0, 1 and so on, found by several threads, a few ahead of what is taken.

    Args:
        function: called with each number below `count`. what: stands beside the progress.
    """
    with progress.bar(what, count) as advance, _pool() as pool:
        for start in range(0, count, CHUNK):
            for found in pool.map(function, range(start, min(start + CHUNK, count))):
                advance(1)
                yield found


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1))


def read_all(source: Source, what: str) -> Readings:
    """Reads every image once, frames without truth too, so that no run dies hours later.

    Args:
        source: what to read.
        what: stands beside the progress.
    """
    found = Readings()
    full = 0
    for index, outcome in enumerate(in_order(partial(_attempt, source), len(source), what)):
        if isinstance(outcome, DataError):
            found.faults[index] = str(outcome)
            continue
        full += bool(outcome.mask.all())
        found.hashes[index] = perceptual_hash(outcome.image)
    between = _between(source)
    with _pool() as pool:
        faults = zip(between, pool.map(partial(_fault, source), between), strict=True)
        found.unscored.update({name: fault for name, fault in faults if fault})
    return replace(found, full=full)


def refuse(source: Source, found: Readings, advice: str = ADVICE) -> None:
    """Refuses a source of which something cannot be used; advice: what to do then.

    Raises:
        DataError: one error that lists all bad images (the first 20, and how many more); or all truths are
            foreground everywhere, so that whatever calls all a person would be right.
    """
    problems = [*found.faults.values(), *found.unscored.values()]
    if problems:
        raise DataError(
            f"{len(problems)} of {len(source) + len(_between(source))} images cannot be used:\n  "
            f"{listed(problems)}\n  {advice}"
        )
    refuse_full(found.full, len(source))


def refuse_full(full: int, count: int) -> None:
    """Refuses truths of which all that can be read are foreground everywhere.

    Raises:
        DataError: they are.
    """
    if full and full == count:
        raise DataError(
            f"All {full} masks are foreground everywhere, so there is nothing to tell apart. A mask is "
            "black where there is nobody; where it has other colours or class numbers, say "
            "data.person_colour."
        )


def listed(problems: Sequence[str]) -> str:
    """The first 20, a line each, and how many more."""
    rest = len(problems) - listing.SHOWN
    return "\n  ".join(problems[: listing.SHOWN]) + (f"\n  and {rest} more" if rest > 0 else "")


def _between(source: Source) -> list[str]:
    return [name for before in source.unscored.values() for name in before]


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
