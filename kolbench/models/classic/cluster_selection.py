"""How the clusters of K-Means and Mean Shift become an alpha, with and without help."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kolbench.errors import require_choice
from kolbench.models.classic import oracle, regions
from kolbench.models.classic.picture_segmenter import ACCESS_OF_VARIANT
from kolbench.models.classic.regions import Bools, Clusters
from kolbench.types import PictureResult, UInt8Array


@dataclass(frozen=True)
class Selection:
    """Which clusters are foreground.

    variant: `auto` goes by the rule alone; `box` by the same rule with the true bounding box in the frame's
    place, as if a person had drawn it: the border band is all that lies outside, the centre weights are laid
    over the box and are 0 outside, and so is alpha; `oracle` goes by the true mask.
    rule: see regions.chosen_by_rule. clean: keep only the largest component afterwards, see regions.cleaned.
    oracle: `union` = the clusters with the best IoU, `majority` = those mostly foreground; never cleaned.

    Raises:
        ConfigError: an unknown choice.
    """

    variant: str = "auto"
    rule: str = "both"
    clean: bool = True
    oracle: str = "union"

    def __post_init__(self) -> None:
        require_choice("model.variant", self.variant, ACCESS_OF_VARIANT)
        require_choice("model.rule", self.rule, regions.RULES)
        require_choice("model.oracle", self.oracle, oracle.CHOICES)


def select(clusters: Clusters, selection: Selection, mask: UInt8Array | None = None) -> PictureResult:
    """Alpha in {0, 1} from clusters.

    Args:
        clusters: of the picture.
        selection: how they are chosen.
        mask: (H, W) uint8 in {0, 1}, the truth; given to the variants `box` and `oracle` only.

    Returns:
        Alpha; the note `empty` tells that no pixel is foreground.
    """
    if selection.variant == "auto":
        found = _by_rule(clusters, selection)
    else:
        assert mask is not None
        found = (_in_box if selection.variant == "box" else _by_truth)(clusters, selection, mask)
    return PictureResult(found.astype(np.float32), {"empty": float(not found.any())})


def _by_rule(clusters: Clusters, selection: Selection) -> UInt8Array:
    height, width = clusters.labels.shape
    band, weight = regions.border_band(height, width), regions.centre_weight(height, width)
    found = _where(clusters, selection.rule, band, weight)
    return regions.cleaned(found) if selection.clean else found


def _in_box(clusters: Clusters, selection: Selection, mask: UInt8Array) -> UInt8Array:
    box = oracle.true_box(mask)
    if box is None:
        return np.zeros_like(mask)
    outside, weight = np.ones(mask.shape, np.bool_), np.zeros(mask.shape)
    outside[box.inside()] = False
    weight[box.inside()] = regions.centre_weight(box.bottom - box.top, box.right - box.left)
    band = outside if outside.any() else regions.border_band(*mask.shape)
    found = _where(clusters, selection.rule, band, weight)
    found[outside] = 0
    return regions.cleaned(found) if selection.clean else found


def _where(clusters: Clusters, rule: str, band: Bools, weight: npt.NDArray[np.float64]) -> UInt8Array:
    labels, centres = clusters
    return regions.chosen_by_rule(labels, len(centres), rule, band, weight)[labels].astype(np.uint8)


def _by_truth(clusters: Clusters, selection: Selection, mask: UInt8Array) -> UInt8Array:
    labels, centres = clusters
    choose = oracle.best_union if selection.oracle == "union" else oracle.majority
    return choose(labels, len(centres), mask)[labels].astype(np.uint8)
