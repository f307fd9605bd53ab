"""Array functions that processes compute in tests; here, so that a process imports nothing else."""

import os
import signal
from dataclasses import dataclass

import numpy as np

from kolbench.errors import DataError
from kolbench.types import PictureResult, UInt8Array


@dataclass(frozen=True)
class Darkness:
    """Alpha = 1 - red; notes dark pictures, and whether it ran in another process."""

    parent: int

    def __call__(self, image: UInt8Array) -> PictureResult:
        alpha = 1 - image[..., 0].astype(np.float32) / 255
        return PictureResult(
            alpha, {"dark": float(alpha.mean() > 0.5), "elsewhere": float(os.getpid() != self.parent)}
        )


@dataclass(frozen=True)
class Refusing:
    def __call__(self, image: UInt8Array) -> PictureResult:
        raise DataError(f"cannot work on {image.shape[1]} columns")


@dataclass(frozen=True)
class TooWide:
    """Asks for more memory than there is for pictures of so many columns."""

    columns: int

    def __call__(self, image: UInt8Array) -> PictureResult:
        absurd = image.shape[1] == self.columns
        return PictureResult(np.empty(2**57 if absurd else image.shape[:2], np.float32))


@dataclass(frozen=True)
class Dying:
    def __call__(self, image: UInt8Array) -> PictureResult:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")
