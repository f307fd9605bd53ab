"""`task=doctor`: what is wrong with a data set, all of it in one pass; and a mended copy."""

import csv
import inspect
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kolbench.config.compose import instantiate, located
from kolbench.config.fields import SWITCH, key
from kolbench.config.groups import Component, DataGroup
from kolbench.config.old_names import current_target
from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.data.config import DataConfig
from kolbench.data.health import mending
from kolbench.data.health.diagnosis import Diagnosis, diagnose, unopened
from kolbench.data.health.fault import Fault, below, counted, many
from kolbench.data.health.measures import Measures
from kolbench.data.sources.base import Source
from kolbench.errors import DataError
from kolbench.io.files import write_text
from kolbench.report import doctor_page, page

PAGE, FAULTS, PICTURES, MENDED = "doctor.html", "faults.csv", "pictures.csv", "mended"
# rows of one kind in the terminal
MOST_ROWS = 5
EXIT_REFUSED = 1


@dataclass(frozen=True)
class DoctorConfig(TaskConfig):
    """What `task=doctor` reads.

    data: the set. output: a folder; None = doctor/. fix: whether a mended copy is written there.
    """

    data: DataGroup
    output: Path | None
    fix: bool = key(SWITCH)


def run(config: DoctorConfig) -> TaskResult:
    """Prints the problems found, writes `doctor.html`, `faults.csv` and `pictures.csv`.

    Returns:
        `exit_code`: 1 where training would refuse something, else 0.

    Raises:
        ConfigError: a key does not fit, or there is a mended copy already.
        DataError: there is no such folder.
    """
    output, root = config.output or Path("doctor"), root_of(config.data)
    if config.fix:
        mending.require_place(output / MENDED, root)
    said: list[str] = []
    settings = DataConfig.from_mapping(config.data.values)
    try:
        source = opened(config.data.source, said)
    except DataError as error:
        if root is not None and not root.is_dir():
            raise
        diagnosis = unopened(root, str(error), said)
    else:
        print(*source.describe(), sep="\n", flush=True)
        diagnosis = diagnose(source, settings, said)
    output.mkdir(parents=True, exist_ok=True)
    mends = config.fix and any(one.measures for one in diagnosis.examined)
    found = mending.mend(diagnosis, output / MENDED) if mends else diagnosis.faults
    faults = [below(one, root) for one in found]
    name = config.data.name if root is None else root.absolute().name
    page.write(output / PAGE, doctor_page.render(name, diagnosis, faults, root))
    write_tables(output, diagnosis, faults)
    print_faults(faults, config.fix)
    told = counted(faults)
    counts = (f"{number:,} {doctor_page.severity_in_words(one, number)}" for one, number in told.items())
    print(f"{many(len(diagnosis.examined), 'image')}: {', '.join(counts)}; page in {output / PAGE}")
    if config.fix:
        print(_mended(output / MENDED) if mends else "nothing to mend: no image can be used")
    figures = {severity: float(count) for severity, count in told.items()}
    return TaskResult(exit_code=EXIT_REFUSED if diagnosis.refused else 0, figures=figures)


def _mended(folder: Path) -> str:
    again = f"python -m kolbench task=doctor data=folder data.root={folder}"
    return f"mended copy in {folder}; check it: {again}"


def root_of(data: DataGroup) -> Path | None:
    """The folder of a data set; None where it is drawn."""
    root = data.values.get("root")
    return None if root is None else Path(str(root)).expanduser()


def opened(component: Component, said: list[str]) -> Source:
    """The source; faults that some layouts can pass over are added to `said`.

    Raises:
        DataError: it cannot be opened all the same.
    """
    layout = located(current_target(str(component.options["_target_"])))
    collects = "refuse" in inspect.signature(layout).parameters
    source: Source = instantiate(component, **({"refuse": said.append} if collects else {}))
    return source


def print_faults(faults: Sequence[Fault], mended: bool) -> None:
    """In the terminal, as wide as it is: each kind with its first faults, and how many more there are."""
    console = Console(highlight=False)
    for kind in dict.fromkeys(found.kind for found in faults):
        same = [found for found in faults if found.kind == kind]
        heading = (same[0].title, "bold"), f"  {same[0].severity}", f"  {len(same):,}"
        console.print(Text.assemble(*heading))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(overflow="fold", max_width=console.width * 2 // 5)
        table.add_column(overflow="fold")
        for found in same[:MOST_ROWS]:
            table.add_row(Text(f"  {found.file}"), _said(found, mended))
        if len(same) > MOST_ROWS:
            table.add_row(Text(f"  and {len(same) - MOST_ROWS:,} more"))
        console.print(table)
        console.print()


def _said(found: Fault, mended: bool) -> Text:
    """What is wrong, what to do, and what the mended copy does."""
    copied = f" In the mended copy: {found.mended}." if mended and found.mended else ""
    return Text.assemble(found.what, (f" {found.advice}", "dim"), copied)


def write_tables(folder: Path, diagnosis: Diagnosis, faults: Sequence[Fault]) -> None:
    """`faults.csv`, a row per fault, and `pictures.csv`, the measures of each picture that can be used."""
    rows = ((one.severity, one.kind, one.file, one.what, one.advice, one.mended) for one in faults)
    _write_csv(folder / FAULTS, ("severity", "kind", "file", "what", "advice", "mended"), rows)
    if diagnosis.source is not None:
        home = {row: split for split, members in diagnosis.splits or () for row in members}
        names = diagnosis.source.names
        measured = (
            (names[row], home.get(row, ""), *one.measures)
            for row, one in enumerate(diagnosis.examined)
            if one.measures is not None
        )
        _write_csv(folder / PICTURES, ("name", "split", *Measures._fields), measured)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
