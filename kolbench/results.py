"""What `kolbench.fit` and `kolbench.evaluate` give back: a finished run that can be put to work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kolbench.api import load
from kolbench.runs import finished, record
from kolbench.segmenter import Segmenter


@dataclass(frozen=True, eq=False)
class FinishedRun(finished.FinishedRun):
    """A finished run folder: `scores`, `record` (its `run.json`), `history`, `threshold`, and its method.

    weights: what was scored, where the folder itself holds no weights; options: keys of the method's YAML
    that were changed for it.
    """

    weights: str | Path | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def load(self, device: str = "auto", **options: Any) -> Segmenter:
        """The trained method, ready to segment.

        Args:
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            options: keys of the method's YAML to change, such as `size=320`.

        Raises:
            ConfigError: there is no such option.
            WeightsError: the weights are gone.
        """
        if self.weights is None:
            return load(self.folder, device=device, **options)
        changed = {**self.options, **options}
        return load(self.method.removeprefix("official_"), self.weights, device, **changed)


def of_folder(
    folder: Path, weights: str | Path | None = None, options: Mapping[str, object] | None = None
) -> FinishedRun:
    """The finished run that lies in a folder; weights and options: those that it scored."""
    found = record.read(folder / record.RUN)
    return FinishedRun(folder, found, found.method, found.method, weights, options or {})
