"""No refinement: alpha as the method gave it."""

from dataclasses import dataclass

from torch import Tensor

from kolbench.types import Float32Array, UInt8Array


@dataclass(frozen=True)
class Unrefined:
    """Keeps every alpha."""

    def __call__(self, image: Tensor, alpha: Tensor) -> Tensor:
        """(B, 3, H, W), (B, 1, H, W) -> the alpha given."""
        return alpha

    def refine_picture(self, image: UInt8Array, alpha: Float32Array) -> Float32Array:
        """(H, W, 3) uint8, (H, W) -> the alpha given."""
        return alpha
