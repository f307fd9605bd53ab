"""How processes share pictures: a block of those that are validated, a part of each training batch."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

from torch.utils.data import Sampler

from kolbench.data.steps import Keys, StepSampler
from kolbench.errors import ConfigError

T = TypeVar("T")


def block(items: Sequence[T], together: Sequence[str], number: int, count: int) -> list[T]:
    """One of `count` blocks of items in their order, about equally large; joined they are all items.

    Args:
        items: in an order in which those that stay together follow one another.
        together: a word for each item: neighbours with the same one stand in one block; "" = alone.
        number: of the block, from 0.
        count: of blocks.
    """
    starts = [
        place
        for place in range(len(items))
        if place == 0 or not together[place] or together[place] != together[place - 1]
    ]
    # a group belongs to the block in which its first item would stand were all cut alike
    owners = [start * count // len(items) for start in starts]
    ends = [*starts[1:], len(items)]
    return [
        item
        for start, end, owner in zip(starts, ends, owners, strict=True)
        if owner == number
        for item in items[start:end]
    ]


def share(batch: int, count: int, what: str) -> int:
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
        self.part = share(batch, count, "batches (budget.batch)")
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
            kind: share(stream.batch, count, f"batches of {kind} steps (budget.batch)")
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
