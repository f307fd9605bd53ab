"""How long a method takes for one picture on the CPU, and how large its network is, as it predicts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from kolbench.data.scenes.scene import LEAST_SIZE, make_scene
from kolbench.engine.cost import count_macs
from kolbench.errors import ConfigError, first_sentence
from kolbench.inference import machine
from kolbench.inference.backends import UNCHANGED, prepare
from kolbench.inference.export.graph import GraphSegmenter, InferenceGraph, network_of
from kolbench.inference.forms import deployed_graph
from kolbench.inference.highres import LONGEST, segment_in_bounded_memory, shrunk
from kolbench.inference.machine import Energy, PeakMemory
from kolbench.inference.timing import Rule, Times, in_turn, median_interval, ratio_interval
from kolbench.inference.video_cost import FLOW, FRAME, frame_calls
from kolbench.io.images import read_rgb, write_jpeg, write_png
from kolbench.models.mirrored import viewed
from kolbench.models.onnx import OnnxSegmenter
from kolbench.preprocessing import InputSpec, resize, with_prior
from kolbench.runs.benchmark import Batched, Form, MeasuredOn, Ratio, Speed
from kolbench.segmenter import Segmenter
from kolbench.types import UInt8Array

SCENE_SEED = 20
CPU = torch.device("cpu")
NETWORK, SEGMENT, FILE = "network", "segment", "file"
JPEG_QUALITY = 90
WORDS = {SEGMENT: "end to end", FILE: "file to file", FRAME: "frame of a clip", FLOW: "flow of it"}
# cores that others may use without being said to be in the way
SPARE = 0.25


class Run(NamedTuple):
    """What is run: a form with so many threads; network, segment, file, frame or flow; pictures at once."""

    form: str
    threads: int
    what: str
    batch: int


class Measured(NamedTuple):
    """What `measure` found; see runs.benchmark.Benchmark."""

    speeds: tuple[Speed, ...]
    ratios: tuple[Ratio, ...]
    memory: dict[str, int]
    notes: tuple[str, ...]
    rounds: int
    machine: MeasuredOn


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


def measure(
    opened: Callable[[], Segmenter],
    image: UInt8Array,
    threads: Sequence[int],
    forms: Sequence[str],
    warm_up: int,
    rule: Rule,
    batches: Sequence[int] = (1,),
    advance: Callable[[int], object] = lambda steps: None,
) -> Measured:
    """Measures forms of one method, for each number of threads, all in turn.

    Args:
        opened: makes the method, on the CPU and in evaluation mode; called again for each form, and for each
            number of threads where a runtime fixes them when it opens a file.
        image: (H, W, 3) uint8.
        threads: of torch, OpenCV, the runtimes and linear algebra.
        forms: of inference.forms.FORMS, the first of which the others are compared with.
        warm_up: rounds that are not counted. rule: when to stop.
        batches: numbers of pictures that the network alone is given at once.
        advance: called with 1 after each round.

    Raises:
        ConfigError: a form cannot run this method.
    """
    watched = _Watched()

    def after_round() -> None:
        watched.look()
        advance(1)

    with TemporaryDirectory() as folder, _threads_put_back() as use:
        picture = Path(folder) / "picture.jpg"
        write_jpeg(picture, image, JPEG_QUALITY)
        opened_forms = _opened(opened, image, threads, forms, use)
        calls: dict[Run, Callable[[], object]] = {}
        notes = dict.fromkeys(opened_forms.notes)
        for (form, count), segmenter in opened_forms.segmenters.items():
            use(count)
            found, refused = _calls(segmenter, image, picture, batches)
            calls |= {Run(form, count, what, size): call for (what, size), call in found.items()}
            notes |= dict.fromkeys(f"{form}: {note}" for note in refused)
        times = in_turn(calls, warm_up, rule, lambda run: use(run.threads), after_round, energy=Energy())
    return Measured(
        tuple(_speed(times, form, count) for form, count in opened_forms.segmenters),
        tuple(_ratios(times)),
        opened_forms.memory,
        (*notes, *_unsettled(times, rule)),
        times.rounds,
        watched.seen(),
    )


class _Watched:
    """How busy the machine was, and how fast its cores ran, seen after each round."""

    def __init__(self) -> None:
        self._before = machine.load()
        self._others = machine.Others()
        self._loads: list[float] = []
        self._clocks: list[float] = []

    def look(self) -> None:
        for found, seen in ((machine.load(), self._loads), (machine.clock_mhz(), self._clocks)):
            if found is not None:
                seen.append(found)

    def seen(self) -> MeasuredOn:
        """The machine, and whether others used it."""
        versions, others, cores = machine.versions(), self._others.cores, machine.cores()
        return MeasuredOn(
            machine.cpu_model(),
            cores,
            str(torch.__version__),
            self._before,
            max(self._loads, default=None),
            min(self._clocks, default=None),
            max(self._clocks, default=None),
            others,
            is_busy(others, self._before, cores),
            versions,
        )


def is_busy(others: float | None, load: float | None, cores: int) -> bool | None:
    """Whether other programs used the cores; None where nothing is known.

    Args:
        others: cores that they used meanwhile. load: before; the job before of a sweep is in it, which makes
            no more than `cores`.
    """
    if others is None and load is None:
        return None
    return (others or 0.0) > SPARE or (load or 0.0) > cores + SPARE


def _speed(times: Times[Run], form: str, count: int) -> Speed:
    """All that was measured of a form with so many threads."""
    found = {
        (run.what, run.batch): times.spread(run)
        for run in times.milliseconds
        if (run.form, run.threads) == (form, count)
    }
    one = {what: spread for (what, size), spread in found.items() if size == 1}
    many = tuple(Batched(size, spread) for (_, size), spread in found.items() if size > 1)
    others = (one.get(NETWORK), one.get(FRAME), one.get(FLOW), one.get(FILE))
    return Speed(count, one[SEGMENT], *others, form, many)


def _ratios(times: Times[Run]) -> Iterator[Ratio]:
    """Of all runs that the first form has too."""
    first = next(iter(times.milliseconds)).form
    for run, taken in times.milliseconds.items():
        before = times.milliseconds.get(run._replace(form=first))
        if run.form != first and before is not None:
            yield Ratio(*run, *ratio_interval(before, taken))


def _unsettled(times: Times[Run], rule: Rule) -> list[str]:
    if not times.unsettled:
        return []
    worst = max(times.unsettled, key=lambda run: _uncertainty(times.milliseconds[run]))
    what = WORDS.get(worst.what, worst.what)
    return [
        f"stopped after {times.rounds} rounds: the 95 % interval of {len(times.unsettled)} of "
        f"{len(times.milliseconds)} medians is wider than {rule.within:.0%} on a side, at most "
        f"{_uncertainty(times.milliseconds[worst]):.0%} ({worst.form}, {what}, {worst.threads} "
        f"thread{'s' if worst.threads > 1 else ''})"
    ]


def _uncertainty(times: Sequence[float]) -> float:
    low, high = median_interval(times)
    median = float(np.median(times))
    return max(high - median, median - low) / median


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


class _Opened(NamedTuple):
    """Forms that are ready, in the order in which they were named."""

    segmenters: dict[tuple[str, int], Segmenter]
    memory: dict[str, int]
    notes: tuple[str, ...]


def _opened(
    opened: Callable[[], Segmenter],
    image: UInt8Array,
    threads: Sequence[int],
    forms: Sequence[str],
    use: Callable[[int], object],
) -> _Opened:
    """The method in each form for each number of threads."""
    found: dict[tuple[str, int], Segmenter] = {}
    memory: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    for form in forms:
        for count in threads:
            use(count)
            shared = next((each for (name, _), each in found.items() if name == form), None)
            if shared is not None and not isinstance(viewed(shared)[0], OnnxSegmenter):
                found[form, count] = shared
                continue
            prepared = prepare(opened(), CPU, shrunk(image, LONGEST), form)
            if prepared.backend == UNCHANGED and not prepared.notes:
                # one form for all that torch would run
                form = UNCHANGED
                if (form, count) in found:
                    continue
            elif prepared.backend != form:
                raise ConfigError(f"backend={form} cannot be measured: {' '.join(prepared.notes)}")
            if form not in memory and (needed := _memory_of_run(prepared.segmenter, image)) is not None:
                memory[form] = needed
            found[form, count] = prepared.segmenter
            notes = (*notes, *prepared.notes)
    return _Opened(found, memory, notes)


def _memory_of_run(segmenter: Segmenter, image: UInt8Array) -> int | None:
    """Bytes that one run end to end needs beyond what is held before it, the weights among it.

    The run before it loads code and chooses kernels, which is no part of it. None: the system does not tell.
    """
    plain = viewed(segmenter)[0]
    # runtimes keep what a run took, so that the next one would seem to need nothing
    with plain.graph.releasing() if isinstance(plain, OnnxSegmenter) else nullcontext():
        segment_in_bounded_memory(segmenter.segment, image)
        peak = PeakMemory()
        segment_in_bounded_memory(segmenter.segment, image)
        return peak.grown


def _calls(
    segmenter: Segmenter, image: UInt8Array, picture: Path, batches: Sequence[int]
) -> tuple[dict[tuple[str, int], Callable[[], object]], list[str]]:
    """What is timed of a form, by what and pictures at once, and sentences on what it cannot do.

    Args:
        image: (H, W, 3) uint8. picture: the same as a file.
    """
    small = shrunk(image, LONGEST)
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    refused: list[str] = []
    plain, views = viewed(segmenter)
    for size in dict.fromkeys((1, *batches)):
        network = _network_call(plain, small, size)
        if network is None:
            break
        try:
            network()
        except Exception as error:  # runtimes fail with errors of many types
            if size == 1:
                raise
            refused.append(f"no {size} images at once ({first_sentence(error)})")
            continue
        calls[NETWORK, size] = _repeated(network, views)
    calls[SEGMENT, 1] = lambda: segment_in_bounded_memory(segmenter.segment, image)
    calls[FILE, 1] = lambda: _file_to_file(segmenter, picture)
    for what, call in frame_calls(segmenter, small).items():
        calls[what, 1] = call
    return calls, refused


def _file_to_file(segmenter: Segmenter, picture: Path) -> None:
    alpha = segment_in_bounded_memory(segmenter.segment, read_rgb(picture))
    write_png(picture.with_suffix(".png"), np.rint(alpha * 255).astype(np.uint8))


def _repeated(call: Callable[[], object], times: int) -> Callable[[], object]:
    """A call that makes another so many times."""
    return call if times == 1 else lambda: [call() for _ in range(times)]


def _network_call(segmenter: Segmenter, image: UInt8Array, size: int) -> Callable[[], object] | None:
    """The network alone on `size` pictures at once, as it is fed; None where there is none."""
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    if isinstance(segmenter, OnnxSegmenter):
        array = segmenter.prepared(picture)[0].numpy()
        if size == 1:
            return lambda: segmenter.graph.run(array)
        many = np.repeat(array[None], size, axis=0)
        return lambda: segmenter.graph.run_batch(many)
    form = _as_graph(segmenter)
    if form is None:
        return None
    resized = resize(picture, form.spec.input_size(*image.shape[:2]), form.spec.resample)
    given = with_prior(resized, None) if segmenter.stateful else resized
    laid = given.repeat(size, 1, 1, 1).contiguous(memory_format=form.layout)

    @torch.no_grad()
    def run() -> Tensor:
        alpha: Tensor = form.graph(laid)
        return alpha

    return run


def _as_graph(segmenter: Segmenter) -> GraphSegmenter | None:
    """The plain network with its normalisation before it, as the graphs of other forms have it."""
    if isinstance(segmenter, GraphSegmenter):
        return segmenter
    spec = getattr(segmenter, "input_spec", None)
    if not isinstance(spec, InputSpec) or segmenter.never_exported:
        return None
    graph = InferenceGraph(segmenter.inference_network(), spec, segmenter.stateful).eval()
    return GraphSegmenter(graph, spec, prior=segmenter.stateful)
