"""Where the project and what lies beside it are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("KOLBENCH_SHARED", ROOT.parent / "shared"))
