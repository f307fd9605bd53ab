"""How near scores come to those of public toolboxes: what `tests/metrics/test_parity.py` found and wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PARITY = Path(__file__).with_name("parity.json")


@dataclass(frozen=True)
class Agreement:
    """One comparison with a toolbox.

    toolbox: its name and version. maps: what was scored. pictures: how many. within: score -> the largest
    difference found, rounded up to a power of ten; 0 = none.
    """

    toolbox: str
    maps: str
    pictures: int
    within: Mapping[str, float]


@cache
def agreements() -> tuple[Agreement, ...]:
    """All comparisons of the file."""
    return tuple(Agreement(**entry) for entry in json.loads(PARITY.read_text(encoding="utf-8")))


def agreement(score: str) -> str:
    """What a score's definition says of toolboxes, from `; ` on; "" where it was compared with none."""
    found: dict[str, list[str]] = {}
    for each in agreements():
        if score in each.within:
            said = f"on {each.pictures} {each.maps} to {each.within[score]:g}"
            found.setdefault(each.toolbox, []).append(said)
    toolboxes = [f"with {toolbox} {' and '.join(said)}" for toolbox, said in found.items()]
    return f"; agrees {', '.join(toolboxes)}" if toolboxes else ""
