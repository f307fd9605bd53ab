"""Scoring by the processes of a run: each predicts a part of the pictures, the first joins what is found."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.folder import conf_words
from kolbench.data.datamodule import Loader, SegmentationDataModule
from kolbench.data.shards import Shard, most_shards
from kolbench.engine import collective, launch
from kolbench.engine.evaluation import evaluate
from kolbench.engine.joining import join_files
from kolbench.engine.smoothed import MakeSmoother
from kolbench.engine.team import Plan, Team
from kolbench.metrics.counts import ImageCounts
from kolbench.runs import run_folder, shards
from kolbench.segmenter import Segmenter
from kolbench.tasks.recorder import RunRecorder
from kolbench.types import Refiner

# what the first process tells the others: what to do, in which folder, with which weights ("" = as they are)
WHAT, FOLDER, WEIGHTS = "what", "folder", "weights"
TRAIN, SCORE = "train", "score"
_PARTS = "parts"


@contextmanager
def joined(plan: Plan, recorder: RunRecorder) -> Iterator[Team]:
    """The processes of a run, seen by the first one; see `engine.launch.together`."""
    words = [*conf_words(), *recorder.config.invocation.overrides]
    with launch.together(plan, words, recorder.fail) as team:
        recorder.joined(team)
        yield team


def names_of(data: SegmentationDataModule) -> dict[str, list[str]]:
    """Split -> names of its pictures that are scored, in order."""
    return {split: [data.source.names[row] for row in rows] for split, rows in data.evaluated_rows().items()}


@dataclass(frozen=True)
class Scorer:
    """Predicts the pictures of a datamodule; arguments as of `engine.evaluation.evaluate`."""

    segmenter: Segmenter
    data: SegmentationDataModule
    team: Team
    precision: str
    refiner: Refiner | None
    smoother: MakeSmoother | None

    def scored(self, folder: Path | None, weights: Path | None = None) -> dict[str, ImageCounts]:
        """One prediction of every picture, by all processes; called by the first one.

        Pictures and clips that are fewer than the processes are predicted by this one alone.

        Args:
            folder: where the files of the evaluation go; None = nowhere, and this process works alone.
            weights: that the others are to load; None = they know which.
        """
        names = names_of(self.data)
        clips = [self.data.source.clips[row] for row in self.data.evaluated_rows()["test"]]
        few = most_shards(names["test"], clips) < self.team.size
        if folder is None or self.team.size == 1 or few:
            return self._evaluated(folder, None)
        root = folder / _PARTS
        shutil.rmtree(root, ignore_errors=True)
        print(f"{self.team.size} processes share the images that are scored")
        collective.order({WHAT: SCORE, FOLDER: str(root), WEIGHTS: str(weights or "")})
        try:
            self.score_part(root)
            parts = [root / str(number) for number in range(1, self.team.size + 1)]
            join_files(parts, folder, names["test"])
            counted = [run_folder.read_histograms(part / run_folder.HISTOGRAMS) for part in parts]
            return shards.joined(counted, names)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def score_part(self, root: Path) -> None:
        """Predicts this process's pictures; counts and files go below `root`. Ends when all have done so."""
        shard = Shard(self.team.rank + 1, self.team.size)
        folder = root / str(shard.number)
        folder.mkdir(parents=True)
        run_folder.write_histograms(folder / run_folder.HISTOGRAMS, self._evaluated(folder, shard))
        collective.barrier()

    def validated(self) -> dict[str, ImageCounts]:
        """One prediction of every validation picture, by this process alone: `val` and nothing else."""
        return self._predicted({"val": self._loaders(None)["val"]}, None, None)

    def _evaluated(self, folder: Path | None, shard: Shard | None) -> dict[str, ImageCounts]:
        in_part = folder is not None and (shard or self.data.shard) is not None
        # APs are of all pictures together
        persons = folder / run_folder.SHARD_PERSONS if folder is not None and in_part else None
        return self._predicted(self._loaders(shard), folder, persons)

    def _loaders(self, shard: Shard | None) -> dict[str, Loader]:
        remembers = self.segmenter.stateful or self.smoother is not None
        return self.data.evaluation_dataloaders(remembers, shard)

    def _predicted(
        self, loaders: dict[str, Loader], folder: Path | None, persons: Path | None
    ) -> dict[str, ImageCounts]:
        return evaluate(
            *(self.segmenter, loaders, self.team.device, folder),
            *(self.precision, self.refiner, self.smoother, persons),
        )
