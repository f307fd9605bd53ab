"""The table of the background-removal paper: U2Net with and without a refiner, on its three sets."""

from kolbench.config.schema import NO_TTA
from kolbench.metrics import formulas
from kolbench.metrics.confusion import Confusion
from kolbench.report import published
from kolbench.report.layout import NOT_RUN, Cell, Row, Table, definitions, table
from kolbench.report.numbers import UNREFINED, Numbers, RunNumbers

NAME = "background"
TITLE = "Background removal: U²-Net with and without a refiner"
# weights=official is the method official_NAME
FULL = ("u2net", "official_u2net")
METHODS = (*FULL, "u2netp", "official_u2netp")
REFINER = "cascadepsp"
PER_IMAGE = ("iou", "precision", "recall", "f0.3", "f0.09")
# the paper's rows: with this refiner
_ROWS = {UNREFINED: "U2Net", REFINER: "U2Net + CascadePSP"}


def backgrounds(numbers: Numbers) -> Table:
    """`background`: a row for each run of a U2Net, and the paper's rows that none of them is.

    Empty unless the pictures are of one of the paper's sets, or some U2Net is refined.
    """
    runs = [run for run in numbers.runs if run.run.method in METHODS]
    refined = [run for run in runs if run.run.record.refiner != UNREFINED]
    if not runs or not (refined or runs[0].run.record.data in published.SALIENCY_SETS):
        return table(NAME, TITLE, [], [])
    rows: list[Row] = [(run.heading, _cells(run)) for run in runs]
    here = {(run.run.record.data, _row_of(run)) for run in runs}
    absent = [
        (data, row) for data in published.SALIENCY_SETS for row in _ROWS.values() if (data, row) not in here
    ]
    rows += [(NOT_RUN, {"method": None, **_published(data, row)}) for data, row in absent]
    return table(NAME, TITLE, rows, _notes())


def _row_of(run: RunNumbers) -> str | None:
    """The paper's row that a run is: of the full U2Net, which looks at each picture once."""
    record = run.run.record
    is_the_papers = run.run.method in FULL and record.tta == NO_TTA
    return _ROWS.get(record.refiner or UNREFINED) if is_the_papers else None


def _cells(run: RunNumbers) -> dict[str, Cell]:
    pooled, size = Confusion(*run.confusion.sum(axis=0)), run.run.model.get("size")
    return {
        "method": run.label,
        "set": run.run.record.data,
        "size": size if isinstance(size, int) else None,
        "refiner": run.run.record.refiner,
        **{name: run.means[name] for name in PER_IMAGE},
        "iou_pooled": float(formulas.iou(pooled)),
        "precision_pooled": float(formulas.precision(pooled)),
        "recall_pooled": float(formulas.recall(pooled)),
        "f0.3_pooled": float(formulas.f_measure(pooled, 0.3)),
        "f0.09_pooled": float(formulas.f_measure(pooled, 0.09)),
        "mae": run.means["mae"],
        **({"mae_minmax": run.means["mae_minmax"]} if "mae_minmax" in run.means else {}),
        **_published(run.run.record.data, _row_of(run)),
    }


def _published(data: str, row: str | None) -> dict[str, Cell]:
    """The paper's row, and what U2Net's own paper prints for it."""
    known = published.SALIENCY_SETS.get(data)
    return {
        "row (paper)": None if row is None or known is None else f"{row}, {known.name}",
        "mae (paper)": None if known is None or row != _ROWS[UNREFINED] else known.u2net_mae,
    }


def _notes() -> list[str]:
    means = ", ".join(PER_IMAGE)
    return [
        "size: model.size, 128 px in the paper; empty for ONNX files, which have their own (U²-Net: 320 px).",
        f"{means}, mae: means over images; _pooled: of the pixels of all images together. The number of f is "
        "beta squared: 0.3 as usual in the field, 0.09 as the paper's 'beta = 0.3' says.",
        *definitions([*PER_IMAGE, "mae"]),
        f"row (paper): {published.BACKGROUND_SOURCE}. It names these scores and sets, and prints no number.",
        f"mae (paper): {published.U2NET_SOURCE}, at 320 px, of maps stretched as for "
        "'mae_minmax' (metrics=[saliency]).",
    ]
