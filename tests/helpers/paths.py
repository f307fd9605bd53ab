"""Where the project and what lies beside it are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("KOLBENCH_SHARED", ROOT.parent / "shared"))
# of shared/data/davis_person, the clips of people on foot: no vehicle or horse makes the camera pan fast
ON_FOOT = (
    *("breakdance", "breakdance-flare", "dance-twirl", "hike"),
    *("kite-walk", "parkour", "rollerblade", "swing"),
)
