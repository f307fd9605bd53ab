"""How long a method takes for one picture on the CPU, and how large its network is, as it predicts."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from kolbench.data.scenes.scene import LEAST_SIZE, make_scene
from kolbench.engine.cost import count_macs
from kolbench.errors import ConfigError
from kolbench.inference.backends import UNCHANGED, deployed_graph, prepare
from kolbench.inference.export.graph import GraphSegmenter, network_of
from kolbench.inference.highres import LONGEST, segment_in_bounded_memory, shrunk
from kolbench.inference.video_cost import FLOW, FRAME, frame_calls
from kolbench.models.mirrored import viewed
from kolbench.models.onnx import OnnxSegmenter
from kolbench.preprocessing import resize, with_prior
from kolbench.runs.benchmark import Form, MeasuredOn, Speed, Spread
from kolbench.segmenter import Segmenter
from kolbench.types import UInt8Array

SCENE_SEED = 20
CPU = torch.device("cpu")
NETWORK, SEGMENT = "network", "segment"
_OTHERS = (NETWORK, FRAME, FLOW)

# threads and what is run with them
Run = tuple[int, str]


class Sizes(NamedTuple):
    """A method's two forms, and the (height, width) that its network sees; None where it has no network."""

    training: Form | None
    deployed: Form | None
    input: tuple[int, int] | None


def drawn_picture(height: int, width: int) -> UInt8Array:
    """(height, width, 3) uint8: a drawn scene, for the time of classic methods depends on the picture."""
    side = max(height, width, LEAST_SIZE)
    top, left = (side - height) // 2, (side - width) // 2
    image = make_scene(SCENE_SEED, 0, side).image[top : top + height, left : left + width]
    return np.ascontiguousarray(image)


def sizes_of(segmenter: Segmenter, picture: tuple[int, int]) -> Sizes:
    """Counts parameters and operations of both forms at the input size of a picture.

    The training form is the network as it is trained, with the heads that only training needs. The deployed
    form has its branches merged, its batch norms folded and no such heads. Operations are those of a picture:
    with tta=flip of both views.

    Args:
        segmenter: not changed.
        picture: height and width.
    """
    segmenter, views = viewed(segmenter)
    network = segmenter.inference_network()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    try:
        deployed = network_of(segmenter)
    except ConfigError:
        size = segmenter.input_size(*picture) if isinstance(segmenter, OnnxSegmenter) else None
        return Sizes(Form(parameters) if parameters else None, None, size)
    size = deployed.spec.input_size(*picture)
    image = torch.zeros(1, 3 + deployed.prior, *size, device=segmenter.device)
    method = "forward_train" if hasattr(network, "forward_train") else "forward"
    training = Form(parameters, *(views * count_macs(network, image, only, method) for only in (True, False)))
    graph = deployed_graph(deployed)
    heads = tuple(f"network.{head}." for head in getattr(segmenter, "training_heads", ()))
    kept = sum(p.numel() for name, p in graph.named_parameters() if not name.startswith(heads))
    counts = (views * count_macs(graph, image.cpu(), only) for only in (True, False))
    return Sizes(training, Form(kept, *counts), size)


def speeds_of(
    opened: Callable[[], Segmenter],
    image: UInt8Array,
    threads: Sequence[int],
    backend: str,
    warm_up: int,
    repeats: int,
    advance: Callable[[int], object] = lambda steps: None,
) -> tuple[tuple[Speed, ...], str, tuple[str, ...]]:
    """Measures a method in the form that predicts, for each number of threads in turn.

    Args:
        opened: makes the method, on the CPU and in evaluation mode; called again for each number of threads
            where ONNX Runtime runs it, which fixes them when it opens a file.
        image: (H, W, 3) uint8.
        threads: of torch, OpenCV, ONNX Runtime and linear algebra.
        backend: `eager`, `onnx` or `compiled`, see inference.backends.
        warm_up: runs of each that are not counted. repeats: runs of each that are.
        advance: called with 1 after each round.

    Returns:
        The speeds in the order of `threads`, what ran, and sentences on what did not work.

    Raises:
        ConfigError: the backend cannot run this method.
    """
    with _threads_put_back() as use:
        forms, ran, notes = _forms(opened, image, threads, backend, use)
        calls = {
            (count, what): call for count, form in forms.items() for what, call in _calls(form, image).items()
        }
        found = in_turn(calls, warm_up, repeats, use, advance)
    speeds = tuple(
        Speed(count, spread(found[count, SEGMENT]), *(_spread_of(found, (count, what)) for what in _OTHERS))
        for count in threads
    )
    return speeds, ran, notes


def in_turn(
    calls: Mapping[Run, Callable[[], object]],
    warm_up: int,
    repeats: int,
    use: Callable[[int], object],
    advance: Callable[[int], object] = lambda steps: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Run, list[float]]:
    """Milliseconds of each call in each round: one run of everything, so that a busy moment hits all.

    Args:
        calls: (threads, what) -> what is run. use: sets the number of threads.
        warm_up: rounds that are left out, before `repeats` rounds that are not.
        advance: called with 1 after each round. clock: seconds.
    """
    found: dict[Run, list[float]] = {run: [] for run in calls}
    for _ in range(warm_up + repeats):
        for run, call in calls.items():
            use(run[0])
            started = clock()
            call()
            found[run].append(1000 * (clock() - started))
        advance(1)
    return {run: times[warm_up:] for run, times in found.items()}


def spread(times: Sequence[float]) -> Spread:
    """Median and the two percentiles of milliseconds, linear between neighbours."""
    low, middle, high = np.percentile(np.asarray(times), (10, 50, 90))
    return Spread(float(middle), float(low), float(high))


def this_machine() -> MeasuredOn:
    """Where this runs, and how busy it is."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return MeasuredOn(_cpu_model(), cores(), str(torch.__version__), load and round(load, 2))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


@contextmanager
def _threads_put_back() -> Iterator[Callable[[int], None]]:
    """Yields what sets the number of threads of all libraries; what was set before comes back at the end."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    now: int | None = None
    with ExitStack() as limits:

        def use(count: int) -> None:
            nonlocal now
            if count == now:
                return
            limits.close()
            # of numpy and scikit-learn, which may be loaded by now
            limits.enter_context(threadpool_limits(count))
            torch.set_num_threads(count)
            cv2.setNumThreads(count)
            now = count

        try:
            yield use
        finally:
            limits.close()
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])


def _forms(
    opened: Callable[[], Segmenter],
    image: UInt8Array,
    threads: Sequence[int],
    backend: str,
    use: Callable[[int], object],
) -> tuple[dict[int, Segmenter], str, tuple[str, ...]]:
    """The method ready for each number of threads, what runs it, and notes."""
    forms: dict[int, Segmenter] = {}
    ran = UNCHANGED
    notes: tuple[str, ...] = ()
    for count in threads:
        use(count)
        shared = next(iter(forms.values()), None)
        if shared is not None and not isinstance(viewed(shared)[0], OnnxSegmenter):
            forms[count] = shared
            continue
        found = prepare(opened(), CPU, shrunk(image, LONGEST), backend)
        if backend != "eager" and found.backend != backend:
            raise ConfigError(f"backend={backend} cannot be measured: {' '.join(found.notes)}")
        forms[count], ran, notes = found.segmenter, found.backend, found.notes
    return forms, ran, notes


def _calls(segmenter: Segmenter, image: UInt8Array) -> dict[str, Callable[[], object]]:
    """What is timed of a method: its network, where it has one, a whole picture, and a frame of a clip."""
    calls: dict[str, Callable[[], object]] = {
        SEGMENT: lambda: segment_in_bounded_memory(segmenter.segment, image)
    }
    calls |= frame_calls(segmenter, shrunk(image, LONGEST))
    plain, views = viewed(segmenter)
    network = _network_call(plain, shrunk(image, LONGEST))
    return calls if network is None else {NETWORK: _repeated(network, views), **calls}


def _repeated(call: Callable[[], object], times: int) -> Callable[[], object]:
    """A call that makes another so many times."""
    return call if times == 1 else lambda: [call() for _ in range(times)]


def _network_call(segmenter: Segmenter, image: UInt8Array) -> Callable[[], object] | None:
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    if isinstance(segmenter, OnnxSegmenter):
        array = segmenter.prepared(picture)[0].numpy()
        return lambda: segmenter.graph.run(array)
    if not isinstance(segmenter, GraphSegmenter):
        return None
    spec, graph = segmenter.spec, segmenter.graph
    resized = resize(picture, spec.input_size(*image.shape[:2]), spec.resample)
    given = with_prior(resized, None) if segmenter.stateful else resized
    laid = given.contiguous(memory_format=segmenter.layout)

    @torch.no_grad()
    def run() -> Tensor:
        alpha: Tensor = graph(laid)
        return alpha

    return run


def _spread_of(found: Mapping[Run, Sequence[float]], run: Run) -> Spread | None:
    return spread(found[run]) if run in found else None
