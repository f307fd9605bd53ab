"""`data=synthetic`: procedural scenes as a Source; nothing on disk, everything known exactly."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np

from kolbench.data import synthetic
from kolbench.errors import ConfigError
from kolbench.fingerprint import code_hash
from kolbench.types import Picture

SPLITS = ("train", "val", "test")


class SyntheticSource:
    """Scenes numbered from 0: the training scenes first, then validation, then test.

    Args:
        seed: of all scenes; the same number gives the same scenes everywhere.
        size: side length in pixels.
        scenes: how many scenes each of train, val and test has.

    Raises:
        ConfigError: a count or the size is not positive.
    """

    synthetic = True

    def __init__(self, seed: int, size: int, scenes: Mapping[str, int]) -> None:
        if size < 32 or any(scenes[name] < 1 for name in SPLITS):
            raise ConfigError(
                f"data.picture_size={size}, budget.scenes={dict(scenes)}: "
                "at least 32 px and one scene in each split are needed."
            )
        self.seed = seed
        self.size = size
        self.given_splits: dict[str, list[int]] | None = {}
        first = 0
        for name in SPLITS:
            self.given_splits[name] = list(range(first, first + scenes[name]))
            first += scenes[name]
        self.names = [f"scene_{index:05d}" for index in range(first)]
        # each scene has people of its own, so each is a group of its own
        self.groups: list[str | None] = list(self.names)
        self.tags: Sequence[str] = _Tags(self)
        self._known_tags: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Picture:
        """The scene with its whole truth."""
        scene = synthetic.make_scene(self.seed, index, self.size)
        self._known_tags[index] = " ".join(scene.tags)
        return Picture(
            image=scene.image,
            mask=(scene.alpha >= 0.5).astype(np.uint8),
            product=scene.product,
            matte=scene.alpha,
            foreground=scene.foreground,
            background=scene.background,
            instances=scene.instances,
        )

    def tags_of(self, index: int) -> str:
        """The scene's tags, separated by blanks."""
        if index not in self._known_tags:
            self.read(index)
        return self._known_tags[index]

    def fingerprint(self) -> str:
        """Digest of what decides the scenes: seed, size and the code that draws them."""
        code = code_hash([synthetic.__name__])
        return hashlib.sha256(f"{self.seed} {self.size} {code}".encode()).hexdigest()

    def describe(self) -> list[str]:
        """A line to print."""
        return [f"{len(self)} synthetic scenes of {self.size}x{self.size} px, seed {self.seed}"]


class _Tags(Sequence[str]):
    """Tags of all scenes, each drawn when it is asked for."""

    def __init__(self, source: SyntheticSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self._source.tags_of(i) for i in range(*index.indices(len(self)))]
        return self._source.tags_of(index)
