"""Optical flow of the frames of a source's clips: found once, kept as pictures."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kolbench import preprocessing
from kolbench.data.clip_frames import Frame, whole_clips
from kolbench.data.flow import WHITE, FlowOptions, ShotFlow
from kolbench.data.sources.base import Source
from kolbench.io import images, progress
from kolbench.types import UInt8Array

STILL = np.full((1, 1, 3), WHITE, np.uint8)


class ClipFlow:
    """The flow of each frame to the next of its clip, frames without truth among them.

    Args:
        source: of the pictures; those of no clip have none, and their flow is white.
        options: how it is found and drawn.
        folder: below it the pictures are kept, in a folder of their own for these pictures and options.
    """

    def __init__(self, source: Source, options: FlowOptions, folder: Path) -> None:
        self._source = source
        self._options = options
        self._below = folder
        key = f"{source.fingerprint()} {options}"
        self._folder = folder / hashlib.sha256(key.encode()).hexdigest()[:16]

    def of_source(self, source: Source) -> "ClipFlow":
        """The same of another source, such as these pictures corrupted."""
        return ClipFlow(source, self._options, self._below)

    def prepare(self, rows: Iterable[int]) -> None:
        """Finds what is not kept yet, for whole clips.

        Args:
            rows: of the source; the clips that they are of count.

        Raises:
            DataError: a frame cannot be read.
        """
        source = self._source
        wanted = dict.fromkeys(source.clips[row] for row in rows if source.clips[row])
        clips = whole_clips(source.names, source.clips, source.unscored)
        frames_of = {clip: self._with_the_next(clips[clip]) for clip in wanted}
        missing = {
            clip: frames
            for clip, frames in frames_of.items()
            if not all(self._file(frame.name).is_file() for frame in frames)
        }
        if not missing:
            return
        with progress.bar("finding optical flow", sum(map(len, missing.values()))) as advance:
            for frames in missing.values():
                self._find(frames)
                advance(len(frames))

    def of(self, row: int, size: tuple[int, int]) -> Tensor:
        """The flow picture of a picture, (3, H, W) uint8 at a size (H, W)."""
        return _sized(self._kept(self._source.names[row]) if self._source.clips[row] else STILL, size)

    def of_unscored(self, name: str, size: tuple[int, int]) -> Tensor:
        """The same of a frame without truth."""
        return _sized(self._kept(name), size)

    def _with_the_next(self, frames: Sequence[Frame]) -> list[Frame]:
        """A clip's frames up to the last one with a truth, and the one behind it where there is one."""
        last = frames[-1].row
        after = None if last is None else self._source.unscored_after.get(last)
        return list(frames) if after is None else [*frames, Frame(after, None)]

    def _find(self, frames: Sequence[Frame]) -> None:
        shot, before = ShotFlow(self._options), ""
        for name, row in frames:
            picture = shot.push(self._source.frame(name, row))
            if picture is not None:
                self._keep(before, picture)
            before = name
        self._keep(before, shot.end())

    def _keep(self, name: str, picture: UInt8Array) -> None:
        path = self._file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(path, picture)

    def _kept(self, name: str) -> UInt8Array:
        return images.read_rgb(self._file(name))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.png"


def _sized(picture: UInt8Array, size: tuple[int, int]) -> Tensor:
    planes = torch.from_numpy(np.array(picture)).permute(2, 0, 1).unsqueeze(0)
    return preprocessing.resize(planes.float(), size).round().clamp(0, 255).to(torch.uint8)[0]
