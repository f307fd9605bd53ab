"""Networks of segmentation-models-pytorch (smp) with any of its encoders, trained with Dice + BCE."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kolbench.errors import ConfigError, WeightsError, nearest, require_choice
from kolbench.models.checkpoints.pretrained import state_of_file
from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components.mobilenet import MobileNetV2Backbone, load_backbone
from kolbench.models.losses import bce, dice
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from kolbench.types import Batch

# smp's DPT is left out: it takes vision transformers of one fixed input size only
ARCHITECTURES = (
    "Unet",
    "UnetPlusPlus",
    "MAnet",
    "Linknet",
    "FPN",
    "PSPNet",
    "DeepLabV3",
    "DeepLabV3Plus",
    "PAN",
    "UPerNet",
    "Segformer",
)
MOBILENET = "mobilenet_v2"
TIMM = "tu-"
ENCODER_LIST = "https://smp.readthedocs.io/en/latest/encoders.html"
# what the classifiers of torchvision, timm and smp's hub files are called
CLASSIFIERS = ("classifier", "fc", "_fc", "last_linear", "linear", "head")
PROBE_SECONDS = 5.0

Triple = tuple[float, float, float]
HALF: Triple = (0.5, 0.5, 0.5)
# smp keeps these in files to be downloaded; its source once had them (_legacy_pretrained_settings.py)
NORMALISATION: dict[str, tuple[Triple, Triple]] = {
    "dpn": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
    "inception": (HALF, HALF),
    "xception": (HALF, HALF),
    "timm-tf_efficientnet_lite": (HALF, HALF),
}


class SmpNetwork(nn.Module):
    """The three parts of an smp model under their own names, so that smp's checkpoints fit and ours fit smp.

    Args:
        model: an smp model of one class, without activation.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder: nn.Module = model.encoder
        self.decoder: nn.Module = model.decoder
        self.segmentation_head: nn.Module = model.segmentation_head

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), normalised, H and W multiples of 32 -> (B, 1, H, W) probability."""
        return self.forward_train(image).float().sigmoid()

    def forward_train(self, image: Tensor) -> Tensor:
        """As `forward`, but logits."""
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(image)))
        return logits


class SmpSegmenter(NetworkSegmenter[SmpNetwork]):
    """An smp network, input stretched to a square, its encoder's own normalisation, Dice + BCE.

    Args:
        size: side of the input in pixels, a multiple of 32.
        architecture: one of ARCHITECTURES.
        encoder: a name of smp's list, or `tu-` and the name of a timm network.
        backbone_weights: None; `imagenet`: torchvision's file for mobilenet_v2, smp's download for all
            others; or a file with the encoder's tensors, its classifier ignored: torchvision's for
            mobilenet_v2, with the names of smp's encoder for all others.

    Raises:
        ConfigError: an unknown choice, an encoder that the architecture cannot take, or a wrong size.
        WeightsError: the encoder's weights cannot be had.
    """

    def __init__(
        self,
        size: int,
        architecture: str = "Unet",
        encoder: str = MOBILENET,
        backbone_weights: str | None = None,
    ) -> None:
        require_choice("model.architecture", architecture, ARCHITECTURES)
        require_encoder(encoder)
        mean, std = normalisation(encoder)
        super().__init__(InputSpec(size, mean=mean, std=std), SmpNetwork(_built(architecture, encoder)))
        if backbone_weights is not None:
            _load_encoder(self.network.encoder, architecture, encoder, backbone_weights)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`bce` and `dice` on the binary mask, weights 1."""
        logits = self.network.forward_train(self.input_spec.normalise(batch["image"]))
        probability = logits.float().sigmoid()
        return {
            "bce": bce.binary_cross_entropy(logits, batch["mask"]),
            "dice": dice.soft_dice(probability, batch["mask"]),
        }


def require_encoder(encoder: str) -> None:
    """Refuses what smp cannot build.

    Raises:
        ConfigError: names the nearest encoder and where the list is.
    """
    import segmentation_models_pytorch as smp
    import timm

    if encoder.startswith(TIMM):
        known = timm.is_model(encoder.removeprefix(TIMM))
        choices = [f"{TIMM}{name}" for name in timm.list_models()]
    else:
        choices = smp.encoders.get_encoder_names()
        known = encoder in choices
    if known:
        return
    hint = nearest(encoder, choices)
    meant = f" Did you mean model.encoder={hint}?" if hint else ""
    raise ConfigError(
        f"model.encoder={encoder} is no encoder of segmentation-models-pytorch.{meant} All of them: "
        f"{ENCODER_LIST}; model.encoder={TIMM}NAME takes timm's networks."
    )


def normalisation(encoder: str) -> tuple[Triple, Triple]:
    """(mean, std) per RGB channel of [0, 1] values that an encoder's ImageNet weights were trained with.

    It is the same whatever weights are loaded, so that a checkpoint needs only its encoder's name.
    """
    if encoder.startswith(TIMM):
        import timm

        settings: Any = timm.get_pretrained_cfg(encoder.removeprefix(TIMM))
        if settings is not None and len(settings.mean) == len(settings.std) == 3:
            return tuple(settings.mean), tuple(settings.std)
    for prefix, values in NORMALISATION.items():
        if encoder.startswith(prefix):
            return values
    return IMAGENET_MEAN, IMAGENET_STD


def _built(architecture: str, encoder: str) -> nn.Module:
    import segmentation_models_pytorch as smp

    try:
        model: nn.Module = getattr(smp, architecture)(encoder, encoder_weights=None, classes=1)
    except Exception as error:  # smp and timm refuse a combination with errors of many types
        raise ConfigError(
            f"model.architecture={architecture} cannot take model.encoder={encoder}: {error}. Choose "
            "model.architecture=Unet or another encoder."
        ) from error
    return model


def _load_encoder(encoder: nn.Module, architecture: str, name: str, source: str) -> None:
    if name == MOBILENET:
        _load_mobilenet(encoder, source)
    elif source == "imagenet":
        load_state_strict(encoder, _downloaded(architecture, name))
    else:
        state = _without_classifier(state_of_file(Path(source)), encoder.state_dict())
        try:
            load_state_strict(encoder, state)
        except WeightsError as error:
            raise WeightsError(f"model.backbone_weights={source} is no file of {name}. {error}") from error


def _load_mobilenet(encoder: nn.Module, source: str) -> None:
    twin = MobileNetV2Backbone()
    load_backbone(twin, source)
    # both number the layers of the same network in the same order, under other names
    load_state_strict(encoder, dict(zip(encoder.state_dict(), twin.model.state_dict().values(), strict=True)))


def _without_classifier(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in state.items()
        if name in own or name.partition(".")[0] not in CLASSIFIERS
    }


def _downloaded(architecture: str, encoder: str) -> dict[str, Tensor]:
    """An encoder's ImageNet weights by smp's own mechanism: from the hub's cache or its server."""
    import segmentation_models_pytorch as smp

    _require_imagenet(encoder)
    # timm's networks have no other name for the weights that their own name says
    weights: str | bool = True if encoder.startswith(TIMM) else "imagenet"
    try:
        with _no_waiting():
            model = getattr(smp, architecture)(encoder, encoder_weights=weights, classes=1)
    except Exception as error:  # built before without weights, so that only the download can fail
        raise WeightsError(
            f"model.backbone_weights=imagenet needs smp's download of {encoder}, which failed ({error}). "
            "Run this once on a machine with a network and copy its Hugging Face cache (HF_HOME), or give "
            f"model.backbone_weights=FILE, or start from random weights with model.backbone_weights=null; "
            f"model.encoder={MOBILENET} takes torchvision's file."
        ) from error
    state: dict[str, Tensor] = model.encoder.state_dict()
    return state


def _require_imagenet(encoder: str) -> None:
    import segmentation_models_pytorch as smp
    import timm

    if encoder.startswith(TIMM):
        offered = ["imagenet"] if timm.models.is_model_pretrained(encoder.removeprefix(TIMM)) else []
    else:
        offered = list(smp.encoders.encoders[encoder]["pretrained_settings"])
    if "imagenet" not in offered:
        raise WeightsError(
            f"model.encoder={encoder} has no ImageNet weights (only: {', '.join(offered) or 'none'}). Choose "
            "another encoder, model.backbone_weights=FILE or model.backbone_weights=null."
        )


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Lets the hub's client fall back to its cache at once where its server cannot be reached.

    By itself it retries each file for 25 s or more.
    """
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE
    try:
        get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except Exception:  # the client's own errors, which changed with its version
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
