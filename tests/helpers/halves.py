"""A method that finds persons one by one: the left and the right half of a picture."""

import torch
from torch import Tensor

from kolbench.segmenter import Segmenter
from kolbench.types import Instances, Prediction


class Halves(Segmenter):
    """How sure it is of each half is the half's brightness; alpha is the surer half."""

    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) -> alpha, and two persons a picture."""
        found = [_persons(image) for image in inputs[0]]
        return Prediction(torch.stack([each.masks[:1] for each in found]), instances=found)


def _persons(image: Tensor) -> Instances:
    height, width = image.shape[-2:]
    middle = width // 2
    masks = torch.zeros(2, height, width)
    masks[0, :, :middle], masks[1, :, middle:] = 1, 1
    sure = torch.stack([image[:, :, :middle].mean(), image[:, :, middle:].mean()])
    boxes = torch.tensor([[0.0, 0, middle, height], [middle, 0, width, height]])
    order = sure.argsort(descending=True)
    return Instances(boxes[order], sure[order], masks[order])
