"""CascadePSP behind any method (Cheng, Chung, Tai, Tang, CVPR 2020): the whole picture, then crops of it.

The steps are those of the authors' package segmentation-refinement 0.6 and of their repository's evaluation
script (hkchengrex/CascadePSP), which differ where the options say so.
"""

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kolbench.errors import ConfigError, require_choice, require_whole
from kolbench.models.checkpoints.read import load_state_strict, read_state_dict
from kolbench.models.components.blocks import resize_to
from kolbench.models.components.refinement import RefinementNetwork, padded_size
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from kolbench.refiners import weights as refiner_weights

MODES = ("auto", "fast", "full")
SIZE_RULES = ("exact", "official")
RESIZE_BACKS = ("repo", "pip")
# only how values are normalised is used of it
FEED = InputSpec(1, multiple=1, mean=IMAGENET_MEAN, std=IMAGENET_STD)
# alpha from which a pixel is foreground
FOREGROUND = 0.5
# of a crop, in pixels: the margin whose result is not taken
MARGIN = 16
# shares of foreground between which a crop is worth a look
LEAST, MOST = 0.1, 0.9
# crops start so far apart: half a crop less two margins, at least a pixel
SMALLEST = 2 * (2 * MARGIN + 1)
LARGEST = 8192
# rows of a picture that are converted to float at a time
STRIP = 256
# bytes from which a call is announced, and the side of the call that is timed for it
ANNOUNCED = 1e9
# of a call, for each pixel, and for each pixel and channel that the last upsampling stage joins
BYTES_A_PIXEL, BYTES_A_CHANNEL = 520, 17.4
PROBE, WARM_UP = 128, 64


class Window(NamedTuple):
    """A crop of H x W, and what of its result is taken, each as rows and columns of the picture."""

    rows: slice
    columns: slice
    taken_rows: slice
    taken_columns: slice


class CascadePSP:
    """Refines the binarised alpha by a network, first at a bounded size, then in crops at the picture's own.

    The picture stays at its own size in the type it comes in; the network is given at most `longest` x
    `longest` pixels. A picture without foreground keeps none, without a call.

    Args:
        network: with its weights.
        mode: `fast`, the whole picture only; `full`, crops too; `auto`, crops where the picture's longer side
            is above `longest`.
        longest: longer side of the whole picture, and side of a crop, in pixels; at least 66.
        size_rule: `exact`, the longer side is `longest` and the other rounded; `official`, both are rounded
            down, so that 900 may give 899.
        upscale_small: whether smaller pictures are enlarged to `longest`, as the package does.
        resize_back: how an alpha is enlarged at the end: `repo` with align_corners=False, `pip` with True.

    Raises:
        ConfigError: an option is out of range.
    """

    # a large picture is not copied to float
    takes_levels = True

    def __init__(
        self,
        network: RefinementNetwork,
        mode: str = "auto",
        longest: int = 900,
        size_rule: str = "exact",
        upscale_small: bool = False,
        resize_back: str = "repo",
    ) -> None:
        if not isinstance(upscale_small, bool):
            raise ConfigError(f"refiner.upscale_small={upscale_small} is not true or false.")
        self.network = network.eval()
        self.mode = require_choice("refiner.mode", mode, MODES)
        self.longest = require_whole("refiner.longest", longest, SMALLEST, LARGEST)
        self.size_rule = require_choice("refiner.size_rule", size_rule, SIZE_RULES)
        self.upscale_small = upscale_small
        self.resize_back = require_choice("refiner.resize_back", resize_back, RESIZE_BACKS)
        self._announced = False

    @torch.no_grad()
    def __call__(self, image: Tensor, alpha: Tensor) -> Tensor:
        """(B, 3, H, W) float in [0, 1] or uint8, (B, 1, H, W) in [0, 1] -> refined (B, 1, H, W) float32."""
        self.network.to(alpha.device)
        pictures = (slice(index, index + 1) for index in range(len(alpha)))
        return torch.cat([self._refined(image[one], alpha[one] >= FOREGROUND) for one in pictures])

    def _refined(self, image: Tensor, foreground: Tensor) -> Tensor:
        """(1, 3, H, W), (1, 1, H, W) bool -> alpha (1, 1, H, W)."""
        height, width = foreground.shape[-2:]
        if not foreground.any():
            return torch.zeros_like(foreground, dtype=torch.float32)
        only_global = self._only_global(height, width)
        self._announce(height, width, only_global)
        small_image = FEED.normalise(self._brought_to_size(image, "bicubic"))
        small_mask = self._brought_to_size(foreground, "bilinear") * 2 - 1
        maps = self.network(small_image, small_mask)
        coarse, quarter = maps.out_224.float().sigmoid(), maps.out_56_2.float().sigmoid()
        if only_global:
            return self._back(coarse, height, width)
        return self._in_crops(image, coarse, quarter)

    def _only_global(self, height: int, width: int) -> bool:
        return self.mode == "fast" or (self.mode == "auto" and max(height, width) <= self.longest)

    def _brought_to_size(self, x: Tensor, enlarge: str) -> Tensor:
        """(1, C, H, W) of any type -> float32 in [0, 1] at the size of the global step."""
        height, width = x.shape[-2:]
        size = self.global_size(height, width)
        if size == (height, width):
            return as_float(x)
        if max(height, width) > self.longest:
            return shrunk(x, size)
        # the package hands on the factor, which places samples a little differently than the sizes do
        if self.size_rule == "official":
            return F.interpolate(
                as_float(x), scale_factor=self._scale(height, width), mode=enlarge, align_corners=False
            )
        return F.interpolate(as_float(x), size, mode=enlarge, align_corners=False)

    def _scale(self, height: int, width: int) -> float:
        return self.longest / max(height, width)

    def global_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which a picture of the given size goes through the network as a whole."""
        longer, scale = max(height, width), self._scale(height, width)
        if longer == self.longest or (longer < self.longest and not self.upscale_small):
            return height, width
        rounded = math.floor if self.size_rule == "official" else round
        return max(1, rounded(height * scale)), max(1, rounded(width * scale))

    def _back(self, alpha: Tensor, height: int, width: int) -> Tensor:
        """(1, 1, h, w) -> (1, 1, height, width)."""
        if alpha.shape[-2:] == (height, width):
            return alpha
        if max(height, width) < self.longest:
            return F.interpolate(alpha, (height, width), mode="area")
        corners = self.resize_back == "pip"
        return F.interpolate(alpha, (height, width), mode="bilinear", align_corners=corners)

    def _in_crops(self, image: Tensor, coarse: Tensor, quarter: Tensor) -> Tensor:
        """The local step: crops at the picture's own size see what the whole picture gave."""
        height, width = image.shape[-2:]
        sure = resize_to(coarse, (height, width)) > 0.5
        soft = resize_to(quarter, (height, width)).mul_(2).sub_(1)
        total = torch.zeros_like(soft)
        visits = torch.zeros_like(sure, dtype=torch.int16)
        for window in windows(height, width, self.longest):
            crop = (..., window.rows, window.columns)
            if not is_worth_a_look(sure[crop]):
                continue
            mask = as_float(sure[crop]) * 2 - 1
            result = self.network(FEED.normalise(as_float(image[crop])), mask, soft[crop]).out_224
            alpha = result.float().sigmoid()
            taken = (..., window.taken_rows, window.taken_columns)
            inside = (
                ...,
                _shifted(window.taken_rows, window.rows.start),
                _shifted(window.taken_columns, window.columns.start),
            )
            total[taken] += alpha[inside]
            visits[taken] += 1
        return torch.where(visits > 0, total.div_(visits.clamp(min=1)), as_float(sure))

    def _announce(self, height: int, width: int, only_global: bool) -> None:
        """Says before the first large call what it will take, its seconds scaled from a small one."""
        if self._announced:
            return
        tall, wide = padded_size(*self.global_size(height, width))
        needed = expected_bytes(self.network, tall * wide)
        if needed < ANNOUNCED:
            return
        self._announced = True
        seconds = self._seconds_of_call(WARM_UP) and self._seconds_of_call(PROBE) * tall * wide / PROBE**2
        crops = 0 if only_global else sum(1 for _ in windows(height, width, self.longest))
        more = f" and at most {crops} of crops" if crops else ""
        print(
            f"CascadePSP: a call at {tall}x{wide} px takes about {needed / 1e9:.1f} GB of memory and "
            f"{seconds:.0f} s here (seconds scaled from a call at {PROBE}x{PROBE} px); this image of "
            f"{height}x{width} px takes 1 call{more}. Smaller: refiner.longest=, refiner.mode=fast.",
            flush=True,
        )

    def _seconds_of_call(self, side: int) -> float:
        device = next(self.network.parameters()).device
        image = torch.zeros(1, 3, side, side, device=device, dtype=torch.float32)
        started = time.perf_counter()
        # reading a number waits for a GPU
        float(self.network(image, image[:, :1]).out_224.sum())
        return time.perf_counter() - started


def from_weights(
    weights: str,
    backbone: str | None = None,
    width: float | None = None,
    mode: str = "auto",
    longest: int = 900,
    size_rule: str = "exact",
    upscale_small: bool = False,
    resize_back: str = "repo",
) -> CascadePSP:
    """The refiner with the weights that a command names.

    Args:
        weights: `official`, an id of the catalogue, a run folder of `experiment=cascadepsp`, or a file.
        backbone, width: of the network of a bare file, see RefinementNetwork; None for all others.
        mode, longest, size_rule, upscale_small, resize_back: see CascadePSP.

    Raises:
        ConfigError: an option is out of range, or the weights are no refiner's.
        WeightsError: the file cannot be had, is damaged, or does not fit.
    """
    chosen = refiner_weights.resolved(weights, backbone, width)
    network = RefinementNetwork(chosen.backbone, chosen.width)
    load_state_strict(network, read_state_dict(chosen.file))
    return CascadePSP(network, mode, longest, size_rule, upscale_small, resize_back)


def windows(height: int, width: int, side: int) -> Iterator[Window]:
    """The crops of the local step, each once, row by row: no larger than `side`, all inside the picture."""
    for rows, taken_rows in _along(height, side):
        for columns, taken_columns in _along(width, side):
            yield Window(rows, columns, taken_rows, taken_columns)


def _along(length: int, side: int) -> list[tuple[slice, slice]]:
    """Crops along one axis: where each lies, and what of it is taken, both in pixels of the picture."""
    step = side // 2 - 2 * MARGIN
    last = max(0, length - side)
    starts = sorted({min(index * step, last) for index in range(length // step + 1)})
    found = []
    for start in starts:
        stop = min(start + side, length)
        taken = slice(start and start + MARGIN, stop if stop == length else stop - MARGIN)
        found.append((slice(start, stop), taken))
    return found


def _shifted(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def is_worth_a_look(sure: Tensor) -> bool:
    """Whether a crop's share of foreground lies in [0.1, 0.9]; others hold hardly any edge."""
    return LEAST <= float(sure.float().mean()) <= MOST


def as_float(x: Tensor) -> Tensor:
    """uint8 levels, truth values or floats -> float32 in [0, 1]."""
    return x.float() / 255 if x.dtype is torch.uint8 else x.float()


def shrunk(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) of any type -> means over areas, (1, C, *size) float32, converted strip by strip.

    The areas are those of adaptive average pooling; a mean over a rectangle is one over columns, then rows.
    """
    strips = (x[..., top : top + STRIP, :] for top in range(0, x.shape[-2], STRIP))
    narrow = [F.adaptive_avg_pool2d(as_float(strip), (strip.shape[-2], size[1])) for strip in strips]
    return F.adaptive_avg_pool2d(torch.cat(narrow, dim=-2), size)


def expected_bytes(network: RefinementNetwork, pixels: int) -> float:
    """About how much memory a call takes at its peak, weights included.

    Measured on CPUs with the official network and with MobileNetV2 at width 0.25: the weights twice, since
    convolutions keep a copy in their own order, and maps of the last upsampling stage.
    """
    weights: int = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    return 2.0 * weights + pixels * (BYTES_A_PIXEL + BYTES_A_CHANNEL * network.up_3.joined)
