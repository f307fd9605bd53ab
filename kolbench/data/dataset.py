"""Pictures as the loaders give them: a cached training canvas, and evaluation at the picture's own size."""

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from kolbench import preprocessing
from kolbench.data import augment, targets
from kolbench.data.sources.base import Source
from kolbench.types import Batch, Sample, UInt8Array

MEMORY_LIMIT_BYTES = 2 * 1024**3


def seed_for(*parts: object) -> int:
    """A 63-bit seed that depends on all parts and on nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class EpochSampler(Sampler[tuple[int, int]]):
    """(round, row) pairs in an order that seed and epoch alone decide, so a resumed run repeats it.

    All epochs together walk one endless stream of rounds, each a fresh shuffle of all rows; an epoch
    is the next `count` draws of it (all rows once, unless told otherwise).
    """

    def __init__(self, size: int, seed: int, count: int | None = None) -> None:
        self.size = size
        self.seed = seed
        self.count = size if count is None else count
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start = self.epoch * self.count
        for position in range(start, start + self.count):
            round_number, offset = divmod(position, self.size)
            if position == start or offset == 0:
                order = self._order(round_number)
            yield round_number, order[offset]

    def _order(self, round_number: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed_for("order", self.seed, round_number))
        return [int(row) for row in torch.randperm(self.size, generator=generator)]


class SampleCache:
    """All training pictures on the training canvas, decoded once, in memory or mapped from disk.

    colours: (N, C, H, W) uint8, C = 3, or 9 with true foreground and background.
    masks: (N, M, H, W) uint8: the binary truth and the product, in {0, 1}, and where the source knows
    them (M = 3) the instances, 0 = background, 1.. = persons.
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[int],
        size: tuple[int, int],
        cache: str = "auto",
        colours: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        channels = 9 if colours else 3
        self.indices = list(indices)
        pictures = (source.read(index) for index in self.indices)
        leading = list(islice(pictures, 1))
        layers = 3 if leading and leading[0].instances is not None else 2
        shape = (len(indices), channels, *size)
        bytes_needed = len(indices) * (channels + layers) * size[0] * size[1]
        on_disk = cache == "disk" or (cache == "auto" and bytes_needed > MEMORY_LIMIT_BYTES)
        self._folder = Path(tempfile.mkdtemp(prefix="kolbench-")) if on_disk else None
        if self._folder is not None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.colours = self._array("colours", shape)
        self.masks = self._array("masks", (len(indices), layers, *size))
        for row, picture in enumerate(chain(leading, pictures)):
            self.colours[row], self.masks[row] = on_canvas(picture, size, colours)
            if progress is not None:
                progress(row + 1)

    def _array(self, name: str, shape: tuple[int, ...]) -> UInt8Array:
        if self._folder is None:
            return np.zeros(shape, np.uint8)
        path = self._folder / f"{name}.u8"
        return np.memmap(path, np.uint8, "w+", shape=shape)

    def __len__(self) -> int:
        return len(self.indices)


def on_canvas(picture: Sample, size: tuple[int, int], colours: bool) -> tuple[UInt8Array, UInt8Array]:
    """A picture on the canvas: colours bilinear with antialiasing, masks and instances nearest."""
    layers = [picture.image]
    if colours:
        assert picture.foreground is not None
        assert picture.background is not None
        layers += [picture.foreground, picture.background]
    planes = torch.from_numpy(np.concatenate(layers, axis=2)).permute(2, 0, 1).unsqueeze(0)
    resized = preprocessing.resize(planes.float(), size).round().clamp(0, 255).to(torch.uint8)[0].numpy()
    product = picture.product if picture.product is not None else np.zeros_like(picture.mask)
    truth = [picture.mask, product]
    if picture.instances is not None:
        truth.append(picture.instances)
    return resized, np.stack([_nearest(layer, size) for layer in truth])


def _nearest(mask: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    if mask.shape == size:
        return mask
    resized: Any = cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


class TrainingSet(Dataset[dict[str, Any]]):
    """Augmented training samples with all targets, addressed by (round, row of the canvas)."""

    def __init__(
        self, canvas: SampleCache, transform: v2.Transform, region_px: int, seed: int, source: Source
    ) -> None:
        self.canvas = canvas
        self.transform = transform
        self.region_px = region_px
        self.seed = seed
        self.names = [source.names[index] for index in canvas.indices]
        self.groups = [source.groups[index] or "" for index in canvas.indices]

    def __len__(self) -> int:
        return len(self.canvas)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        round_number, row = key
        colours = torch.from_numpy(np.array(self.canvas.colours[row]))
        masks = torch.from_numpy(np.array(self.canvas.masks[row]))
        draw = seed_for("augment", self.seed, round_number, self.names[row])
        colours, masks = augment.apply(self.transform, colours, masks, draw)
        sample: dict[str, Any] = {
            "image": colours[:3].float() / 255,
            "mask": masks[:1].float(),
            "product": masks[1:2].float(),
            **targets.derive(masks[0].numpy(), self.region_px),
            "name": self.names[row],
            "group": self.groups[row],
        }
        if len(colours) > 3:
            sample["foreground"] = colours[3:6].float() / 255
            sample["background"] = colours[6:9].float() / 255
        if len(masks) > 2:
            sample["instances"] = masks[2:]
        return sample


class EvaluationSet(Dataset[dict[str, Any]]):
    """Pictures at their own size with the binary truth; pictures stay in memory while they fit."""

    def __init__(
        self, source: Source, indices: Sequence[int], memory_bytes: int = MEMORY_LIMIT_BYTES
    ) -> None:
        self.source = source
        self.indices = list(indices)
        self._free = memory_bytes
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.indices)

    def picture(self, row: int) -> Sample:
        """The picture of a row, read once where memory allows."""
        if row in self._kept:
            return self._kept[row]
        picture = self.source.read(self.indices[row])
        picture = Sample(picture.image, picture.mask, picture.product, instances=picture.instances)
        size = sum(part.nbytes for part in picture if part is not None)
        if size <= self._free:
            self._free -= size
            self._kept[row] = picture
        return picture

    def __getitem__(self, row: int) -> dict[str, Any]:
        picture = self.picture(row)
        index = self.indices[row]
        product = picture.product if picture.product is not None else np.zeros_like(picture.mask)
        sample: dict[str, Any] = {
            "image": torch.from_numpy(np.array(picture.image)).permute(2, 0, 1).float() / 255,
            "mask": torch.from_numpy(np.array(picture.mask)).unsqueeze(0).float(),
            "product": torch.from_numpy(np.array(product)).unsqueeze(0).float(),
            "name": self.source.names[index],
            "group": self.source.groups[index] or "",
            "tags": self.source.tags[index],
        }
        if picture.instances is not None:
            sample["instances"] = torch.from_numpy(np.array(picture.instances)).unsqueeze(0)
        return sample


class StageSet(Dataset[dict[str, Any]]):
    """Training masks as a stage sees them when it is checked: on the canvas, never augmented."""

    def __init__(self, canvas: SampleCache, region_px: int, limit: int) -> None:
        self.canvas = canvas
        self.region_px = region_px
        self.count = min(limit, len(canvas))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> dict[str, Any]:
        mask = np.array(self.canvas.masks[row, 0])
        derived = targets.derive(mask, self.region_px)
        return {
            "mask": torch.from_numpy(mask).unsqueeze(0).float(),
            "alpha": derived["alpha"],
            "name": str(row),
        }


def collate(samples: Sequence[dict[str, Any]]) -> Batch:
    """Tensors are stacked, strings listed."""
    batch: dict[str, Any] = {}
    for key in samples[0]:
        values = [sample[key] for sample in samples]
        batch[key] = torch.stack(values) if isinstance(values[0], Tensor) else values
    return batch  # type: ignore[return-value]  # the keys are those of Batch
