"""Alphas of methods that work on the CPU, picture by picture: processes compute them ahead of the scoring."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import cv2
import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from kolbench.errors import KolbenchError
from kolbench.io.arrays import as_arrays
from kolbench.types import PRECOMPUTED, Float32Array, PictureResult

# batches that are read while all processes are busy
LOOK_AHEAD = "2*n_jobs"


class Loader(Protocol):
    """Batches of one picture, as a DataLoader gives them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...


class Precomputed:
    """The batches of a loader of single pictures, each with the alpha that a process computed for it.

    Args:
        loader: batches of one picture at its own size.
        function: see Segmenter.array_function.
        input_keys: the batch entries that the function is given, in order.
        processes: how many work at once; 1 = in this process.
    """

    def __init__(
        self,
        loader: Loader,
        function: Callable[..., PictureResult],
        input_keys: tuple[str, ...],
        processes: int,
    ) -> None:
        self.loader = loader
        self.function = function
        self.input_keys = input_keys
        self.processes = processes

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        waiting: deque[Mapping[str, Any]] = deque()

        def calls() -> Iterable[Any]:
            for batch in self.loader:
                waiting.append(batch)
                arrays = [as_arrays(batch[key])[0] for key in self.input_keys]
                yield joblib.delayed(_timed)(self.function, arrays, self.processes > 1)

        for alpha, notes, seconds in in_processes(calls(), self.processes):
            yield {
                **waiting.popleft(),
                PRECOMPUTED: torch.from_numpy(alpha)[None, None],
                "notes": [" ".join(sorted(notes))],
                "seconds": seconds,
            }


def in_processes(calls: Iterable[Any], processes: int) -> Iterator[Any]:
    """The results of joblib's delayed calls, in order; a few are called for ahead of the one that is taken.

    Args:
        processes: how many work at once, one thread each.

    Raises:
        KolbenchError: one of them was ended from outside.
    """
    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            pool = joblib.Parallel(
                n_jobs=processes, return_as="generator", pre_dispatch=LOOK_AHEAD, batch_size=1
            )
            yield from pool(calls)
    except TerminatedWorkerError as error:
        raise KolbenchError(
            "A process that computed alphas was ended from outside, by a signal or for lack of memory. "
            "The same command begins this evaluation again; with fewer cores it needs less memory "
            "(OMP_NUM_THREADS=1)."
        ) from error


def _timed(
    function: Callable[..., PictureResult], arrays: list[Any], alone: bool
) -> tuple[Float32Array, list[str], float]:
    if alone:
        cv2.setNumThreads(1)
    started = time.perf_counter()
    result = function(*arrays)
    seconds = time.perf_counter() - started
    return result.alpha, [name for name, value in result.notes.items() if value], seconds
