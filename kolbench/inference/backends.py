"""The fastest way to run a method here that gives the same alphas: tried on a picture."""

import copy
import importlib.util
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from kolbench.errors import ConfigError, require_choice
from kolbench.inference.export import parity
from kolbench.inference.export.exporting import example_of
from kolbench.inference.export.formats import format_of
from kolbench.inference.export.graph import GraphSegmenter, Network, network_of
from kolbench.inference.folding import folded
from kolbench.models.mirrored import Mirrored
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, UInt8Array

BACKENDS = ("auto", "eager", "compiled", "onnx")
UNCHANGED = "unchanged"
# as an exported file, see kolbench.inference.export.parity
BOUND = 1e-3
# with `auto`, fewer are predicted by the plain network: folding and trying it takes longer than it saves
FEWEST_PICTURES = 8
# of the plain network; below it ONNX Runtime saves less than writing, opening and timing its file costs
ONNX_PAYS_ABOVE_S = 20.0
ROUNDS = 2
LONE = "onnx on one thread"
# a network that one thread runs in less gains little from a second, which waits at each of its layers
LIGHT_S = 0.04


class Prepared(NamedTuple):
    """A method made fast.

    segmenter: gives the same alphas within 1e-3; its predictions hold alpha alone. backend: `eager` (folded
    or plain), `compiled` or `onnx`; `unchanged` where the method came back as it was given. notes: sentences
    on what was asked for and did not work. seconds: of one picture, by what was timed. alpha: (H, W) float32,
    what `segmenter` gave for the picture that it was tried on; None = it was not tried.
    """

    segmenter: Segmenter
    backend: str
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = MappingProxyType({})
    alpha: Float32Array | None = None


def prepare(
    segmenter: Segmenter,
    device: torch.device,
    picture: UInt8Array,
    backend: str = "auto",
    pictures: int | None = None,
    in_pipeline: bool = False,
) -> Prepared:
    """Finds the fastest form of a method on a device.

    `eager` is the folded form: batch norms folded, maps channels last. `onnx` (on the CPU) and `compiled`
    (torch.compile: 50 to 100 s for these networks on a CPU, once per picture shape) are used where they work.
    `auto` takes the faster of the folded form and, on a CPU where it is installed and enough is to be done,
    ONNX Runtime; it never compiles, and with fewer than FEWEST_PICTURES pictures returns the plain network,
    not folded, as `eager`. Whatever does not work, or differs from the method by more than 1e-3, is left out.

    Args:
        segmenter: with its weights; it is not changed. Methods without a network of this kind come back as
            they are: classic ones, ONNX files, Mask R-CNN. One with tta=flip still looks twice.
        device: where to predict.
        picture: (H, W, 3) uint8, of the size and kind that will follow.
        backend: one of BACKENDS.
        pictures: how many will follow; None = not known, many.
        in_pipeline: whether pictures are read, made and written beside it. Then ONNX Runtime runs a light
            network on one thread, and leaves the other cores to them.

    Raises:
        ConfigError: the backend is none of BACKENDS.
    """
    require_choice("backend", backend, BACKENDS)
    if isinstance(segmenter, Mirrored):
        views = pictures and 2 * pictures
        found = prepare(segmenter.segmenter, device, picture, backend, views, in_pipeline)
        return found._replace(segmenter=Mirrored(found.segmenter), alpha=None)
    try:
        network = network_of(segmenter)
    except ConfigError:
        notes = () if backend in ("auto", "eager") else (f"backend={backend} is for networks only.",)
        return Prepared(segmenter, UNCHANGED, notes)
    plain = copy.deepcopy(segmenter).to(device).eval()
    if backend == "auto" and pictures is not None and pictures < FEWEST_PICTURES:
        return Prepared(plain, "eager")
    race = Race(plain, picture)
    race.enter("folded", lambda: _folded(network, device))
    if _onnx_is_tried(backend, device, race.first_s, pictures):
        _enter_onnx(race, network, in_pipeline and torch.get_num_threads() > 1)
    if backend == "onnx" and device.type != "cpu":
        race.notes.append(f"backend=onnx runs on the CPU only; on {device} eager is used.")
    if backend == "compiled":
        race.enter("compiled", lambda: _compiled(network, device))
    return race.result(backend)


class Race:
    """Forms of one method, run in turn on one picture, so that they share what else the machine does.

    Args:
        plain: the method itself, whose alpha is right.
        picture: (H, W, 3) uint8.
    """

    def __init__(self, plain: Segmenter, picture: UInt8Array) -> None:
        self._picture = picture
        self._runners: dict[str, Segmenter] = {"plain": plain}
        started = time.perf_counter()
        self._alphas = {"plain": plain.segment(picture)}
        # of the first run, which is slower than those after it: memory is had, kernels are chosen
        self.first_s = time.perf_counter() - started
        self.notes: list[str] = []

    def enter(self, name: str, build: Callable[[], Segmenter]) -> None:
        """Adds a form if it can be built and agrees; a note says why not."""
        try:
            runner = build()
            alpha = runner.segment(self._picture)
            gaps = [alpha - self._alphas["plain"]]
            if runner.stateful:
                forms = (runner, self._runners["plain"])
                gaps.append(np.subtract(*(parity.alpha_of(form, self._picture) for form in forms)))
            difference = float(np.abs(gaps).max())
            # NaN is no agreement
            if not difference <= BOUND:
                raise ConfigError(f"its alpha differs by {difference:.1e}.")
            self._runners[name], self._alphas[name] = runner, alpha
        except Exception as error:  # compilers and runtimes fail with errors of many types
            text = (str(error) or type(error).__name__).strip().splitlines()[0]
            self.notes.append(f"{name} is not used: {text}")

    def seconds_of(self, name: str) -> float:
        """Of one picture; infinite where the form did not enter."""
        return self._seconds([name])[name] if name in self._runners else math.inf

    def result(self, backend: str) -> Prepared:
        """What agrees and was asked for, else the fastest of what agrees; the plain network comes last.

        A form on one thread that is light comes before the same form on all.
        """
        agreeing = [name for name in self._runners if name != "plain"] or ["plain"]
        named = [name for name in agreeing if _backend_of(name) == backend] or agreeing
        seconds = {} if len(named) == 1 else self._seconds(named)
        if seconds.get(LONE, math.inf) < LIGHT_S:
            seconds = {name: taken for name, taken in seconds.items() if name != "onnx"}
        best = min(seconds or named, key=lambda name: seconds.get(name, 0))
        notes = tuple(self.notes)
        return Prepared(self._runners[best], _backend_of(best), notes, seconds, self._alphas[best])

    def _seconds(self, names: Sequence[str]) -> dict[str, float]:
        rounds = [{name: self._timed(name) for name in names} for _ in range(ROUNDS)]
        return {name: min(times[name] for times in rounds) for name in names}

    def _timed(self, name: str) -> float:
        started = time.perf_counter()
        self._runners[name].segment(self._picture)
        return time.perf_counter() - started


def _backend_of(name: str) -> str:
    return "onnx" if name == LONE else name if name in BACKENDS else "eager"


def _onnx_is_tried(backend: str, device: torch.device, seconds: float, pictures: int | None) -> bool:
    if device.type != "cpu" or backend not in ("auto", "onnx"):
        return False
    if backend == "onnx":
        return True
    installed = all(importlib.util.find_spec(package) for package in ("onnx", "onnxruntime"))
    return installed and (pictures is None or pictures * seconds > ONNX_PAYS_ABOVE_S)


def _glimpse(network: Network) -> torch.Tensor:
    """(1, 3 or 4, h, w), grey: enough to see who follows whom, a fraction of the input size's cost."""
    multiple = network.spec.multiple
    return torch.full((1, 3 + network.prior, 4 * multiple, 5 * multiple), 0.5)


def deployed_graph(network: Network) -> nn.Module:
    """The graph that `eager` runs: branches merged and batch norms folded, on the CPU."""
    return folded(network.graph, _glimpse(network))


def _folded(network: Network, device: torch.device) -> Segmenter:
    graph = deployed_graph(network).to(memory_format=torch.channels_last)
    return (
        GraphSegmenter(graph, network.spec, network.postprocess, network.prior, channels_last=True)
        .to(device)
        .eval()
    )


def _compiled(network: Network, device: torch.device) -> Segmenter:
    graph = deployed_graph(network).to(device)
    compiled = torch.compile(graph)
    return GraphSegmenter(compiled, network.spec, network.postprocess, network.prior).to(device).eval()


def _enter_onnx(race: Race, network: Network, lone: bool) -> None:
    """Enters ONNX Runtime's form on all threads and, where asked for and light enough, on one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"

        def opened(threads: int | None) -> Segmenter:
            # ONNX Runtime reads all of the file at once
            return format_of("onnx").open(path, {**network.feeding, "threads": threads}, torch.device("cpu"))

        def written() -> Segmenter:
            format_of("onnx").write(network.graph, example_of(network), path, True)
            return opened(None)

        race.enter("onnx", written)
        if lone and race.seconds_of("onnx") < LIGHT_S:
            race.enter(LONE, lambda: opened(1))
