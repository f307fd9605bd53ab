"""What one prediction costs: operations by two ways of counting, and the memory it needs at its peak."""

import tracemalloc
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from kolbench.io.arrays import as_arrays
from kolbench.models.mirrored import viewed
from kolbench.models.onnx import OnnxSegmenter
from kolbench.segmenter import Segmenter
from kolbench.types import Refiner


class Cost(NamedTuple):
    """What one prediction of one picture costs.

    macs: multiply-accumulate operations as torch counts them (convolutions, matrix products, attention);
    None for methods that are no networks of torch. memory: bytes at the peak: weights and tensors that live
    together, without the workspace of kernels; on a GPU what torch allocates; for methods on arrays what
    Python and numpy allocate; None where nothing of that can be seen. checkpoint: bytes of the inference
    network's state dict. picture: height and width in pixels.
    """

    macs: int | None
    memory: int | None
    checkpoint: int
    picture: tuple[int, int]


def networks_of(refiner: object) -> list[nn.Module]:
    """The network of a refiner that has one, as CascadePSP does; the operations of others are not counted."""
    network = getattr(refiner, "network", None)
    return [network] if isinstance(network, nn.Module) else []


@torch.no_grad()
def of(
    segmenter: Segmenter,
    batch: Mapping[str, Any],
    refiner: Refiner | None = None,
) -> Cost:
    """Measures one prediction.

    Args:
        segmenter: in evaluation mode.
        batch: of one picture at its own size, on any device.
        refiner: what follows it; counted where it has a network, on the true mask of the batch, unless the
            method is an ONNX file, whose own cost cannot be seen.
    """
    inputs = [batch[key] for key in segmenter.input_keys]
    height, width = inputs[0].shape[-2:]
    networks = [segmenter.inference_network(), *networks_of(refiner)]
    tensors = (tensor for network in networks for tensor in network.state_dict().values())
    checkpoint = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    macs, memory = (
        _of_arrays(segmenter, inputs) if segmenter.array_function() else _of_torch(segmenter, inputs)
    )
    if len(networks) > 1:
        assert refiner is not None
        more, peak = _of_refiner(refiner, networks[1], batch, segmenter.device)
        macs, memory = (macs or 0) + more, max(memory or 0, peak)
        if isinstance(viewed(segmenter)[0], OnnxSegmenter):
            # its own part cannot be seen, so neither can the sum
            macs = memory = None
    return Cost(macs, memory, checkpoint, (int(height), int(width)))


@torch.no_grad()
def count_macs(module: nn.Module, image: Tensor, conv_only: bool, method: str = "forward") -> int:
    """Multiply-accumulates of a network in evaluation mode for one batch; the network stays as it is.

    Args:
        module: called with `image` alone; training or evaluation mode of each part is put back.
        image: (B, C, h, w), on the module's device.
        conv_only: True counts `nn.Conv2d` layers alone, as papers on portraits do (the published numbers of
            PortraitNet, ENet and SINet are these); transposed convolutions, linear layers and all else are 0.
            False counts what torch's own counter does: transposed convolutions, linear layers and products of
            matrices too; norms, activations and interpolation count 0.
        method: name of the module's method that is run, such as `forward_train` for the heads of training.
    """
    modes = {part: part.training for part in module.modules()}
    counter = _ConvolutionCounter(module) if conv_only else FlopCounterMode(display=False)
    module.eval()
    try:
        with counter:
            # hooks of the module itself are called by __call__ only
            module(image) if method == "forward" else getattr(module, method)(image)
    finally:
        for part, training in modes.items():
            part.training = training
    return counter.macs if isinstance(counter, _ConvolutionCounter) else counter.get_total_flops() // 2


class _ConvolutionCounter:
    """Sums the multiply-accumulates of the Conv2d layers that run inside of the block."""

    def __init__(self, module: nn.Module) -> None:
        self.macs = 0
        self._layers = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> None:
        self._hooks = [layer.register_forward_hook(self._add) for layer in self._layers]

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _add(self, layer: nn.Module, _inputs: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        self.macs += output.numel() * layer.weight[0].numel()


def _of_arrays(segmenter: Segmenter, inputs: Sequence[Tensor]) -> tuple[None, int]:
    function = segmenter.array_function()
    assert function is not None
    arrays = [as_arrays(entry)[0] for entry in inputs]
    tracemalloc.start()
    try:
        function(*arrays)
        return None, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _of_torch(segmenter: Segmenter, inputs: Sequence[Any]) -> tuple[int | None, int | None]:
    device = segmenter.device
    inputs = [entry.to(device) if isinstance(entry, Tensor) else entry for entry in inputs]
    macs, memory = _counted(lambda: segmenter.predict(*inputs), [segmenter], device)
    return (macs, memory) if macs else (None, None)


def _counted(
    predict: Callable[[], object], networks: Sequence[nn.Module], device: torch.device
) -> tuple[int, int]:
    """Operations of one call, and bytes at its peak, the weights of the networks included."""
    tensors = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    live, flops = LiveTensors(), FlopCounterMode(display=False)
    with live, flops:
        predict()
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else weights + live.peak
    return flops.get_total_flops() // 2, memory


def _of_refiner(
    refiner: Refiner,
    network: nn.Module,
    batch: Mapping[str, Any],
    device: torch.device,
) -> tuple[int, int]:
    """Operations and peak memory of what follows the method."""
    network.to(device)
    image, alpha = batch["image"].to(device), batch["mask"].to(device)
    if not alpha.any():
        # there would be nothing to do
        height, width = alpha.shape[-2:]
        alpha = alpha.clone()
        alpha[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return _counted(lambda: refiner(image, alpha), [network], device)


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Follows the storages that torch's operations make; `peak` is the most bytes that lived together."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.peak = 0
        self._now = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {_storage(leaf)._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _storage(leaf)._cdata not in given | self._seen:
                self._follow(_storage(leaf))
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._seen.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._now -= size


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()
