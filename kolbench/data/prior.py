"""What the frame before may have shown, made up from the truth of a single picture."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from kolbench.errors import ConfigError

# upper left, upper right and lower left, as grid_sample counts
CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])


class PriorFromMask(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Makes up, as `prior`, what the frame before may have shown: nothing, or the mask moved a little.

    It stands behind all steps that move pixels. Three corners of the frame, and the places they come to, are
    moved evenly up to `jitter`; the mask follows (RCRNet, section 4.2.2, and PortraitNet's released code).

    Args:
        empty: probability that nothing was shown, in [0, 1]. jitter: as a share of each side, in [0, 0.25].
        active: False makes none, for networks that take none.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, empty: float = 0.5, jitter: float = 0.05, active: bool = True) -> None:
        super().__init__()
        if not (0 <= empty <= 1 and 0 <= jitter <= 0.25):
            raise ConfigError(
                f"PriorFromMask: empty={empty} must lie in [0, 1], and jitter={jitter} in [0, 0.25]."
            )
        self.empty = empty
        self.jitter = jitter
        self.active = active

    def forward(self, *inputs: Any) -> Any:
        """A sample, a dict of tv_tensors, with `prior` (1, H, W) uint8, 0 or 255."""
        sample: dict[str, Any] = inputs[0]
        if not self.active:
            return sample
        mask = sample["masks"][:1].as_subclass(Tensor)
        if torch.rand(()) < self.empty:
            return {**sample, "prior": torch.zeros_like(mask)}
        # grid_sample counts from -1 to 1: 2 jitter is the share of a side
        moves = 2 * self.jitter * (2 * torch.rand(2, 3, 2) - 1)
        theta = affine_through(CORNERS + moves[0], CORNERS + moves[1])
        grid = F.affine_grid(theta[None], [1, *mask.shape], align_corners=False)
        moved = F.grid_sample(mask[None].float(), grid, "nearest", align_corners=False)[0]
        return {**sample, "prior": (255 * moved).to(torch.uint8)}


def affine_through(places: Tensor, sources: Tensor) -> Tensor:
    """The affine map that takes three places to three others.

    Args:
        places, sources: (3, 2) float x, y; the places do not lie on one line.

    Returns:
        (2, 3): theta with theta @ (x, y, 1) = the source of each place.
    """
    known = torch.cat((places, torch.ones(3, 1)), 1)
    theta: Tensor = torch.linalg.solve(known, sources).T
    return theta
