"""Networks of PDNet and its rivals with tensors that follow from their names alone."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn


@torch.no_grad()
def fill_by_name(network: nn.Module, gain: float) -> nn.Module:
    """Sets each tensor to normal noise whose seed is the CRC-32 of its name (the specification's section 5).

    Args:
        network: changed in place. gain: on the weights of convolutions.
    """
    for name, tensor in network.state_dict().items():
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tensor.shape)
        if tensor.ndim > 1:
            tensor.copy_(torch.from_numpy(gain * noise * np.sqrt(2 / np.prod(tensor.shape[1:]))))
        elif name.endswith("running_var"):
            tensor.copy_(torch.from_numpy(1 + 0.5 * np.abs(noise)))
        elif name.endswith(("bias", "running_mean")):
            tensor.copy_(torch.from_numpy(0.1 * noise))
        elif tensor.ndim == 1:
            tensor.copy_(torch.from_numpy(1 + 0.1 * noise))
    return network


def noise(seed: int, height: int, width: int) -> Tensor:
    """(1, 3, height, width) float64, standard normal."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((1, 3, height, width)))
