"""J of clips over time, a panel per clip and a line per method."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kolbench.report import drawing, labels
from kolbench.report.clips import NOT_THE_THRESHOLD
from kolbench.report.drawing import Figure, Style
from kolbench.report.numbers import Numbers, RunNumbers

_MOST_PANELS = 6
_PANEL = 1.35  # inches
# methods whose names stand at every panel
_NAMES_EVERYWHERE = 6


@drawing.rules()
def j_over_time(numbers: Numbers) -> Figure | None:
    """J of each frame, a panel per clip; None where no run keeps the numbers of frames."""
    runs = [run for run in numbers.runs if run.run.clip_frames]
    means = {clip: found for clip in _clips_of(runs) if (found := _mean_j(runs, clip)) is not None}
    if not means:
        return None
    hardest = sorted(means, key=lambda clip: means[clip])[:_MOST_PANELS]
    names = len(drawing.legend_of(numbers, runs))
    tall = max(_PANEL, labels.height(names) + 0.45)
    # many names stand at the first panel only, which is made for them
    heights = [tall] * len(hardest) if names <= _NAMES_EVERYWHERE else [tall, *[_PANEL] * (len(hardest) - 1)]
    panels = drawing.canvas(heights, labels.legend(numbers, runs))
    chosen = drawing.styles(numbers)
    for panel, clip in zip(panels, hardest, strict=True):
        for run in runs:
            _draw(panel, run, clip, chosen[run.label])
        panel.set(ylim=(-0.02, 1.02), ylabel="J")
        panel.set_title(clip, loc="left")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[-1].set_xlabel("frame")
    named = list(zip(panels, hardest, strict=True))[: None if names <= _NAMES_EVERYWHERE else 1]
    labels.at_line_ends({panel: labels.of_families(numbers, _ends(runs, clip)) for panel, clip in named})
    which = f" Of {len(means)} clips, those with the lowest J are drawn." if len(means) > len(hardest) else ""
    return drawing.finish_axes(
        panels[0],
        "j_over_time",
        "J over time",
        f"J of each frame that has a ground truth; frames count from 0, the hardest clip first.{which} "
        f"{NOT_THE_THRESHOLD}",
    )


def _clips_of(runs: Sequence[RunNumbers]) -> list[str]:
    return list(dict.fromkeys(clip for run in runs for clip in run.run.clip_frames))


def _mean_j(runs: Sequence[RunNumbers], clip: str) -> float | None:
    """Over the runs that scored it; None where it has no frame with a truth."""
    frames = [run.run.clip_frames[clip]["j"] for run in runs if clip in run.run.clip_frames]
    known = [float(values.mean()) for values in frames if values.notna().any()]
    return float(np.mean(known)) if known else None


def _ends(runs: Sequence[RunNumbers], clip: str) -> dict[str, tuple[float, float]]:
    """Run's label -> its last frame of a clip that has a J, and that J."""
    known = {
        run.label: run.run.clip_frames[clip]["j"].dropna() for run in runs if clip in run.run.clip_frames
    }
    return {label: (float(j.index[-1]), float(j.iloc[-1])) for label, j in known.items() if len(j)}


def _draw(panel: Axes, run: RunNumbers, clip: str, style: Style) -> None:
    frames = run.run.clip_frames.get(clip)
    if frames is None:
        return
    known = frames["j"].dropna()
    # a single frame has no line
    options = style.point() if len(known) == 1 else style.line()
    panel.plot(known.index.to_numpy(), known.to_numpy(), **options)
