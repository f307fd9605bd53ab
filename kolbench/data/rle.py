"""Run-length encoded masks of labelling tools -> bitmaps of just as many pixels as there are."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kolbench.errors import DataError
from kolbench.types import UInt8Array

BitArray = npt.NDArray[np.uint8]
# how far Label Studio's stream is read at a time: a run's length, and which of four widths it has
_COUNT_BITS, _WORD_BITS, _WIDTH_BITS = 32, 5, 4


def from_runs(
    runs: object, height: int, width: int, order: Literal["rows", "columns"], where: str
) -> UInt8Array:
    """Lengths of runs, of background first, in turns -> (height, width) uint8 in {0, 1}.

    Args:
        runs: whole numbers. order: whether a run goes on in the next row (CVAT) or column (COCO).
        where: stands before the error.

    Raises:
        DataError: the runs are no whole numbers, or do not add up to height x width.
    """
    if not isinstance(runs, Sequence) or not all(_is_length(run) for run in runs):
        raise DataError(f"{where}: its RLE is no list of run lengths; export it again.")
    if sum(runs) != height * width:
        raise DataError(
            f"{where}: its RLE has {sum(runs)} pixels, but {width}x{height} are {width * height}. "
            "Export it again."
        )
    flat = np.repeat(np.arange(len(runs)) % 2, np.array(runs, np.int64)).astype(np.uint8)
    return flat.reshape(height, width) if order == "rows" else flat.reshape(width, height).T.copy()


def _is_length(run: object) -> bool:
    return isinstance(run, int) and not isinstance(run, bool) and run >= 0


def from_coco(segmentation: Mapping[str, object], height: int, width: int, where: str) -> UInt8Array:
    """COCO's RLE, compressed (text) or not (a list), -> (height, width) uint8 in {0, 1}.

    Args:
        segmentation: `counts` and `size`, height first. height, width: of the picture.
        where: stands before the error.

    Raises:
        DataError: it is of another size than the picture, or damaged.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, Sequence) or list(size) != [height, width]:
        raise DataError(f"{where}: its RLE has the size {size}, but its image is {[height, width]}.")
    lengths = _lengths(counts, where) if isinstance(counts, str) else counts
    return from_runs(lengths, height, width, "columns", where)


def _lengths(text: str, where: str) -> list[int]:
    """Run lengths of COCO's compressed text, as rleToString of maskApi.c (cocoapi) documents it.

    Each number is groups of five bits, the lowest first, a character of 48 + group, 32 more where another
    follows; the highest bit of the last group is the sign. From the fourth on a number is the difference to
    the length two before.
    """
    lengths: list[int] = []
    value = shift = 0
    for code in text.encode("latin-1", "replace"):
        group = code - 48
        if not 0 <= group < 64:
            raise DataError(f"{where}: its RLE has the character {chr(code)!r}; export it again.")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def from_brush(data: object, height: int, width: int, where: str) -> UInt8Array:
    """Label Studio's brush RLE -> (height, width) uint8 in {0, 1}, 1 where its alpha is not 0.

    A stream of bits, the highest of each byte first (rle-pack of thi.ng/umbrella): 32 bits say how many
    values there are, 5 how wide one is, less 1, four times 4 how wide the four kinds of lengths are, less 1.
    Then runs: a bit, whether one value follows or as many as the run is long; 2 bits, the kind of its
    length; its length, less 1; the value or values. The values are RGBA, row by row.

    Args:
        data: the bytes, as whole numbers. height, width: of the picture. where: stands before the error.

    Raises:
        DataError: the stream is of another size than the picture, damaged, or ends too early.
    """
    bits = _Bits(_bytes(data, where), where)
    count = bits.number(_COUNT_BITS)
    if count != 4 * height * width:
        raise DataError(
            f"{where}: its brush RLE has {count} values, but {width}x{height} px of RGBA have "
            f"{4 * height * width}; export it again."
        )
    word = bits.number(_WORD_BITS) + 1
    widths = [bits.number(_WIDTH_BITS) + 1 for _ in range(4)]
    values: npt.NDArray[np.bool_] = np.zeros(count, np.bool_)
    start = 0
    while start < count:
        is_run = bits.number(1)
        end = start + 1 + bits.number(widths[bits.number(2)])
        if end > count:
            raise DataError(f"{where}: its brush RLE is damaged; export it again.")
        values[start:end] = bits.number(word) > 0 if is_run else bits.any_set(end - start, word)
        start = end
    return values.reshape(height, width, 4)[..., 3].astype(np.uint8)


def _bytes(data: object, where: str) -> bytes:
    if isinstance(data, list) and all(isinstance(value, int) and 0 <= value < 256 for value in data):
        return bytes(data)
    raise DataError(f"{where}: its brush RLE is no list of bytes; export it again.")


class _Bits:
    """A stream of bits, the highest of each byte first."""

    def __init__(self, data: bytes, where: str) -> None:
        self._bits: BitArray = np.unpackbits(np.frombuffer(data, np.uint8))
        self._place, self._where = 0, where

    def number(self, size: int) -> int:
        """The next bits as a number."""
        return int("".join(map(str, self._next(size).tolist())), 2)

    def any_set(self, count: int, size: int) -> npt.NDArray[np.bool_]:
        """Whether the next numbers, (count,), are not 0."""
        return np.asarray(self._next(count * size).reshape(count, size).any(axis=1))

    def _next(self, size: int) -> BitArray:
        found = self._bits[self._place : self._place + size]
        self._place += size
        if len(found) < size:
            raise DataError(f"{self._where}: its brush RLE ends too early; export it again.")
        return found
