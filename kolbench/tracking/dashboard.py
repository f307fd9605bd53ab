"""The dashboard of a wandb project: one layout as wandb's workspace, wandb's report, and plain data."""

from dataclasses import asdict, dataclass
from typing import Any

from kolbench.errors import ConfigError

TITLE = "kolbench: methods side by side"
# a line for each run; a preset of wandb
LINE_CHART = "wandb/line/v0"
INTRODUCTION = (
    "Compare runs with the same value of `images` only: those were scored on the same test images. Each "
    "is scored at a threshold from its validation images, unless its configuration says otherwise. Runs "
    "with truth_access box or mask are given the truth and cannot be compared with the others."
)


@dataclass(frozen=True)
class Panel:
    """One panel.

    kind: `bar` of summary values, `line` over epochs, `scatter` of two summary values (x, y), `media` of
    pictures or tables, `curve` of a logged table (table, x, y). keys: what it shows, as the runs log it.
    """

    kind: str
    title: str
    keys: tuple[str, ...]


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Scores on the test images": (
        Panel("bar", "mIoU", ("test/miou",)),
        Panel("bar", "foreground IoU", ("test/iou",)),
        Panel("bar", "share of the held product found", ("test/product_recall",)),
    ),
    "What a threshold does": (
        Panel("curve", "mIoU against threshold", ("test/threshold_table", "threshold", "miou")),
        Panel("curve", "pixel accuracy against threshold", ("test/threshold_table", "threshold", "acc")),
    ),
    "What it costs": (
        Panel("scatter", "mIoU against memory", ("cost/memory_mib", "test/miou")),
        Panel("bar", "GMACs", ("cost/gmacs",)),
    ),
    "Training": (
        Panel("line", "validation mIoU", ("val/miou",)),
        Panel("line", "training loss", ("train/loss",)),
        Panel("line", "learning rate", ("lr",)),
    ),
    "Pictures": (
        Panel("media", "test images with truth and prediction", ("test_pictures",)),
        Panel("media", "a row per test image", ("test/pictures_table",)),
    ),
}


def plain(entity: str, project: str) -> dict[str, object]:
    """The layout as plain values, for a file."""
    return {
        "entity": entity,
        "project": project,
        "title": TITLE,
        "introduction": INTRODUCTION,
        "sections": [
            {"name": name, "panels": [asdict(panel) for panel in panels]} for name, panels in SECTIONS.items()
        ],
    }


def workspace(entity: str, project: str) -> Any:
    """A `wandb_workspaces.workspaces.Workspace`; nothing is sent."""
    _, ws = _packages()
    sections = [
        ws.Section(name=name, panels=[_panel(panel) for panel in panels], is_open=True)
        for name, panels in SECTIONS.items()
    ]
    return ws.Workspace(entity=entity, project=project, name=TITLE, sections=sections)


def report(entity: str, project: str) -> Any:
    """A `wandb_workspaces.reports.v2.Report`; making it asks the server for the project."""
    wr, _ = _packages()
    blocks: list[Any] = [wr.P(INTRODUCTION)]
    for name, panels in SECTIONS.items():
        runset = wr.Runset(entity=entity, project=project)
        blocks += [wr.H1(name), wr.PanelGrid(runsets=[runset], panels=[_panel(panel) for panel in panels])]
    return wr.Report(entity=entity, project=project, title=TITLE, blocks=blocks)


def _panel(panel: Panel) -> Any:
    wr, _ = _packages()
    match panel.kind:
        case "bar":
            return wr.BarPlot(title=panel.title, metrics=list(panel.keys), orientation="h")
        case "line":
            return wr.LinePlot(title=panel.title, x="epoch", y=list(panel.keys))
        case "scatter":
            x, y = (wr.SummaryMetric(key) for key in panel.keys)
            return wr.ScatterPlot(title=panel.title, x=x, y=y)
        case "curve":
            table, x, y = panel.keys
            chart = wr.CustomChart.from_table(table, {"x": x, "y": y}, {"title": panel.title})
            chart.chart_name = LINE_CHART
            return chart
        case "media":
            return wr.MediaBrowser(title=panel.title, media_keys=list(panel.keys))
    raise ValueError(f"{panel.kind} is no kind of panel")


def _packages() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise ConfigError(
            'task=dashboard needs wandb-workspaces: pip install "kolbench[dashboard]"'
        ) from error
    return reports, workspaces
