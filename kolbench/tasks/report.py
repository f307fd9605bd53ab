"""`task=report`: run folders become tables, figures, galleries and one HTML page."""

from pathlib import Path
from typing import Any

from kolbench import progress
from kolbench.errors import ConfigError
from kolbench.report import figures, formats, gallery, page, tables
from kolbench.report.runs import TestSet, find, test_sets

PAGE = "report.html"


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Writes `output` (else `report/`); runs on several test sets give a folder for each set.

    Raises:
        KolbenchError: `runs` is not given, matches nothing, or holds no finished run.
    """
    if settings["runs"] is None:
        raise ConfigError("task=report needs runs=FOLDER or a pattern, such as runs=runs/suites/01_methods.")
    output = Path(settings["output"] or "report")
    sets = test_sets(find(settings["runs"]))
    for test_set in sets:
        folder = output if len(sets) == 1 else output / test_set.name
        said = write_report(test_set, folder)
        print(
            f"{test_set.name}: {len(test_set.runs)} runs on the same {len(test_set.pictures)} test pictures"
        )
        for sentence in said:
            print(f"  {sentence}")
        print(f"report in {folder / PAGE}", flush=True)
    return {}


def write_report(test_set: TestSet, folder: Path) -> list[str]:
    """One set's `report.html`, `tables/`, `figures/` and `galleries/`.

    Returns:
        What the results allow to say.
    """
    with progress.bar("writing the report", 4) as advance:
        made_tables = tables.all_tables(test_set)
        for table in made_tables:
            formats.write(table, folder / "tables")
        advance(1)
        made_figures = figures.all_figures(test_set)
        for figure in made_figures:
            figures.write(figure, folder / "figures")
        advance(1)
        galleries = gallery.all_galleries(test_set)
        thresholds = {run.label: run.threshold for run in test_set.runs}
        for made in galleries:
            gallery.write_sheet(made, thresholds, folder / "galleries")
        advance(1)
        said = tables.sentences(test_set)
        page.write_page(folder / PAGE, test_set, made_tables, made_figures, galleries, said)
        advance(1)
    return said
