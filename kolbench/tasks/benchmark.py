"""`task=benchmark`: what a method costs on this machine, in the form that predicts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from kolbench.config.compose import build_segmenter
from kolbench.config.groups import ModelConfig
from kolbench.config.schema import NO_TTA, TaskResult
from kolbench.errors import ConfigError, require_choice
from kolbench.inference import benchmark, machine
from kolbench.inference.apply.config import MethodConfig
from kolbench.inference.apply.loading import holds_network, refuse_options
from kolbench.inference.backends import UNCHANGED
from kolbench.inference.export.exported import open_exported
from kolbench.inference.forms import CHANNELS_LAST, FORMS
from kolbench.inference.timing import Rule
from kolbench.io import progress
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.run import as_released, load_into, model_of
from kolbench.models.mirrored import viewed, with_tta
from kolbench.report.words import DASH
from kolbench.runs.benchmark import BENCHMARK, Benchmark, Form, MeasuredOn, Spread
from kolbench.runs.method_names import shown_name
from kolbench.segmenter import Segmenter
from kolbench.tasks.scoring import below_method

if TYPE_CHECKING:
    from rich.table import Table

# as in conf/task/benchmark.yaml: on one core the 2 is left out
DEFAULT_THREADS = ("1", "2", "all")
RANDOM = "random weights"
FINDS = "its time depends on what it finds in an image, so random weights say little: give weights="
SEED = 0
# columns of a terminal that has room for the spread of the network's own times
WIDE = 112
SPREAD = f"5{DASH}95 %"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class BenchmarkConfig(MethodConfig):
    """What `task=benchmark` reads.

    threads: numbers of threads, or all. picture: height and width in pixels. warm_up: rounds that are not
    counted. repeats, max_repeats, within, max_seconds: see inference.timing.Rule. backend: of FORMS, compared
    with the first; `auto` is no form that could be named in a table. batch: pictures that the network alone
    is given at once. tta: one of schema.TTA.
    """

    threads: tuple[str, ...]
    picture: tuple[int, ...]
    warm_up: int
    repeats: int
    max_repeats: int
    within: float
    max_seconds: float
    backend: tuple[str, ...]
    batch: tuple[int, ...]
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
    for form in config.backend:
        require_choice("backend", form, FORMS)
    threads = thread_counts(config.threads, machine.cores())
    height, width = config.picture
    method = _method(config)

    def opened() -> Segmenter:
        return with_tta(method.opened(), config.tta)

    segmenter = opened()
    _require_picture_only(segmenter, method.name)
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    sizes = benchmark.sizes_of(segmenter, (height, width))
    rule = Rule(config.repeats, max(config.repeats, config.max_repeats), config.within, config.max_seconds)
    with progress.bar(f"measuring {method.name}", config.warm_up + rule.most) as advance:
        measured = benchmark.measure(
            opened,
            benchmark.drawn_picture(height, width),
            threads,
            list(dict.fromkeys(config.backend)),
            config.warm_up,
            rule,
            config.batch,
            advance,
        )
    speeds = measured.speeds
    found = Benchmark(
        method=method.name,
        weights=method.weights,
        backend=quoted_form([speed.backend for speed in speeds]),
        picture=(height, width),
        warm_up=config.warm_up,
        repeats=measured.rounds,
        speeds=speeds,
        machine=measured.machine,
        model={} if method.model is None else _settings(method.model),
        input=sizes.input,
        training=sizes.training,
        deployed=sizes.deployed,
        tta=config.tta,
        notes=(*measured.notes, *([FINDS] if method.weights == RANDOM and _finds(segmenter) else [])),
        started=started,
        ratios=measured.ratios,
        memory=measured.memory,
        within=config.within,
    )
    folder = below_method(config.paths, config.model.name, method.name).run
    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder / BENCHMARK)
    print_benchmark(found)
    print(f"results in {folder / BENCHMARK}", flush=True)
    quoted = [speed for speed in speeds if speed.backend == found.backend]
    figures = {f"segment_ms_{speed.threads}": speed.segment.median_ms for speed in quoted}
    return TaskResult(figures=figures, folder=folder)


def quoted_form(forms: Sequence[str]) -> str:
    """The form whose speed reports quote: what any method can have, so that methods are compared alike."""
    return CHANNELS_LAST if CHANNELS_LAST in forms else forms[0]


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
    from rich.text import Text

    twice = "" if found.tta == NO_TTA else f", tta={found.tta}"
    lines = [
        f"{shown_name(found.method)}, {found.weights}{twice}",
        *_machine_lines(found.machine),
        *_form_lines(found),
        *_memory_lines(found),
        f"energy: {_energy(found)}",
        *found.notes,
    ]
    print("\n".join(lines))
    console = Console(highlight=False)
    height, width = found.picture
    name = shown_name(found.method)
    # a file's name may hold what would be markup
    console.print(Text(f"\n{name}: milliseconds for an image of {width}x{height} px", "bold"))
    console.print(_times(found, spread=console.width >= WIDE))
    if found.ratios:
        first = _ran(found.speeds[0].backend)
        console.print(Text(f"times as fast as {first}, with 95 % CI", "bold"))
        console.print(_ratio_table(found))
    console.print(_legend(found))


def _table() -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("form", no_wrap=True)
    table.add_column("threads", justify="right", no_wrap=True)
    return table


def _times(found: Benchmark, spread: bool) -> "Table":
    """spread: whether there is room for that of the network's times."""
    table = _table()
    sizes = list(dict.fromkeys(each.size for speed in found.speeds for each in speed.batches))
    clips = any(speed.frame is not None for speed in found.speeds)
    for column in (
        *("network", *([SPREAD] if spread else [])),
        *(f"each of batch {size}" for size in sizes),
        *("end to end", SPREAD, "file to file", "FPS"),
        *(("frame of a clip", "flow of it") if clips else ()),
    ):
        table.add_column(column, justify="right", no_wrap=" " not in column or column == SPREAD)
    for speed in found.speeds:
        network = ("-", "-") if speed.network is None else _cells(speed.network)
        each = {many.size: f"{many.network.median_ms / many.size:.2f}" for many in speed.batches}
        fps = f"{1000 / speed.segment.median_ms:.2f}"
        of_clip = [_median(speed.frame), _median(speed.flow)] if clips else []
        table.add_row(
            _ran(speed.backend),
            str(speed.threads),
            *(network if spread else network[:1]),
            *(each.get(size, "-") for size in sizes),
            *_cells(speed.segment),
            _median(speed.file),
            fps,
            *of_clip,
        )
    return table


def _ratio_table(found: Benchmark) -> "Table":
    table = _table()
    whats = list(dict.fromkeys((ratio.what, ratio.batch) for ratio in found.ratios))
    for what, batch in whats:
        name = benchmark.WORDS.get(what, what)
        table.add_column(name if batch == 1 else f"{name}, batch of {batch}", justify="right")
    rows = list(dict.fromkeys((ratio.backend, ratio.threads) for ratio in found.ratios))
    known = {(r.backend, r.threads, r.what, r.batch): r for r in found.ratios}
    for backend, threads in rows:
        cells = (known.get((backend, threads, *what)) for what in whats)
        words = ("-" if r is None else f"{r.ratio:.2f} ({r.low:.2f}{DASH}{r.high:.2f})" for r in cells)
        table.add_row(_ran(backend), str(threads), *words)
    return table


def _legend(found: Benchmark) -> str:
    parts = [
        f"median of {_rounds(found.repeats)} after {found.warm_up} to warm up, {SPREAD}: of these rounds",
        "end to end: from the image in memory to its alpha",
        "file to file: from a JPEG on a warm disk to the alpha as PNG",
    ]
    if any(speed.frame is not None for speed in found.speeds):
        parts.append("frame of a clip: flow and what is kept of earlier frames included")
    return "; ".join(parts)


def _rounds(number: int) -> str:
    return f"{number} round{'' if number == 1 else 's'}"


def _machine_lines(on: MeasuredOn) -> list[str]:
    load = "unknown" if on.load is None else f"{on.load:.2f}"
    during = "" if on.load_during is None else f", at most {on.load_during:.2f} meanwhile"
    clock = NOT_MEASURED
    if on.clock_low_mhz is not None and on.clock_high_mhz is not None:
        clock = f"{on.clock_low_mhz:.0f} to {on.clock_high_mhz:.0f} MHz"
    versions = ", ".join(f"{name} {number}" for name, number in on.versions.items())
    lines = [
        f"{on.cpu}, {on.cores} cores, clock {clock}, load {load} when it began{during}",
        versions,
    ]
    if on.busy:
        used = "" if on.others is None else f" ({on.others:.1f} of them on average)"
        lines.append(f"other programs use the cores too{used}: it is faster on a quiet machine")
    return lines


def _memory_lines(found: Benchmark) -> list[str]:
    needed = ", ".join(f"{_ran(form)} {size / 2**20:.0f} MiB" for form, size in found.memory.items())
    return [f"memory of one run, beyond the weights: {needed or NOT_MEASURED}"]


def _energy(found: Benchmark) -> str:
    parts = [
        f"{_ran(speed.backend)}, {speed.threads} thread{'s' if speed.threads > 1 else ''}: "
        f"{speed.segment.joules:.2f} J"
        for speed in found.speeds
        if speed.segment.joules is not None
    ]
    return f"{'; '.join(parts)} per image, of the whole processor" if parts else NOT_MEASURED


def _cells(spread: Spread) -> tuple[str, str]:
    low, high = spread.p5_ms, spread.p95_ms
    return f"{spread.median_ms:.2f}", "-" if low is None or high is None else f"{low:.2f}{DASH}{high:.2f}"


def _finds(segmenter: Segmenter) -> bool:
    """Whether its work depends on the picture: a detector's does."""
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

    return isinstance(viewed(segmenter)[0].inference_network(), GeneralizedRCNN)


def _median(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median_ms:.2f}"


def _ran(backend: str) -> str:
    return "as it is" if backend == UNCHANGED else backend


def _form_lines(found: Benchmark) -> list[str]:
    at = "" if found.input is None else f" at {found.input[1]}x{found.input[0]} px"
    forms = (("in training", found.training), ("deployed", found.deployed))
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
        raise ConfigError(f"{name} needs more than the image, which is all that task=benchmark has.")
