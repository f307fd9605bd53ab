"""Mattes that any program wrote as files, scored like a method."""

import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kolbench.errors import ConfigError, DataError, require_choice
from kolbench.io import masks
from kolbench.preprocessing import resize
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, Prediction

SHOWN = 20


class MasksSegmenter(Segmenter):
    """Gives mattes from a folder: the picture NAME has DIR/NAME.png, or any other picture format.

    A matte is the file's alpha channel where it has one that is not 255 everywhere, else its grey levels;
    see `masks.read_alpha`.

    Args:
        masks_dir: the folder; names of pictures in sub-folders hold slashes.
        resize: whether a matte of another size is brought to the picture's, bilinearly.
        missing: `error`, or `empty`: a picture without a file counts as alpha 0 everywhere.
        white: level that means 1, such as 1 for masks saved as 0 and 1; None = the file format's full range.

    Attributes:
        absent: names that were asked for and had no file (`missing=empty`).

    Raises:
        ConfigError: an unknown choice.
        DataError: the folder does not exist, holds no pictures, or two of one name.
    """

    input_keys = ("image", "name")

    def __init__(
        self, masks_dir: str | Path, resize: bool = True, missing: str = "error", white: int | None = None
    ) -> None:
        super().__init__()
        self.folder = Path(masks_dir).expanduser()
        self.resize = resize
        self.missing = require_choice("model.missing", missing, ("error", "empty"))
        if white is not None and white < 1:
            raise ConfigError(f"model.white={white} must be at least 1.")
        self.white = white
        self.absent: set[str] = set()
        self._files = mattes_below(self.folder)
        self._warned_dark = False

    def check(self, names: Sequence[str]) -> None:
        """Looks for the mattes of all these pictures; with `missing=empty` a warning counts those without.

        Raises:
            DataError: some have none, or it lies outside the folder; lists the first 20.
        """
        new = [name for name in names if name not in self._files and name not in self.absent]
        if new:
            listed = ", ".join(new[:SHOWN]) + (f", ... ({len(new) - SHOWN} more)" if len(new) > SHOWN else "")
            found = f"{len(new)} of {len(names)} images have no matte in {self.folder}: {listed}."
            if self.missing == "error":
                raise DataError(
                    f"{found} A matte is named like its image ({self.folder / 'NAME.png'}); there is "
                    f"{next(iter(self._files.values()))}, for instance. model.missing=empty takes alpha 0."
                )
            self.absent.update(new)
            warnings.warn(f"{found} They count as alpha 0 everywhere.", stacklevel=2)
        for name in names:
            if name in self._files:
                self._inside(name)

    def predict(self, *inputs: Any) -> Prediction:
        """(B, 3, H, W) in [0, 1] and their B names -> the mattes at that size.

        Raises:
            ConfigError: the names are not given, as in `segment`.
            DataError: a matte is missing, unreadable, turned, or of another size and `resize` is off.
        """
        if len(inputs) != 2:
            raise ConfigError(
                "model=masks scores the images of a data set by their names; it cannot segment others."
            )
        image, names = inputs
        self.check(names)
        size = (int(image.shape[-2]), int(image.shape[-1]))
        return Prediction(torch.cat([self._matte(name, size) for name in names]).to(image.device))

    def _matte(self, name: str, size: tuple[int, int]) -> Tensor:
        if name not in self._files:
            return torch.zeros(1, 1, *size)
        path = self._inside(name)
        matte = torch.from_numpy(self._read(path))[None, None]
        found = (int(matte.shape[-2]), int(matte.shape[-1]))
        if found == size:
            return matte
        turned = found == size[::-1]
        if turned or not self.resize:
            hint = "it seems to be turned" if turned else "export it at that size, or set model.resize=true"
            raise DataError(
                f"{path} is {found[1]}x{found[0]} px, but the image {name} is {size[1]}x{size[0]} px: {hint}."
            )
        return resize(matte, size).clamp(0, 1)

    def _read(self, path: Path) -> Float32Array:
        levels, full = masks.read_alpha(path)
        top = int(levels.max())
        if self.white is None and 0 < top <= full / 255 and full > 1 and not self._warned_dark:
            self._warned_dark = True
            warnings.warn(
                f"The brightest level of {path} is {top} where {full} means 1. If it is a mask of "
                f"0 and {top}, set model.white={top}.",
                stacklevel=2,
            )
        return np.clip(levels.astype(np.float32) / (self.white or full), 0, 1)

    def _inside(self, name: str) -> Path:
        path = self._files[name]
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise DataError(
                f"{path} is a link that leads out of {self.folder}; copy the matte into the folder."
            )
        return path


def mattes_below(folder: Path) -> dict[str, Path]:
    """Name -> picture file at any depth below a folder; a name is the path without suffix, with slashes.

    Raises:
        DataError: the folder does not exist, holds no pictures, or two that differ in their suffix only.
    """
    if not folder.is_dir():
        raise DataError(f"model.masks_dir={folder} is no folder.")
    suffixes = Image.registered_extensions()
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or path.suffix.lower() not in suffixes or not path.is_file():
            continue
        name = unicodedata.normalize("NFC", inside.with_suffix("").as_posix())
        if name in found:
            raise DataError(f"{found[name]} and {path} are mattes of the same image; keep one of them.")
        found[name] = path
    if not found:
        raise DataError(f"model.masks_dir={folder} holds no images; mattes are files such as NAME.png.")
    return found
