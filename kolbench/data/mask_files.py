"""Reads the mask files of a layout, and tells how they were understood, and whether they are alphas."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from kolbench.data import listing, truth
from kolbench.errors import DataError
from kolbench.io.label_maps import Label, read_labels
from kolbench.io.masks import MaskReading, inspect_mask, inspect_matte
from kolbench.types import BINARY, Float32Array, UInt8Array

SAMPLED = 20
# of a picture's outermost pixels; a person who fills the lower half of a frame covers a half of them
FOREGROUND_EDGE = 0.5
# of the masks: where so many have such an edge, black and white are likely the wrong way round
INVERTED_SHARE = 0.9


class MaskFiles:
    """Reads masks by name and remembers how the levels of each were understood.

    Args:
        paths: name -> mask file.
        surely: whether they are known to be mattes, see `inspect_matte`.
        foreground: where they are label maps, the labels that are foreground; else empty.
    """

    def __init__(
        self, paths: Mapping[str, Path], surely: bool = False, foreground: Sequence[Label] = ()
    ) -> None:
        self._paths = paths
        self._surely = surely
        self._foreground = tuple(foreground)
        self._readings: dict[str, MaskReading] = {}
        self._edges: dict[str, float] = {}
        self._full: set[str] = set()

    def inspect(self, name: str) -> MaskReading:
        """Reads a mask as io.masks.inspect_mask does, or a label map."""
        if self._foreground:
            reading = MaskReading(read_labels(self._paths[name], self._foreground), "label map")
        else:
            reading = inspect_mask(self._paths[name])
        self._readings[name] = reading._replace(mask=np.empty((0, 0), np.uint8))
        self._look_at(name, reading.mask)
        return reading

    def _look_at(self, name: str, mask: UInt8Array) -> None:
        self._edges[name] = edge_share(mask)
        if mask.all():
            self._full.add(name)

    def read(self, name: str) -> UInt8Array:
        """Reads a mask, (H, W) uint8 in {0, 1}."""
        return self.inspect(name).mask

    def levels_of(self, name: str) -> tuple[str, str]:
        """Kind and warning of a mask that was read, see `MaskReading`; "" of others."""
        reading = self._readings.get(name)
        return ("", "") if reading is None else (reading.kind, reading.warning)

    def judge(self, asked: str, names: Sequence[str]) -> truth.Verdict:
        """Whether the masks are binary or true alphas, by a sample of `names`; asked: one of truth.TRUTHS."""
        readings = []
        for index in listing.spread(len(names), 0 if asked == BINARY else SAMPLED):
            with suppress(DataError):  # reading all images names it
                readings.append(inspect_matte(self._paths[names[index]], self._surely))
                self._look_at(names[index], readings[-1].mask)
        return truth.judged(asked, readings)

    def read_truth(self, name: str, kind: str) -> tuple[UInt8Array, Float32Array | None]:
        """A mask, (H, W) uint8 in {0, 1}, and where `kind` is alpha the (H, W) float32 alpha in [0, 1]."""
        if kind == BINARY:
            return self.read(name), None
        reading = inspect_matte(self._paths[name], self._surely)
        return reading.mask, reading.alpha

    def notes(self, names: Sequence[str]) -> list[str]:
        """Tells the levels of the masks read so far, a sample of `names` at least; lines to print."""
        for index in listing.spread(len(names), SAMPLED):
            if names[index] not in self._readings:
                with suppress(DataError):  # reading all images names it
                    self.read(names[index])
        kinds = Counter(reading.kind for reading in self._readings.values())
        seen = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        lines = [f"mask levels in {len(self._readings)} masks read so far: {seen}"]
        lines += self.suspicious()
        warnings = {name: r.warning for name, r in sorted(self._readings.items()) if r.warning}
        if warnings:
            name, warning = next(iter(warnings.items()))
            others = f" (and {len(warnings) - 1} more like it)" if len(warnings) > 1 else ""
            lines.append(f"warning: {self._paths[name]}: {warning}{others}")
        return lines

    def suspicious(self) -> list[str]:
        """Lines: how many masks are full, and a warning where nearly all are foreground at the edge."""
        count, lines = len(self._edges), []
        if self._full:
            lines.append(f"{len(self._full)} of {count} masks are foreground everywhere")
        covered = sum(share > FOREGROUND_EDGE for share in self._edges.values())
        if covered and covered >= INVERTED_SHARE * count:
            lines.append(
                f"warning: {covered} of {count} masks are foreground along most of the image's edge, as "
                "inverted ones are. White is the person; where black is, say data.person_colour=black, or "
                "save soft ones the other way round"
            )
        return lines


def edge_share(mask: UInt8Array) -> float:
    """The share of a mask's outermost pixels, (H, W) in {0, 1}, that is foreground."""
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return float(edge.mean())
