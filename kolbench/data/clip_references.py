"""What other frames of its clip a frame is given where clips are scored; in videos methods remember them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from kolbench import preprocessing
from kolbench.data import protocols
from kolbench.data.clip_frames import Frame, whole_clips
from kolbench.data.dataset import Item, seed_for
from kolbench.data.sources.base import Source
from kolbench.errors import require_choice, require_whole
from kolbench.types import NATIVE, REFERENCE, Sample

# chosen from the frames before, by the method itself; or from the whole clip
PAST, EVEN, RANDOM = "past", "even", "random"
SAMPLINGS = (PAST, EVEN, RANDOM)


@dataclass(frozen=True)
class ReferenceOptions:
    """Which frames of a clip go with each of its frames, and how many at most."""

    sampling: str
    count: int

    @classmethod
    def of_model(cls, options: Mapping[str, Any]) -> Self | None:
        """From the keys `reference_sampling` and `references` of a `model` group; None where none are given.

        Raises:
            ConfigError: a value is no choice or out of range.
        """
        sampling = options.get("reference_sampling", PAST)
        if require_choice("model.reference_sampling", sampling, SAMPLINGS) == PAST:
            return None
        return cls(sampling, require_whole("model.references", options.get("references"), 1, 100))


class ClipReferences:
    """Frames of a source's clips that go with each of their frames, those without truth among them.

    Args:
        source: of the pictures. What follows the last frame with a truth is not part of its clip.
        options: `even`: the same frames for all of a clip, evenly spaced over it, its first and last among
            them; `random`: drawn without replacement for each frame, which may be drawn itself. Of a shorter
            clip all frames.
        seed: decides, with the names of clip and frame, what `random` draws.
        protocol: one of `EVAL_PROTOCOLS`, how pictures are scored.
    """

    def __init__(self, source: Source, options: ReferenceOptions, seed: int, protocol: str = NATIVE) -> None:
        self._source = source
        self._options = options
        self._seed = seed
        self._view = protocols.VIEWS[protocol]
        self._clips = whole_clips(source.names, source.clips, source.unscored)
        # of the clip that is being scored, whose frames all have the same
        self._kept: tuple[str, list[Tensor]] = ("", [])

    def chosen(self, clip: str, name: str) -> list[Frame]:
        """The references of a frame of a clip."""
        frames = self._clips[clip]
        count = min(self._options.count, len(frames))
        if self._options.sampling == EVEN:
            return [frames[int(place)] for place in np.linspace(0, len(frames) - 1, count).round()]
        generator = torch.Generator().manual_seed(seed_for("references", self._seed, clip, name))
        return [frames[place] for place in torch.randperm(len(frames), generator=generator)[:count].tolist()]

    def of(self, clip: str, name: str, size: Sequence[int]) -> Tensor:
        """The same as pictures.

        Args:
            clip, name: of a frame. size: its height and width, which references of another size get.

        Returns:
            (N, 3, H, W) float32 in [0, 1].

        Raises:
            DataError: a frame cannot be read.
        """
        return torch.stack([_sized(image, size) for image in self._images(clip, name)])

    def _images(self, clip: str, name: str) -> list[Tensor]:
        if self._options.sampling != EVEN:
            return [self._read(frame) for frame in self.chosen(clip, name)]
        if self._kept[0] != clip:
            self._kept = clip, [self._read(frame) for frame in self.chosen(clip, name)]
        return self._kept[1]

    def _read(self, frame: Frame) -> Tensor:
        image = self._source.frame(*frame)
        seen = self._view(Sample(image, np.zeros(image.shape[:2], np.uint8))).image
        return torch.from_numpy(np.array(seen)).permute(2, 0, 1).float() / 255


class WithReferences(Dataset[Item]):
    """Pictures that are scored, each with its references as `reference`; one of no clip is its own.

    Args:
        pictures: an EvaluationSet or WholeClips.
        references: of the same source.
    """

    def __init__(self, pictures: Dataset[Item], references: ClipReferences) -> None:
        self.pictures = pictures
        self.references = references

    def __len__(self) -> int:
        return len(self.pictures)  # type: ignore[arg-type]  # both have a length

    def __getitem__(self, number: int) -> Item:
        item = self.pictures[number]
        image, clip, name = item["image"], item["clip"], item["name"]
        assert isinstance(image, Tensor)
        assert isinstance(clip, str)
        assert isinstance(name, str)
        size = tuple(image.shape[-2:])
        return {**item, REFERENCE: self.references.of(clip, name, size) if clip else image[None]}


def _sized(image: Tensor, size: Sequence[int]) -> Tensor:
    height, width = size
    if tuple(image.shape[-2:]) == (height, width):
        return image
    return preprocessing.resize(image[None], (height, width)).clamp(0, 1)[0]
