"""A method that finds persons one by one: left and right in the middle of a picture."""

import torch
from torch import Tensor

from kolbench.segmenter import Segmenter
from kolbench.types import Instances, Prediction


class Halves(Segmenter):
    """How sure it is of each is how bright that half is; alpha is the surer one."""

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> alpha, and two persons a picture."""
        found = [_persons(image) for image in inputs[0]]
        return Prediction(torch.stack([each.masks[:1] for each in found]), instances=found)


def _persons(image: Tensor) -> Instances:
    height, width = image.shape[-2:]
    middle = width // 2
    masks = torch.zeros(2, height, width)
    top, bottom = height // 4, height - height // 4
    masks[0, top:bottom, :middle], masks[1, top:bottom, middle:] = 1, 1
    sure = torch.stack([image[:, :, :middle].mean(), image[:, :, middle:].mean()])
    boxes = torch.tensor([[0.0, top, middle, bottom], [middle, top, width, bottom]])
    order = sure.argsort(descending=True)
    return Instances(boxes[order], sure[order], masks[order])
