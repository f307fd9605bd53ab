"""Named tensors for one of our networks out of an ONNX file of the same network, exported by its authors."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kolbench.errors import WeightsError

# sides of the picture with which the network's layers are put in order
SIDE = 64


class _Layer(NamedTuple):
    """A convolution or fully connected layer of ours, and the batch norm that takes its output."""

    name: str
    module: nn.Conv2d | nn.Linear
    norm_name: str
    norm: nn.BatchNorm2d | None


class _Weights(NamedTuple):
    """What an ONNX node multiplies with and adds; name of the first."""

    name: str
    weight: Tensor
    bias: Tensor | None


def state_from_onnx(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """The tensors of an ONNX file under the names of `network`.

    Tensors that kept their names are found by them. An exporter folds a batch norm into the convolution
    before it, whose tensors then have numbers for names: those are taken in the order in which both networks
    run, and the batch norm becomes the identity but for its shift (statistics of mean 0 and variance 1, and
    a weight that undoes its eps). Such norms must stay in evaluation mode when the network is trained on.

    Args:
        path: the file. network: of the same architecture; it is run once, and left as it is.

    Returns:
        All tensors but those of layers that the file lacks, such as heads that only training needs.

    Raises:
        WeightsError: the file is damaged, or of another network.
    """
    graph = _graph_of(path)
    own = network.state_dict()
    given = {tensor.name: tensor for tensor in graph.initializer}
    named = {name: _tensor(given[name]) for name in given if name in own}
    layers = [layer for layer in _layers_as_run(network) if f"{layer.name}.weight" not in named]
    nodes = [node for node in _nodes_as_run(graph) if node.name not in named]
    if len(layers) != len(nodes):
        raise _another(path, network, f"{len(nodes)} layers without names, where {len(layers)} are wanted")
    state = dict(named)
    for layer, node in zip(layers, nodes, strict=True):
        if layer.module.weight.shape != node.weight.shape:
            shapes = f"{tuple(node.weight.shape)} instead of {tuple(layer.module.weight.shape)}"
            raise _another(path, network, f"{layer.name}.weight {shapes}")
        state |= _of_layer(layer, node)
    return state


def folded_norms(network: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Names of the batch norms that hold nothing but a shift, as `state_from_onnx` leaves them."""
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        and f"{name}.running_var" in state
        and bool((state[f"{name}.running_mean"] == 0).all())
        and bool((state[f"{name}.running_var"] == 1).all())
    ]


def _of_layer(layer: _Layer, node: _Weights) -> dict[str, Tensor]:
    module, norm = layer.module, layer.norm
    shift = torch.zeros(module.weight.shape[0]) if node.bias is None else node.bias
    found = {f"{layer.name}.weight": node.weight}
    if module.bias is not None:
        found[f"{layer.name}.bias"] = torch.zeros_like(shift) if norm is not None else shift
    if norm is not None:
        found |= {
            f"{layer.norm_name}.weight": torch.full_like(shift, (1 + norm.eps) ** 0.5),
            f"{layer.norm_name}.bias": shift,
            f"{layer.norm_name}.running_mean": torch.zeros_like(shift),
            f"{layer.norm_name}.running_var": torch.ones_like(shift),
            f"{layer.norm_name}.num_batches_tracked": torch.zeros((), dtype=torch.long),
        }
    return found


def _layers_as_run(network: nn.Module) -> list[_Layer]:
    """Convolutions and fully connected layers in the order in which one picture passes them."""
    names = {module: name for name, module in network.named_modules()}
    seen: list[tuple[nn.Module, int, int]] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        kept.append(out)
        seen.append((module, id(given[0]), id(out)))

    # tensors are kept so that no two have the same id
    kept: list[Tensor] = []
    wanted = [m for m in names if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    hooks = [module.register_forward_hook(note) for module in wanted]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, SIDE, SIDE, device=next(network.parameters()).device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    norms = {given: module for module, given, _ in seen if isinstance(module, nn.BatchNorm2d)}
    found = []
    for module, _, out in seen:
        if isinstance(module, nn.Conv2d | nn.Linear):
            norm = norms.get(out)
            found.append(_Layer(names[module], module, names[norm] if norm else "", norm))
    return found


def _nodes_as_run(graph: Any) -> Iterator[_Weights]:
    given = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            _, weight, *bias = node.input
            yield _Weights(weight, _tensor(given[weight]), _tensor(given[bias[0]]) if bias else None)
        elif node.op_type == "MatMul" and node.input[1] in given:
            # the transposed weight of a fully connected layer
            yield _Weights(node.input[1], _tensor(given[node.input[1]]).T.contiguous(), None)


def _graph_of(path: Path) -> Any:
    import onnx  # type: ignore[import-untyped,unused-ignore]

    try:
        return onnx.load(str(path)).graph
    except Exception as error:  # protobuf names damage in many ways
        raise WeightsError(f"{path} is damaged or is no ONNX file; get it again.") from error


def _tensor(initializer: Any) -> Tensor:
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(initializer).copy())


def _another(path: Path, network: nn.Module, what: str) -> WeightsError:
    return WeightsError(f"{path} is not an export of {type(network).__name__}: {what}.")
