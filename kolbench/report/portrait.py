"""The table of portraits in real time: cost beside scores, ours beside those that the RCRNet paper prints."""

from collections.abc import Mapping

from kolbench.metrics import scores
from kolbench.report import published
from kolbench.report.layout import (
    NOT_MEASURED,
    NOT_RUN,
    Cell,
    Row,
    Table,
    definitions,
    scaled,
    size_in_words,
    table,
)
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.published import PORTRAITS, Portrait
from kolbench.runs.benchmark import Benchmark, Spread
from kolbench.types import PORTRAITNET

NAME = "portrait"
TITLE = "Real-time portraits: cost and scores"
# as in the paper; a run's own threshold is in the other tables
THRESHOLD = 0.5
THREADS = (1, 2)
FPS_THREADS = 2


def portraits(numbers: Numbers) -> Table:
    """`portrait`: a row for each run of a method that the RCRNet paper's tables have, and its other rows."""
    methods = {row.method for row in PORTRAITS}
    runs = [run for run in numbers.runs if run.run.method in methods]
    if not runs:
        return table(NAME, TITLE, [], [])
    rows: list[Row] = [(run.heading, _cells(run, numbers.benchmarks.get(run.label))) for run in runs]
    here = {found.row for run in runs if (found := row_of(run.run.method, run.run.model)) is not None}
    absent = [row for row in PORTRAITS if row.row not in here]
    rows += [(NOT_RUN, {"method": row.method, **_published(row)}) for row in absent]
    return table(NAME, TITLE, rows, _notes(runs[0].run.record.eval_protocol))


def row_of(method: str, model: Mapping[str, object]) -> Portrait | None:
    """The paper's row of a network, by its `model` group; None: none, or with other settings."""
    return next((row for row in PORTRAITS if row.method == method and _is_published(row, model)), None)


def fps(found: Benchmark | None) -> float | None:
    """Pictures per second, from memory to alpha, at two threads; None where that was not measured."""
    speed = None if found is None else found.speed(FPS_THREADS)
    return None if speed is None else 1000 / speed.segment.median_ms


def _is_published(row: Portrait, model: Mapping[str, object]) -> bool:
    return all(key in model and model[key] == value for key, value in row.settings.items())


def _cells(run: RunNumbers, found: Benchmark | None) -> dict[str, Cell]:
    means = scores.mean_scores(run.counts, THRESHOLD)
    return {
        "method": run.label,
        "iou": means["iou"],
        "miou": means["miou"],
        **_published(row_of(run.run.method, run.run.model)),
        **_form_cells(found),
        **_speed_cells(found),
        "measured": None if found is None else circumstances(found),
    }


def _published(row: Portrait | None) -> dict[str, Cell]:
    return {
        "row (paper)": row and row.row,
        "iou EG1800 (paper)": published.share(row and row.eg1800),
        "iou P3M-500-P (paper)": published.share(row and row.p3m500p),
        "iou P3M-500-NP (paper)": published.share(row and row.p3m500np),
        "M parameters (paper)": row and row.parameters,
        "MMACs (paper)": row and row.mmacs,
    }


def _form_cells(found: Benchmark | None) -> dict[str, Cell]:
    """Of both forms; the counts of a run that was not benchmarked are not known."""
    training, deployed = (None, None) if found is None else (found.training, found.deployed)
    return {
        "parameters in training": None if training is None else training.parameters,
        "parameters deployed": None if deployed is None else deployed.parameters,
        "MMACs of convolutions in training": None if training is None else scaled(training.conv_macs, 1e6),
        "MMACs of convolutions deployed": None if deployed is None else scaled(deployed.conv_macs, 1e6),
        "MMACs in all deployed": None if deployed is None else scaled(deployed.macs, 1e6),
        "input": None if found is None else size_in_words(found.input),
    }


def _speed_cells(found: Benchmark | None) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for threads in THREADS:
        speed = None if found is None else found.speed(threads)
        name = f"{threads} thread{'s' if threads > 1 else ''}"
        cells[f"network ms, {name}"] = _median(None if speed is None else speed.network)
        cells[f"ms, {name}"] = _median(None if speed is None else speed.segment)
    return cells


def _notes(eval_protocol: str) -> list[str]:
    protocol = "" if eval_protocol == PORTRAITNET else " and another protocol (eval_protocol=portraitnet)"
    return [
        f"iou, miou: at threshold {THRESHOLD} for all. iou is what papers on portraits call mIoU.",
        *definitions(["iou", "miou"]),
        f"(paper): {published.PORTRAIT_SOURCE}. Other images, other training{protocol} than ours: not "
        "comparable digit by digit. MMACs (paper): printed as FLOPs, in millions.",
        "parameters, MMACs, ms: by the last task=benchmark of the same method and settings. "
        f"{NOT_MEASURED.capitalize()}, or empty: there is none with so many threads, or the run has a "
        "refiner.",
        "in training: with the heads that only training needs; deployed: without them, branches merged and "
        "batch norms folded.",
        "MMACs of convolutions: Conv2d layers only, as the paper counts; in all: with transposed "
        "convolutions and linear layers. Both at the size of 'input' (height x width).",
        "ms: median milliseconds of one image, from memory to alpha at the image's size; network ms: of the "
        "network alone.",
        *published.PORTRAIT_NOTES,
    ]


def circumstances(found: Benchmark) -> str:
    """How a benchmark was made, for a cell."""
    machine = found.machine
    load = "" if machine.load is None else f", load {machine.load:.2f}"
    load += ", busy with other programs" if machine.busy else ""
    where = f"{machine.cpu}, {machine.cores} cores{load}, torch {machine.torch}"
    return f"{size_in_words(found.picture)}, {found.backend}, {found.repeats} runs, {where}"


def _median(found: Spread | None) -> Cell:
    return NOT_MEASURED if found is None else found.median_ms
