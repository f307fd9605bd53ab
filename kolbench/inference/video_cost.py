"""What a frame of a video costs methods that remember frames, or read what moves."""

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np

from kolbench.data.flow import FlowOptions, ShotFlow
from kolbench.models.mirrored import viewed
from kolbench.segmenter import Clip, Segmenter
from kolbench.types import UInt8Array

FRAME, FLOW = "frame", "flow"
# frames of a clip that comes back to its first one, so that it has no end
_FRAMES, _STEP_PX = 8, 4


def frame_calls(segmenter: Segmenter, image: UInt8Array) -> dict[str, Callable[[], object]]:
    """What is timed of a clip: `frame`, its next frame with all that is found and kept for it; `flow`, flow.

    Args:
        segmenter: in the form that predicts.
        image: (H, W, 3) uint8, which moves to the right by 4 px a frame, and begins anew every 8 frames.

    Returns:
        Empty for methods to which a frame is a picture like any other; without `flow` where none is read.
    """
    options: FlowOptions | None = getattr(viewed(segmenter)[0], "flow_options", None)
    clip = Clip(segmenter)
    if options is not None:
        late, flows = _with_flow(_moving(image), options), _with_flow(_moving(image), options)
        return {FRAME: lambda: clip.segment(*next(late)), FLOW: lambda: next(flows)}
    if segmenter.stateful:
        frames = _moving(image)
        return {FRAME: lambda: clip.segment(next(frames))}
    return {}


def _moving(image: UInt8Array) -> Iterator[UInt8Array]:
    return cycle([np.ascontiguousarray(np.roll(image, _STEP_PX * number, 1)) for number in range(_FRAMES)])


def _with_flow(
    frames: Iterator[UInt8Array], options: FlowOptions
) -> Iterator[tuple[UInt8Array, tuple[UInt8Array, ...]]]:
    """Frames with the flow to the next one."""
    shot = ShotFlow(options)
    before = next(frames)
    shot.push(before)
    for frame in frames:
        flow = shot.push(frame)
        assert flow is not None  # there is a frame before
        yield before, (flow,)
        before = frame
