"""`task=weights`: what can be had by name, with licence, size and what is at hand; and downloads."""

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import WeightsError
from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import Catalogue, Entry, catalogue


@dataclass(frozen=True)
class WeightsConfig(TaskConfig):
    """What `task=weights` reads. get: ids to download."""

    get: tuple[str, ...]


def run(config: WeightsConfig) -> TaskResult:
    """Downloads what `get` names, then lists the catalogue.

    Raises:
        ConfigError: an id is not in the catalogue.
        WeightsError: a file cannot be had.
    """
    known = catalogue()
    for entry in [known.entry(name) for name in config.get]:
        print(f"{entry.name}: {download.fetch(entry)}")
    print(f"weights by name, kept in {download.weights_folder()}")
    Console(highlight=False).print(_table(known))
    return TaskResult()


def _table(known: Catalogue) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("what, licence", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("at hand", no_wrap=True)
    official = set(known.official.values())
    for entry in known.entries.values():
        mark = "official: " if entry.name in official else ""
        licence = (f"\n{entry.licence}; commercial use: {entry.commercial}", "dim")
        what = Text.assemble(mark, entry.what, licence)
        table.add_row(entry.name, what, entry.size.removeprefix("size "), _place(entry))
    return table


def _place(entry: Entry) -> str:
    try:
        found = download.at_hand(entry)
    except WeightsError:
        return "damaged"
    return "no" if found is None else "yes"
