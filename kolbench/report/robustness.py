"""What corrupted test pictures cost: tables by corruption and severity, and lines over severity."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kolbench.config.schema import CORRUPTIONS, CROP, SEVERITIES
from kolbench.report import drawing, labels
from kolbench.report.drawing import Entry, Figure, Style
from kolbench.report.intervals import difference_intervals
from kolbench.report.labels import Named
from kolbench.report.layout import Cell, Row, Table, definitions, table
from kolbench.report.numbers import Numbers, RunNumbers

SCORES = ("miou", "product_recall")
_PANEL = 1.85  # inches
_KINDS = (
    "jpeg, blur, noise, dark, resize, social change the image alone; crop cuts image and ground truth alike. "
    "Severities from 1 to 5 are defined in kolbench/data/corruptions.py."
)
_THRESHOLDS = (
    "Each run at its own threshold. Only test images are corrupted: thresholds were tuned on clean images."
)


class Condition(NamedTuple):
    """What happened to the test pictures."""

    kind: str
    severity: int

    def __str__(self) -> str:
        return f"{self.kind} {self.severity}"


class Method(NamedTuple):
    """A method's runs: on pictures as they are, where there is one, and by what happened to them."""

    name: str
    clean: RunNumbers | None
    corrupted: dict[Condition, RunNumbers]

    @property
    def any_run(self) -> RunNumbers:
        """One of those on corrupted pictures."""
        return next(iter(self.corrupted.values()))

    def value(self, condition: Condition, score: str) -> float | None:
        """Its mean score on corrupted pictures; None = there is no such run."""
        run = self.corrupted.get(condition)
        return None if run is None else run.means.get(score)

    def loss(self, condition: Condition, score: str) -> float | None:
        """By how many points that is below its score on pictures as they are; None = not known."""
        value = self.value(condition, score)
        clean = None if self.clean is None else self.clean.means.get(score)
        return None if value is None or clean is None else 100 * (clean - value)


def methods(numbers: Numbers) -> list[Method]:
    """The methods that were scored on corrupted pictures, by name; of runs alike, the newest counts."""
    clean = {run.run.clean_label: run for run in _oldest_first(numbers.runs) if condition_of(run) is None}
    found: dict[str, dict[Condition, RunNumbers]] = {}
    for run in _oldest_first(numbers.corrupted):
        if (condition := condition_of(run)) is not None:
            found.setdefault(run.run.clean_label, {})[condition] = run
    return [Method(name, clean.get(name), found[name]) for name in sorted(found)]


def condition_of(run: RunNumbers) -> Condition | None:
    """What happened to its test pictures; None = nothing."""
    record = run.run.record
    return None if record.severity is None else Condition(record.corrupt, record.severity)


def conditions(found: Iterable[Method]) -> list[Condition]:
    """All that any of the methods met, in the order of `CORRUPTIONS`, mild ones first."""
    known = {condition for method in found for condition in method.corrupted}
    return sorted(known, key=lambda condition: (CORRUPTIONS.index(condition.kind), condition.severity))


def robustness(numbers: Numbers) -> Table:
    """`robustness`: a row for each method and score, a column for each corruption and severity."""
    found = methods(numbers)
    met = conditions(found)
    rows: list[Row] = []
    for score in SCORES:
        having = [method for method in found if _has(method, score)]
        rows += [(method.any_run.heading, _values(method, score, met)) for method in having]
        compared = [method for method in having if method.clean is not None]
        rows += [(method.any_run.heading, _losses(method, score, met)) for method in compared]
    notes = [
        "clean: images as they are. Other columns: the same images after a corruption of that severity.",
        "loss: percentage points below the score on clean images. Empty: there is no such run.",
        *definitions(SCORES),
        _THRESHOLDS,
        _KINDS,
    ]
    return table("robustness", "Robustness: scores on corrupted images", rows, notes)


def corrupted(numbers: Numbers) -> Table:
    """`corrupted`: a row for each run on corrupted pictures, with the interval of what it loses."""
    met = [(method, condition) for method in methods(numbers) for condition in conditions([method])]
    losses = {
        method.corrupted[condition].label: method.clean.images["miou"]
        - method.corrupted[condition].images["miou"]
        for method, condition in met
        if method.clean is not None
    }
    intervals = difference_intervals(losses, numbers.comparison.groups) if losses else {}
    rows: list[Row] = []
    for method, condition in met:
        run = method.corrupted[condition]
        found = intervals.get(run.label)
        known = found is not None and found.known
        cells: dict[str, Cell] = {
            "method": run.label,
            "threshold": run.run.threshold,
            "threshold from": run.run.record.threshold_from,
            "miou": run.means["miou"],
            "iou": run.means["iou"],
            "product_recall": run.means.get("product_recall"),
            "miou, loss": None if found is None else 100 * found.value,
            "low": 100 * found.low if found and known else None,
            "high": 100 * found.high if found and known else None,
        }
        rows.append((run.heading, cells))
    notes = [
        "loss: percentage points of miou below the same method on the same images, clean.",
        "low, high: 95 % confidence interval of that loss over groups. Empty: too few groups for one.",
        *definitions(["miou", "iou", "product_recall"]),
        _THRESHOLDS,
        _KINDS,
    ]
    return table("corrupted", "Runs on corrupted images", rows, notes)


@drawing.rules()
def severities(numbers: Numbers) -> Figure | None:
    """mIoU over severity, axes for each corruption, a line for each method; None without such runs."""
    found = methods(numbers)
    if not found:
        return None
    kinds = list(dict.fromkeys(condition.kind for condition in conditions(found)))
    chosen, called = _styles(numbers, found), _called(found)
    beside = len(found) <= labels.MOST
    entries = [] if beside else [Entry(chosen[method.name], called[method.name]) for method in found]
    axes = drawing.grid(len(kinds), max(_PANEL, labels.height(len(found)) + 0.6), entries)
    for number, (panel, kind) in enumerate(zip(axes, kinds, strict=True)):
        for method in found:
            line = _line(method, kind)
            style = chosen[method.name]
            panel.plot([*line], [100 * value for value in line.values()], **(style.point() | style.line()))
        panel.set_title(kind)
        panel.set_xticks(range(SEVERITIES + 1))
        panel.set_xlim(-0.4, SEVERITIES + 0.2)
        panel.set_ylabel("" if number % 2 else "mIoU (%)")
        # the lowest of its column
        panel.set_xlabel("severity" if number >= len(kinds) - 2 else "")
    at_the_right = [
        pair for number, pair in enumerate(zip(axes, kinds, strict=True)) if number % 2 or len(kinds) == 1
    ]
    labels.at_line_ends({panel: _named(found, kind, chosen, called) for panel, kind in at_the_right})
    cut = " crop cuts image and ground truth alike." if CROP in kinds else ""
    beside_all = " Names stand at the right of each row." if beside and len(kinds) > 1 else ""
    return drawing.finish_axes(
        axes[0],
        "robustness",
        "mIoU on corrupted test images",
        f"Mean over the test images by severity; 0: without corruption.{cut}{beside_all} Each run at its own "
        "threshold.",
    )


def _named(
    found: list[Method], kind: str, chosen: Mapping[str, Style], called: Mapping[str, str]
) -> list[Named]:
    """Methods at the ends of their lines of a corruption."""
    lines = {method.name: _line(method, kind) for method in found}
    ends = {name: max(line.items()) for name, line in lines.items() if line}
    return [
        Named(called[name], chosen[name], severity, 100 * value) for name, (severity, value) in ends.items()
    ]


def _called(found: list[Method]) -> dict[str, str]:
    """Method's name -> what it is called in the figure."""
    shown = drawing.unlike({method.name: method.any_run.run.method for method in found})
    return {
        method.name: f"{shown[method.name]}{drawing.HELP[method.any_run.run.truth_access]}"
        for method in found
    }


def _has(method: Method, score: str) -> bool:
    """Whether a score is of anything: that of products, where any are labelled."""
    return score != "product_recall" or any(run.has_product.any() for run in method.corrupted.values())


def _values(method: Method, score: str, met: list[Condition]) -> dict[str, Cell]:
    clean = None if method.clean is None else method.clean.means.get(score)
    after = {str(condition): method.value(condition, score) for condition in met}
    return {"method": method.name, "score": score, "clean": clean, **after}


def _losses(method: Method, score: str, met: list[Condition]) -> dict[str, Cell]:
    after = {str(condition): method.loss(condition, score) for condition in met}
    return {"method": method.name, "score": f"{score}, loss", "clean": None, **after}


def _line(method: Method, kind: str) -> dict[int, float]:
    """Severity -> mIoU, 0 being pictures as they are; empty where the kind was not tried."""
    found = {
        condition.severity: run.means["miou"]
        for condition, run in sorted(method.corrupted.items(), key=lambda item: item[0])
        if condition.kind == kind
    }
    return {0: method.clean.means["miou"], **found} if found and method.clean is not None else found


def _styles(numbers: Numbers, found: list[Method]) -> dict[str, Style]:
    """By a method's name: as its run on pictures as they are is drawn in all figures, where there is one."""
    known = drawing.styles(numbers)
    return {
        method.name: drawing.nth_style(len(known) + place)
        if method.clean is None
        else known[method.clean.label]
        for place, method in enumerate(found)
    }


def _oldest_first(runs: Iterable[RunNumbers]) -> list[RunNumbers]:
    return sorted(runs, key=lambda run: run.run.record.started)
