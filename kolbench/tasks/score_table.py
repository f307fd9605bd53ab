"""The table of scores that runs, suites and sweeps print; what prints it needs no torch."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

COLUMNS = ("miou", "iou", "acc", "f0.3_pooled", "mae", "product_recall")
NUMBERS_WIDTH = 90
# truth access -> heading of its block in every table
BLOCKS = {
    "none": "",
    "box": "given the true box:",
    "mask": "given the true mask:",
}

# a method's scores, with its threshold and what of the truth it is given
Row = Mapping[str, float | str]


def print_table(rows: Mapping[str, Row], title: str) -> None:
    """Scores on the test pictures, a row per method or job; methods helped by the truth stand apart."""
    table = Table(title=title)
    table.add_column("method", no_wrap=True)
    for column in ("threshold", *COLUMNS):
        table.add_column(column, justify="right")
    for truth_access, heading in BLOCKS.items():
        block = {name: row for name, row in rows.items() if row["truth_access"] == truth_access}
        if block and heading:
            table.caption = "What is given the truth cannot be compared with the rows above it."
            table.add_section()
            table.add_row(heading)
        for name, row in block.items():
            cells = (f"{row[key]:.4f}" if key in row else "-" for key in COLUMNS)
            table.add_row(name, f"{row['threshold']:.2f}", *cells)
    console = Console()
    longest = max(len(text) for text in (*rows, *BLOCKS.values()))
    Console(width=max(console.width, NUMBERS_WIDTH + longest)).print(table)
