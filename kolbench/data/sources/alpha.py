"""`data=alpha`: cut-outs with an alpha channel, which is the truth."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kolbench.data import listing
from kolbench.data.paired import halved
from kolbench.data.sources.base import Source
from kolbench.data.truth import AUTO, TRUTHS
from kolbench.errors import DataError, require_choice
from kolbench.io.images import read_rgb, read_rgba
from kolbench.types import ALPHA, BINARY, Sample, UInt8Array

OWN, WHITE = "own", "white"
# of the pixels that cannot be seen: where so many have one colour, there is no photograph below
FLAT_SHARE = 0.5
SAMPLED = 20


class AlphaSource(Source):
    """Reads pictures whose alpha channel is their truth, at any depth below a folder.

    A file may hold the whole photograph, with the background made transparent: then its colours are the
    picture. Or nothing is left of the background; then something is put behind. Sub-folders are groups;
    `groups.csv` and split files count as for `data=folder`.

    Args:
        root: the folder of the cut-outs.
        background: `auto`: as `own` where more than half of the pixels that cannot be seen have more than
            one colour, else as `white`; `own`: the colours of the file as they are; `white`: white behind;
            else a folder of pictures, one of which, by the cut-out's name, is put behind each.
        truth: auto and alpha: the alpha is the truth; binary: its halves are.

    Raises:
        DataError: there is no picture, or no folder of that name.
        ConfigError: no such truth.
    """

    def __init__(self, root: str | Path, background: str = AUTO, truth: str = AUTO) -> None:
        self._truth = BINARY if require_choice("data.truth", truth, TRUTHS) == BINARY else ALPHA
        self.root = listing.require_folder(root)
        self._images = listing.pictures_below(self.root)
        self._background = background
        self._behind: list[Path] = []
        if background not in (AUTO, OWN, WHITE):
            folder = listing.require_folder(background, "data.background")
            self._behind = sorted(listing.pictures_below(folder).values())
            self._images = {n: p for n, p in self._images.items() if not p.is_relative_to(folder)}
            if not self._behind:
                raise DataError(f"data.background={background} holds no image.")
        if not self._images:
            raise DataError(f"{self.root} holds no image; data=alpha reads cut-outs such as PNG and WebP.")
        names = sorted(self._images)
        lists = listing.read_lists(self.root, names)
        super().__init__(names, lists.groups, lists.tags, lists.given_splits)
        self._notes = lists.notes

    @property
    def truth(self) -> str:
        """`alpha` unless it was asked for binary."""
        return self._truth

    def read(self, index: int) -> Sample:
        """Reads a cut-out, with what is behind it.

        Raises:
            DataError: a file cannot be read, or nothing in it is transparent.
        """
        name = self.names[index]
        rgba = self._cutout(name)
        matte = (rgba[..., 3] / np.float64(255)).astype(np.float32)
        behind = self._picture_behind(name)
        if behind is None and not _is_whole(rgba, self._background):
            behind = np.full((1, 1, 3), 255, np.uint8)
        image = np.ascontiguousarray(rgba[..., :3]) if behind is None else composed(rgba, behind)
        return Sample(image, halved(matte), matte=matte if self._truth == ALPHA else None)

    def files(self, index: int) -> Mapping[str, Path]:
        """The cut-out, which holds its truth."""
        return {"image": self._images[self.names[index]]}

    def fingerprint(self) -> str:
        """Digests the cut-outs and what is put behind them (see listing.digest)."""
        parts = [(name, self._images[name], True) for name in self.names]
        if self._behind:
            parts += [(f"behind {name}", self._file_behind(name), False) for name in self.names]
        return listing.digest(parts)

    def describe(self) -> list[str]:
        """Says how many cut-outs there are, and what their background is."""
        groups = listing.group_note(self.groups)
        lines = [f"{self.root}: {len(self)} cut-outs{', ' + groups if groups else ''}", *self._notes]
        if self._truth == ALPHA:
            lines.append("their alphas are the truth, so matting scores are possible")
        if self._behind:
            return [*lines, f"behind each is one of {len(self._behind)} images, by its name"]
        looked, flat = self._flat()
        if flat and self._background != OWN:
            lines.append(
                f"warning: {flat} of {looked} cut-outs looked at have no background of their own and stand "
                "on white, which any method finds; data.background=DIR puts images of DIR behind them"
            )
        return lines

    def _cutout(self, name: str) -> UInt8Array:
        rgba = read_rgba(self._images[name])
        if rgba.shape[2] == 3:
            raise DataError(
                f"{self._images[name]} is opaque everywhere, so it is no cut-out. Save it with its alpha "
                "channel, or use data=folder for images with masks."
            )
        return rgba

    def _file_behind(self, name: str) -> Path:
        drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        return self._behind[drawn % len(self._behind)]

    def _picture_behind(self, name: str) -> UInt8Array | None:
        return read_rgb(self._file_behind(name)) if self._behind else None

    def _flat(self) -> tuple[int, int]:
        """How many cut-outs were looked at, and how many of them have no background of their own."""
        looked = flat = 0
        for index in listing.spread(len(self), SAMPLED):
            try:
                rgba = self._cutout(self.names[index])
            except DataError:
                continue  # reading all images names it
            looked += 1
            flat += not _is_whole(rgba, self._background)
        return looked, flat


def _is_whole(rgba: UInt8Array, background: str) -> bool:
    """Whether the colours of a cut-out, (H, W, 4), are taken as a whole photograph."""
    if background in (OWN, WHITE):
        return background == OWN
    hidden = rgba[rgba[..., 3] == 0][:, :3].astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    if not hidden.size:
        return False
    return bool(np.unique(hidden, return_counts=True)[1].max() < FLAT_SHARE * hidden.size)


def composed(rgba: UInt8Array, behind: UInt8Array) -> UInt8Array:
    """A cut-out over a picture that is scaled until it covers the frame, and cut around its middle.

    Args:
        rgba: (H, W, 4) straight alpha. behind: (h, w, 3) RGB.

    Returns:
        (H, W, 3) uint8 RGB, alpha F + (1 - alpha) B, rounded.
    """
    height, width = rgba.shape[:2]
    scale = max(height / behind.shape[0], width / behind.shape[1])
    size = max(width, round(behind.shape[1] * scale)), max(height, round(behind.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled: Any = cv2.resize(behind, size, interpolation=how)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    cut = scaled[top : top + height, left : left + width].astype(np.float32)
    alpha = rgba[..., 3:] / np.float32(255)
    return np.asarray(np.rint(alpha * rgba[..., :3] + (1 - alpha) * cut), np.uint8)
