"""The tables of families: scores that one community prints, with an interval behind each."""

from collections.abc import Mapping, Sequence

from kolbench.metrics import scores
from kolbench.metrics.score import SHARE, Score
from kolbench.report.intervals import Interval, difference_intervals, mean_intervals
from kolbench.report.layout import BASELINES, Cell, Row, Table, definitions, table
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.words import is_share, percent, percent_range, score_name
from kolbench.runs.method_names import shown_label

TITLES = {
    "saliency": "Salient object detection scores",
    "boundary": "Boundary scores",
    "matting": "Matting errors",
}
# in front of the others; the first one is what a sentence is about
LEADING = ("s_measure", "weighted_f", "boundary_iou", "sad")
# numbers of pictures, of which neither more nor fewer are better
COUNTS = ("mba_images",)
INTERVAL = "95 %: confidence interval of the mean over groups (videos, or single images)."
# label -> interval of a score, of the runs that have it
Intervals = Mapping[str, Interval]


def families(numbers: Numbers) -> list[Table]:
    """`saliency`, `boundary` and `matting`, each where a run has a score of it that no other table shows."""
    return [family_table(numbers, name) for name in TITLES if _columns(numbers, name)]


def family_table(numbers: Numbers, family: str) -> Table:
    """A row for each run, a column for each score of the family that a run has."""
    shown = _columns(numbers, family)
    intervals = {score.name: _intervals(numbers, score) for score in shown}
    rows: list[Row] = [(run.heading, _cells(run, shown, intervals)) for run in numbers.runs]
    rows += [
        (BASELINES, {"method": name, **{score.name: _cell(score, row) for score in shown}})
        for name, row in numbers.recorded_baselines.items()
        if any(score.name in row for score in shown)
    ]
    lacking = any(score.name not in run.means for run in numbers.runs for score in shown)
    notes = [
        "Means over the test images, at each run's own threshold where a score depends on one.",
        _directions(shown),
        *definitions(score.name for score in shown),
        *([] if numbers.too_few_groups else [INTERVAL]),
        *(["Empty: not computed for this run; task=score adds it."] if lacking else []),
    ]
    return table(family, TITLES[family], rows, notes)


def leaders(numbers: Numbers, family: str) -> list[str]:
    """A sentence on the family's first score: the best mean of the fully automatic methods, if of several."""
    shown = _columns(numbers, family)
    if not shown:
        return []
    first = shown[0]
    methods = [run for run in numbers.comparison.compared if not run.is_baseline]
    found = {run.label: numbers.of[run.label].means.get(first.name) for run in methods}
    known = {label: value for label, value in found.items() if value is not None}
    if len(known) < 2 or len(known) < len(found):
        return []
    pick = max if first.higher_is_better else min
    best = pick(known, key=lambda label: known[label])
    interval = _intervals(numbers, first)[best]
    word = "Highest" if first.higher_is_better else "Lowest"
    name = shown_label(best, numbers.of[best].run.method)
    return [f"{word} {score_name(first.name)}: {name}, {_in_words(first, known[best], interval)}."]


def _columns(numbers: Numbers, family: str) -> list[Score]:
    """The family's scores that a run has, `LEADING` ones first; none where the main table shows them all."""
    had = {name for run in numbers.runs for name in run.means}
    found = [score for score in scores.family_scores(family) if score.name in had]
    found.sort(key=lambda score: LEADING.index(score.name) if score.name in LEADING else len(LEADING))
    return found if any(not score.shown for score in found) else []


def _cells(run: RunNumbers, shown: Sequence[Score], intervals: Mapping[str, Intervals]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {"method": run.label}
    for score in shown:
        cells[score.name] = _cell(score, run.means)
        if any(found.known for found in intervals[score.name].values()):
            interval = intervals[score.name].get(run.label)
            cells[f"{score.name} 95 %"] = _ends(interval).strip() or None
    return cells


def _cell(score: Score, means: Mapping[str, float]) -> Cell:
    value = means.get(score.name)
    return round(value) if value is not None and score.name in COUNTS else value


def _intervals(numbers: Numbers, score: Score) -> Intervals:
    """Of the runs that have the score for each picture; values of a whole set have none."""
    if score.per_image is None or score.pooled is not None:
        return {}
    values = {run.label: run.images[score.name] for run in numbers.runs if score.name in run.means}
    groups = numbers.comparison.groups
    if score.bounds == SHARE:
        return mean_intervals(values, groups)
    return difference_intervals(values, groups, bounds=score.bounds)


def _directions(shown: Sequence[Score]) -> str:
    parts = [
        f"{word} is better: {', '.join(names)}."
        for word, high in (("Higher", True), ("Lower", False))
        if (names := [s.name for s in shown if s.higher_is_better == high and s.name not in COUNTS])
    ]
    return " ".join(parts)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"


def _in_words(score: Score, value: float, interval: Interval | None) -> str:
    """Shares in per cent, errors as they are, with the interval in brackets where it is known."""
    if not is_share(score.name):
        return f"{_number(value)}{_ends(interval)}"
    if interval is None or not interval.known:
        return f"{percent(value)} %"
    return f"{percent(value)} % (95 % CI {percent_range(interval)})"


def _ends(interval: Interval | None) -> str:
    if interval is None or not interval.known:
        return ""
    return f" [{_number(interval.low)}, {_number(interval.high)}]"
