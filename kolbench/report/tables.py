"""The tables of the report: the papers' own, scores with intervals, differences, seeds, cost of training.

All scores come from `kolbench.metrics.scores`, all intervals from `kolbench.report.statistics`.
"""

from collections.abc import Iterator, Mapping, Sequence

from kolbench.metrics import scores
from kolbench.metrics.score import registered
from kolbench.report import layout, published
from kolbench.report.background import backgrounds
from kolbench.report.breakdowns import products, scenarios
from kolbench.report.clips import clips, videos
from kolbench.report.families import families
from kolbench.report.intervals import TOO_FEW, fewest_groups
from kolbench.report.layout import (
    BASELINES,
    METHODS,
    NOT_RUN,
    Cell,
    Row,
    Table,
    definitions,
    table,
)
from kolbench.report.licences import licences, seen
from kolbench.report.numbers import POOLED_F, Numbers, RunNumbers, numbers_of
from kolbench.report.portrait import portraits
from kolbench.report.robustness import corrupted, robustness
from kolbench.report.sentences import images_in_words
from kolbench.report.sizes import size_and_speed
from kolbench.report.statistics import Difference, across_seeds
from kolbench.report.test_set import pictures
from kolbench.report.video import ablations, portraits_in_video
from kolbench.report.words import counted, listed
from kolbench.runs.finished import Comparison
from kolbench.runs.record import TrainingSummary
from kolbench.types import NATIVE, PORTRAITNET

__all__ = ["Table", "all_tables"]

TABLE_2 = ("miou", "acc", "f0.3_pooled", "f0.09_pooled")
# eval_protocol -> what is scored
TRUTHS = {
    NATIVE: "the binary mask at each image's own size",
    PORTRAITNET: (
        f"squares of 224 px with a smoothed binary mask (eval_protocol={PORTRAITNET}), as in PortraitNet's "
        "released code: comparable with published numbers, whose headline is 'iou'"
    ),
}
# in this order, and after them whatever other score is registered as shown
HEADLINE = ("iou", "acc", *POOLED_F, "f1", "mae", "product_recall")
NO_DIFFERENCE = "no significant difference"
OWN_THRESHOLD = "Each run at its own threshold, tuned on validation images or fixed by the command."
INTERVAL = "low, high: 95 % confidence interval over groups (videos, or single images)."
DIFFERENCE_INTERVAL = (
    "low, high: 95 % confidence interval of the difference over groups (videos, or single images)."
)
POOLED_INTERVAL = "In brackets: 95 % confidence interval of the pooled score before it, over groups too."


def all_tables(comparison: Comparison) -> list[Table]:
    """Every table that the runs give, most important first; a table without a row is left out."""
    numbers = numbers_of(comparison)
    builders = (
        *(headline, differences, size_and_speed, portraits, backgrounds, thresholds),
        *(seeds, scenarios, products, robustness, corrupted, videos, portraits_in_video, ablations),
        *(clips, training, pictures, licences),
    )
    main, *others = (builder(numbers) for builder in builders)
    return [found for found in (main, *families(numbers), *others) if len(found.frame)]


def headline(numbers: Numbers) -> Table:
    """`scores`: every method at its own threshold."""
    shown = _shown(numbers)
    low = [name for name in shown if not registered()[name].higher_is_better]
    rows = [(run.heading, _headline_cells(numbers, run, shown)) for run in numbers.runs]
    baselines = [
        (BASELINES, _baseline_cells(name, row, shown)) for name, row in numbers.recorded_baselines.items()
    ]
    notes = [
        OWN_THRESHOLD,
        *definitions(["miou"]),
        *_interval_notes(numbers, INTERVAL),
        *definitions(shown),
        f"Lower is better: {listed(low)}. Higher is better: all other scores.",
        *([] if numbers.too_few_groups else [POOLED_INTERVAL]),
        *definitions(["both_empty"]),
        "oracle threshold, oracle miou: the threshold with the highest mIoU on the test images themselves, "
        "as some papers choose it. It has seen the ground truth and is no headline.",
        *seen(numbers),
        *(["Baselines without an interval: only their means were recorded."] if baselines else []),
        _truth_note(numbers),
    ]
    return table("scores", "All scores", rows + baselines, notes)


def _shown(numbers: Numbers) -> list[str]:
    """`HEADLINE`, and the other scores that are registered as shown and that a run has."""
    others = (score.name for score in scores.all_scores() if score.shown and score.name not in HEADLINE)
    return [*HEADLINE, *(name for name in others if any(name in run.means for run in numbers.runs))]


def _headline_cells(numbers: Numbers, run: RunNumbers, shown: Sequence[str]) -> dict[str, Cell]:
    found = numbers.miou[run.label]
    oracle, oracle_miou = run.best
    return {
        "method": run.label,
        "threshold": run.run.threshold,
        "threshold from": run.run.record.threshold_from,
        "miou": run.means["miou"],
        "low": found.low,
        "high": found.high,
        **({} if found.known else {"miou of each group": layout.listed(numbers.miou_by_group[run.label])}),
        **_score_cells(numbers, run, shown),
        "pictures": round(run.means["images"]),
        "both_empty": round(run.means["both_empty"]),
        "oracle threshold": oracle,
        "oracle miou": oracle_miou,
    }


def _score_cells(numbers: Numbers, run: RunNumbers, shown: Sequence[str]) -> dict[str, Cell]:
    """The scores that are shown, pooled ones with their intervals behind them."""
    cells: dict[str, Cell] = {}
    for name in shown:
        cells[name] = run.means.get(name)
        if name in POOLED_F:
            cells |= _pooled_cells(numbers, name, run.label)
    return cells


def _pooled_cells(numbers: Numbers, name: str, label: str) -> dict[str, Cell]:
    if numbers.too_few_groups:
        return {f"{name} of each group": layout.listed(numbers.pooled_by_group[name][label])}
    found = numbers.pooled[name][label]
    return {f"{name} 95 %": f"[{found.low:.4f}, {found.high:.4f}]" if found.known else None}


def _interval_notes(numbers: Numbers, definition: str) -> list[str]:
    """How the interval is made, or that there is none."""
    if not numbers.too_few_groups:
        return [definition]
    groups = len(set(numbers.comparison.groups))
    return [
        f"low, high: {TOO_FEW}: {groups} of at least {fewest_groups()}. The columns 'of each group' list "
        "the groups (videos, or single images) one by one."
    ]


def _baseline_cells(name: str, row: Mapping[str, float], shown: Sequence[str]) -> dict[str, Cell]:
    return {
        "method": name,
        "threshold": row["threshold"],
        "threshold from": "validation",
        "miou": row["miou"],
        **{score: row.get(score) for score in shown},
        "pictures": round(row["images"]),
        "both_empty": round(row["both_empty"]),
    }


def differences(numbers: Numbers) -> Table:
    """`differences`: all pairs of fully automatic methods and baselines, each training once."""
    rows: list[Row] = [
        (
            METHODS,
            {
                "A": found.a,
                "B": found.b,
                "miou A - B": found.interval.value,
                "low": found.interval.low,
                "high": found.interval.high,
                **_each_difference(numbers, found),
                "p": found.p,
                "p Holm": found.p_holm,
                "verdict": {"a better": f"{found.a} better", "b better": f"{found.b} better"}.get(
                    found.verdict, NO_DIFFERENCE
                ),
            },
        )
        for found in numbers.differences
    ]
    notes = [
        f"Mean difference in miou on {images_in_words(numbers.comparison)}. {OWN_THRESHOLD}",
        *definitions(["miou"]),
        *_interval_notes(numbers, DIFFERENCE_INTERVAL),
        "p: paired permutation test over groups, two-sided. p Holm: Holm-corrected over the "
        f"{counted(len(rows), 'pair')} of this table.",
        "verdict: significant where p Holm is below 0.05 and the interval excludes 0.",
        "Methods that use ground truth are not compared.",
        *numbers.stand_ins,
    ]
    return table("differences", "Pairwise differences", rows, notes)


def _each_difference(numbers: Numbers, found: Difference) -> dict[str, Cell]:
    if found.interval.known:
        return {}
    a, b = (numbers.miou_by_group[label] for label in (found.a, found.b))
    return {"A - B of each group": layout.listed({group: a[group] - b[group] for group in a}, sign="+")}


def thresholds(numbers: Numbers) -> Table:
    """`table2`: the RSUDISNet paper's table 2, a row per method and threshold."""
    rows = [(run.heading, cells) for run in numbers.runs for cells in _threshold_cells(run)]
    for method in numbers.not_run(published.SCORES):
        rows += [
            (NOT_RUN, {"method": method, "threshold": at, **_published_point(method, at)})
            for at in published.SCORES[method]
        ]
    notes = [
        "threshold: the same for all methods, instead of their own ones.",
        *definitions(TABLE_2),
        "The paper's F has 'beta = 0.3' in a formula with beta squared: f0.09_pooled by the letter, "
        "f0.3_pooled by the custom of the field.",
        f"(paper): {published.SCORES_SOURCE}. Other images than ours: not comparable digit by digit.",
        _truth_note(numbers),
    ]
    return table("table2", "Table 2: scores by threshold", rows, notes)


def _threshold_cells(run: RunNumbers) -> Iterator[dict[str, Cell]]:
    for row, threshold in enumerate(scores.THRESHOLDS):
        yield {
            "method": run.label,
            "threshold": threshold,
            **{name: float(run.curve[name][row]) for name in TABLE_2},
            **_published_point(run.run.method, threshold),
        }


def _published_point(method: str, threshold: float) -> dict[str, Cell]:
    point = published.SCORES.get(method, {}).get(threshold)
    return {
        "miou (paper)": point and point.miou,
        "acc (paper)": point and point.acc,
        "F (paper)": point and point.f_beta,
    }


def seeds(numbers: Numbers) -> Table:
    """`seeds`: runs that differ in nothing but the seed."""
    rows: list[Row] = []
    for family, runs in numbers.families.items():
        if len({run.run.seed for run in runs}) < 2:
            continue
        found = across_seeds([run.means["miou"] for run in runs])
        cells: dict[str, Cell] = {
            "method": family,
            "seeds": ", ".join(str(seed) for seed in sorted({run.run.seed for run in runs})),
            "runs": found.n,
            "miou mean": found.mean,
            "miou sd": found.deviation,
            "miou min": found.lowest,
            "miou max": found.highest,
        }
        rows.append((runs[0].heading, cells))
    notes = [
        "Mean, sample standard deviation (n - 1), lowest and highest miou over runs that differ in the seed "
        "only. This spread is not part of the intervals, which are over test images.",
        OWN_THRESHOLD,
        *definitions(["miou"]),
    ]
    return table("seeds", "Spread over seeds", rows, notes)


def training(numbers: Numbers) -> Table:
    """`training`: what was trained, how long, and how much higher training images score."""
    trained = [run for run in numbers.runs if run.run.record.training]
    whole = any(run.training_miou is not None for run in trained)
    rows: list[Row] = [(run.heading, _training_cells(run, whole)) for run in trained]
    notes = [
        "seconds: of the whole training, with pretraining and validation; training seconds: without "
        "validation. pictures per second: images per second while training.",
        "best epoch: of the kept weights, counted from 0; papers count from 1. lr factor: what the budget "
        "multiplies the recipe's learning rate by.",
        "initialised from: weights that the whole network started from (init=); backbone weights: those of "
        "its backbone.",
        "fingerprint: of settings, images and code; the training's folder ends in it.",
        f"(paper): {published.TRAINING_SOURCE}.",
    ]
    if whole:
        notes += [
            "miou on training, validation and test images: at the run's own threshold. over-fit: training "
            "minus test.",
            f"iou on all images, training images included (paper): {published.WHOLE_SOURCE}.",
            *definitions(["miou", "iou"]),
        ]
    return table("training", "Training", rows, notes)


def _training_cells(run: RunNumbers, whole: bool) -> dict[str, Cell]:
    record = run.run.record
    found = record.training or TrainingSummary()
    paper = published.TRAININGS.get(run.run.method)
    return {
        "method": run.label,
        "budget": record.budget or None,
        "seconds": found.seconds,
        "training seconds": found.train_seconds,
        "pictures per second": found.pictures_per_second,
        "best epoch": found.best_epoch,
        "best epoch (paper)": paper and paper.best_epoch,
        "epochs (paper)": paper and paper.epochs,
        **(_fit_cells(run) if whole else {}),
        "lr factor": found.lr_factor,
        "seed": run.run.seed,
        "initialised from": found.init.name if found.init else None,
        "backbone weights": found.backbone_weights or "none",
        "device": record.device or None,
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items())),
        "commit": record.commit,
        "fingerprint": found.fingerprint,
        "folder": found.folder,
    }


def _fit_cells(run: RunNumbers) -> dict[str, Cell]:
    known = run.training_miou
    return {
        "miou on training pictures": known,
        "miou on validation pictures": run.validation_miou,
        "miou on test pictures": run.means["miou"],
        "over-fit": None if known is None else known - run.means["miou"],
        "iou on all pictures": (run.run.record.all or {}).get("iou"),
        "iou on all pictures (paper)": published.WHOLE_IOU.get(run.run.method),
    }


def _truth_note(numbers: Numbers) -> str:
    comparison = numbers.comparison
    truth = TRUTHS[comparison.runs[0].record.eval_protocol]
    return f"Test images of {comparison.name}: {images_in_words(comparison)}, scored on {truth}."
