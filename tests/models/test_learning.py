"""Every trainable method learns one batch by heart: its losses, targets and way back to the picture fit."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from kolbench.config import compose
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.perturb import RoughFromMask
from kolbench.data.sources.base import Source
from kolbench.types import Sample
from tests.helpers import detectors
from tests.helpers.data import NO_LIMIT, data_config
from tests.helpers.networks import SLIM

pytestmark = pytest.mark.slow

STEPS = 60
CHECK_EVERY = 5
# the innermost maps of RSUDISNet are single pixels at 64 px, of which a batch norm learns nothing; COSNet's
# alpha has 8 x 8 pixels there, too few for an outline
CANVASES = {"cosnet": 128, "rsudisnet": 128, "unet": 32}
# Adam's rate where 2e-3 is not the one that learns a batch soonest
RATES = {
    "cosnet": 1e-3,
    "espnetv2": 1e-2,
    "pdnet": 5e-3,
    "rsudisnet": 3e-3,
    "u2net": 1e-3,
    "u2netp": 5e-3,
    "unet": 4e-3,
}
WIDTHS: dict[str, dict[str, Any]] = {
    "rsudisnet": SLIM,
    "pdnet": {"backbone": "mobilenet_v2"},
    "cosnet": {"backbone": "mobilenet_v2"},
    "matnet": {"backbone": "mobilenet_v2"},
}
# Mask R-CNN learns from regions, not from pixels: test_maskrcnn overfits it with a loop of its own
TRAINABLE = sorted(
    path.stem
    for path in (compose.conf_dir() / "model").glob("*.yaml")
    if "\ntraining:" in path.read_text() and path.stem != "maskrcnn"
)


class Ellipses(Source):
    """The two pictures that Mask R-CNN learns, in every split."""

    def __init__(self, canvas):
        super().__init__(["a", "b"], given_splits={split: [0, 1] for split in ("train", "val", "test")})
        self.batch = detectors.scenes(canvas)

    def read(self, index):
        image = (self.batch["image"][index] * 255).round().byte().permute(1, 2, 0)
        return Sample(image.numpy(), self.batch["mask"][index, 0].numpy().astype(np.uint8))

    def fingerprint(self):
        return "ellipses"

    def describe(self):
        return []


def batch_of(canvas):
    """Both pictures as the loaders give them."""
    data = SegmentationDataModule(Ellipses(canvas), 0, 2, [RoughFromMask()], data_config(), NO_LIMIT)
    data.cache_samples(lambda height, width: (canvas, canvas))
    batch = next(iter(data.train_dataloader()))
    # pictures of no clip do not move
    return {**batch, "flow": torch.ones_like(batch["image"])}


def method_of(name, canvas):
    """The method of a YAML, of smaller widths where its constructor has them."""
    torch.manual_seed(0)
    model = compose.model_config(name, "smoke", size=canvas)
    options = {**model.options, **WIDTHS.get(name, {})}
    method = compose.build_segmenter(dataclasses.replace(model, options=options))
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # averages over more than the last batch lag behind so few steps
    return method


@pytest.mark.parametrize("name", TRAINABLE)
def test_overfits_one_batch(name):
    canvas = CANVASES.get(name, 64)
    batch, method = batch_of(canvas), method_of(name, canvas)
    optimizer = torch.optim.Adam(
        [p for p in method.parameters() if p.requires_grad], lr=RATES.get(name, 2e-3), fused=True
    )
    reached = 0.0
    for step in range(1, STEPS + 1):
        method.train()
        optimizer.zero_grad()
        torch.stack(list(method.losses(batch).values())).sum().backward()
        optimizer.step()
        if step % CHECK_EVERY == 0:
            reached = max(reached, overlap(method, batch))
            if reached > 0.95:
                return
    pytest.fail(f"IoU {reached:.3f} after {STEPS} steps")


@torch.no_grad()
def overlap(method, batch):
    """Foreground IoU at 0.5."""
    method.eval()
    found = method.predict(*(batch[key] for key in method.input_keys)).alpha > 0.5
    truth = batch["mask"] > 0.5
    return float((found & truth).sum() / (found | truth).sum())
