"""CascadePSP (Cheng, Chung, Tai, Tang, CVPR 2020): a network that refines masks, learnt from truths alone."""

from torch import Tensor

from kolbench import preprocessing
from kolbench.errors import TrainingError, require_choice
from kolbench.models.components.refinement import RefinementMaps, RefinementNetwork
from kolbench.models.components.refinement_backbones import BACKBONES
from kolbench.models.losses.refinement import refinement_losses
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from kolbench.types import Batch, Prediction

# of which training targets want sides to be multiples
MULTIPLE = 16
# shorter side of training pictures over that of their crops: 224 px of about 300, as MSRA-10K and DUTS have
MARGIN = 4 / 3


class CascadePSPSegmenter(NetworkSegmenter[RefinementNetwork]):
    """The refinement network as a method: it is given a picture and a rough mask of what is to be found.

    Rough masks are made up from the truth (RoughFromMask), anew in every epoch of a training and once and for
    all for the pictures that are scored. So its scores stand in a block of their own, and say how well it
    refines; after another method it is `refiner=cascadepsp refiner.weights=RUN`.

    Args:
        size: side in pixels of training crops and shorter side of pictures when predicting, a multiple of 16;
            224 in the paper.
        backbone, width: see RefinementNetwork; the paper's are `resnet50` and 1.
        backbone_weights: None, `imagenet` or a file, see RefinementNetwork.load_backbone.

    Raises:
        ConfigError: an unknown choice, or a number out of range.
        WeightsError: the backbone's weights cannot be had.
    """

    input_keys = ("image", "rough")
    truth_access = "mask"
    never_exported = (
        "CascadePSP refines a mask, and exported files are given the image alone. Use it after another "
        "method: refiner=cascadepsp refiner.weights=RUN."
    )

    def __init__(
        self,
        size: int,
        backbone: str = "mobilenet_v2",
        width: float = 0.25,
        backbone_weights: str | None = None,
    ) -> None:
        require_choice("model.backbone", backbone, BACKBONES)
        spec = InputSpec(size, "shortest_edge", MULTIPLE, IMAGENET_MEAN, IMAGENET_STD)
        super().__init__(spec, RefinementNetwork(backbone, width))
        if backbone_weights is not None:
            self.network.load_backbone(backbone_weights)
            self.beginning = (
                f"model.backbone_weights={backbone_weights}: the backbone's tensors come from it, and what "
                "it sees of masks starts at zero",
            )

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] and rough masks (B, 1, H, W) in [0, 1] -> alpha; aux is empty."""
        image, rough = inputs
        height, width = image.shape[-2:]
        mask = preprocessing.resize(rough, self.input_spec.input_size(height, width))
        maps = self._maps(self.input_spec.preprocess(image), mask)
        return Prediction(self.input_spec.postprocess(maps.out_224.sigmoid(), height, width))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """All terms on the six outputs and on the slopes of the last one, see `refinement_losses`.

        The truth is the true alpha where there is one, else the mask.

        Raises:
            TrainingError: the batch has no rough masks.
        """
        rough = batch.get("rough")
        if rough is None:
            raise TrainingError(
                "model=cascadepsp learns from made-up rough masks, but the recipe's augment list makes none; "
                "add {_target_: kolbench.data.perturb.RoughFromMask} behind all steps that move pixels."
            )
        truth = batch.get("matte", batch["mask"])
        return refinement_losses(self._maps(self.input_spec.normalise(batch["image"]), rough), truth)

    def training_input_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels of training pictures, a third larger than what is cropped from them."""
        size = round(MARGIN * self.input_spec.size / MULTIPLE) * MULTIPLE
        return InputSpec(size, "shortest_edge", MULTIPLE).input_size(height, width)

    def _maps(self, image: Tensor, mask: Tensor) -> RefinementMaps:
        """All maps for a normalised picture; the mask, in [0, 1], is cut at one half and becomes -1 and 1."""
        maps: RefinementMaps = self.network(image, 2 * (mask >= 0.5).to(image.dtype) - 1)
        return maps
