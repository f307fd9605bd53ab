"""Matching the light of an ad to the scene that it is put into."""

import math
from typing import Any

import cv2
import numpy as np

from kolbench.types import Float32Array, UInt8Array

# longer side of the copies from which the light is measured, in pixels
_MEASURED = 96
# share of the ad that must be seen for the scene's light to be measured
_LEAST_SEEN = 0.02
# how far the spread of an ad may be changed: a plain wall must not wash out its text
_LEAST_GAIN, _MOST_GAIN = 0.5, 2.0


class LightMatch:
    """Moves mean and spread of an ad's Lab channels towards those of the background where it stands.

    The colour transfer of Reinhard et al. (2001), in CIE Lab, with the scene weighted by (1 - alpha) coverage
    and the ad by coverage. What is measured is averaged exponentially over time, so it does not flicker.
    While hardly any of the ad is seen, nothing new is measured.

    Args:
        strength: in [0, 1], the share of the way that is gone. seconds: time constant of the average.
    """

    def __init__(self, strength: float, seconds: float = 1.0) -> None:
        self._strength = strength
        self._seconds = seconds
        self.cut()

    def __call__(
        self,
        frame: UInt8Array,
        alpha: Float32Array,
        layer: UInt8Array,
        coverage: Float32Array,
        seconds: float,
    ) -> UInt8Array:
        """The layer as lit by the scene.

        Args:
            frame, layer: (H, W, 3) uint8. alpha, coverage: (H, W) float32 in [0, 1]. seconds: of the frame.

        Returns:
            (H, W, 3) uint8; the layer itself at strength 0, and before any light was measured.
        """
        if self._strength == 0:
            return layer
        self._follow(_measured(frame, alpha, layer, coverage), seconds)
        if self._light is None:
            return layer
        scene_mean, scene_spread, ad_mean, ad_spread = self._light
        gain = np.clip(scene_spread / np.maximum(ad_spread, 1e-3), _LEAST_GAIN, _MOST_GAIN)
        gain = 1 + self._strength * (gain - 1)
        shift = self._strength * (scene_mean - ad_mean)
        levels = np.arange(256, dtype=np.float32)[:, None]
        table = np.clip(np.rint((levels - ad_mean) * gain + ad_mean + shift), 0, 255).astype(np.uint8)
        lab = cv2.LUT(cv2.cvtColor(layer, cv2.COLOR_RGB2LAB), table[:, None])
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)

    def cut(self) -> None:
        """Starts anew, at the beginning of a scene."""
        self._light: Float32Array | None = None
        self._at = 0.0

    def _follow(self, measured: Float32Array | None, seconds: float) -> None:
        if measured is None:
            return
        if self._light is None:
            self._light = measured
        else:
            share = 1 - math.exp(-max(0.0, seconds - self._at) / self._seconds)
            self._light = self._light + np.float32(share) * (measured - self._light)
        self._at = seconds


def _measured(
    frame: UInt8Array, alpha: Float32Array, layer: UInt8Array, coverage: Float32Array
) -> Float32Array | None:
    """(4, 3): mean and spread of the scene's, mean and spread of the ad's Lab channels, as 8-bit levels."""
    shrink = min(1.0, _MEASURED / max(coverage.shape))
    size = tuple(max(1, round(side * shrink)) for side in coverage.shape[::-1])
    scene, matte, ad, covered = (
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (frame, alpha, layer, coverage)
    )
    seen = covered * (1 - matte)
    if seen.sum() <= _LEAST_SEEN * covered.sum():
        return None
    return np.concatenate([_mean_and_spread(scene, seen), _mean_and_spread(ad, covered)])


def _mean_and_spread(image: Any, weight: Any) -> Float32Array:
    """(2, 3) weighted mean and standard deviation of the Lab channels of (h, w, 3) uint8."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float32)
    mean = np.average(lab, axis=0, weights=weight.ravel())
    spread = np.sqrt(np.average((lab - mean) ** 2, axis=0, weights=weight.ravel()))
    return np.stack([mean, spread]).astype(np.float32)
