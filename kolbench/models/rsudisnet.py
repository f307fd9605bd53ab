"""RSUDISNet: MODNet's semantic branch, RSU blocks in the detail and fusion branches, and their supervision.

The paper gives prose and equations only; where it is open, the choice is an option, and its letter (A1 to
A25) stands in the project's specification of this network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from kolbench.errors import ConfigError, require_choice
from kolbench.models.components.blocks import (
    CBR,
    RSU,
    ConvIBR,
    context_block,
    init_kaiming,
    require_multiple,
    resize_by,
    resize_to,
)
from kolbench.models.components.gt_encoder import GTEncoder, GTEncoderSegmenter
from kolbench.models.components.mobilenet import FULL_TAIL, MobileNetV2Backbone, Taps, load_backbone
from kolbench.models.losses import rsudisnet as loss_terms
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import InputSpec
from kolbench.segmenter import PretrainSpec
from kolbench.types import Batch

S_CHANNELS = 32
# MODNet's names -> ours: both have the same semantic branch
FROM_MODNET = {
    "backbone.": "lr.backbone.",
    "lr_branch.se_block.": "lr.context.",
    "lr_branch.conv_lr16x.": "lr.conv16.",
    "lr_branch.conv_lr8x.": "lr.conv8.",
}
TRAINING_HEADS = ("lr.head", "hr.head", "hr.side6", "hr.side7", "fusion.side6", "fusion.side7")


@dataclass(frozen=True)
class LossWeights:
    """Factors of the losses, under the names of their keys.

    Attributes:
        lambda_s, lambda_d, lambda_alpha, lambda_f: of semantics, details, alphas with compositions, and
            features (eq. 12); lambda_f = 0 switches intermediate supervision off.
        boundary_gain: of the alpha maps' extra error inside the transition region, times lambda_alpha; 0 in
            the paper.

    Raises:
        ConfigError: a weight is negative.
    """

    lambda_s: float = 3.0
    lambda_d: float = 10.0
    lambda_alpha: float = 3.0
    lambda_f: float = 1.0
    boundary_gain: float = 0.0

    def __post_init__(self) -> None:
        for key, value in asdict(self).items():
            if value < 0:
                raise ConfigError(f"model.{key}={value} is negative; a weight is at least 0.")


class RSUDISNetMaps(NamedTuple):
    """What training sees; all maps but the features are (B, 1, h, w).

    semantic: probability at 1/16. details: probabilities at full size, `m` of the detail head, `7` and `6` of
    the sides. alphas: `8` the network's alpha at full size, not clamped; `7` and `6` probabilities of the
    sides. features: `8`, `7`, `6`, (B, C, h, w) at 1/1, 1/2 and 1/4. Without side outputs `7` and `6` are
    missing from details and alphas.
    """

    semantic: Tensor
    details: dict[str, Tensor]
    alphas: dict[str, Tensor]
    features: dict[str, Tensor]


class LRBranch(nn.Module):
    """Semantic branch, MODNet's: backbone, context, two 5x5 convolutions."""

    def __init__(self, context: str, tail: int) -> None:
        super().__init__()
        self.backbone = MobileNetV2Backbone(tail)
        self.context = context_block(context, tail)
        self.conv16 = ConvIBR(tail, 96, 5)
        self.conv8 = ConvIBR(96, S_CHANNELS, 5)
        self.head = nn.Conv2d(S_CHANNELS, 1, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> tuple[Taps, Tensor]:
        """(B, 3, H, W) -> backbone maps and S, (B, 32, H/8, W/8)."""
        taps: Taps = self.backbone(image)
        at16 = self.conv16(resize_by(self.context(taps.enc32x), 2))
        return taps, self.conv8(resize_by(at16, 2))


class HRBranch(nn.Module):
    """Detail branch: RSU6_1 and RSU6_2 at 1/4, RSU7_2 at 1/2; with `rsu7_1` one more block before them."""

    def __init__(self, channels: int, mid: int, rsu7_1: bool, side_outputs: bool) -> None:
        super().__init__()
        half = channels // 2
        skip = channels if rsu7_1 else half
        self.to2 = CBR(16, half, 1)
        self.rsu7_1 = (
            nn.Sequential(CBR(half + 3, channels, 1), RSU(7, channels, mid, channels)) if rsu7_1 else None
        )
        self.down = CBR(skip if rsu7_1 else half + 3, half, 3, stride=2)
        self.to4 = CBR(24, half, 1)
        self.rsu6_1 = RSU(6, channels, mid, channels)
        self.p62 = CBR(channels + S_CHANNELS + 3, channels, 1)
        self.rsu6_2 = RSU(6, channels, mid, channels)
        self.p72 = CBR(channels + skip, channels, 1)
        self.rsu7_2 = RSU(7, channels, mid, channels)
        self.head = nn.Sequential(CBR(channels + 3, half, 3), nn.Conv2d(half, 1, 1))
        self.side6 = nn.Conv2d(channels, 1, 1) if side_outputs else None
        self.side7 = nn.Conv2d(channels, 1, 1) if side_outputs else None

    def forward(self, image: Tensor, taps: Taps, s: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W), backbone maps and S -> RSU6_2's map at 1/4 and D of RSU7_2 at 1/2, (B, C, h, w)."""
        skip = self.to2(taps.enc2x)
        at2 = torch.cat((resize_by(image, 1 / 2), skip), 1)
        if self.rsu7_1 is not None:
            skip = at2 = self.rsu7_1(at2)
        at4 = self.rsu6_1(torch.cat((self.down(at2), self.to4(taps.enc4x)), 1))
        at4 = self.p62(torch.cat((at4, resize_by(s, 2), resize_by(image, 1 / 4)), 1))
        at4 = self.rsu6_2(at4)
        d: Tensor = self.rsu7_2(self.p72(torch.cat((resize_by(at4, 2), skip), 1)))
        return at4, d


class FusionBranch(nn.Module):
    """RSU6_3, RSU7_3 and RSU8_1 from 1/4 to full size, then the alpha."""

    def __init__(
        self, channels: int, mid: int, rsu8_mid: int, image: bool, alpha_head: str, side_outputs: bool
    ) -> None:
        super().__init__()
        self.reads_image = image
        self.rsu6_3 = RSU(6, S_CHANNELS, mid, channels)
        self.rsu7_3 = RSU(7, 2 * channels, mid, channels)
        self.rsu8_1 = RSU(8, channels + (3 if image else 0), rsu8_mid, channels)
        self.head: nn.Module = CBR(channels, 1, 3)
        if alpha_head == "sigmoid":
            self.head = nn.Sequential(nn.Conv2d(channels, 1, 3, padding=1), nn.Sigmoid())
        self.side6 = nn.Conv2d(channels, 1, 1) if side_outputs else None
        self.side7 = nn.Conv2d(channels, 1, 1) if side_outputs else None

    def forward(self, image: Tensor, s: Tensor, d: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, 3, H, W), S and D -> alpha (B, 1, H, W), not clamped, and the features `8`, `7`, `6`."""
        f6 = self.rsu6_3(resize_by(s, 2))
        f7 = self.rsu7_3(torch.cat((resize_by(f6, 2), d), 1))
        full = resize_by(f7, 2)
        f8 = self.rsu8_1(torch.cat((full, image), 1) if self.reads_image else full)
        return self.head(f8), {"8": f8, "7": f7, "6": f6}


class RSUDISNet(nn.Module):
    """The network without its ground-truth encoder.

    Args:
        rsu8_mid: inner channels of RSU8_1: 32 (7,646,857 parameters) or 16 (7,487,209).
        context: `se` or `easpp`.
        hr_rsu7_1: one more RSU7 at 1/2 in the detail branch (A3).
        fusion_image: RSU8_1 also sees the image (A10).
        alpha_head: `bn_relu`, the paper's words, or `sigmoid` (A11).
        side_outputs: the four side heads of the RSUs; False is the ablation without them.
        channels, mid: outer and inner channels of all RSUs but RSU8_1.
        tail: channels of the backbone's deepest map, 1280 or 320.
    """

    def __init__(
        self,
        rsu8_mid: int = 32,
        context: str = "se",
        hr_rsu7_1: bool = False,
        fusion_image: bool = False,
        alpha_head: str = "bn_relu",
        side_outputs: bool = True,
        channels: int = 64,
        mid: int = 32,
        tail: int = FULL_TAIL,
    ) -> None:
        super().__init__()
        self.lr = LRBranch(context, tail)
        self.hr = HRBranch(channels, mid, hr_rsu7_1, side_outputs)
        self.fusion = FusionBranch(channels, mid, rsu8_mid, fusion_image, alpha_head, side_outputs)
        init_kaiming(self)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1], H and W multiples of 32 -> (B, 1, H, W) alpha in [0, 1]."""
        taps, s = self.lr(image)
        _, d = self.hr(image, taps, s)
        alpha: Tensor = self.fusion(image, s, d)[0]
        return alpha.clamp(0, 1)

    def forward_train(self, image: Tensor) -> RSUDISNetMaps:
        """As `forward`, alpha not clamped, with the maps of all heads and the fusion branch's features."""
        require_multiple(image, 32)
        taps, s = self.lr(image)
        at4, d = self.hr(image, taps, s)
        alpha, features = self.fusion(image, s, d)
        size = image.shape[-2:]
        detail_logits = self.hr.head(torch.cat((resize_by(d, 2), image), 1))
        return RSUDISNetMaps(
            semantic=self.lr.head(s).sigmoid(),
            details={"m": detail_logits.sigmoid(), **_sides(self.hr, d, at4, size)},
            alphas={"8": alpha, **_sides(self.fusion, features["7"], features["6"], size)},
            features=features,
        )


class RSUDISNetSegmenter(NetworkSegmenter[RSUDISNet]):
    """RSUDISNet with its losses (eq. 1 to 12) and its ground-truth encoder.

    `gt_encoder` is pretrained: who trains it gives it gradients and train mode. At all other times it is
    frozen: no gradients, eval mode (see `gt_encoder_mode`), whatever `train()` says. It is None where
    `lambda_f` is 0.

    Args:
        size: side of the square input in pixels, 512 in the paper.
        variant: `a` (RSU8_1 with `mid` inner channels) or `i` (half of them; A8).
        context, hr_rsu7_1, fusion_image, alpha_head, side_outputs, channels, mid, tail: see RSUDISNet.
        comp_loss: `image` (natural pictures), `fb` (batches with true colours) or `none` (A15).
        mask_mean: the detail losses' mean, over `all` pixels or those of the transition `region`.
        boundary_gain, lambda_s, lambda_d, lambda_alpha, lambda_f: see LossWeights.
        gt_mid: inner channels of the encoder.
        gt_encoder_mode: batch norms of the frozen encoder in `eval` or, as the released IS-Net code, `train`.
        gt_lr, gt_max_steps, gt_check_every, gt_stop_f: of the encoder's training, see PretrainSpec.
        backbone_weights: None, `imagenet` or a file, see `load_backbone`.

    Raises:
        ConfigError: an unknown choice, a negative weight, or a size that is no multiple of 32.
        WeightsError: the backbone's weights cannot be had.
    """

    def __init__(
        self,
        size: int,
        variant: str = "a",
        context: str = "se",
        hr_rsu7_1: bool = False,
        fusion_image: bool = False,
        alpha_head: str = "bn_relu",
        comp_loss: str = "image",
        mask_mean: str = "all",
        boundary_gain: float = 0.0,
        lambda_s: float = 3.0,
        lambda_d: float = 10.0,
        lambda_alpha: float = 3.0,
        lambda_f: float = 1.0,
        gt_mid: int = 32,
        gt_encoder_mode: str = "eval",
        gt_lr: float = 1e-3,
        gt_max_steps: int = 3000,
        gt_check_every: int = 250,
        gt_stop_f: float = 0.99,
        backbone_weights: str | None = None,
        side_outputs: bool = True,
        channels: int = 64,
        mid: int = 32,
        tail: int = FULL_TAIL,
    ) -> None:
        require_choice("model.variant", variant, ("a", "i"))
        require_choice("model.context", context, ("se", "easpp"))
        require_choice("model.alpha_head", alpha_head, ("bn_relu", "sigmoid"))
        require_choice("model.tail", str(tail), (str(FULL_TAIL), "320"))
        require_choice("model.comp_loss", comp_loss, ("image", "fb", "none"))
        require_choice("model.mask_mean", mask_mean, ("all", "region"))
        require_choice("model.gt_encoder_mode", gt_encoder_mode, ("eval", "train"))
        weights = LossWeights(lambda_s, lambda_d, lambda_alpha, lambda_f, boundary_gain)
        input_spec = InputSpec(size)
        network = RSUDISNet(
            rsu8_mid=mid if variant == "a" else mid // 2,
            context=context,
            hr_rsu7_1=hr_rsu7_1,
            fusion_image=fusion_image,
            alpha_head=alpha_head,
            side_outputs=side_outputs,
            channels=channels,
            mid=mid,
            tail=tail,
        )
        super().__init__(input_spec, network, TRAINING_HEADS)
        load_backbone(network.lr.backbone, backbone_weights)
        self.weights = weights
        self.comp_loss = comp_loss
        self.mask_mean = mask_mean
        self.gt_encoder_mode = gt_encoder_mode
        self.gt_encoder = GTEncoder(gt_mid, channels) if weights.lambda_f > 0 else None
        self._pretraining: tuple[PretrainSpec, ...] = ()
        if self.gt_encoder is not None:
            trained = GTEncoderSegmenter(self.gt_encoder)
            spec = PretrainSpec("gt_encoder", trained, gt_lr, gt_max_steps, gt_check_every, gt_stop_f)
            self._pretraining = (spec,)
        self.freeze_encoder()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of eq. 12, weighted: `semantic`, `detail_*`, `alpha_*`, `comp_*`, `feature_*`.

        Raises:
            ConfigError: `comp_loss` is `fb` and the batch has no true colours.
        """
        maps = self.network.forward_train(self.input_spec.normalise(batch["image"]))
        alpha, transition, weights = batch["alpha"], batch["transition"], self.weights
        terms = {"semantic": weights.lambda_s * loss_terms.semantic_loss(maps.semantic, batch["semantic"])}
        for level, detail in maps.details.items():
            error = loss_terms.detail_loss(detail, alpha, transition, self.mask_mean)
            terms[f"detail_{level}"] = weights.lambda_d * error
        for level, alpha_map in maps.alphas.items():
            terms[f"alpha_{level}"] = weights.lambda_alpha * loss_terms.alpha_loss(alpha_map, alpha)
            if self.comp_loss != "none":
                terms[f"comp_{level}"] = weights.lambda_alpha * self._composition(alpha_map, batch)
            if weights.boundary_gain > 0:
                error = loss_terms.boundary_loss(alpha_map, alpha, transition)
                terms[f"boundary_{level}"] = weights.lambda_alpha * weights.boundary_gain * error
        for level, target in self._feature_targets(alpha).items():
            error = loss_terms.feature_loss([maps.features[level]], [target])
            terms[f"feature_{level}"] = weights.lambda_f * error
        return terms

    def _composition(self, alpha_map: Tensor, batch: Batch) -> Tensor:
        if self.comp_loss == "image":
            return loss_terms.composition_loss(alpha_map, batch["alpha"], batch["image"])
        if "foreground" not in batch or "background" not in batch:
            raise ConfigError(
                "model.comp_loss=fb needs the true foreground and background colours, which this data lacks; "
                "use data=synthetic data.colours=true, or model.comp_loss=image."
            )
        return loss_terms.composition_loss_fb(
            alpha_map, batch["alpha"], batch["foreground"], batch["background"]
        )

    def _feature_targets(self, alpha: Tensor) -> dict[str, Tensor]:
        if self.gt_encoder is None:
            return {}
        # whoever pretrained it may have left the encoder in another mode
        self.freeze_encoder()
        with torch.no_grad():
            return self.gt_encoder.features(alpha)

    def freeze_encoder(self) -> None:
        """Takes gradients from the ground-truth encoder and puts it into `gt_encoder_mode`."""
        if self.gt_encoder is not None:
            self.gt_encoder.requires_grad_(False).train(self.gt_encoder_mode == "train")

    def train(self, mode: bool = True) -> Self:
        """As nn.Module's, but the frozen encoder keeps its own mode."""
        super().train(mode)
        self.freeze_encoder()
        return self

    def start_from(self, state: Mapping[str, Tensor], method: str) -> list[str]:
        """Takes MODNet's semantic branch: backbone, context and both 5x5 convolutions.

        Returns:
            Names of the tensors that were set.

        Raises:
            ConfigError: the tensors are of another method, or of other options of `context` and `tail`.
        """
        if method != "modnet":
            return super().start_from(state, method)
        taken = {
            ours + name.removeprefix(theirs): tensor
            for theirs, ours in FROM_MODNET.items()
            for name, tensor in state.items()
            if name.startswith(theirs)
        }
        own = self.network.state_dict()
        wrong = [n for n, t in taken.items() if n not in own or own[n].shape != t.shape]
        if wrong:
            raise ConfigError(
                f"MODNet's weights do not fit RSUDISNet's semantic branch ({wrong[0]}): start with the same "
                "model.context, and model.tail=1280."
            )
        self.network.load_state_dict(taken, strict=False)
        return list(taken)

    def pretraining(self) -> tuple[PretrainSpec, ...]:
        """The training of the ground-truth encoder, of the very module whose features are used later."""
        return self._pretraining


def _sides(
    branch: HRBranch | FusionBranch, at2: Tensor, at4: Tensor, size: Sequence[int]
) -> dict[str, Tensor]:
    """Probabilities of the side outputs at full size; the logits are resized, not the probabilities (A12)."""
    if branch.side7 is None or branch.side6 is None:
        return {}
    logits = {"7": branch.side7(at2), "6": branch.side6(at4)}
    return {level: resize_to(value, size).sigmoid() for level, value in logits.items()}
