"""Which pictures are whose where several machines or processes score one set; every clip stays whole."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from kolbench.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """The part `number`, counted from 1, of `count` parts."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        """From `K/N`, as the key `shard` has it."""
        number, count = map(int, text.split("/"))
        return cls(number, count)


def share(names: Sequence[str], clips: Sequence[str], number: int, count: int) -> list[int]:
    """The pictures of one of several shares.

    Clips, and pictures of no clip one by one, are dealt from the largest to the smallest, each to the share
    that has the fewest pictures so far (longest processing time first: Graham, SIAM J. Appl. Math. 17, 1969).
    So two shares differ by the pictures of one clip at most, by one picture where there are no clips. Who
    gets what follows from names and clips alone, not from the order of the rows.

    Args:
        names: of the pictures, each once.
        clips: of the same pictures, "" = of none.
        number: of the share, from 1 to `count`.
        count: of shares.

    Returns:
        Rows of `names` in their order; empty where the clips are fewer than the shares.
    """
    whole = _kept_together(names, clips)
    loads = [(0, owner) for owner in range(1, count + 1)]
    rows: list[int] = []
    for _, unit in sorted(whole.items(), key=lambda item: (-len(item[1]), item[0])):
        load, owner = heapq.heappop(loads)
        heapq.heappush(loads, (load + len(unit), owner))
        rows += unit if owner == number else []
    return sorted(rows)


def require_enough(names: Sequence[str], clips: Sequence[str], shard: Shard) -> None:
    """Refuses more shards than there are clips and pictures of none.

    Raises:
        ConfigError: says how many there can be.
    """
    most = most_shards(names, clips)
    if shard.count > most:
        whole = f", which are of {most} clips that stay whole" if most < len(names) else ""
        raise ConfigError(
            f"shard={shard.number}/{shard.count}: {len(names)} test images are scored{whole}; there can be "
            f"{most} shards at most."
        )


def most_shards(names: Sequence[str], clips: Sequence[str]) -> int:
    """How many there can be, so that each has a picture."""
    return len(_kept_together(names, clips))


def _kept_together(names: Sequence[str], clips: Sequence[str]) -> dict[tuple[str, str], list[int]]:
    """Rows by clip, and by name for pictures of no clip."""
    found: dict[tuple[str, str], list[int]] = {}
    for row, (name, clip) in enumerate(zip(names, clips, strict=True)):
        found.setdefault((clip, "" if clip else name), []).append(row)
    return found
