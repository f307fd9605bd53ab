"""Training batches of several kinds in turn: those of single pictures and those of frames of clips."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import NamedTuple

from torch.utils.data import Dataset, Sampler

from kolbench.data.dataset import EpochSampler, Item, TrainingSet

# what a batch is made of: its kind, and (round, row) of each picture
Keys = tuple[str, list[tuple[int, int]]]


class Stream(NamedTuple):
    """Of one kind: how many pictures there are, in a batch, and what decides their order."""

    size: int
    batch: int
    seed: int


def ordered(steps: Sequence[str], main: str, count: int) -> list[str]:
    """The kinds of an epoch's batches: `steps` repeated, up to batch number `count` of the kind `main`.

    With image, video, video these are n video batches and ceil(n / 2) image batches (PDNet's released code).

    Args:
        steps: one kind or more, `main` among them. count: 1 or more.
    """
    positions = [place for place, kind in enumerate(steps) if kind == main]
    rounds, rest = divmod(count - 1, len(positions))
    return list(islice(cycle(steps), rounds * len(steps) + positions[rest] + 1))


class StepSampler(Sampler[Keys]):
    """The batches of an epoch in order, which steps, seeds and epoch alone decide; see EpochSampler.

    Args:
        steps: kinds, see `ordered`.
        streams: of each kind.
        main: the kind whose batches fill an epoch.
        count: of these.
    """

    def __init__(self, steps: Sequence[str], streams: Mapping[str, Stream], main: str, count: int) -> None:
        self.order = ordered(steps, main, count)
        self.streams = streams
        self._samplers = {
            kind: EpochSampler(stream.size, stream.seed, stream.batch * self.order.count(kind))
            for kind, stream in streams.items()
        }

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        for sampler in self._samplers.values():
            sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Keys]:
        drawn = {kind: iter(sampler) for kind, sampler in self._samplers.items()}
        for kind in self.order:
            yield kind, list(islice(drawn[kind], self.streams[kind].batch))


class StepSet(Dataset[list[Item]]):
    """The pictures of whole batches, of the training set of each kind."""

    def __init__(self, sets: Mapping[str, TrainingSet]) -> None:
        self.sets = sets

    def __getitem__(self, keys: Keys) -> list[Item]:
        kind, pictures = keys
        return [self.sets[kind][key] for key in pictures]
