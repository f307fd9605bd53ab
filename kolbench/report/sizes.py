"""The RSUDISNet paper's table of sizes and speeds, with ours."""

from kolbench.report import published
from kolbench.report.layout import NOT_MEASURED, NOT_RUN, Cell, Row, Table, scaled, size_in_words, table
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.portrait import FPS_THREADS, circumstances, fps
from kolbench.runs.benchmark import Benchmark
from kolbench.runs.record import CostRecord, TrainingSummary

RECORDED_SECONDS = "seconds of the scoring pass, not a speed"


def size_and_speed(numbers: Numbers) -> Table:
    """`table1`: the RSUDISNet paper's table 1; a speed of ours only where there is a benchmark."""
    known = {label: found for label, found in numbers.benchmarks.items() if fps(found) is not None}
    rows: list[Row] = [
        (run.heading, _size_cells(run, known.get(run.label), bool(known))) for run in numbers.runs
    ]
    rows += [
        (NOT_RUN, {"method": name, **_published_size(name)}) for name in numbers.not_run(published.SIZES)
    ]
    notes = [
        "parameters: of the network at inference, a refiner's included; those of an ONNX file are not known.",
        "checkpoint kKB: its state dict at 32 bits, bytes / 1024 / 1000, the unit in which the paper's "
        "172, 26 and 30 'MB' agree.",
        "GMACs: counted by PyTorch on one image of the size 'counted at' (height x width, before the method "
        "resizes it), a refiner's included. Empty for ONNX files and for methods without a network.",
        "input: height x width of the training images.",
        *_speed_notes(bool(known)),
        f"{RECORDED_SECONDS}: median per test image on the device of 'scored on', whatever else ran there; "
        "not comparable. Empty where there is a benchmark.",
        "peak MiB: peak memory of one prediction, weights included.",
        f"(paper): {published.SIZE_SOURCE}.",
    ]
    return table("table1", "Table 1: size and speed", rows, notes)


def _speed_notes(measured: bool) -> list[str]:
    if not measured:
        return [f"FPS: {NOT_MEASURED}; task=benchmark measures it."]
    return [
        f"FPS: 1000 / median milliseconds of one image, from memory to alpha, at {FPS_THREADS} CPU threads, "
        f"by the last task=benchmark of the same method and settings. {NOT_MEASURED.capitalize()}: there is "
        "no benchmark with so many threads, or the run has a refiner.",
        "FPS: with batch norms folded and channels last, where that was measured; fastest: in the fastest "
        "form that was measured. measured on: how FPS was measured.",
    ]


def _size_cells(run: RunNumbers, found: Benchmark | None, measured: bool) -> dict[str, Cell]:
    """measured: whether any run has a benchmark, so that there are columns for it."""
    record = run.run.record
    cost, trained = record.cost or CostRecord(), record.training or TrainingSummary()
    return {
        "method": run.label,
        "parameters": record.parameters,
        "checkpoint kKB": scaled(cost.checkpoint, 1024 * 1000),
        "GMACs": scaled(cost.macs, 1e9),
        "counted at": size_in_words(cost.picture),
        "input": size_in_words(trained.input_size),
        "FPS": fps(found) or NOT_MEASURED,
        **(_fastest_cells(found) if measured else {}),
        RECORDED_SECONDS: run.recorded_seconds if found is None else None,
        "scored on": run.run.timed_on,
        "peak MiB": scaled(cost.memory, 1024**2),
        **_published_size(run.run.method),
    }


def _fastest_cells(found: Benchmark | None) -> dict[str, Cell]:
    speed = None if found is None else found.fastest(FPS_THREADS)
    return {
        "FPS, fastest": None if speed is None else 1000 / speed.segment.median_ms,
        "fastest form": None if speed is None or found is None else speed.backend or found.backend,
        "measured on": None if found is None else circumstances(found),
    }


def _published_size(method: str) -> dict[str, Cell]:
    size = published.SIZES.get(method)
    return {
        "parameters (paper)": size and size.parameters,
        "checkpoint 'MB' (paper)": size and size.checkpoint,
        "input (paper)": size and size.input,
        "FPS (paper)": size and size.fps,
    }
