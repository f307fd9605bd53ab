"""What the test pictures of a run are like, as its evaluation measured them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from kolbench.errors import DataError
from kolbench.io.files import write_atomically
from kolbench.metrics.traits import NAMES, Traits
from kolbench.runs.run_folder import TRAITS

NAME = "name"


def write(path: Path, found: Mapping[str, Traits]) -> None:
    """`traits.parquet`: a row per picture, in order: `name` and the fields of Traits."""
    rows = [{NAME: name, **asdict(traits)} for name, traits in found.items()]
    table = pd.DataFrame(rows, columns=[NAME, *NAMES])
    write_atomically(path, lambda partial: table.to_parquet(partial, index=False))


def read(folder: Path) -> pd.DataFrame:
    """The fields of Traits by the names of the pictures; no rows where the folder has no such file.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / TRAITS
    if not path.is_file():
        return pd.DataFrame(columns=list(NAMES), dtype=float)
    try:
        table = pd.read_parquet(path, columns=[NAME, *NAMES])
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read ({told}); remove the folder or run it again.") from error
    return table.set_index(NAME).astype(float)
