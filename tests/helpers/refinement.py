"""The package that the authors of CascadePSP publish, with random weights; tests compare with it."""

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

MISSING = "needs the authors' package: pip install --no-deps segmentation-refinement==0.6"


def reference() -> ModuleType:
    """The package's module of networks; the test is skipped where it is not installed."""
    found: ModuleType = pytest.importorskip("segmentation_refinement.models.psp.pspnet", reason=MISSING)
    return found


def released(package: Any) -> nn.Module:
    """Its network in evaluation mode with statistics that random weights do not blow up."""
    network: nn.Module = package.RefinementModule().eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.load_state_dict(
                part.state_dict()
                | {
                    "running_var": torch.full((part.num_features,), 2.0),
                    "running_mean": 0.1 * torch.randn(part.num_features),
                }
            )
    return network
