"""U2Net and U2NetP (Qin et al., Pattern Recognition 106, 2020; released code xuebinqin/U-2-Net)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.components.blocks import RSU, RSU4F, NestedU, halve, resize_to
from kolbench.models.losses import bce
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RESIZE_MODES,
    InputSpec,
    current_resize_mode,
    minmax,
)
from kolbench.types import Batch, Prediction

LEVELS = 6
# (input, inner, output) channels of stages 1 to 6 and 5d to 1d
ENCODER = {
    "full": (
        (3, 32, 64),
        (64, 32, 128),
        (128, 64, 256),
        (256, 128, 512),
        (512, 256, 512),
        (512, 256, 512),
    ),
    "p": ((3, 16, 64), *[(64, 16, 64)] * 5),
}
DECODER = {
    "full": ((1024, 256, 512), (1024, 128, 256), (512, 64, 128), (256, 32, 64), (128, 16, 64)),
    "p": ((128, 16, 64),) * 5,
}


class U2NetMaps(NamedTuple):
    """Logits at the size of the input, (B, 1, H, W): the fused map and the six side outputs, finest first."""

    fused_logits: Tensor
    side_logits: tuple[Tensor, ...]


class U2Net(nn.Module):
    """A U of RSU blocks, each a small U itself, with a supervised side output at every decoder stage.

    Args:
        variant: `full` (44,009,869 parameters) or `p` (1,131,181).
    """

    def __init__(self, variant: str = "full") -> None:
        super().__init__()
        for level, widths in enumerate(ENCODER[variant], start=1):
            self.add_module(f"stage{level}", _stage(level, *widths))
        for level, widths in zip(range(LEVELS - 1, 0, -1), DECODER[variant], strict=True):
            self.add_module(f"stage{level}d", _stage(level, *widths))
        outputs = [widths[2] for widths in (*DECODER[variant][::-1], ENCODER[variant][-1])]
        for level, channels in enumerate(outputs, start=1):
            self.add_module(f"side{level}", nn.Conv2d(channels, 1, 3, padding=1))
        self.outconv = nn.Conv2d(LEVELS, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), normalised, any size -> (B, 1, H, W) fused probability."""
        return self.forward_train(image).fused_logits.sigmoid()

    def forward_train(self, image: Tensor) -> U2NetMaps:
        """(B, 3, H, W), normalised, any size -> all seven maps."""
        skips = [self._run("stage1", image)]
        for level in range(2, LEVELS + 1):
            skips.append(self._run(f"stage{level}", halve(skips[-1])))
        y = skips[-1]
        coarse_to_fine = [self._run(f"side{LEVELS}", y)]
        for level in range(LEVELS - 1, 0, -1):
            skip = skips[level - 1]
            y = self._run(f"stage{level}d", torch.cat((resize_to(y, skip.shape[-2:]), skip), 1))
            coarse_to_fine.append(self._run(f"side{level}", y))
        sides = tuple(resize_to(logits, image.shape[-2:]) for logits in reversed(coarse_to_fine))
        return U2NetMaps(self.outconv(torch.cat(sides, 1)), sides)

    def _run(self, name: str, x: Tensor) -> Tensor:
        out: Tensor = getattr(self, name)(x)
        return out


class U2NetSegmenter(NetworkSegmenter[U2Net]):
    """U2Net with its unusual normalisation (each image by its own maximum, then ImageNet's) and seven losses.

    Args:
        size: side of the input in pixels, 320 in the released code.
        variant: `full` or `p`.
        postprocess: `minmax` stretches each alpha to [0, 1] as the released inference does, `none` does not.
        resize_mode: `stretch` (released code) or `shortest_edge`, see InputSpec.

    Raises:
        ConfigError: an unknown choice, or a size that is no multiple of 32.
    """

    def __init__(
        self, size: int, variant: str = "full", postprocess: str = "none", resize_mode: str = "stretch"
    ) -> None:
        require_choice("model.variant", variant, ENCODER)
        require_choice("model.postprocess", postprocess, ("none", "minmax"))
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        input_spec = InputSpec(
            size, resize_mode=resize_mode, mean=IMAGENET_MEAN, std=IMAGENET_STD, divide_by_max=True
        )
        super().__init__(input_spec, U2Net(variant))
        self.postprocess = postprocess

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; aux holds the six side outputs at the network's input size."""
        image = inputs[0]
        maps = self.network.forward_train(self.input_spec.preprocess(image))
        alpha = maps.fused_logits.float().sigmoid()
        if self.postprocess == "minmax":
            alpha = minmax(alpha)
        aux = {f"side{k}": logits.float().sigmoid() for k, logits in enumerate(maps.side_logits, start=1)}
        return Prediction(self.input_spec.postprocess(alpha, *image.shape[-2:]), aux)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`tar` of the fused map and `side1` to `side6`: cross-entropy on the binary mask, weights 1."""
        maps = self.network.forward_train(self.input_spec.normalise(batch["image"]))
        names = ["tar", *(f"side{level}" for level in range(1, LEVELS + 1))]
        terms = bce.deep_supervision([maps.fused_logits, *maps.side_logits], batch["mask"])
        return dict(zip(names, terms, strict=True))


def _stage(level: int, channels_in: int, mid: int, channels_out: int) -> NestedU:
    """RSU7, RSU6, RSU5, RSU4 at levels 1 to 4, RSU4F below."""
    if level >= 5:
        return RSU4F(channels_in, mid, channels_out)
    return RSU(8 - level, channels_in, mid, channels_out)
