"""How complex the test pictures of a run are, as its evaluation found it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from kolbench.errors import DataError
from kolbench.io.files import write_atomically
from kolbench.runs.run_folder import COMPLEXITY

NAME, ENTROPY = "name", "glcm_entropy"


def write(path: Path, entropies: Mapping[str, float]) -> None:
    """`complexity.parquet`: a row per picture, in order: `name` and `glcm_entropy` in bits."""
    table = pd.DataFrame({NAME: list(entropies), ENTROPY: list(entropies.values())})
    write_atomically(path, lambda partial: table.to_parquet(partial, index=False))


def read(folder: Path) -> dict[str, float]:
    """Picture -> GLCM entropy in bits; empty where the folder has none, as those of earlier versions.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / COMPLEXITY
    if not path.is_file():
        return {}
    try:
        table = pd.read_parquet(path, columns=[NAME, ENTROPY])
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read ({told}); remove the folder or run it again.") from error
    return {str(name): float(value) for name, value in zip(table[NAME], table[ENTROPY], strict=True)}
