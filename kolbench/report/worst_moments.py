"""The moment at which clips go worst, as pictures: what stands below the curves of J over time."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kolbench.report import drawing, strips
from kolbench.report.drawing import Figure
from kolbench.report.footage import frames_of, hardest_first, with_frames
from kolbench.report.gallery import below
from kolbench.report.numbers import Numbers, RunNumbers
from kolbench.report.strips import Strip

_MOST_CLIPS = 6
_MOST_METHODS = 10  # with frame and truth, two lines of pictures


@drawing.rules()
def worst_moments(numbers: Numbers) -> Figure | None:
    """Frame, ground truth and alphas where mean J is lowest, a strip per clip; None without images of clips.

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
        strips.drawn(dict(_strip(clip, known[clip], shown, drawing.names(numbers)) for clip in clips)),
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
    clip: str, frames: pd.DataFrame, runs: Sequence[RunNumbers], called: Mapping[str, str]
) -> tuple[str, Strip]:
    row = worst_frame(frames)
    name = str(frames.index[row])
    first = runs[0].run
    pictures = [
        ("image", below(first.root, first.thumb_file(name))),
        ("ground\ntruth", below(first.root, first.truth_file(name))),
    ]
    for run in runs:
        if run.label in frames and pd.notna(j := frames[run.label].iloc[row]):
            path = below(run.run.root, run.run.alpha_file(name))
            pictures.append(("\n".join([*called[run.label].split(" ", 1), f"{j:.2f}"]), path))
    return f"{clip}, frame {row}", pictures
