"""What the tests of several methods share."""

import pytest
import torch
from torch import nn

from kolbench.models.maskrcnn import MaskRCNNSegmenter
from tests.helpers.detectors import losses, scenes, small


@pytest.fixture(scope="module")
def finder() -> MaskRCNNSegmenter:
    """A network whose norms know their inputs and whose head calls every region a person."""
    segmenter = small(proposals=50)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    # masks are most of a prediction
    segmenter.network.roi_heads.detections_per_img = 5
    with torch.no_grad():
        losses(segmenter, scenes())
        segmenter.network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([-1.0, 1.0]))
    return segmenter.eval()
