"""What each of the processes of a training is given: a part of every batch, and some validation pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from torch.utils.data import Sampler

from kolbench.data.dataset import EvaluationSet
from kolbench.data.shards import Shard, share
from kolbench.data.steps import Keys, StepSampler
from kolbench.errors import ConfigError


@dataclass(frozen=True)
class Portion:
    """Of one process. number: of this process, from 0. count: of processes."""

    number: int = 0
    count: int = 1

    def require_shareable(self, batch: int, scored: EvaluationSet) -> None:
        """Refuses what cannot be shared: batches of `batch` pictures, and those that are validated.

        Raises:
            ConfigError: not by so many processes.
        """
        part_of(batch, self.count, "batches (budget.batch, and images of an epoch)")
        if not all(len(scored.part(Shard(number, self.count))) for number in range(1, self.count + 1)):
            raise ConfigError(
                f"{len(scored)} validation images, whose clips stay whole, are too few for {self.count} "
                "processes; lower trainer.devices."
            )

    def of_batches(
        self, sampler: Sampler[tuple[int, int]], batch: int
    ) -> tuple[Sampler[tuple[int, int]], int]:
        """Its pictures of batches of `batch`, and how many of each batch they are."""
        if self.count == 1:
            return sampler, batch
        shared = SharedBatches(sampler, batch, self.number, self.count)
        return shared, shared.part

    def of_steps(self, sampler: StepSampler) -> Sampler[Keys]:
        """Its pictures of batches that are drawn whole."""
        return sampler if self.count == 1 else SharedSteps(sampler, self.number, self.count)

    def of_rows(self, count: int, batch: int) -> list[int]:
        """Its rows of `count`; whole batches of `batch` where there are enough, as one process has them."""
        unit = batch if count >= batch * self.count else 1
        names, units = [str(row) for row in range(count)], [str(row // unit) for row in range(count)]
        return share(names, units, self.number + 1, self.count)

    def of_validation(self, scored: EvaluationSet) -> EvaluationSet:
        """Its pictures of those that are validated."""
        return scored if self.count == 1 else scored.part(Shard(self.number + 1, self.count))


def part_of(batch: int, count: int, what: str) -> int:
    """A process's pictures of a batch.

    Raises:
        ConfigError: the batch cannot be shared equally; gradients would not weigh pictures alike.
    """
    if batch % count or batch < count:
        raise ConfigError(
            f"{count} processes cannot share {what} of {batch} equally; let it be a multiple of {count}."
        )
    return batch // count


class SharedBatches(Sampler[tuple[int, int]]):
    """A process's part of every batch that one process alone would draw.

    Args:
        sampler: of all pictures; what does not fill a batch at the end of an epoch is left out.
        batch: pictures in a batch, of all processes together.
        number: of this process, from 0. count: of processes.
    """

    def __init__(self, sampler: Sampler[tuple[int, int]], batch: int, number: int, count: int) -> None:
        self.sampler = sampler
        self.batch = batch
        self.part = part_of(batch, count, "batches (budget.batch)")
        self.number = number

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        self.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # EpochSampler and the like have it

    def __len__(self) -> int:
        return len(self.sampler) // self.batch * self.part  # type: ignore[arg-type]  # ours have a length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        drawn, begin = iter(self.sampler), self.number * self.part
        for _ in range(len(self) // self.part):
            yield from list(islice(drawn, self.batch))[begin : begin + self.part]


class SharedSteps(Sampler[Keys]):
    """The same of batches that a StepSampler draws whole."""

    def __init__(self, sampler: StepSampler, number: int, count: int) -> None:
        self.sampler = sampler
        self.parts = {
            kind: part_of(stream.batch, count, f"batches of {kind} steps (budget.batch)")
            for kind, stream in sampler.streams.items()
        }
        self.number = number

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Keys]:
        for kind, keys in self.sampler:
            begin = self.number * self.parts[kind]
            yield kind, keys[begin : begin + self.parts[kind]]
