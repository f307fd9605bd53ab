"""Pictures as the loaders give them: training pictures decoded once, evaluation as a protocol has it."""

import copy
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from kolbench import preprocessing
from kolbench.data import augment, protocols, targets
from kolbench.data.shards import Shard, share
from kolbench.data.sources.base import Source
from kolbench.types import ALPHA, FLOW, NATIVE, Batch, Float32Array, Sample, UInt8Array

if TYPE_CHECKING:
    from kolbench.data.clip_flow import ClipFlow
    from kolbench.data.references import References

MEMORY_LIMIT_BYTES = 2 * 1024**3
# one picture's entries of a Batch
Item = dict[str, Tensor | str | bool]


def seed_for(*parts: object) -> int:
    """A 63-bit seed that depends on all parts and on nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class EpochSampler(Sampler[tuple[int, int]]):
    """(round, row) pairs in an order that seed and epoch alone decide, so a resumed run repeats it.

    All epochs together walk one endless stream of rounds, each a fresh shuffle of all rows; an epoch
    is the next `count` draws of it (all rows once, unless told otherwise), less what is beyond the last whole
    multiple of `whole`.
    """

    def __init__(self, size: int, seed: int, count: int | None = None, whole: int = 1) -> None:
        self.size = size
        self.seed = seed
        self.count = size if count is None else count
        self.given = self.count // whole * whole
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.given

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start = self.epoch * self.count
        for position in range(start, start + self.given):
            round_number, offset = divmod(position, self.size)
            if position == start or offset == 0:
                order = self._order(round_number)
            yield round_number, order[offset]

    def _order(self, round_number: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed_for("order", self.seed, round_number))
        return [int(row) for row in torch.randperm(self.size, generator=generator)]


class SampleCache:
    """All training pictures at the training input size, decoded once, in memory or mapped from disk.

    size: (H, W). colours: (N, C, H, W) uint8, C = 3, or 9 with true foreground and background.
    masks: (N, M, H, W) uint8: the binary truth and the product, in {0, 1}; where the source knows them the
    instances, 0 = background, 1.. = persons; where its truth is a true alpha that, 0 to 255, as the last.
    mattes: whether it is there.

    Args:
        source: of the pictures.
        indices: N rows of the source.
        size: (H, W).
        cache: memory, disk, or auto: on disk where they need more than 2 GiB.
        colours: whether true foreground and background are kept too.
        advance: called after each picture with the number of pictures so far.
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[int],
        size: tuple[int, int],
        cache: str = "auto",
        colours: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self.indices = list(indices)
        self.size = size
        samples = (source.read(index) for index in self.indices)
        first = list(islice(samples, 1))
        colour_channels = 9 if colours else 3
        self.mattes = source.truth == ALPHA
        instances = bool(first) and first[0].instances is not None
        mask_channels = 2 + instances + self.mattes
        size_bytes = len(self.indices) * (colour_channels + mask_channels) * size[0] * size[1]
        on_disk = cache == "disk" or (cache == "auto" and size_bytes > MEMORY_LIMIT_BYTES)
        self._folder = Path(tempfile.mkdtemp(prefix="kolbench-")) if on_disk else None
        if self._folder is not None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.colours = self._array("colours", (len(self.indices), colour_channels, *size))
        self.masks = self._array("masks", (len(self.indices), mask_channels, *size))
        for row, sample in enumerate(chain(first, samples)):
            self.colours[row], self.masks[row] = resize_sample(sample, size, colours, self.mattes)
            if advance is not None:
                advance(row + 1)

    def _array(self, name: str, shape: tuple[int, ...]) -> UInt8Array:
        if self._folder is None:
            return np.zeros(shape, np.uint8)
        path = self._folder / f"{name}.u8"
        return np.memmap(path, np.uint8, "w+", shape=shape)

    def __len__(self) -> int:
        return len(self.indices)


def resize_sample(
    sample: Sample, size: tuple[int, int], colours: bool, matte: bool = False
) -> tuple[UInt8Array, UInt8Array]:
    """A sample at another size: colours and matte bilinear with antialiasing, masks and instances nearest.

    Args:
        sample: of any size.
        size: (H, W).
        colours: whether true foreground and background follow the picture's colours.
        matte: whether the true alpha follows the masks.

    Returns:
        (3 or 9, H, W) uint8 colours and (2 to 4, H, W) uint8 masks, as SampleCache keeps them.
    """
    layers = [sample.image]
    if colours:
        assert sample.foreground is not None
        assert sample.background is not None
        layers += [sample.foreground, sample.background]
    resized = _smoothly(np.concatenate(layers, axis=2), size)
    product = sample.product if sample.product is not None else np.zeros_like(sample.mask)
    truth = [sample.mask, product]
    if sample.instances is not None:
        truth.append(sample.instances)
    planes = np.stack([_nearest(layer, size) for layer in truth])
    if not matte:
        return resized, planes
    assert sample.matte is not None
    return resized, np.concatenate([planes, _smoothly(255 * sample.matte[..., None], size)])


def _smoothly(levels: UInt8Array | Float32Array, size: tuple[int, int]) -> UInt8Array:
    """Levels (H, W, C) in [0, 255] at another size, (C, H, W)."""
    planes = torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0)
    resized = preprocessing.resize(planes.float(), size).round().clamp(0, 255).to(torch.uint8)
    found: UInt8Array = resized[0].numpy()
    return found


def _nearest(mask: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    if mask.shape == size:
        return mask
    resized: Any = cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


class TrainingSet(Dataset[Item]):
    """Augmented training pictures with all targets, addressed by (round, row of the cache).

    references: gives each picture the one that goes with it as `reference`; None = none does. beside_clips:
    whether these pictures are those of image steps between video steps. flow: gives each its flow picture.
    """

    def __init__(
        self,
        samples: SampleCache,
        transform: v2.Transform,
        region_px: int,
        seed: int,
        source: Source,
        references: "References | None" = None,
        beside_clips: bool = False,
        flow: "ClipFlow | None" = None,
    ) -> None:
        self.flow = flow
        self.references = references
        self.beside_clips = beside_clips
        self.samples = samples
        self.transform = transform
        self.region_px = region_px
        self.seed = seed
        self.names = [source.names[index] for index in samples.indices]
        self.groups = [source.groups[index] or "" for index in samples.indices]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        round_number, row = key
        draw = seed_for("augment", self.seed, round_number, self.names[row])
        layers, masks = self._augmented(row, draw)
        matte = masks[-1].numpy() if self.samples.mattes else None
        labels = masks[:-1] if self.samples.mattes else masks
        sample: Item = {
            **{name: layer.float() / 255 for name, layer in layers.items()},
            "mask": labels[:1].float(),
            "product": labels[1:2].float(),
            **targets.derive(labels[0].numpy(), self.region_px, matte),
            "name": self.names[row],
            "group": self.groups[row],
        }
        if len(labels) > 2:
            sample["instances"] = labels[2:]
        if matte is not None:
            sample["matte"] = sample["alpha"]
        if self.references is not None:
            other = self.references.of(round_number, row)
            layers, masks = self._augmented(other.row, draw if other.draw is None else other.draw)
            sample |= {"reference": layers["image"].float() / 255, "reference_mask": masks[:1].float()}
        if self.beside_clips:
            sample["beside_clips"] = True
        return sample

    def _augmented(self, row: int, draw: int) -> tuple[dict[str, Tensor], Tensor]:
        colours = torch.from_numpy(np.array(self.samples.colours[row]))
        masks = torch.from_numpy(np.array(self.samples.masks[row]))
        flow = None if self.flow is None else self.flow.of(self.samples.indices[row], self.samples.size)
        return augment.apply(self.transform, colours, masks, draw, self.samples.mattes, flow)


def clips_in_time(indices: Sequence[int], clips: Sequence[str]) -> list[int]:
    """Orders rows so that the frames of a clip stand together and in time; the others stay where they are.

    Args:
        indices: rows of a source, each once. clips: of all of its rows, "" = of none.

    Returns:
        The same rows; each clip begins where its first frame stood.
    """
    frames: dict[str, list[int]] = {}
    for index in indices:
        frames.setdefault(clips[index] or f"\0{index}", []).append(index)
    return [index for of_clip in frames.values() for index in sorted(of_clip)]


class EvaluationSet(Dataset[Item]):
    """Pictures with their truth, at their own size or as `protocol`, one of `EVAL_PROTOCOLS`, has them.

    A true alpha is part of the truth where the source says so and the protocol keeps it. Pictures
    stay in memory while they fit. The frames of a clip follow one another in time; see `clips_in_time`.
    `entries` makes what else a method reads out of picture and truth, and moves no pixel; its draws follow
    from the picture's name alone, so that a picture has the same at any time. `flow` gives flow pictures.
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[int],
        memory_bytes: int = MEMORY_LIMIT_BYTES,
        protocol: str = NATIVE,
        entries: v2.Transform | None = None,
        flow: "ClipFlow | None" = None,
    ) -> None:
        self.flow = flow
        self.source = source
        self.indices = clips_in_time(indices, source.clips)
        self.view = protocols.VIEWS[protocol]
        self.entries = entries
        self._free = memory_bytes
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def names(self) -> list[str]:
        """Of its pictures, in their order."""
        return [self.source.names[index] for index in self.indices]

    @property
    def clips(self) -> list[str]:
        """The clip of each, "" = of none."""
        return [self.source.clips[index] for index in self.indices]

    def part(self, shard: Shard) -> "EvaluationSet":
        """Those of its pictures that are a shard's."""
        found = copy.copy(self)
        rows = share(self.names, self.clips, shard.number, shard.count)
        found.indices = [self.indices[row] for row in rows]
        found._kept = {}
        return found

    def picture(self, row: int) -> Sample:
        """The picture of a row as it is scored, read once where memory allows."""
        if row in self._kept:
            return self._kept[row]
        full = self.source.read(self.indices[row])
        matte = full.matte if self.source.truth == ALPHA else None
        sample = self.view(Sample(full.image, full.mask, full.product, matte, instances=full.instances))
        size = sum(part.nbytes for part in sample if part is not None)
        if size <= self._free:
            self._free -= size
            self._kept[row] = sample
        return sample

    def __getitem__(self, row: int) -> Item:
        picture = self.picture(row)
        index = self.indices[row]
        product = picture.product if picture.product is not None else np.zeros_like(picture.mask)
        sample: Item = {
            "image": torch.from_numpy(np.array(picture.image)).permute(2, 0, 1).float() / 255,
            "mask": torch.from_numpy(np.array(picture.mask)).unsqueeze(0).float(),
            "product": torch.from_numpy(np.array(product)).unsqueeze(0).float(),
            "name": self.source.names[index],
            "group": self.source.groups[index] or "",
            "clip": self.source.clips[index],
            "tags": self.source.tags[index],
        }
        if picture.instances is not None:
            sample["instances"] = torch.from_numpy(np.array(picture.instances)).unsqueeze(0)
        if picture.matte is not None:
            sample["matte"] = torch.from_numpy(np.array(picture.matte)).unsqueeze(0)
        if self.flow is not None:
            sample[FLOW] = self.flow.of(index, picture.mask.shape).float() / 255
        return {**self._made(picture, self.source.names[index]), **sample}

    def unscored(self, row: int, name: str) -> Item:
        """One of the frames without truth that come right before the picture of a row; it holds no mask."""
        index = self.indices[row]
        image = self.source.read_unscored(name)
        seen = self.view(Sample(image, np.zeros(image.shape[:2], np.uint8))).image
        sample: Item = {
            "image": torch.from_numpy(np.array(seen)).permute(2, 0, 1).float() / 255,
            "name": name,
            "group": self.source.groups[index] or "",
            "clip": self.source.clips[index],
            "tags": self.source.tags[index],
            "unscored": True,
        }
        if self.flow is not None:
            sample[FLOW] = self.flow.of_unscored(name, seen.shape[:2]).float() / 255
        return sample

    def _made(self, picture: Sample, name: str) -> Item:
        if self.entries is None:
            return {}
        colours = torch.from_numpy(np.array(picture.image)).permute(2, 0, 1)
        masks = torch.from_numpy(np.array(picture.mask)).unsqueeze(0)
        layers, _ = augment.apply(self.entries, colours, masks, seed_for("entries", name))
        return {key: layer.float() / 255 for key, layer in layers.items()}


class WholeClips(Dataset[Item]):
    """The pictures of an EvaluationSet, and in time among them the frames of their clips without truth.

    These carry `unscored`, and each must be alone in its batch.
    """

    def __init__(self, scored: EvaluationSet) -> None:
        self.scored = scored
        before = scored.source.unscored
        # row of the scored picture, and the frame before it that is meant; None = the picture itself
        self._frames = [
            (row, name) for row, index in enumerate(scored.indices) for name in (*before.get(index, ()), None)
        ]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Item:
        row, name = self._frames[number]
        return self.scored[row] if name is None else self.scored.unscored(row, name)


class PretrainingSet(Dataset[Item]):
    """Training masks as a pretraining is checked on them: never augmented."""

    def __init__(self, samples: SampleCache, region_px: int, limit: int) -> None:
        self.samples = samples
        self.region_px = region_px
        self.count = min(limit, len(samples))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Item:
        mask = np.array(self.samples.masks[row, 0])
        derived = targets.derive(mask, self.region_px)
        return {
            "mask": torch.from_numpy(mask).unsqueeze(0).float(),
            "alpha": derived["alpha"],
            "name": str(row),
        }


def collate(samples: Sequence[Item]) -> Batch:
    """Tensors are stacked, strings listed."""
    batch: dict[str, Tensor | list[str]] = {}
    for key in samples[0]:
        values: list[Any] = [sample[key] for sample in samples]
        batch[key] = torch.stack(values) if isinstance(values[0], Tensor) else values
    return batch  # type: ignore[return-value]  # the keys are those of Batch
