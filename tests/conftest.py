import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolbench.io.heap import keep_freed_memory
from tests.helpers.paths import SHARED

# torch is imported after what follows, which is for it too
if TYPE_CHECKING:
    from kolbench.types import Batch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # workers, and the processes that they start, share the cores instead of crowding them
    shared_by = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // shared_by)))
if sys.dont_write_bytecode and sys.pycache_prefix is None:
    # where Python may write no bytecode, every process of a test would spend 20 s on compiling its imports
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(tempfile.gettempdir()) / f"kolbench-bytecode-{os.getuid()}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# as every command does
keep_freed_memory()

CANVAS = 128


@pytest.fixture(scope="session")
def training_batch() -> "Batch":
    """Two training pictures as the loaders give them."""
    return drawn(CANVAS)


def drawn(canvas: int) -> "Batch":
    """Two training pictures of the canvas's own size, so that nothing is resized."""
    from kolbench.data.datamodule import SegmentationDataModule
    from kolbench.data.perturb import RoughFromMask
    from kolbench.data.sources.synthetic import SyntheticSource
    from tests.helpers.data import NO_LIMIT, data_config

    source = SyntheticSource(seed=3, size=canvas, scenes={"train": 2, "val": 1, "test": 1})
    data = SegmentationDataModule(source, 0, 2, [RoughFromMask()], data_config(), NO_LIMIT)
    data.cache_samples(lambda height, width: (canvas, canvas))
    batch: Batch = next(iter(data.train_dataloader()))
    return batch


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C is heeded here and in children; where the tests run in the background it is ignored else."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, weights and key lists; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("needs the shared folder of the developers' machines (or KOLBENCH_SHARED)")
    return SHARED
