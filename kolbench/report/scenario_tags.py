"""Scenario tags by rule, for pictures that nobody has tagged: from what was measured of each picture."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from kolbench.types import Float64Array, Int64Array


class Rule(NamedTuple):
    """A tag: those pictures of which a trait is below or above a bound. words: the rule for a reader."""

    trait: str
    above: bool
    bound: float
    words: str


RULES: Mapping[str, Rule] = {
    "several_people": Rule("people", True, 1.5, "two or more persons, or large parts of the ground truth"),
    "dark": Rule("luma", False, 80, "mean luma below 80 of 255"),
    "low_contrast": Rule(
        "edge_contrast", False, 25, "colours inside and outside the edge differ by less than 25 in CIELAB"
    ),
    "cluttered": Rule("glcm_entropy", True, 12.75, "GLCM entropy above 12.75 bits"),
    "held_large": Rule("product", True, 0.15, "the held product is more than 15 % of the foreground"),
    "held_small": Rule("product", False, 0.03, "the held product is less than 3 % of the foreground"),
    "cut_by_frame": Rule("cut", True, 0.02, "over 2 % of the left, right and upper border is foreground"),
}
NONE = "none_of_these"


def tags_of(traits: pd.DataFrame) -> dict[str, Int64Array]:
    """Tag -> numbers of the rows it fits, in alphabetical order; pictures that none fits are a tag too.

    Args:
        traits: a row per picture, columns as `metrics.traits.Traits`; NaN fits no rule.
    """
    fits = {tag: _fitting(traits[rule.trait].to_numpy(np.float64), rule) for tag, rule in RULES.items()}
    fits[NONE] = ~np.logical_or.reduce(list(fits.values()))
    return {tag: np.flatnonzero(fits[tag]).astype(np.int64) for tag in sorted(fits) if fits[tag].any()}


def rules_in_words() -> str:
    """All rules for a reader."""
    listed = "; ".join(f"{tag}: {rule.words}" for tag, rule in RULES.items())
    return f"These images have no tags of their own: tags are by rule. {listed}; {NONE}: all others."


def _fitting(values: Float64Array, rule: Rule) -> npt.NDArray[np.bool_]:
    # comparisons with NaN are false
    return values > rule.bound if rule.above else values < rule.bound
