"""`task=weights`: what can be had by name, with licence, size and what is at hand; and downloads."""

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.errors import WeightsError
from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import Entry, catalogue

WIDTH = 150


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
    table = Table(title=f"weights by name, kept in {download.weights_folder()}", box=box.SIMPLE_HEAD)
    for heading in ("id", "what", "size", "licence", "commercial use", "at hand"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    official = set(known.official.values())
    for entry in known.entries.values():
        mark = " (official)" if entry.name in official else ""
        table.add_row(
            entry.name + mark, entry.what, entry.size, entry.licence, entry.commercial, _place(entry)
        )
    Console(width=WIDTH).print(table)
    return TaskResult()


def _place(entry: Entry) -> str:
    try:
        found = download.at_hand(entry)
    except WeightsError:
        return "damaged"
    return "no" if found is None else "yes"
