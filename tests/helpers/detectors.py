"""A Mask R-CNN small enough to train in a test, and pictures for it."""

import torch
from torch import Tensor

from kolbench.models.maskrcnn import MaskRCNNSegmenter
from kolbench.types import Batch

SMALL = "fpn_mobilenet_v2"


def small(seed: int = 0, **options: object) -> MaskRCNNSegmenter:
    torch.manual_seed(seed)
    return MaskRCNNSegmenter(64, **{"network": SMALL, "min_size": 64, "box_samples": 16, **options})


def scenes(size: int = 64) -> Batch:
    """Two pictures with one bright ellipse each."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    places = ((0.50, 0.47, 0.44, 0.34), (0.52, 0.52, 0.39, 0.44))
    discs = [((y - cy) / h) ** 2 + ((x - cx) / w) ** 2 <= 1 for cy, cx, h, w in places]
    mask = torch.stack(discs)[:, None].float()
    noise = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    return {"image": 0.3 * noise + 0.6 * mask, "mask": mask}


def losses(segmenter: MaskRCNNSegmenter, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return segmenter.train().losses(batch)
