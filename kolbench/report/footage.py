"""Clips for the page to be gone through frame by frame: small frames with truths, alphas and J."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from kolbench.report.faces import SHOW
from kolbench.report.numbers import Numbers, RunNumbers, numbers_of
from kolbench.report.shots import Shot, read_shot, text_bytes
from kolbench.runs.finished import Comparison
from kolbench.types import Float64Array

LONGEST = 160  # pixels, of the long side of a frame
MOST_CLIPS = 24
MOST_BYTES = 8_000_000  # of all frames, truths and alphas, as they stand in the page

ReadShot = Callable[[str], Shot]


@dataclass(frozen=True)
class ShownClip:
    """A clip of the test images.

    name: its. shots: frames that are shown, in time. positions: of those among all frames that are scored,
    from 0. j: label -> J of all frames that are scored, NaN where a run has none.
    """

    name: str
    shots: tuple[Shot, ...]
    positions: tuple[int, ...]
    j: Mapping[str, Float64Array]

    @property
    def frames(self) -> int:
        """How many frames are scored."""
        return max(len(values) for values in self.j.values())


@dataclass(frozen=True)
class Footage:
    """Clips, the hardest first, and how they were chosen, as plain text."""

    rule: str
    clips: tuple[ShownClip, ...]


def footage_of(comparison: Comparison, faces: str = SHOW, most_bytes: int = MOST_BYTES) -> Footage | None:
    """The test clips at thumbnail size; None where no run has both images and numbers of frames.

    Where all frames are more than `most_bytes`, every second one is shown, else every third, and so on, the
    first of a clip always. Of runs that differ in the seed only, the first stands for all.
    Faces are shown as `report.faces.without_faces` has it.

    Raises:
        DataError: an image's file is missing, damaged or of another shape, or its name leaves the folder.
    """
    runs = with_frames(numbers_of(comparison))
    if not runs:
        return None
    frames = frames_of(runs, comparison.pictures)
    chosen = hardest_first(frames)[:MOST_CLIPS]
    # clips outline no products
    read = cache(lambda name: replace(read_shot(name, runs, LONGEST, faces), product=None))
    step = _step({clip: list(frames[clip].index) for clip in chosen}, read, most_bytes)
    shown = tuple(_shown(clip, frames[clip], step, read) for clip in chosen)
    return Footage(_rule(shown, step, len(frames), [run.label for run in runs]), shown)


def with_frames(numbers: Numbers) -> list[RunNumbers]:
    """Runs with images and with numbers of frames; of those that differ in the seed only, the first."""
    firsts = (runs[0] for runs in numbers.families.values())
    return [run for run in firsts if run.run.has_pictures and run.run.clip_frames]


def frames_of(runs: Sequence[RunNumbers], pictures: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Clip -> J of its frames: a column per run, by label, a row per test image, by name, in time."""
    known = set(pictures)
    found: dict[str, dict[str, pd.Series]] = {}
    for run in runs:
        for clip, rows in run.run.clip_frames.items():
            j = rows.set_index("name")["j"]
            found.setdefault(clip, {})[run.label] = j[j.index.isin(known)]
    joined = {
        clip: pd.DataFrame({label: j.reindex(_longest(of)) for label, j in of.items()})
        for clip, of in found.items()
    }
    return {clip: rows for clip, rows in joined.items() if len(rows)}


def hardest_first(frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """Clips by their mean J over frames and methods; those without any are last."""
    means = {
        clip: float(np.nanmean(rows)) if rows.notna().any(axis=None) else np.inf
        for clip, rows in frames.items()
    }
    return sorted(means, key=lambda clip: means[clip])


def _longest(columns: Mapping[str, pd.Series]) -> pd.Index:
    return max((j.index for j in columns.values()), key=len)


def _step(clips: Mapping[str, Sequence[str]], read: ReadShot, most_bytes: int) -> int:
    """Every how many frames are few enough bytes; at first judged by the middle frame of each clip."""
    middles = [text_bytes([read(names[len(names) // 2])]) for names in clips.values()]
    expected = np.mean(middles) * sum(len(names) for names in clips.values())
    longest = max(len(names) for names in clips.values())
    for step in itertools.count(max(1, min(longest, int(expected // most_bytes)))):
        held = text_bytes(read(name) for names in clips.values() for name in names[::step])
        if held <= most_bytes or step >= longest:
            return step
    raise AssertionError("the longest clip ends")


def _shown(clip: str, frames: pd.DataFrame, step: int, read: ReadShot) -> ShownClip:
    positions = tuple(range(0, len(frames), step))
    shots = tuple(read(frames.index[position]) for position in positions)
    j = {str(label): frames[label].to_numpy(float) for label in frames}
    return ShownClip(clip, shots, positions, j)


def _rule(shown: Sequence[ShownClip], step: int, clips: int, labels: Sequence[str]) -> str:
    frames, kept = sum(clip.frames for clip in shown), sum(len(clip.shots) for clip in shown)
    which = (
        "All test clips"
        if len(shown) == clips
        else f"The {len(shown)} of {clips} test clips with the lowest J"
    )
    thinned = (
        f"Of {frames:,} frames {kept:,} are here, every {_nth(step)}: all would make the page too large."
        if step > 1
        else f"All {frames:,} frames are here."
    )
    return (
        f"{which}, the hardest first, at most {LONGEST} px on the long side. {thinned} Frames count from 0. "
        "J is that of the full size with alphas cut at 0.5; masks are shown at the threshold of the "
        "threshold explorer."
        + (" With one method there is nothing to compare it with." if len(labels) == 1 else "")
    )


def _nth(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
