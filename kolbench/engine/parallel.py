"""Alphas of methods that work on the CPU, picture by picture: processes compute them ahead of the scoring."""

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import cv2
import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from kolbench.errors import OutOfMemoryError, is_of_memory
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

        for found in in_processes(calls(), self.processes):
            batch = waiting.popleft()
            if found is None:
                raise _too_large(batch, self.processes)
            alpha, notes, seconds = found
            yield {
                **batch,
                PRECOMPUTED: torch.from_numpy(alpha)[None, None],
                "notes": [" ".join(sorted(notes))],
                "seconds": seconds,
            }


def _too_large(batch: Mapping[str, Any], processes: int) -> OutOfMemoryError:
    height, width = batch["mask"].shape[-2:]
    fewer = f" Fewer than {processes} processes need less: OMP_NUM_THREADS=1." if processes > 1 else ""
    return OutOfMemoryError(
        f"Memory ran out while scoring image {batch['name'][0]} of {width}x{height} px. model.size= makes "
        f"what the method works on smaller, where it has such a key.{fewer}"
    )


def in_processes(calls: Iterable[Any], processes: int) -> Iterator[Any]:
    """The results of joblib's delayed calls, in order; a few are called for ahead of the one that is taken.

    Args:
        processes: how many work at once, one thread each.

    Raises:
        OutOfMemoryError: one of them was killed, or crashed.
    """
    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            pool = joblib.Parallel(
                n_jobs=processes, return_as="generator", pre_dispatch=LOOK_AHEAD, batch_size=1
            )
            results = pool(calls)
            try:
                for result in results:  # noqa: UP028 - `yield from` would close them before the filter stands
                    yield result
            finally:
                with warnings.catch_warnings():
                    # whoever takes no more results means to
                    warnings.filterwarnings("ignore", ".*tasks which were still being processed")
                    results.close()
    except TerminatedWorkerError as error:
        killed = "SIGKILL" in str(error)
        how = "killed, most likely for lack of memory" if killed else "ended from outside or crashed"
        raise OutOfMemoryError(
            f"One of {processes} processes that compute alphas was {how}. Fewer of them need less memory "
            "(OMP_NUM_THREADS=1); the same command begins this part again."
        ) from error


def _timed(
    function: Callable[..., PictureResult], arrays: list[Any], alone: bool
) -> tuple[Float32Array, list[str], float] | None:
    """Alpha, notes and seconds; None where memory ran out.

    As a result, for results come in the order of the pictures, and errors as soon as they are raised.
    """
    if alone:
        cv2.setNumThreads(1)
    started = time.perf_counter()
    try:
        result = function(*arrays)
    except Exception as error:
        if not is_of_memory(error):
            raise
        return None
    seconds = time.perf_counter() - started
    return result.alpha, [name for name, value in result.notes.items() if value], seconds
