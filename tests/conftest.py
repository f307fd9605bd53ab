import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED = Path(os.environ.get("KOLBENCH_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, weights and key lists; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("needs the shared folder of the developers' machines (or KOLBENCH_SHARED)")
    return SHARED
