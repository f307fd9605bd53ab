"""GrabCut around the edge of alpha (Rother, Kolmogorov, Blake, SIGGRAPH 2004; OpenCV's implementation)."""

import hashlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from kolbench.errors import ConfigError
from kolbench.io.arrays import as_arrays
from kolbench.models.classic import grabcut
from kolbench.types import Float32Array, UInt8Array


@dataclass(frozen=True)
class GrabCutRefiner:
    """Lets colour models decide where alpha is undecided, or near where it is.

    Sure are the pixels with alpha above `high`, or below `low`, for `band` around; GrabCut in mask mode cuts
    the rest in two. The result is binary inside that band and the alpha given outside it, so a soft edge
    becomes hard. A picture keeps its alpha where no pixel is sure to be foreground, or to be background.

    Attributes:
        low, high: alpha levels, 0 <= low < high <= 1.
        band: by how much the sure regions are eroded, as a share of the picture's shorter side, in [0, 0.5).
        iterations: of GrabCut.
        size: shorter side at which GrabCut works, in pixels; smaller pictures are not enlarged.

    Raises:
        ConfigError: an option is out of range.
    """

    low: float = 0.1
    high: float = 0.9
    band: float = 0.005
    iterations: int = 2
    size: int = 384

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ConfigError(
                f"refiner.low={self.low} and refiner.high={self.high} must keep 0 <= low < high <= 1."
            )
        if not 0 <= self.band < 0.5:
            raise ConfigError(
                f"refiner.band={self.band} must lie in [0, 0.5): it is a share of the shorter side."
            )
        if self.iterations < 1:
            raise ConfigError(f"refiner.iterations={self.iterations} must be at least 1.")
        if self.size < 16:
            raise ConfigError(f"refiner.size={self.size} must be at least 16 pixels.")

    def __call__(self, image: Tensor, alpha: Tensor) -> Tensor:
        """(B, 3, H, W), (B, 1, H, W) in [0, 1] -> refined (B, 1, H, W) in [0, 1]."""
        alphas = alpha[:, 0].detach().float().cpu().numpy()
        refined = [self.refine_picture(p, a) for p, a in zip(as_arrays(image), alphas, strict=True)]
        return torch.from_numpy(np.stack(refined))[:, None].to(alpha.device)

    def refine_picture(self, image: UInt8Array, alpha: Float32Array) -> Float32Array:
        """(H, W, 3) uint8 RGB, (H, W) float32 in [0, 1] -> (H, W) float32 in [0, 1]."""
        height, width = alpha.shape
        scale = min(1.0, self.size / min(height, width))
        working = (max(1, round(width * scale)), max(1, round(height * scale)))
        small_image: Any = cv2.resize(image, working, interpolation=cv2.INTER_AREA)
        small_alpha: Any = cv2.resize(alpha, working, interpolation=cv2.INTER_AREA)
        labels = self._labels(small_alpha)
        cut = cut_labels(small_image, labels, self.iterations)
        if cut is None:
            return alpha.copy()
        open_band = np.isin(labels, (cv2.GC_PR_FGD, cv2.GC_PR_BGD)).astype(np.float32)
        inside = cv2.resize(open_band, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        foreground = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
        return np.where(inside, foreground, alpha).astype(np.float32)

    def _labels(self, alpha: Float32Array) -> UInt8Array:
        """GrabCut's four labels of an alpha."""
        radius = round(self.band * min(alpha.shape))
        square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        # beyond the frame counts as sure, so a person cut by the frame stays sure there
        sure_fg = cv2.erode((alpha > self.high).astype(np.uint8), square) > 0
        sure_bg = cv2.erode((alpha < self.low).astype(np.uint8), square) > 0
        labels = np.where(alpha > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
        labels = np.where(sure_fg, cv2.GC_FGD, np.where(sure_bg, cv2.GC_BGD, labels))
        return labels.astype(np.uint8)


def cut_labels(image: UInt8Array, labels: UInt8Array, iterations: int) -> Float32Array | None:
    """GrabCut in mask mode, seeded by its input, so neither order nor batch matters.

    Args:
        image: (H, W, 3) uint8. labels: (H, W) uint8 of OpenCV's four classes.

    Returns:
        (H, W) float32 in {0, 1}; None where a sure class is missing or OpenCV cannot build its models.
    """
    if not ((labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any()):
        return None
    digest = hashlib.sha256(image.tobytes() + labels.tobytes()).digest()
    found = grabcut.cut(image, labels, iterations, seed=int.from_bytes(digest[:4], "big") >> 1)
    return None if found is None else grabcut.is_foreground(found).astype(np.float32)
