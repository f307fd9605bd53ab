"""What the processes of a training share while it runs; each function does nothing where there is one."""

from typing import TypeVar

import torch.distributed as dist
from torch import nn

T = TypeVar("T")


def size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0. Number 0 alone writes."""
    return dist.get_rank() if size() > 1 else 0


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def barrier() -> None:
    """Waits for all."""
    if size() > 1:
        dist.barrier()


def gathered(value: T) -> list[T]:
    """The values of all processes in the order of their ranks, in each of them; they are pickled."""
    if size() == 1:
        return [value]
    found: list[T] = [value] * size()
    dist.all_gather_object(found, value)
    return found


def order(words: dict[str, str] | None = None) -> dict[str, str]:
    """What the first process tells the others: it gives `words`, they give None and receive them."""
    told = [words]
    dist.broadcast_object_list(told, src=0)
    assert told[0] is not None
    return told[0]


def equal_buffers(module: nn.Module) -> None:
    """Gives all processes the first one's buffers: statistics of batch norms are of its pictures alone."""
    if size() == 1:
        return
    for buffer in module.buffers():
        dist.broadcast(buffer, src=0)
