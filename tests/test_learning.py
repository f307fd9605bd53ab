"""Every trainable method learns one batch by heart: its losses, targets and way back to the picture fit."""

import pytest
import torch

from kolbench import configs
from kolbench.data.datamodule import KolDataModule
from kolbench.data.synthetic_source import SyntheticSource

SIZE = 128
STEPS = 200
CHECK_EVERY = 10
# Adam's rate where 2e-3 is not the one that learns a batch within the steps
RATES = {"rsudisnet": 1e-3, "u2net": 1e-3}
# Mask R-CNN learns from regions, not from pixels: test_maskrcnn overfits it with a loop of its own
TRAINABLE = sorted(
    path.stem
    for path in (configs.conf_dir() / "model").glob("*.yaml")
    if "\ntraining:" in path.read_text() and path.stem != "maskrcnn"
)


@pytest.fixture(scope="module")
def batch():
    """Two training pictures of the canvas's own size, so that nothing is lost in resizing."""
    source = SyntheticSource(seed=3, size=SIZE, scenes={"train": 2, "val": 1, "test": 1})
    settings = {
        "cache": "memory",
        "workers": 0,
        "split": "auto",
        "split_seed": 0,
        "region_px": 30,
        "colours": False,
        "allow_duplicates": False,
        "protocol": "test",
    }
    data = KolDataModule(source, 0, 2, {}, settings, {"train": None, "val": None, "test": None})
    data.place_on(lambda height, width: (SIZE, SIZE))
    return next(iter(data.train_dataloader()))


@pytest.mark.parametrize("name", TRAINABLE)
def test_overfits_one_batch(name, batch):
    torch.manual_seed(0)
    method = configs.build_segmenter(configs.model_config(name, "smoke"))
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
