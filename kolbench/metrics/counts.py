"""What evaluation keeps of a picture: histograms of its alpha and single numbers; every score follows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kolbench.types import Float64Array, Int64Array

LEVELS = 256


@dataclass(frozen=True, eq=False)
class Counts:
    """Pixels of N pictures at each 8-bit level of alpha, by name; every array is (N, 256) int64.

    fg: true foreground pixels. bg: true background pixels. product: pixels inside the product mask.
    extra: what single scores asked for (`kolbench.metrics.score.ExtraCounts`); may be empty. values: what
    follows from no histogram (`kolbench.metrics.score.ExtraValues`), (N,) float64 each, NaN where it does not
    apply to a picture; may be empty. Names, items and lengths are those of the counts alone.

    Raises:
        ValueError: the shapes are not (N, 256), of values (N,), for one N.
    """

    fg: Int64Array
    bg: Int64Array
    product: Int64Array
    extra: Mapping[str, Int64Array] = field(default_factory=dict)
    values: Mapping[str, Float64Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {name: array.shape for name, array in self.items()}
        singles = {name: array.shape for name, array in self.values.items()}
        if any(shape != (len(self.fg),) for shape in singles.values()):
            raise ValueError(f"values must all be ({len(self.fg)},), as there are so many counts: {singles}")
        if any(shape != (len(self.fg), LEVELS) for shape in shapes.values()):
            raise ValueError(f"counts must all be (N, {LEVELS}) for one N, got {shapes}")

    @classmethod
    def of(
        cls, arrays: Mapping[str, Int64Array], values: Mapping[str, Float64Array] | None = None
    ) -> "Counts":
        """From arrays by name; `fg`, `bg` and `product` must be among them."""
        extra = {name: array for name, array in arrays.items() if name not in ("fg", "bg", "product")}
        return cls(arrays["fg"], arrays["bg"], arrays["product"], extra, values or {})

    @classmethod
    def joined(cls, parts: Sequence["Counts"]) -> "Counts":
        """The pictures of all parts, in their order, with the names that every part has."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            empty = np.zeros((0, LEVELS), np.int64)
            return cls(empty, empty, empty)
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        valued = [name for name in parts[0].values if all(name in part.values for part in parts)]
        return cls.of(
            {name: np.concatenate([part[name] for part in parts]) for name in shared},
            {name: np.concatenate([part.values[name] for part in parts]) for name in valued},
        )

    def __len__(self) -> int:
        """N, the number of pictures."""
        return len(self.fg)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        yield from ("fg", "bg", "product", *self.extra)

    def __contains__(self, name: object) -> bool:
        return name in ("fg", "bg", "product") or name in self.extra

    def __getitem__(self, name: str) -> Int64Array:
        """(N, 256) of a name."""
        return {"fg": self.fg, "bg": self.bg, "product": self.product, **self.extra}[name]

    def items(self) -> Iterator[tuple[str, Int64Array]]:
        """Names and arrays, fg, bg and product first."""
        yield from ((name, self[name]) for name in self)

    def rows(self, chosen: slice | Sequence[int] | npt.NDArray[np.bool_]) -> "Counts":
        """Some of the pictures."""
        return Counts.of(
            {name: array[chosen] for name, array in self.items()},
            {name: array[chosen] for name, array in self.values.items()},
        )

    def holds(self, name: str) -> bool:
        """Whether there is a count or a value of that name."""
        return name in self or name in self.values

    def pooled(self) -> "Counts":
        """All pictures counted together, as one; values of single pictures have no such sum."""
        return Counts.of({name: array.sum(0, keepdims=True) for name, array in self.items()})


@dataclass
class ImageCounts:
    """Counts of N pictures of one split, in the order they were seen.

    seconds: of the method on each picture. sizes: (height, width) in pixels. notes: what the method says
    went differently on a picture (`fallback`), else "". parts: the counts, batch by batch.
    """

    split: str
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: list[Counts] = field(default_factory=list)

    @classmethod
    def joined(cls, split: str, parts: Sequence["ImageCounts"], names: Sequence[str]) -> "ImageCounts":
        """The pictures of all parts of a split in the order of `names`.

        Raises:
            ValueError: a picture is in no part, in two, or is none of these.
        """
        lists = ("names", "groups", "tags", "sizes", "seconds", "notes")
        found: dict[str, Any] = {
            key: [each for part in parts for each in getattr(part, key)] for key in lists
        }
        if sorted(found["names"]) != sorted(names):
            raise ValueError(f"{len(found['names'])} images are not each of {len(names)} once")
        rows = {name: row for row, name in enumerate(found["names"])}
        order = [rows[name] for name in names]
        ordered = {key: [values[row] for row in order] for key, values in found.items()}
        return cls(split, **ordered, parts=[Counts.joined([part.counts for part in parts]).rows(order)])

    @property
    def counts(self) -> Counts:
        """Of all pictures."""
        self.parts = [Counts.joined(self.parts)]
        return self.parts[0]
