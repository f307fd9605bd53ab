"""Every trainable method learns one batch by heart: its losses, targets and way back to the picture fit."""

import pytest
import torch

from kolbench.config import compose
from tests.conftest import CANVAS, drawn

pytestmark = pytest.mark.slow

STEPS = 200
CHECK_EVERY = 10
# Adam's rate where 2e-3 is not the one that learns a batch within the steps
RATES = {"rsudisnet": 1e-3, "u2net": 1e-3}
# large networks that learn a batch of half the canvas in a third of the time
CANVASES = {"u2net": 64, "unet": 64}
# Mask R-CNN learns from regions, not from pixels: test_maskrcnn overfits it with a loop of its own
TRAINABLE = sorted(
    path.stem
    for path in (compose.conf_dir() / "model").glob("*.yaml")
    if "\ntraining:" in path.read_text() and path.stem != "maskrcnn"
)


@pytest.mark.parametrize("name", TRAINABLE)
def test_overfits_one_batch(name):
    canvas = CANVASES.get(name, CANVAS)
    batch = drawn(canvas)
    torch.manual_seed(0)
    method = compose.build_segmenter(compose.model_config(name, "smoke", size=canvas))
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.3  # running averages that keep up with so few steps
    optimizer = torch.optim.Adam(
        [p for p in method.parameters() if p.requires_grad], lr=RATES.get(name, 2e-3)
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
    found = method.predict(batch["image"]).alpha > 0.5
    truth = batch["mask"] > 0.5
    return float((found & truth).sum() / (found | truth).sum())
