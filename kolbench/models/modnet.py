"""MODNet (Ke et al., arXiv 2011.11961; released code ZHKKKe/MODNet): semantic, detail and fusion branches."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kolbench.errors import require_choice
from kolbench.models.components.blocks import (
    ConvIBR,
    context_block,
    init_kaiming,
    require_multiple,
    resize_by,
)
from kolbench.models.components.mobilenet import FULL_TAIL, MobileNetV2Backbone, Taps, load_backbone
from kolbench.models.losses import modnet as loss_terms
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import RESIZE_MODES, InputSpec, current_resize_mode
from kolbench.types import Batch

CONTEXTS = ("se", "easpp")
TRAINING_HEADS = ("lr_branch.conv_lr", "hr_branch.conv_hr")
TWIN = "lr_branch.backbone."
WIDTH = 32


class LossWeights(NamedTuple):
    """Factors of the three losses, and of the matte loss inside the transition region."""

    semantic: float
    detail: float
    matte: float
    boundary_gain: float


# the author: the released weights were trained with 10/10/1 (issue 168); the AAAI paper prints 1/10/1
# matte: to go on from weights without the training-only heads, whose first gradients would be noise
LOSSES = {
    "official": LossWeights(10, 10, 1, 4),
    "paper": LossWeights(1, 10, 1, 0),
    "matte": LossWeights(0, 0, 10, 4),
}


class MODNetMaps(NamedTuple):
    """Probabilities of the three branches: semantic (B, 1, H/16, W/16), detail and matte (B, 1, H, W)."""

    semantic: Tensor
    detail: Tensor
    matte: Tensor


class LRBranch(nn.Module):
    """Semantic branch: the deepest map, re-weighted by its context, brought to 1/8."""

    def __init__(self, context: str) -> None:
        super().__init__()
        # the official name of this place, whichever block stands in it
        self.se_block = context_block(context, FULL_TAIL)
        self.conv_lr16x = ConvIBR(FULL_TAIL, 96, 5)
        self.conv_lr8x = ConvIBR(96, WIDTH, 5)
        self.conv_lr = ConvIBR(WIDTH, 1, 3, stride=2, plain=True)

    def forward(self, taps: Taps) -> Tensor:
        """Backbone maps -> lr8x, (B, 32, H/8, W/8)."""
        lr16x = self.conv_lr16x(resize_by(self.se_block(taps.enc32x), 2))
        lr8x: Tensor = self.conv_lr8x(resize_by(lr16x, 2))
        return lr8x


class HRBranch(nn.Module):
    """Detail branch at 1/2 and 1/4."""

    def __init__(self) -> None:
        super().__init__()
        self.tohr_enc2x = ConvIBR(16, WIDTH, 1)
        self.conv_enc2x = ConvIBR(WIDTH + 3, WIDTH, 3, stride=2)
        self.tohr_enc4x = ConvIBR(24, WIDTH, 1)
        self.conv_enc4x = ConvIBR(2 * WIDTH, 2 * WIDTH, 3)
        self.conv_hr4x = nn.Sequential(
            ConvIBR(3 * WIDTH + 3, 2 * WIDTH, 3),
            ConvIBR(2 * WIDTH, 2 * WIDTH, 3),
            ConvIBR(2 * WIDTH, WIDTH, 3),
        )
        self.conv_hr2x = nn.Sequential(
            ConvIBR(2 * WIDTH, 2 * WIDTH, 3),
            ConvIBR(2 * WIDTH, WIDTH, 3),
            ConvIBR(WIDTH, WIDTH, 3),
            ConvIBR(WIDTH, WIDTH, 3),
        )
        self.conv_hr = nn.Sequential(ConvIBR(WIDTH + 3, WIDTH, 3), ConvIBR(WIDTH, 1, 1, plain=True))

    def forward(self, image: Tensor, taps: Taps, lr8x: Tensor) -> Tensor:
        """(B, 3, H, W) and backbone maps -> hr2x, (B, 32, H/2, W/2)."""
        enc2x = self.tohr_enc2x(taps.enc2x)
        hr4x = self.conv_enc2x(torch.cat((resize_by(image, 1 / 2), enc2x), 1))
        hr4x = self.conv_enc4x(torch.cat((hr4x, self.tohr_enc4x(taps.enc4x)), 1))
        hr4x = self.conv_hr4x(torch.cat((hr4x, resize_by(lr8x, 2), resize_by(image, 1 / 4)), 1))
        hr2x: Tensor = self.conv_hr2x(torch.cat((resize_by(hr4x, 2), enc2x), 1))
        return hr2x


class FusionBranch(nn.Module):
    """Joins both branches and the image into the matte."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_lr4x = ConvIBR(WIDTH, WIDTH, 5)
        self.conv_f2x = ConvIBR(2 * WIDTH, WIDTH, 3)
        self.conv_f = nn.Sequential(ConvIBR(WIDTH + 3, WIDTH // 2, 3), ConvIBR(WIDTH // 2, 1, 1, plain=True))

    def forward(self, image: Tensor, lr8x: Tensor, hr2x: Tensor) -> Tensor:
        """-> (B, 1, H, W) probability."""
        lr4x = self.conv_lr4x(resize_by(lr8x, 2))
        f2x = self.conv_f2x(torch.cat((resize_by(lr4x, 2), hr2x), 1))
        logits: Tensor = self.conv_f(torch.cat((resize_by(f2x, 2), image), 1))
        return logits.sigmoid()


class MODNet(nn.Module):
    """MODNet over MobileNetV2; the released code's key names, its backbone registered once.

    Args:
        context: `se` (released code; 6,487,075 parameters) or `easpp` (paper; 6,511,715).
    """

    def __init__(self, context: str = "se") -> None:
        super().__init__()
        self.backbone = MobileNetV2Backbone()
        self.lr_branch = LRBranch(context)
        self.hr_branch = HRBranch()
        self.f_branch = FusionBranch()
        init_kaiming(self)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], H and W multiples of 32 -> (B, 1, H, W) matte, a probability."""
        return self._matte(image)[2]

    def forward_train(self, image: Tensor) -> MODNetMaps:
        """As `forward`, with the maps of the heads that only training needs."""
        require_multiple(image, 32)
        lr8x, hr2x, matte = self._matte(image)
        semantic_logits = self.lr_branch.conv_lr(lr8x)
        detail_logits = self.hr_branch.conv_hr(torch.cat((resize_by(hr2x, 2), image), 1))
        return MODNetMaps(semantic_logits.sigmoid(), detail_logits.sigmoid(), matte)

    def _matte(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taps = self.backbone(image)
        lr8x = self.lr_branch(taps)
        hr2x = self.hr_branch(image, taps, lr8x)
        return lr8x, hr2x, self.f_branch(image, lr8x, hr2x)


class MODNetSegmenter(NetworkSegmenter[MODNet]):
    """MODNet with its preprocessing and its three losses; the released code's checkpoints and ours fit.

    Args:
        size: shorter side of the input in pixels (both with `stretch`), 512 in the released code.
        context: `se` or `easpp`.
        backbone_weights: None, `imagenet` or a file, see `load_backbone`.
        loss: weights of semantic, detail and matte: `official` (10/10/1, boundary gain 4), `paper` (1/10/1,
            none), or `matte` (0/0/10, gain 4), ours, for fine-tuning.
        resample: `bilinear` or `area` (the released demos).
        resize_mode: `shortest_edge` (released code) or `stretch`: size x size, faster for wide pictures.

    Raises:
        ConfigError: an unknown choice, or a size that is no multiple of 32.
        WeightsError: the backbone's weights cannot be had.
    """

    def __init__(
        self,
        size: int,
        context: str = "se",
        backbone_weights: str | None = None,
        loss: str = "official",
        resample: str = "bilinear",
        resize_mode: str = "shortest_edge",
    ) -> None:
        require_choice("model.context", context, CONTEXTS)
        require_choice("model.loss", loss, LOSSES)
        require_choice("model.resample", resample, ("bilinear", "area"))
        resize_mode = require_choice("model.resize_mode", current_resize_mode(resize_mode), RESIZE_MODES)
        input_spec = InputSpec(size, resize_mode=resize_mode, resample=resample)
        super().__init__(input_spec, MODNet(context), TRAINING_HEADS)
        self.weights = LOSSES[loss]
        load_backbone(self.network.backbone, backbone_weights)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`semantic`, `detail` and `matte`, weighted."""
        image = self.input_spec.normalise(batch["image"])
        alpha, transition = batch["alpha"], batch["transition"]
        maps = self.network.forward_train(image)
        semantic = loss_terms.semantic_loss(maps.semantic, batch["semantic"])
        detail = loss_terms.detail_loss(maps.detail, alpha, transition)
        matte = loss_terms.matte_loss(maps.matte, alpha, transition, image, self.weights.boundary_gain)
        return {
            "semantic": self.weights.semantic * semantic,
            "detail": self.weights.detail * detail,
            "matte": self.weights.matte * matte,
        }

    def load_weights(self, state: Mapping[str, Tensor]) -> list[str]:
        """Loads a checkpoint of the released code or of ours, with or without the training-only heads.

        Returns:
            Those of `TRAINING_HEADS` that the checkpoint lacks; they keep their present weights.
        """
        return super().load_weights(without_twin(state))


def without_twin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The released code registers its backbone twice; one copy is kept, whichever the file has."""
    twins = {name.removeprefix("lr_branch."): value for name, value in state.items() if name.startswith(TWIN)}
    return twins | {name: value for name, value in state.items() if not name.startswith(TWIN)}
