"""`task=report`: run folders become tables, figures, galleries and one HTML page."""

from dataclasses import dataclass, replace
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError
from kolbench.io import progress
from kolbench.metrics import scores
from kolbench.report import figures, footage, gallery, main_table, page, sentences, table_files, tables
from kolbench.report.leaderboard import leaderboard_of
from kolbench.report.numbers import numbers_of
from kolbench.report.words import counted
from kolbench.runs import benchmark, folds
from kolbench.runs.corrupted import comparisons
from kolbench.runs.finished import Comparison, find, matches

PAGE = "report.html"
WRITTEN = {"tables": (".csv", ".md", ".tex"), "figures": (".svg", ".png"), "galleries": (".png",)}


@dataclass(frozen=True)
class ReportConfig(TaskConfig):
    """What `task=report` reads.

    runs: a folder of run folders, or a pattern. output: a folder. metrics: modules of scores outside this
    package.
    """

    runs: str | None
    output: Path | None
    metrics: tuple[str, ...]


def run(config: ReportConfig) -> TaskResult:
    """Writes `output` (else `report/`); runs on several test sets give a folder for each set.

    Raises:
        KolbenchError: `runs` is not given, matches nothing, or holds no finished run.
    """
    scores.load(config.metrics)
    if config.runs is None:
        raise ConfigError("task=report needs runs=FOLDER or a pattern, such as runs=runs/suites/01_methods.")
    output = config.output or Path("report")
    print(f"reading the finished runs of {config.runs}", flush=True)
    found, incomplete = folds.joined(find(config.runs, print))
    for line in incomplete:
        print(line)
    benchmarks = tuple(benchmark.below(matches(config.runs)))
    sets = [replace(comparison, benchmarks=benchmarks) for comparison in comparisons(found)]
    for comparison in sets:
        folder = output if len(sets) == 1 else output / comparison.name
        said = write_report(comparison, folder)
        runs, pictures = len(comparison.runs), len(comparison.pictures)
        corrupted = f", {len(comparison.corrupted)} on them corrupted" if comparison.corrupted else ""
        print(f"{comparison.name}: {counted(runs, 'run')} on {counted(pictures, 'test image')}{corrupted}")
        for sentence in said:
            print(f"  {sentence}")
        print(f"report in {folder / PAGE}", flush=True)
    return TaskResult()


def write_report(comparison: Comparison, folder: Path) -> list[str]:
    """One set's `report.html`, `tables/`, `figures/` and `galleries/`, in place of an earlier report's.

    Nothing is written before all is made.

    Returns:
        The key findings, as a terminal shows them.
    """
    with progress.bar("making the report", 5) as advance:
        made_tables = tables.all_tables(comparison)
        advance(1)
        made_figures = figures.all_figures(comparison)
        advance(1)
        galleries = gallery.all_galleries(comparison)
        advance(1)
        clips = footage.footage_of(comparison)
        advance(1)
        said = sentences.sentences(comparison)
        html = page.render(comparison, made_tables, made_figures, galleries, said, clips)
        advance(1)
    _clear(folder)
    for table in made_tables:
        table_files.write(table, folder / "tables")
    main_table.write(comparison, leaderboard_of(numbers_of(comparison)), folder / "tables")
    for figure in made_figures:
        figures.write(figure, folder / "figures")
    thresholds = {run.label: run.threshold for run in comparison.runs}
    for made in galleries:
        gallery.write_sheet(made, thresholds, folder / "galleries")
    page.write(folder / PAGE, html)
    return sentences.key_findings(comparison)


def _clear(folder: Path) -> None:
    """Removes an earlier report's files, and no others."""
    (folder / PAGE).unlink(missing_ok=True)
    for name, suffixes in WRITTEN.items():
        for path in (folder / name).glob("*"):
            if path.suffix in suffixes:
                path.unlink()
