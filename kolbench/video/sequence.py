"""A folder of PNGs with their timestamps: every pixel as it was made, for any editor."""

import csv
import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from kolbench.errors import ConfigError, DataError, KolbenchError
from kolbench.types import UInt8Array
from kolbench.video.partial import PartialFolder
from kolbench.video.reader import VideoReader

TIMESTAMPS = "timestamps.csv"
OUR_NAMES = re.compile(r"\d{6,}\.png|timestamps\.csv")
SHOWN_STRANGERS = 3
# a third of the time of Pillow's 6, and no larger
COMPRESSION = 3


class PngSequence:
    """Writes `000000.png`, `000001.png`, ... in the order of display and `timestamps.csv` (file, seconds).

    A context manager, after which the folder is whole, or as it was before; while it is made it is
    `.NAME.part` beside it. A folder that is there is replaced where it holds such a sequence only.

    Args:
        path: the folder.
        source: the video whose time base and clock are kept.
        time_base: seconds of one unit of pts; None = the source's.
        sound: whether the source's sound was wanted, which a folder cannot hold: `notes` says so.

    Attributes:
        notes: sentences on what is not as in the source.

    Raises:
        ConfigError: the folder holds other files, is a file, or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        source: VideoReader | None = None,
        time_base: Fraction | None = None,
        sound: bool = True,
    ) -> None:
        if source is None and time_base is None:
            raise ValueError("a sequence without a source needs a time base")
        self.path = Path(path).absolute()
        self.notes: list[str] = []
        self._time_base = time_base or (source.time_base if source else Fraction(1))
        self._origin = source.origin if source else Fraction(0)
        self._partial = PartialFolder(self.path)
        self._written = 0
        self._stamps: Any = None
        if sound and source is not None and source.has_sound:
            self.notes.append(f"{self.path.name}: a folder of PNGs holds no sound.")

    def __enter__(self) -> Self:
        self._require_ours()
        self._partial.begin()
        self._stamps = (self._partial.made / TIMESTAMPS).open("w", encoding="utf-8", newline="")
        csv.writer(self._stamps, lineterminator="\n").writerow(("file", "seconds"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._said_plainly():
                self._stamps.close()
                if kind is None:
                    if not self._written:
                        raise DataError(f"output={self.path} got no image; nothing was written.")
                    self._partial.commit()
        finally:
            self._partial.discard()

    def write(self, image: UInt8Array | npt.NDArray[np.uint16], pts: int) -> None:
        """Appends a picture.

        Args:
            image: (H, W) uint8 or uint16, (H, W, 3) RGB or (H, W, 4) RGBA uint8, straight alpha.
            pts: when its display begins, in units of the time base.

        Raises:
            KolbenchError: the disk refuses.
        """
        name = f"{self._written:06d}.png"
        with self._said_plainly():
            picture = Image.fromarray(np.ascontiguousarray(image))
            picture.save(self._partial.made / name, format="PNG", compress_level=COMPRESSION)
            seconds = float(pts * self._time_base - self._origin)
            csv.writer(self._stamps, lineterminator="\n").writerow((name, f"{seconds:.6f}"))
        self._written += 1

    def _require_ours(self) -> None:
        if not self.path.is_dir():
            return
        strangers = sorted(item.name for item in self.path.iterdir() if not OUR_NAMES.fullmatch(item.name))
        if strangers:
            raise ConfigError(
                f"output={self.path} holds other files ({', '.join(strangers[:SHOWN_STRANGERS])}), which a "
                "PNG sequence would replace; give a new folder."
            )

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                reason = "the disk is full; free some space"
            else:
                reason = f"{error.strerror}. Nothing was left of it"
            raise KolbenchError(f"Writing {self.path} failed: {reason}.") from None
