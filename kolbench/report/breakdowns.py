"""Where methods fail: scores by scenario, and what happens to what is held."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kolbench.report.intervals import TOO_FEW, fewest_groups
from kolbench.report.layout import Cell, Row, Table, definitions, listed, table
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.scenario_tags import rules_in_words
from kolbench.types import Float64Array, Int64Array

# the mean of fewer pictures is too much of an accident to be called the worst group
FEWEST = 3
_WORST = (
    f"worst group: the tag with the lowest mean, of tags with at least {FEWEST} images. It is chosen on the "
    "images it is reported on, so new images of that kind will score higher."
)
_TAGS = "An image with several tags counts for each."


def scenarios(numbers: Numbers) -> Table:
    """`scenarios`: miou by tag, without rows where nothing is tagged."""
    tags = numbers.tags
    rows: list[Row] = [(run.heading, _scenario_cells(run, tags)) for run in numbers.runs if tags]
    notes = [
        f"Mean miou over the images of each tag, whose number stands in brackets. {_TAGS}",
        *([rules_in_words()] if numbers.tagged_by_rule else []),
        _WORST,
        *definitions(["miou"]),
    ]
    return table("scenarios", "mIoU by scenario", rows, notes)


def _scenario_cells(run: RunNumbers, tags: Mapping[str, Int64Array]) -> dict[str, Cell]:
    means = means_by_tag(run.images["miou"], tags)
    worst = worst_tag(means, tags)
    return {
        "method": run.label,
        "all": run.means["miou"],
        "worst group": worst,
        "miou there": means[worst] if worst else None,
        **{f"{tag} ({len(rows)})": means[tag] for tag, rows in tags.items()},
    }


def products(numbers: Numbers) -> Table:
    """`products`: how much of held products is found, without rows where no image has a product mask."""
    holding = [run for run in numbers.runs if run.has_product.any()]
    recalls = {run.label: run.images["product_recall"] for run in holding}
    intervals, by_group = numbers.intervals(recalls), numbers.by_group(recalls)
    known = all(found.known for found in intervals.values())
    tags = numbers.tags
    rows: list[Row] = []
    for run in holding:
        found = intervals[run.label]
        cells = {
            "method": run.label,
            "product_recall": run.means["product_recall"],
            "low": found.low,
            "high": found.high,
            **({} if known else {"product_recall of each group": listed(by_group[run.label])}),
            "pictures with product": int(run.has_product.sum()),
            "share of pictures": float(run.has_product.mean()),
            "miou with product": _mean(run.images["miou"], run.has_product),
            "miou without product": _mean(run.images["miou"], ~run.has_product),
            **(_product_cells(run, tags) if tags else {}),
        }
        rows.append((run.heading, cells))
    notes = [
        *definitions(["product_recall", "miou"]),
        "low, high: 95 % confidence interval of product_recall over groups."
        if known
        else f"low, high: {TOO_FEW}: fewer than {fewest_groups()} have a product. 'product_recall of each "
        "group' lists them one by one.",
        "share of pictures: images with a product mask. miou with, without product: means over these images "
        "and over all others.",
    ]
    if tags:
        notes += [_WORST, "Only images with a product count for it."]
    return table("products", "Held products", rows, notes)


def _product_cells(run: RunNumbers, tags: Mapping[str, Int64Array]) -> dict[str, Cell]:
    held = {tag: rows[run.has_product[rows]] for tag, rows in tags.items()}
    means = means_by_tag(run.images["product_recall"], held)
    worst = worst_tag(means, held)
    return {
        "worst group": worst,
        "its pictures": len(held[worst]) if worst else None,
        "product_recall there": means[worst] if worst else None,
    }


def means_by_tag(values: Float64Array, tags: Mapping[str, Int64Array]) -> dict[str, float]:
    """Tag -> mean over its rows; tags without a row are left out."""
    return {tag: float(values[rows].mean()) for tag, rows in tags.items() if len(rows)}


def worst_tag(means: Mapping[str, float], tags: Mapping[str, Int64Array]) -> str | None:
    """The tag of the lowest mean, of those with enough rows."""
    enough = [tag for tag in means if len(tags[tag]) >= FEWEST]
    return min(enough, key=lambda tag: means[tag], default=None)


def _mean(values: Float64Array, chosen: npt.NDArray[np.bool_]) -> float | None:
    return float(values[chosen].mean()) if chosen.any() else None
