"""Interlaced frames, two half pictures of different moments woven into one, as whole pictures."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any


def deinterlaced(frames: Iterator[Any]) -> Iterator[Any]:
    """The same frames, each of one moment: lines of the later half picture are made from their neighbours.

    From the first interlaced frame on FFmpeg's bwdif does it, to interlaced frames alone; what comes before
    it, and videos without any, pass as they are. One frame of delay.

    Args:
        frames: decoded, in the order of display, of one size and pixel format; each with a pts of its own.

    Returns:
        As many frames, with their pts, colours and side data.
    """
    for frame in frames:
        if frame.interlaced_frame:
            yield from _filtered(frame, frames)
            return
        yield frame


def _filtered(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    graph = _graph(first)
    stamps: deque[int | None] = deque()
    for frame in chain([first], rest):
        stamps.append(frame.pts)
        graph.push(frame)
        yield from _taken(graph, stamps)
    graph.push(None)
    yield from _taken(graph, stamps)


def _taken(graph: Any, stamps: deque[int | None]) -> Iterator[Any]:
    """What the filter has ready; frames come out in the order they went in."""
    import av

    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        frame.pts = stamps.popleft()
        yield frame


def _graph(frame: Any) -> Any:
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    weaver = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(weaver)
    weaver.link_to(sink)
    graph.configure()
    return graph
