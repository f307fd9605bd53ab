"""Batch norms of a network in evaluation mode, taken into the convolutions before them: the same function."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from kolbench.models.components.blocks import ConvIBR, IBNorm


class HalfInstanceNorm(nn.Module):
    """IBNorm whose batch norm stands in the convolution before it; it works in the map it is given.

    Args:
        norm: its split, and the epsilon of its instance norm, which has no parameters.
    """

    def __init__(self, norm: IBNorm) -> None:
        super().__init__()
        self.split = norm.split
        self.epsilon = norm.inorm.eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same map, its second half of channels normalised by their own moments."""
        half = x[:, self.split :]
        variance, mean = torch.var_mean(half, dim=(2, 3), correction=0, keepdim=True)
        scale = (variance + self.epsilon).rsqrt()
        torch.addcmul(-mean * scale, half, scale, out=half)
        return x


@torch.no_grad()
def folded(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy for inference with every batch norm folded that directly and solely follows a convolution.

    Who follows whom is seen in one run, not guessed from names or order.

    Args:
        network: in evaluation mode; not changed.
        example: an input.

    Returns:
        The copy, without gradients; it may write into its own maps.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    flow = DataFlow()
    with flow:
        copied(example)
    places = {module: name for name, module in copied.named_modules()}
    for convolution, norm in flow.pairs(list(places)):
        _absorb(convolution, norm)
        copied.set_submodule(places[norm], nn.Identity())
    for unit in places:
        if isinstance(unit, ConvIBR):
            _fold_unit(unit)
    return copied


def _fold_unit(unit: ConvIBR) -> None:
    """MODNet's unit: its batch norm reads half of what its convolution makes."""
    convolution = unit.layers[0]
    assert isinstance(convolution, nn.Conv2d)
    for place, layer in enumerate(unit.layers):
        if isinstance(layer, IBNorm):
            _absorb(convolution, layer.bnorm, layer.split)
            unit.layers[place] = HalfInstanceNorm(layer)


class DataFlow(TorchFunctionMode):
    """Follows one run: which module's convolution made a tensor, and which operations read it."""

    def __init__(self) -> None:
        super().__init__()
        # kept, so that their identities stay theirs
        self._made: list[tuple[Tensor, Tensor]] = []
        self._readings: Counter[int] = Counter()
        self._normalised: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            return result
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self._readings[id(leaf)] += 1
        if func is torch.conv2d:
            self._made.append((result, args[1]))
            # a tensor that is gone may have had this identity
            self._readings[id(result)] = 0
        elif func in (nn.functional.batch_norm, torch.batch_norm):
            # both signatures begin with the input; the running mean is known by its identity
            self._normalised.append((args[0], args[1 if func is nn.functional.batch_norm else 3]))
        return result

    def pairs(self, modules: Sequence[nn.Module]) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Convolutions and batch norms that ran once, one right after the other with nobody else reading."""
        by_weight = {id(m.weight): m for m in modules if isinstance(m, nn.Conv2d)}
        # subclasses may do more than normalise
        by_mean = {id(m.running_mean): m for m in modules if type(m) is nn.BatchNorm2d}
        makers = {id(result): id(weight) for result, weight in self._made}
        runs = Counter(makers.values()) + Counter(id(mean) for _, mean in self._normalised)
        found = []
        for given, mean in self._normalised:
            convolution = by_weight.get(makers.get(id(given), 0))
            norm = by_mean.get(id(mean))
            once = runs[makers.get(id(given), 0)] == runs[id(mean)] == self._readings[id(given)] == 1
            if convolution is not None and norm is not None and once:
                found.append((convolution, norm))
        return found


def _absorb(convolution: nn.Conv2d, norm: nn.BatchNorm2d, channels: int | None = None) -> None:
    """Takes a batch norm into the first `channels` output channels (None = all), computed in float64."""
    whole = convolution.weight
    count = whole.shape[0] if channels is None else channels
    bias = torch.zeros_like(whole[:, 0, 0, 0]) if convolution.bias is None else convolution.bias.clone()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weights, biases = fuse_conv_bn_weights(
        whole[:count].double(),
        bias[:count].double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        None if norm.weight is None else norm.weight.double(),
        None if norm.bias is None else norm.bias.double(),
    )
    bias[:count] = biases.to(bias.dtype)
    convolution.weight = nn.Parameter(
        torch.cat((weights.to(whole.dtype), whole[count:])), requires_grad=False
    )
    convolution.bias = nn.Parameter(bias, requires_grad=False)
