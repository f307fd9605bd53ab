"""`task=report`: run folders become tables, figures, galleries and one HTML page."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import ConfigError, KolbenchError, told
from kolbench.io import progress
from kolbench.metrics import scores
from kolbench.report import (
    figures,
    footage,
    gallery,
    index,
    main_table,
    page,
    report_file,
    sentences,
    sheets,
    table_files,
    tables,
)
from kolbench.report.faces import SHOW
from kolbench.report.leaderboard import leaderboard_of
from kolbench.report.numbers import numbers_of
from kolbench.report.words import counted
from kolbench.runs import benchmark, folds
from kolbench.runs.corrupted import comparisons
from kolbench.runs.finished import Comparison, find, matches

PAGE = index.PAGE
WRITTEN = {"tables": (".csv", ".md", ".tex"), "figures": (".svg", ".png"), "galleries": (".png",)}


@dataclass(frozen=True)
class ReportConfig(TaskConfig):
    """What `task=report` reads.

    runs: run folders, folders of run folders, or patterns. output: a folder. metrics: modules of scores
    outside this package. faces: `show`, `blur` or `hide`, of people in images. pictures: whether there are
    any images; None = but for what is kept with the experiments.
    """

    runs: tuple[str, ...]
    output: Path | None
    metrics: tuple[str, ...]
    faces: str
    pictures: bool | None


def run(config: ReportConfig) -> TaskResult:
    """Writes `output` (else `report/`); runs on several test sets give a folder for each set.

    Raises:
        KolbenchError: `runs` is not given, matches nothing, or holds no finished run.
    """
    scores.load(config.metrics)
    if not config.runs:
        raise ConfigError("task=report needs runs=FOLDER or a pattern, such as runs=runs/suites/01_methods.")
    output = config.output or Path("report")
    faces = _faces(config, output)
    print(f"reading the finished runs of {', '.join(config.runs)}", flush=True)
    try:
        found, incomplete = folds.joined(find(config.runs, print))
    except KolbenchError:
        # an earlier report may be of runs that are gone
        index.refresh(output, (), {}, found_sets=False)
        raise
    for line in incomplete:
        print(line)
    benchmarks = tuple(benchmark.below([root for pattern in config.runs for root in matches(pattern)]))
    sets = [replace(comparison, benchmarks=benchmarks) for comparison in comparisons(found)]
    folders = [output if len(sets) == 1 else output / comparison.name for comparison in sets]
    failed: dict[Path, KolbenchError] = {}
    for comparison, folder in zip(sets, folders, strict=True):
        try:
            said = write_report(comparison, folder, faces, of_several=len(sets) > 1)
        except Exception as error:
            failed[folder] = told(error)
        else:
            _tell(comparison, said, folder)
    index.refresh(
        output,
        [folder for folder in folders if folder not in failed],
        {folder: _not_made(error) for folder, error in failed.items()},
    )
    if len(sets) > 1:
        print(f"all reports in {output / index.INDEX}", flush=True)
    if len(failed) > 1:
        raise KolbenchError("; ".join(f"{folder.name}: {error}" for folder, error in failed.items()))
    for failure in failed.values():
        raise failure
    return TaskResult()


def _faces(config: ReportConfig, output: Path) -> str | None:
    """How faces are shown; None where no image is."""
    kept = any(
        (above.name, above.parent.parent.name) == ("results", "experiments")
        for above in (output.absolute(), *output.absolute().parents)
    )
    if config.pictures is None and kept:
        print("no images: results of experiments are kept with the code; pictures=true shows them")
    shown = not kept if config.pictures is None else config.pictures
    return config.faces if shown else None


def _tell(comparison: Comparison, said: Sequence[str], folder: Path) -> None:
    runs, pictures = len(comparison.runs), len(comparison.pictures)
    corrupted = f", {len(comparison.corrupted)} on them corrupted" if comparison.corrupted else ""
    print(f"{comparison.name}: {counted(runs, 'run')} on {counted(pictures, 'test image')}{corrupted}")
    for sentence in said:
        print(f"  {sentence}")
    print(f"report in {folder / PAGE}", flush=True)


def _not_made(error: KolbenchError) -> str:
    return f"Out of date: on {_now()} no newer report could be made: {error}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M")


def write_report(
    comparison: Comparison, folder: Path, faces: str | None = SHOW, of_several: bool = False
) -> list[str]:
    """One set's `report.html`, `tables/`, `figures/` and `galleries/`, in place of an earlier report's.

    Nothing is written before all is made. Faces are shown as `report.faces.without_faces` has it; None: there
    are no images at all.

    Args:
        of_several: whether the command writes reports of other test sets beside it.

    Returns:
        The key findings, as a terminal shows them.
    """
    with progress.bar("making the report", 5) as advance:
        made_tables = tables.all_tables(comparison)
        advance(1)
        made_figures = figures.all_figures(comparison, faces)
        advance(1)
        images = None if faces is None else gallery.gallery_of(comparison, faces)
        advance(1)
        clips = None if faces is None else footage.footage_of(comparison, faces)
        advance(1)
        said = sentences.sentences(comparison)
        html = page.render(comparison, made_tables, made_figures, images, said, clips)
        advance(1)
    _clear(folder)
    for table in made_tables:
        table_files.write(table, folder / "tables")
    main_table.write(comparison, leaderboard_of(numbers_of(comparison)), folder / "tables")
    for figure in made_figures:
        figures.write(figure, folder / "figures")
    if images is not None:
        sheets.write_sheets(images, numbers_of(comparison), folder / "galleries")
    page.write(folder / PAGE, html)
    report_file.of_comparison(comparison, folder, _now(), of_several).write(folder)
    return sentences.key_findings(comparison)


def _clear(folder: Path) -> None:
    """Removes an earlier report's files, and no others."""
    for name in (PAGE, report_file.FILE):
        (folder / name).unlink(missing_ok=True)
    for name, suffixes in WRITTEN.items():
        for path in (folder / name).glob("*"):
            if path.suffix in suffixes:
                path.unlink()
