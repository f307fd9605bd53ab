"""`task=benchmark`: what a method costs on this machine, in the form that predicts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from kolbench.config.compose import build_segmenter
from kolbench.config.groups import ModelConfig
from kolbench.config.schema import NO_TTA, TaskResult
from kolbench.errors import ConfigError, require_choice
from kolbench.inference import benchmark
from kolbench.inference.apply.config import MethodConfig
from kolbench.inference.apply.loading import holds_network, refuse_options
from kolbench.inference.backends import BACKENDS, UNCHANGED
from kolbench.inference.export.exported import open_exported
from kolbench.io import progress
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.run import as_released, load_into, model_of
from kolbench.models.mirrored import viewed, with_tta
from kolbench.runs.benchmark import BENCHMARK, Benchmark, Form, MeasuredOn, Spread
from kolbench.segmenter import Segmenter
from kolbench.tasks.scoring import below_method

# `auto` takes what a race finds faster, which is no form that could be named in a table
MEASURED_BACKENDS = tuple(backend for backend in BACKENDS if backend != "auto")
# as in conf/task/benchmark.yaml: on one core the 2 is left out
DEFAULT_THREADS = ("1", "2", "all")
RANDOM = "random weights"
FINDS = "its time depends on what it finds in a picture, so random weights say little: give weights="
SEED = 0
TABLE_WIDTH = 100
# load per core above which times are hardly those of the method
BUSY = 0.5


@dataclass(frozen=True)
class BenchmarkConfig(MethodConfig):
    """What `task=benchmark` reads.

    threads: numbers of threads, or all. picture: height and width in pixels. warm_up: runs of each that are
    not counted. repeats: runs of each that are. backend: one of MEASURED_BACKENDS. tta: one of schema.TTA.
    """

    threads: tuple[str, ...]
    picture: tuple[int, ...]
    warm_up: int
    repeats: int
    backend: str
    tta: str


class Method(NamedTuple):
    """What is measured. model: None for an exported file. opened: makes it, with its weights."""

    name: str
    weights: str
    model: ModelConfig | None
    opened: Callable[[], Segmenter]


def run(config: BenchmarkConfig) -> TaskResult:
    """Measures one method, prints a table and writes `benchmark.json` into the run folder.

    Raises:
        KolbenchError: the weights do not fit, or the method needs more than a picture.
        ConfigError: more threads than cores, or a backend that cannot run the method.
    """
    require_choice("backend", config.backend, MEASURED_BACKENDS)
    threads = thread_counts(config.threads, benchmark.cores())
    height, width = config.picture
    method = _method(config)

    def opened() -> Segmenter:
        return with_tta(method.opened(), config.tta)

    segmenter = opened()
    _require_picture_only(segmenter, method.name)
    machine, started = benchmark.this_machine(), time.strftime("%Y-%m-%dT%H:%M:%S%z")
    sizes = benchmark.sizes_of(segmenter, (height, width))
    with progress.bar(f"measuring {method.name}", config.warm_up + config.repeats) as advance:
        speeds, ran, notes = benchmark.speeds_of(
            opened,
            benchmark.drawn_picture(height, width),
            threads,
            config.backend,
            config.warm_up,
            config.repeats,
            advance,
        )
    found = Benchmark(
        method=method.name,
        weights=method.weights,
        backend=ran,
        picture=(height, width),
        warm_up=config.warm_up,
        repeats=config.repeats,
        speeds=speeds,
        machine=machine,
        model={} if method.model is None else _settings(method.model),
        input=sizes.input,
        training=sizes.training,
        deployed=sizes.deployed,
        tta=config.tta,
        notes=(*notes, *([FINDS] if method.weights == RANDOM and _finds(segmenter) else [])),
        started=started,
    )
    folder = below_method(config.paths, config.model.name, method.name).run
    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder / BENCHMARK)
    print_benchmark(found)
    print(f"results in {folder / BENCHMARK}", flush=True)
    figures = {f"segment_ms_{speed.threads}": speed.segment.median_ms for speed in speeds}
    return TaskResult(figures=figures, folder=folder)


def thread_counts(asked: tuple[str, ...], cores: int) -> list[int]:
    """Numbers of threads in the order of the command, each once; `all` = every core.

    Raises:
        ConfigError: more than there are cores.
    """
    counts = [cores if count == "all" else int(count) for count in asked]
    if asked == DEFAULT_THREADS:
        counts = [count for count in counts if count <= cores]
    if max(counts) > cores:
        raise ConfigError(f"threads={max(counts)}: this process may use {cores} cores; more would only wait.")
    return list(dict.fromkeys(counts))


def print_benchmark(found: Benchmark) -> None:
    """Sizes and speeds for a reader."""
    from rich.console import Console
    from rich.table import Table

    twice = "" if found.tta == NO_TTA else f", tta={found.tta}"
    lines = [
        f"{found.method}, {found.weights}, {_ran(found.backend)}{twice}, torch {found.machine.torch}",
        *_machine_lines(found.machine),
        *_form_lines(found),
        *found.notes,
    ]
    height, width = found.picture
    table = Table(title=f"{found.method}: milliseconds for a picture of {width}x{height} px")
    table.add_column("threads", justify="right")
    for column in ("network", "10 to 90 %", "end to end", "10 to 90 %", "FPS"):
        table.add_column(column, justify="right", no_wrap=True)
    clips = any(speed.frame is not None for speed in found.speeds)
    if clips:
        for column in ("frame of a clip", "flow of it"):
            table.add_column(column, justify="right", no_wrap=True)
    for speed in found.speeds:
        network = ("-", "-") if speed.network is None else _cells(speed.network)
        fps = f"{1000 / speed.segment.median_ms:.2f}"
        of_clip = [_median(speed.frame), _median(speed.flow)] if clips else []
        table.add_row(str(speed.threads), *network, *_cells(speed.segment), fps, *of_clip)
    print("\n".join(lines))
    console = Console()
    Console(width=max(console.width, TABLE_WIDTH)).print(table)
    print(
        f"median of {found.repeats} runs after {found.warm_up} that are not counted; end to end: from the "
        "picture in memory to its alpha, no file read or written"
        + ("; frame of a clip: with what is kept of frames before, and flow, in it" if clips else "")
    )


def _machine_lines(machine: MeasuredOn) -> list[str]:
    load = "unknown" if machine.load is None else f"{machine.load:.2f}"
    lines = [f"{machine.cpu}, {machine.cores} cores, load {load} when it began"]
    if machine.load is not None and machine.cores and machine.load > BUSY * machine.cores:
        lines.append("other programs use the cores too: on a quiet machine it is faster")
    return lines


def _cells(spread: Spread) -> tuple[str, str]:
    return f"{spread.median_ms:.2f}", f"{spread.p10_ms:.2f} to {spread.p90_ms:.2f}"


def _finds(segmenter: Segmenter) -> bool:
    """Whether its work depends on the picture: a detector's does."""
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

    return isinstance(viewed(segmenter)[0].inference_network(), GeneralizedRCNN)


def _median(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median_ms:.2f}"


def _ran(backend: str) -> str:
    return "as it is" if backend == UNCHANGED else f"backend {backend}"


def _form_lines(found: Benchmark) -> list[str]:
    at = "" if found.input is None else f" at {found.input[1]}x{found.input[0]} px"
    forms = (("as it is trained", found.training), ("deployed", found.deployed))
    return [f"{name}: {_described(form)}{at}" for name, form in forms if form is not None]


def _described(form: Form) -> str:
    parts = [f"{form.parameters:,} parameters"]
    for macs, what in ((form.conv_macs, "MMACs of convolutions"), (form.macs, "MMACs in all")):
        if macs is not None:
            parts.append(f"{macs / 1e6:,.1f} {what}")
    return ", ".join(parts)


def _method(config: BenchmarkConfig) -> Method:
    """The method that the command names, with weights or without."""
    asked, typed = config.weights, config.invocation.typed_keys
    if asked is not None and not named.is_name(asked) and holds_network(asked):
        refuse_options(config)
        return Method(asked.name, str(asked), None, lambda: open_exported(asked, "cpu"))
    model, weights = named.resolved(config.model, asked, typed)
    if weights is not None:
        model = model_of(model, weights, typed)
    elif asked is None:
        # at its own paper's size, for which its operations are published
        model = as_released(model, typed)
    model = model.without_backbone()

    def opened() -> Segmenter:
        torch.manual_seed(SEED)
        segmenter: Segmenter = build_segmenter(model).eval()
        if weights is not None:
            load_into(segmenter, weights)
        return segmenter

    return Method(model.name, _said(asked, model), model, opened)


def _said(asked: Path | None, model: ModelConfig) -> str:
    if asked is not None:
        return str(asked)
    if model.training is not None:
        return RANDOM
    file = model.options.get("file")
    return str(file) if file is not None else "no weights of its own"


def _settings(model: ModelConfig) -> dict[str, object]:
    return {key: value for key, value in model.to_mapping().items() if key != "training"}


def _require_picture_only(segmenter: Segmenter, name: str) -> None:
    if not segmenter.works_on_pictures:
        raise ConfigError(f"{name} needs more than the picture, which is all that task=benchmark has.")
