"""`benchmark.json`: what a method costs on one machine, as `task=benchmark` measured it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from kolbench.config.schema import NO_TTA
from kolbench.errors import DataError
from kolbench.io.files import write_json
from kolbench.runs.record import of_mapping

BENCHMARK = "benchmark.json"
VERSION = 3
# of version 1, which called the form so that is `channels_last` today
_OLD_FORM, _NEW_FORM = "eager", "channels_last"
# keys of a `model` group that only training, or only what is thrown away of a picture's result, knows
FREE_OF_COST = frozenset(
    (
        *("_target_", "recipe", "training", "backbone_weights", "loss", "edge_weight", "consistency_weight"),
        *("temperature", "comp_loss", "mask_mean", "boundary_gain", "lambda_s", "lambda_d", "lambda_alpha"),
        *("lambda_f", "scale_jitter", "components", "box_samples"),
        *("gt_mid", "gt_encoder_mode", "gt_lr", "gt_max_steps", "gt_check_every", "gt_stop_f"),
        *("losses", "wbce", "wbce_cap", "l1_weight", "target_weight", "reference_weight", "part_halving"),
        *("lambda_orth", "area_variance", "sem_form", "sem_extractor", "sem_weights"),
    )
)


@dataclass(frozen=True)
class Form:
    """A network as it is trained, or as it is put to work.

    parameters: their number. conv_macs: multiply-accumulates of Conv2d layers alone, for one picture at the
    network's input size; macs: with transposed convolutions, linear layers and products of matrices; None for
    methods whose operations depend on what they find.
    """

    parameters: int
    conv_macs: int | None = None
    macs: int | None = None


@dataclass(frozen=True)
class Spread:
    """Milliseconds of all repeats.

    median_ms; p5_ms, p95_ms: percentiles. low_ms, high_ms: the 95 % interval of the median. repeats: their
    number. joules: mean energy of one, of the whole processor. None: not measured, or a file of version 1,
    which has p10_ms and p90_ms in their place.
    """

    median_ms: float
    p5_ms: float | None = None
    p95_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    repeats: int | None = None
    joules: float | None = None
    p10_ms: float | None = None
    p90_ms: float | None = None


@dataclass(frozen=True)
class Batched:
    """Of the network alone on `size` pictures at once; milliseconds of all of them together."""

    size: int
    network: Spread


@dataclass(frozen=True)
class Speed:
    """Of one picture in one form with so many threads.

    network: the network alone, on its own input; None where a method has none. segment: from the picture in
    memory to its alpha at the picture's size. frame: the next frame of a clip, with what is kept of frames
    before and the flow that is found for it; None where a frame is a picture like any other. flow: that flow
    alone; None where none is read. file: from a JPEG on a warm disk to the alpha written as PNG. backend: the
    form; "" = the benchmark's. batches: of several pictures at once.
    """

    threads: int
    segment: Spread
    network: Spread | None = None
    frame: Spread | None = None
    flow: Spread | None = None
    file: Spread | None = None
    backend: str = ""
    batches: tuple[Batched, ...] = ()

    @property
    def in_clip(self) -> Spread:
        """Of a frame of a clip."""
        return self.frame or self.segment


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the first form another is, by the medians of rounds in which both ran.

    what: network, segment, file, frame or flow; batch: pictures at once. low, high: 95 % bootstrap interval.
    """

    backend: str
    threads: int
    what: str
    batch: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class MeasuredOn:
    """The machine.

    cpu: its model. torch: version; versions: of all libraries. load: average of the last minute, when it
    began; load_during: the largest meanwhile. clock_low_mhz, clock_high_mhz: mean clock of the cores, the
    lowest and the highest seen after a round. others: cores that other programs used meanwhile, on average.
    busy: whether they were in the way. None: not known.
    """

    cpu: str = ""
    cores: int | None = None
    torch: str = ""
    load: float | None = None
    load_during: float | None = None
    clock_low_mhz: float | None = None
    clock_high_mhz: float | None = None
    others: float | None = None
    busy: bool | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """What one method costs.

    method: its name. model: the `model` group without `training`; empty for an exported file. weights: as the
    command gave them, or `random weights`. backend: the form that reports quote, see inference.forms:
    channels_last where it was measured, else the first; unchanged for methods without a network. picture,
    input: height and width in pixels of the picture and of what the network sees; None without a network.
    training, deployed: its two forms. tta: `flip` where it looks twice at a picture, which operations and
    milliseconds count. notes: sentences on what was not as asked. repeats: counted rounds. ratios: of the
    other forms to the first. memory: form -> bytes that one run end to end needs beyond the weights and all
    else that the opened form holds, at the first number of threads. within: the share of a median that its
    95 % interval had to lie in.
    """

    method: str
    weights: str
    backend: str
    picture: tuple[int, ...]
    warm_up: int
    repeats: int
    speeds: tuple[Speed, ...]
    machine: MeasuredOn
    model: Mapping[str, object] = field(default_factory=dict)
    input: tuple[int, ...] | None = None
    training: Form | None = None
    deployed: Form | None = None
    tta: str = NO_TTA
    notes: tuple[str, ...] = ()
    started: str = ""
    ratios: tuple[Ratio, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    within: float | None = None

    def write(self, path: Path) -> None:
        """Writes the file, atomically."""
        write_json(path, {"version": VERSION, **asdict(self)})

    def speed(self, threads: int, backend: str | None = None) -> Speed | None:
        """What was measured with so many threads, in one form; None = that of `backend`."""
        wanted = backend or self.backend
        of_form = (speed for speed in self.speeds if (speed.backend or self.backend) == wanted)
        return next((speed for speed in of_form if speed.threads == threads), None)

    def fastest(self, threads: int) -> Speed | None:
        """The form with the smallest median of a whole picture; None: nothing with so many threads."""
        found = [speed for speed in self.speeds if speed.threads == threads]
        return min(found, key=lambda speed: speed.segment.median_ms, default=None)


def read(path: Path) -> Benchmark:
    """A `benchmark.json`.

    Raises:
        DataError: the file is missing or damaged, or was written by a newer kolbench.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it.") from error
    version = values.get("version") if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise DataError(f"{path} is damaged (it holds no version); remove it.")
    if version > VERSION:
        raise DataError(f"{path} has version {version}; this kolbench knows up to {VERSION}: update it.")
    if version == 1 and values.get("backend") == _OLD_FORM:
        values["backend"] = _NEW_FORM
    if version < 3:
        # they counted what opening a form takes, of the forms before it too
        values.pop("memory", None)
    try:
        return of_mapping(Benchmark, values, path)
    except TypeError as error:
        raise DataError(f"{path} is damaged ({error}); remove it.") from error


def below(roots: Iterable[Path]) -> list[Benchmark]:
    """All benchmarks in folders, at any depth, oldest first.

    Raises:
        DataError: a file is damaged.
    """
    files = dict.fromkeys(path.resolve() for root in roots for path in sorted(root.rglob(BENCHMARK)))
    return sorted((read(path) for path in files), key=lambda found: _moment(found.started))


def cost_settings(model: Mapping[str, object]) -> dict[str, object]:
    """The keys of a `model` group that decide what a prediction costs: all but those of `FREE_OF_COST`."""
    return {key: value for key, value in model.items() if key not in FREE_OF_COST}


def latest_of(
    benchmarks: Sequence[Benchmark], method: str, model: Mapping[str, object], tta: str = NO_TTA
) -> Benchmark | None:
    """The last one of a method with the same settings, as far as they cost anything; None: there is none.

    A key that one of them lacks is newer than it, and counts as off.

    Args:
        benchmarks: in any order.
        model: the `model` group of a run; an empty one fits nothing. tta: of the run.
    """
    wanted = _switched_on(model)
    alike = (each for each in benchmarks if (each.method, each.tta) == (method, tta))
    fitting = (each for each in alike if _switched_on(each.model) == wanted)
    return max(fitting, key=lambda each: _moment(each.started), default=None) if model else None


def _switched_on(model: Mapping[str, object]) -> dict[str, object]:
    # 0 is a setting of its own
    return {
        key: value for key, value in cost_settings(model).items() if value is not None and value is not False
    }


def _moment(started: str) -> float:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return 0.0
