"""`data=synthetic`: procedural scenes; nothing on disk, everything known exactly."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import overload

import numpy as np

from kolbench.data.scenes import scene as synthetic
from kolbench.data.sources.base import Source
from kolbench.data.truth import AUTO, TRUTHS
from kolbench.errors import ConfigError, require_choice
from kolbench.runs.fingerprint import code_hash
from kolbench.types import ALPHA, BINARY, Sample

FIRST_SCENE = {"train": 0, "val": 1_000_000, "test": 2_000_000}
MOST_SCENES = 1_000_000


class SyntheticSource(Source):
    """Draws scenes of three series: for training from number 0, validation 1,000,000 and test 2,000,000.

    So more scenes of a split only add to those of fewer, and no scene of a split is ever one of another.
    `scene_numbers` holds the number of each row for synthetic.make_scene; a name shows it.

    Args:
        seed: of all scenes; the same number gives the same scenes everywhere.
        size: side length in pixels.
        scenes: how many scenes each of train, val and test has.
        truth: binary, or auto, which means binary here: the edges of scenes are a pixel or two wide; alpha
            makes their alphas the truth.

    Raises:
        ConfigError: a count is not in 1 to 1,000,000, the size is below 32, or no such truth.
    """

    needs_checking = False
    knows_colours = True
    licence = "Apache-2.0 (drawn by kolbench)"

    def __init__(self, seed: int, size: int, scenes: Mapping[str, int], truth: str = AUTO) -> None:
        self._truth = ALPHA if require_choice("data.truth", truth, TRUTHS) == ALPHA else BINARY
        if size < 32 or not all(1 <= scenes[name] <= MOST_SCENES for name in FIRST_SCENE):
            raise ConfigError(
                f"data.picture_size={size}, budget.scenes={dict(scenes)}: "
                f"at least 32 px, and 1 to {MOST_SCENES} scenes in each split are needed."
            )
        self.seed = seed
        self.size = size
        self.scene_numbers: list[int] = []
        given_splits: dict[str, list[int]] = {}
        for name, first in FIRST_SCENE.items():
            row = len(self.scene_numbers)
            given_splits[name] = list(range(row, row + scenes[name]))
            self.scene_numbers += range(first, first + scenes[name])
        self._known_tags: dict[int, str] = {}
        names = [f"scene_{number:07d}" for number in self.scene_numbers]
        # each scene has people of its own, so each is a group of its own
        super().__init__(names, groups=names, tags=_Tags(self), given_splits=given_splits)

    def read(self, index: int) -> Sample:
        """Draws the scene with its whole truth."""
        scene = synthetic.make_scene(self.seed, self.scene_numbers[index], self.size)
        self._known_tags[index] = " ".join(scene.tags)
        return Sample(
            image=scene.image,
            mask=(scene.alpha >= 0.5).astype(np.uint8),
            product=scene.product,
            matte=scene.alpha,
            foreground=scene.foreground,
            background=scene.background,
            instances=scene.instances,
        )

    @property
    def truth(self) -> str:
        """What was asked for; binary under `auto`."""
        return self._truth

    def tags_of(self, index: int) -> str:
        """Names what is in the scene: its tags, separated by blanks."""
        if index not in self._known_tags:
            self.read(index)
        return self._known_tags[index]

    def fingerprint(self) -> str:
        """Digests what decides the scenes: seed, size and the code that draws them."""
        return hashlib.sha256(f"{self.seed} {self.size} {_drawing_code()}".encode()).hexdigest()

    def describe(self) -> list[str]:
        """Says how many scenes of which size and seed there are."""
        truth = ", their alphas being the truth" if self.truth == ALPHA else ""
        return [f"{len(self)} synthetic scenes of {self.size}x{self.size} px, seed {self.seed}{truth}"]


@cache
def _drawing_code() -> str:
    return code_hash([synthetic.__name__])


class _Tags(Sequence[str]):
    """Tags of all scenes, each drawn when it is asked for."""

    def __init__(self, source: SyntheticSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source.scene_numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self._source.tags_of(i) for i in range(*index.indices(len(self)))]
        return self._source.tags_of(index)
