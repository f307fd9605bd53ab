"""The dictionary of the project: what flows between its parts, with shapes, dtypes and ranges.

B pictures in a batch, H x W pixels. Images are RGB, never normalised outside a method.
"""

from __future__ import annotations  # so that reading run folders needs no torch

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

# what a method remembers of a clip from one frame to the next; what its tensors hold, it alone knows
State: TypeAlias = tuple["Tensor", ...]
# what may follow a method, (image, alpha) -> alpha, see kolbench.refiners
Refiner: TypeAlias = Callable[["Tensor", "Tensor"], "Tensor"]

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# what a JSON file or a request holds: values of any type, which whoever reads them checks
JsonObject = dict[str, Any]
# keyword arguments of matplotlib, which are not typed there
PlotOptions = dict[str, Any]

# the key of an evaluation batch under which an alpha stands that processes have computed already
PRECOMPUTED = "ready"

# how pictures are scored: at their own size, or as PortraitNet's published figures are
NATIVE, PORTRAITNET = "native", "portraitnet"
EVAL_PROTOCOLS = (NATIVE, PORTRAITNET)

# batches of a training: of single pictures, or of frames of clips, each with another frame of its clip
IMAGE_STEP, VIDEO_STEP = "image", "video"
# the entries of a batch that hold what moves to the next frame, as a picture, and other frames of the clip
FLOW, REFERENCE = "flow", "reference"

# which frame of its clip a frame is trained with: the first, changed as it is, or any, changed by itself
FIRST_REFERENCE, RANDOM_REFERENCE = "first", "random"

# what the truth of pictures is: masks, or true alphas beside the masks that follow from them
BINARY, ALPHA = "binary", "alpha"


class Sample(NamedTuple):
    """One picture with its truth, as a source reads it, all of one size H x W.

    image: (H, W, 3) uint8 RGB.
    mask: (H, W) uint8 in {0, 1}; 1 = the KOL and all that is held (the binary truth M).
    product: (H, W) uint8 in {0, 1}, a subset of mask; None where products are not labelled.
    matte: (H, W) float32 true alpha in [0, 1], mask being matte >= 0.5; None unless the source knows it.
    foreground, background: (H, W, 3) uint8 true colours; None unless the source knows them.
    instances: (H, W) uint8, 0 = background, 1.. = persons; None unless the source knows them.
    """

    image: UInt8Array
    mask: UInt8Array
    product: UInt8Array | None = None
    matte: Float32Array | None = None
    foreground: UInt8Array | None = None
    background: UInt8Array | None = None
    instances: UInt8Array | None = None


class Batch(TypedDict, total=False):
    """What the loaders give; nobody writes into a batch after collation.

    Training batches carry image, mask, alpha, transition, semantic, product at the training input size;
    evaluation batches carry image, mask and product at the picture's own size, or as the `eval_protocol`
    has them. Where the truth is a true alpha both carry `matte` as well, squares of a protocol excepted.
    """

    image: Tensor  # (B, 3, H, W) float32 in [0, 1]
    mask: Tensor  # (B, 1, H, W) float32 in {0, 1}: the binary truth M
    # (B, 1, H, W) float32, the training target: M with its 2 px band, in {0, 0.5, 1}, or the true alpha
    alpha: Tensor
    # (B, 1, H, W) float32 in {0, 1}: m_d, the 30 px region around the edge of M, and where an alpha is soft
    transition: Tensor
    matte: Tensor  # (B, 1, H, W) float32 in [0, 1]: the true alpha; only where the truth is one
    semantic: Tensor  # (B, 1, H/16, W/16) float32 in [0, 1]: blurred G(alpha)
    product: Tensor  # (B, 1, H, W) float32 in {0, 1}; all 0 where no product is labelled
    foreground: Tensor  # (B, 3, H, W) float32 in [0, 1]; only where the source knows it
    background: Tensor  # (B, 3, H, W) float32 in [0, 1]; only where the source knows it
    prior: (
        Tensor  # (B, 1, H, W) float32 in {0, 1}: what the frame before may have shown; where augment makes it
    )
    rough: Tensor  # (B, 1, H, W) float32 in {0, 1}: the truth made coarse; of methods that refine masks
    # float32 in [0, 1]: another frame of each picture's clip, (B, 3, H, W), in video steps alone; in
    # evaluation batches of methods that read them N such frames, (B, N, 3, H, W)
    reference: Tensor
    reference_mask: Tensor  # (B, 1, H, W) float32 in [0, 1]: its truth; in video steps alone
    flow: (
        Tensor  # (B, 3, H, W) float32 in [0, 1]: what moves to the next frame, as a picture; where it is read
    )
    beside_clips: list[bool]  # of image steps: there are video steps too
    clean: Tensor  # (B, 3, H, W) float32 in [0, 1]: image before its colours changed; where augment keeps it
    instances: Tensor  # (B, 1, H, W) uint8, 0 = background, 1.. = persons; only where the source knows them
    name: list[str]
    group: list[str]
    clip: list[str]  # of evaluation batches: the clip whose next frame each picture is; "" = of none
    tags: list[str]
    # of evaluation batches of one: it is a frame without truth, which only methods that remember frames are
    # given, and which nobody scores; absent of all other pictures
    unscored: list[bool]


class PictureResult(NamedTuple):
    """Alpha of one picture, and what happened on the way.

    alpha: (H, W) float32 in [0, 1]. notes: name -> 1.0 where it happened, 0.0 where it did not; a method
    gives the same names for every picture.
    """

    alpha: Float32Array
    notes: Mapping[str, float] = {}


class Instances(NamedTuple):
    """N persons found in one picture of H x W, best first.

    boxes: (N, 4) float32 x1, y1, x2, y2 in pixels. scores: (N,) float32 in [0, 1].
    masks: (N, H, W) float32 probability.
    """

    boxes: Tensor
    scores: Tensor
    masks: Tensor


class Prediction(NamedTuple):
    """What a method says about a batch of images.

    alpha: (B, 1, H, W) float32 in [0, 1], the H and W of the images given.
    aux: named maps for plots (semantic, detail, side outputs), (B, C, h, w) in [0, 1]; may be empty.
    instances: one entry per image from methods that tell persons apart, else None.
    state: of methods that carry one: what they are given back with the next frame of the same clip.
    """

    alpha: Tensor
    aux: Mapping[str, Tensor] = {}
    instances: Sequence[Instances] | None = None
    state: State | None = None
