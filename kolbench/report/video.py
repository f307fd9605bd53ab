"""Tables of portraits in video: ours beside those that the PDNet paper prints."""

from collections.abc import Mapping

from kolbench.report import published
from kolbench.report.clips import NOT_THE_THRESHOLD
from kolbench.report.layout import NOT_RUN, Cell, Row, Table, table
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.portrait import FPS_THREADS
from kolbench.report.published import ABLATIONS, VIDEOS, Ablation, Video, share
from kolbench.runs.benchmark import Benchmark
from kolbench.runs.record import RunRecord
from kolbench.types import FLOW, REFERENCE

NAME, TITLE = "portrait_video", "Video portraits: our scores and the PDNet paper's"
ABLATION_NAME, ABLATION_TITLE = (
    "pdnet_ablation",
    "PDNet: ablation of parts, losses and reference frames",
)
# sets of the paper
SETS = ("mvps", "pphumanseg14k")
SCORES = ("j_and_f", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay")
ABLATED = ("j_and_f", "j_mean", "f_mean")
PDNET = "pdnet"
# smoothing that shows a frame once it knows the next one
ONE_FRAME_DELAY = "ofd"


def portraits_in_video(numbers: Numbers) -> Table:
    """`portrait_video`: a row for each run with scores of clips, and the paper's rows that none of them is.

    Empty unless a method of the paper is among them, or the clips are of one of its sets.
    """
    runs = [run for run in numbers.runs if run.run.record.video]
    methods = {row.method for row in VIDEOS if row.method}
    asked = any(run.run.method in methods or run.run.record.data in SETS for run in runs)
    if not asked:
        return table(NAME, TITLE, [], [])
    known = {row.method: row for row in VIDEOS if row.method}
    rows: list[Row] = [(run.heading, _cells(run, numbers, known.get(run.run.method))) for run in runs]
    here = {run.run.method for run in runs}
    absent = [row for row in VIDEOS if row.method not in here]
    rows += [(NOT_RUN, {"method": row.row, **_printed(row)}) for row in absent]
    return table(NAME, TITLE, rows, _notes())


def ablations(numbers: Numbers) -> Table:
    """`pdnet_ablation`: the rows of the paper's Tables 3 to 5, each with the run that has its settings."""
    runs = [run for run in numbers.runs if run.run.method == PDNET and run.run.record.video]
    if not runs:
        return table(ABLATION_NAME, ABLATION_TITLE, [], [])
    rows: list[Row] = [("", _ablated(row, runs)) for row in ABLATIONS]
    notes = [
        f"A run stands in the row that has its settings; means over its test clips. {NOT_THE_THRESHOLD}",
        f"(paper): {published.ABLATION_SOURCE}, with ResNet-50. Other clips and backbones: not comparable "
        "digit by digit.",
    ]
    return table(ABLATION_NAME, ABLATION_TITLE, rows, notes)


def _cells(run: RunNumbers, numbers: Numbers, row: Video | None) -> dict[str, Cell]:
    record = run.run.record
    return {
        "method": run.label,
        "set": record.data,
        **{name: record.video.get(name) for name in SCORES},
        **_speed_cells(numbers.benchmarks.get(run.label)),
        "looks ahead": _look_ahead(record),
        "parameters": record.parameters or None,
        **_printed(row),
    }


def _speed_cells(found: Benchmark | None) -> dict[str, Cell]:
    """Frames a second at two threads, with all that is found for one, and milliseconds of its flow."""
    speed = None if found is None else found.speed(FPS_THREADS)
    return {
        "FPS": None if speed is None else 1000 / speed.in_clip.median_ms,
        "flow ms": None if speed is None or speed.flow is None else speed.flow.median_ms,
    }


def _look_ahead(record: RunRecord) -> str:
    """How much of what comes later a frame is scored with."""
    if REFERENCE in record.input_keys:
        return "whole clip"
    return "1 frame" if FLOW in record.input_keys or record.smooth == ONE_FRAME_DELAY else "no"


def _printed(row: Video | None) -> dict[str, Cell]:
    values = (None,) * len(SCORES) if row is None else (row.j_and_f, *row.j, *row.f)
    cells = {f"{name} MVPS (paper)": share(value) for name, value in zip(SCORES, values, strict=True)}
    second = row.pphumanseg if row is not None and row.pphumanseg is not None else (None, None, None)
    return {
        **cells,
        **{f"{name} PP-HumanSeg (paper)": share(value) for name, value in zip(ABLATED, second, strict=True)},
        "FPS (paper)": None if row is None else row.fps,
    }


def _ablated(row: Ablation, runs: list[RunNumbers]) -> dict[str, Cell]:
    found = next((run for run in runs if _has(run.run.model, row.settings)), None)
    printed = (row.j_and_f, row.j, row.f)
    return {
        "table": row.table,
        "row": row.row,
        "run": None if found is None else found.label,
        **{name: None if found is None else found.run.record.video.get(name) for name in ABLATED},
        **{f"{name} (paper)": share(value) for name, value in zip(ABLATED, printed, strict=True)},
        "FPS (paper)": row.fps,
    }


def _has(model: Mapping[str, object], settings: Mapping[str, object]) -> bool:
    """Whether a `model` group has settings, lists in any order."""
    return all(key in model and _plain(model[key]) == _plain(value) for key, value in settings.items())


def _plain(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value


def _notes() -> list[str]:
    return [
        f"J, F, their recall and decay: means over clips. {NOT_THE_THRESHOLD}",
        f"(paper): {published.VIDEO_SOURCE}. Other clips, backbones and training unless 'set' says so: not "
        "comparable digit by digit. Methods without a run can enter as masks (experiment=masks).",
        "FPS: frames of a clip per second by task=benchmark, from memory to alpha at two threads, flow "
        "included. flow ms: of the flow alone. Empty without a benchmark.",
        "looks ahead: the later frames that are known when a frame is scored. 'whole clip' is impossible in "
        "live video, so its FPS are with earlier frames only.",
        "parameters: of the network at inference, training heads included.",
    ]
