"""The whole examination of a data set: all that training would refuse or warn about, and more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kolbench.data.config import DataConfig
from kolbench.data.health import copies, dealing, whole
from kolbench.data.health.dealing import SplitRow
from kolbench.data.health.examination import (
    Examined,
    examine_all,
    picture_refusals,
    unreadable_below,
    unscored_refusals,
)
from kolbench.data.health.fault import REFUSED, Fault, fault, from_message, in_order
from kolbench.data.health.pictures import picture_faults
from kolbench.data.sources.base import Source
from kolbench.data.splits import Splits


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    faults: gravest first. source: None where it could not be opened; all that follows is then empty.
    examined: a picture each. splits: that training would use. rows: a summary of each split. lines: what the
    source says of itself.
    """

    faults: Sequence[Fault]
    source: Source | None = None
    examined: Sequence[Examined] = ()
    splits: Splits | None = None
    rows: Sequence[SplitRow] = ()
    lines: Sequence[str] = ()

    @property
    def refused(self) -> int:
        """How many faults training refuses."""
        return sum(found.severity == REFUSED for found in self.faults)


def diagnose(source: Source, config: DataConfig, said: Sequence[str] = ()) -> Diagnosis:
    """Reads every picture once and looks for all kinds of faults.

    Args:
        source, config: the set, as training would have it. said: what was wrong with names and lists.
    """
    root = str(getattr(source, "root", "the data set"))
    examined = examine_all(source)
    plain = copies.plain_masks(source, [one.levels for one in examined])
    made, of_splits = dealing.dealt(source, config)
    found = [from_message("folder", message, file=root) for message in said]
    for row, one in enumerate(examined):
        if one.measures is None:
            found += picture_refusals(source, row, one.error, plain)
        else:
            found += picture_faults(source, row, one)
    found += unscored_refusals(source)
    found += [fault("left_out", str(path), f"It {why}.") for path, why in source.left_out().items()]
    found += [*whole.set_faults(source, examined), *of_splits, *_copies(source, made, config, examined)]
    rows = dealing.split_rows(source, made, examined)
    return Diagnosis(in_order(found), source, examined, made, rows, source.describe())


def unopened(root: Path | None, message: str, said: Sequence[str] = ()) -> Diagnosis:
    """What can be found where the data set cannot be opened: why, and which files cannot be decoded.

    Args:
        root: its folder, None where it has none. message: why. said: what was wrong before that.
    """
    where = "data" if root is None else str(root)
    found = [from_message("folder", one, file=where) for one in (*said, message)]
    if root is not None and root.is_dir():
        found += unreadable_below(root)
    return Diagnosis(in_order(found))


def _copies(source: Source, made: Splits, config: DataConfig, examined: Sequence[Examined]) -> list[Fault]:
    known = {row: one for row, one in enumerate(examined) if one.measures is not None}
    hashes = {row: one.hash for row, one in known.items()}
    images = {row: one.image for row, one in known.items()}
    masks = {row: one.mask for row, one in known.items()}
    telling = [row for row, one in known.items() if one.measures and 0 < one.measures.foreground < 1]
    # as training allows them
    kind = "duplicate_allowed" if config.allow_duplicates or config.split == "paper" else "duplicate_across"
    across = [found._replace(kind=kind) for found in copies.copies_across(source, made, hashes, images)]
    return [
        *across,
        *copies.copies_within(source, made, hashes, images),
        *copies.same_masks(source, telling, masks, hashes),
    ]
