"""The package that the authors of CascadePSP publish, with random weights; tests compare with it."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from kolbench.models.checkpoints.read import load_state_strict
from kolbench.models.components.refinement import RefinementNetwork

MISSING = "needs the authors' package: pip install --no-deps segmentation-refinement==0.6"


def official_pair() -> tuple[nn.Module, RefinementNetwork]:
    """The package's network and ours with the same random weights; skips the test without the package."""
    package = pytest.importorskip("segmentation_refinement.models.psp.pspnet", reason=MISSING)
    return _pair(package)


@cache
def _pair(package: Any) -> tuple[nn.Module, RefinementNetwork]:
    torch.manual_seed(0)
    theirs: nn.Module = package.RefinementModule().eval()
    # statistics that do not let random weights grow from layer to layer
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            means = 0.1 * torch.randn(part.num_features)
            variances = torch.full((part.num_features,), 2.0)
            part.load_state_dict(part.state_dict() | {"running_mean": means, "running_var": variances})
    with torch.device("meta"):
        ours = RefinementNetwork().eval()
    ours.to_empty(device="cpu")
    load_state_strict(ours, theirs.state_dict())
    return theirs, ours
