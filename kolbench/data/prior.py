"""What the frame before may have shown, made up from the truth of a single picture."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from kolbench.errors import ConfigError

# upper left, upper right, lower left and lower right, as grid_sample counts
CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
BLUR_PX = (5, 30)
GREY = 128

# places (N, 2) x, y of a moved picture -> the places (N, 2) that its pixels come from
Mapping = Callable[[Tensor], Tensor]


class PriorFromMask(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Makes up, as `prior`, what the frame before may have shown: nothing, or the mask moved a little.

    It stands behind all steps that move pixels. By default three corners of the frame, and the places they
    come to, are moved evenly up to `jitter`, and the mask follows (RCRNet, section 4.2.2). The other ways are
    those of PortraitNet's released code, each with a probability of its own; it takes 0.5 for all of them.

    Args:
        empty: probability that nothing was shown, in [0, 1]. jitter: as a share of each side, in [0, 0.25].
        active: False makes none, for networks that take none.
        affine, perspective, thin_plate: probabilities that three corners, four corners, or a thin plate that
            is held at four corners are moved. motion_blur: that the prior is smeared over 5 to 30 pixels.
        picture_moves: probability that picture and masks are moved instead, and the prior stays.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        empty: float = 0.5,
        jitter: float = 0.05,
        active: bool = True,
        *,
        affine: float = 1.0,
        perspective: float = 0.0,
        thin_plate: float = 0.0,
        motion_blur: float = 0.0,
        picture_moves: float = 0.0,
    ) -> None:
        super().__init__()
        shares = {"empty": empty, "affine": affine, "perspective": perspective, "thin_plate": thin_plate}
        shares |= {"motion_blur": motion_blur, "picture_moves": picture_moves}
        wrong = next((name for name, share in shares.items() if not 0 <= share <= 1), None)
        if wrong is not None:
            raise ConfigError(f"PriorFromMask: {wrong}={shares[wrong]} must lie in [0, 1].")
        if not 0 <= jitter <= 0.25:
            raise ConfigError(f"PriorFromMask: jitter={jitter} must lie in [0, 0.25].")
        self.empty = empty
        self.jitter = jitter
        self.active = active
        self.warps = (
            (affine, affine_mapping),
            (perspective, perspective_mapping),
            (thin_plate, thin_plate_mapping),
        )
        self.motion_blur = motion_blur
        self.picture_moves = picture_moves

    def forward(self, *inputs: Any) -> Any:
        """A sample, a dict of tv_tensors, with `prior` (1, H, W) uint8 in 0..255."""
        sample: dict[str, Any] = inputs[0]
        if not self.active:
            return sample
        mask = sample["masks"][:1].as_subclass(Tensor)
        if torch.rand(()) < self.empty:
            return {**sample, "prior": torch.zeros_like(mask)}
        mappings = self._drawn_mappings()
        if torch.rand(()) < self.picture_moves:
            moved = {name: _layer_moved(layer, mappings) for name, layer in sample.items()}
            return {**moved, "prior": 255 * mask}
        prior = 255 * moved_by(mappings, mask.float(), "nearest")
        if torch.rand(()) < self.motion_blur:
            length = int(torch.randint(BLUR_PX[0], BLUR_PX[1] + 1, ()))
            prior = smeared(prior, length, 2 * math.pi * float(torch.rand(())))
        return {**sample, "prior": prior.round().clamp(0, 255).to(torch.uint8)}

    def _drawn_mappings(self) -> list[Mapping]:
        # grid_sample counts from -1 to 1: 2 jitter is the share of a side
        return [
            make(*(CORNERS + 2 * self.jitter * (2 * torch.rand(2, 4, 2) - 1)))
            for share, make in self.warps
            if torch.rand(()) < share
        ]


def affine_mapping(places: Tensor, sources: Tensor) -> Mapping:
    """The affine map that takes the first three places (4, 2) to the first three sources (4, 2)."""
    theta = affine_through(places[:3], sources[:3])
    return lambda points: _with_one(points) @ theta.T


def affine_through(places: Tensor, sources: Tensor) -> Tensor:
    """The affine map that takes three places to three others.

    Args:
        places, sources: (3, 2) float x, y; the places do not lie on one line.

    Returns:
        (2, 3): theta with theta @ (x, y, 1) = the source of each place.
    """
    theta: Tensor = torch.linalg.solve(_with_one(places), sources).T
    return theta


def perspective_mapping(places: Tensor, sources: Tensor) -> Mapping:
    """The projective map that takes four places (4, 2), no three of them on one line, to four sources."""
    known, zero = _with_one(places), torch.zeros(4, 3)
    upper = torch.cat((known, zero, -sources[:, :1] * places), 1)
    lower = torch.cat((zero, known, -sources[:, 1:] * places), 1)
    found = torch.linalg.solve(torch.cat((upper, lower)), sources.T.reshape(-1))
    matrix = torch.cat((found, torch.ones(1))).view(3, 3)

    def mapping(points: Tensor) -> Tensor:
        projected = _with_one(points) @ matrix.T
        return projected[:, :2] / projected[:, 2:]

    return mapping


def thin_plate_mapping(places: Tensor, sources: Tensor) -> Mapping:
    """The thin-plate spline (Bookstein, PAMI 1989) that takes each of the places (N, 2) to its source."""
    known, count = _with_one(places), len(places)
    system = torch.zeros(count + 3, count + 3)
    system[:count, :count], system[:count, count:], system[count:, :count] = (
        _bending(places, places),
        known,
        known.T,
    )
    weights = torch.linalg.solve(system, torch.cat((sources, torch.zeros(3, 2))))
    return lambda points: _bending(points, places) @ weights[:count] + _with_one(points) @ weights[count:]


def _bending(points: Tensor, places: Tensor) -> Tensor:
    """(M, N): r^2 log r^2 of all distances r, 0 where r is 0."""
    squared = (points[:, None] - places[None]).square().sum(-1)
    return torch.xlogy(squared, squared)


def _with_one(points: Tensor) -> Tensor:
    return torch.cat((points, torch.ones(len(points), 1)), 1)


def moved_by(mappings: Sequence[Mapping], planes: Tensor, mode: str) -> Tensor:
    """(C, H, W) float -> the same, every pixel from where the mappings, one after the other, send it."""
    if not mappings:
        return planes
    size = [1, 1, *planes.shape[-2:]]
    grid = F.affine_grid(torch.eye(2, 3)[None], size, align_corners=False)
    points = grid.view(-1, 2)
    for mapping in mappings:
        points = mapping(points)
    moved: Tensor = F.grid_sample(planes[None], points.view(grid.shape), mode, align_corners=False)[0]
    return moved


def _layer_moved(layer: Any, mappings: Sequence[Mapping]) -> Any:
    """A picture bilinear, with grey at the borders; masks nearest, with background there."""
    is_mask = isinstance(layer, tv_tensors.Mask)
    border = 0 if is_mask else GREY
    moved = moved_by(
        mappings, layer.as_subclass(Tensor).float() - border, "nearest" if is_mask else "bilinear"
    )
    return tv_tensors.wrap((moved + border).round().clamp(0, 255).to(layer.dtype), like=layer)


def smeared(plane: Tensor, length: int, angle: float) -> Tensor:
    """The mean along a line through each pixel: what moves during the exposure.

    Args:
        plane: (1, H, W) float. length: of the line in pixels. angle: in radians, from the x axis.

    Returns:
        (1, H, W) float; beyond the frame counts as 0.
    """
    reach = length // 2
    steps = torch.linspace(-reach, reach, 2 * length + 1)
    columns, rows = ((reach + steps * part).round().long() for part in (math.cos(angle), math.sin(angle)))
    line = torch.zeros(2 * reach + 1, 2 * reach + 1)
    line[rows, columns] = 1
    blurred: Tensor = F.conv2d(plane[None], (line / line.sum())[None, None], padding=reach)[0]
    return blurred
