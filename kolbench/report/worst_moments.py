"""The moment at which clips go worst, as pictures: what stands below the curves of J over time."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kolbench.io import images
from kolbench.report import drawing, strips
from kolbench.report.drawing import Figure
from kolbench.report.faces import SHOW
from kolbench.report.footage import frames_of, hardest_first, with_frames
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.shots import below, read_shot
from kolbench.report.strips import Strip

_MOST_CLIPS = 6
_FRAME_PX = 256  # of the longer side
_MOST_METHODS = 10  # with frame and truth, two lines of pictures


@drawing.rules()
def worst_moments(numbers: Numbers, faces: str = SHOW) -> Figure | None:
    """Frame, ground truth and alphas where mean J is lowest, a strip per clip; None without images of clips.

    Faces are shown as `report.faces.without_faces` has it.

    Raises:
        DataError: a picture is missing or damaged.
    """
    runs = with_frames(numbers)
    shown = ([run for run in runs if not run.is_baseline] or runs)[:_MOST_METHODS]
    frames = frames_of(shown, numbers.comparison.pictures)
    known = {clip: rows for clip, rows in frames.items() if rows.notna().any(axis=None)}
    if not known:
        return None
    clips = hardest_first(known)[:_MOST_CLIPS]
    cut = f" Of {len(known)} clips, those with the lowest J are shown." if len(known) > len(clips) else ""
    others = len(runs) - len(shown)
    return drawing.finish(
        strips.drawn(dict(_strip(clip, known[clip], shown, faces, drawing.names(numbers)) for clip in clips)),
        "worst_moments",
        "The worst moment of each clip",
        "The frame at which J, averaged over the methods shown, is lowest: the image, its ground truth, and "
        f"each method's alpha matte with its J below. The hardest clip stands first.{cut}"
        + (f" Baselines and what does not fit are left out ({others})." if others else ""),
    )


def worst_frame(frames: pd.DataFrame) -> int:
    """The row of the lowest mean J over the methods that have one; the first of several."""
    return int(np.nanargmin(frames.mean(axis=1).to_numpy()))


def _strip(
    clip: str, frames: pd.DataFrame, runs: Sequence[RunNumbers], faces: str, called: Mapping[str, str]
) -> tuple[str, Strip]:
    row = worst_frame(frames)
    name = str(frames.index[row])
    j = frames.iloc[row].dropna()
    scored = [run for run in runs if run.label in j]
    first = scored[0].run
    frame = images.rgb_from_bytes(read_shot(name, scored, _FRAME_PX, faces).image, name)
    truth = below(first.root, first.truth_file(name))
    strip: Strip = [("image", frame), ("ground\ntruth", truth)]
    for run in scored:
        path = below(run.run.root, run.run.alpha_file(name))
        strip.append(("\n".join([*called[run.label].split(" ", 1), f"{j[run.label]:.2f}"]), path))
    return f"{clip}, frame {row}", strip
