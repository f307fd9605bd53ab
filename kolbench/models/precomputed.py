"""Methods from outside in the same table: anybody's mattes as files, anybody's network as an ONNX file."""

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
from kolbench.models.components.onnx_graph import OnnxGraph
from kolbench.models.u2net import stretch
from kolbench.preprocessing import InputSpec, resize, rounded_down
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, Prediction

RULES = ("squash", "short_side", "modnet", "native")
RANGES = ((0, 1), (0, 255))
SHOWN = 20
# an interpolation inside a network may overshoot so far
OVERSHOOT = 0.02


class MasksSegmenter(Segmenter):
    """Predicted mattes from a folder: the picture NAME has DIR/NAME.png, or any other picture format.

    A matte is the file's alpha channel where it has one that is not 255 everywhere, else its grey levels;
    see `mattes.read_alpha`.

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
            found = f"{len(new)} of {len(names)} pictures have no matte in {self.folder}: {listed}."
            if self.missing == "error":
                raise DataError(
                    f"{found} A matte is named like its picture ({self.folder / 'NAME.png'}); there is "
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
                "model=masks scores the pictures of a data set by their names; it cannot segment others."
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
                f"{path} is {found[1]}x{found[0]} px, but the picture {name} is "
                f"{size[1]}x{size[0]} px: {hint}."
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
            raise DataError(f"{found[name]} and {path} are mattes of the same picture; keep one of them.")
        found[name] = path
    if not found:
        raise DataError(f"model.masks_dir={folder} holds no pictures; mattes are files such as NAME.png.")
    return found


class OnnxSegmenter(Segmenter):
    """Anybody's network, run by ONNX Runtime on the CPU, one picture at a time.

    Args:
        file: the ONNX file.
        size: side in pixels, see `rule`; None = the file's own where it is fixed.
        rule: `squash`: size x size, or the file's own; `short_side`: the shorter side becomes `size`,
            the longer one at most 8 `size`; `modnet`: the same, but a picture with one side below and one
            above keeps its size (modnet.md, section 5); `native`: always its own size.
        multiple: both sides are rounded down to a multiple of it, except with `squash`.
        mean, std: per channel in the network's own order, on values in `range`: (x - mean) / std.
        divide_by_max: first divide each picture by its own maximum (U2Net).
        range: (0, 1) or (0, 255), the values before `mean` and `std`.
        channels: `rgb` or `bgr`.
        layout, input, output: see OnnxGraph.
        activation: of the output, to a probability: `none`, `sigmoid`, or `softmax` over its channels.
        class_index: the channel that is the foreground; None where there is one only.
        postprocess: `none`, or `minmax`: stretch each picture's alpha to [0, 1].
        resample: `bilinear` or `area`, both ways.

    Attributes:
        file: as given; its content decides the result.

    Raises:
        ConfigError: an option is out of range or contradicts the file; ONNX Runtime is not installed.
        WeightsError: the file cannot be used.
    """

    def __init__(
        self,
        file: str | Path,
        size: int | None = None,
        rule: str = "squash",
        multiple: int = 1,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        divide_by_max: bool = False,
        range: Sequence[float] = (0, 1),  # noqa: A002  # the user's key
        channels: str = "rgb",
        layout: str = "auto",
        input: str | None = None,  # noqa: A002  # the user's key
        output: str | int | None = None,
        activation: str = "none",
        class_index: int | None = None,
        postprocess: str = "none",
        resample: str = "bilinear",
    ) -> None:
        super().__init__()
        self.rule = require_choice("model.rule", rule, RULES)
        self.channels = require_choice("model.channels", channels, ("rgb", "bgr"))
        self.activation = require_choice("model.activation", activation, ("none", "sigmoid", "softmax"))
        self.postprocess = require_choice("model.postprocess", postprocess, ("none", "minmax"))
        require_choice("model.resample", resample, ("bilinear", "area"))
        if activation == "softmax" and class_index is None:
            raise ConfigError(
                "model.activation=softmax needs model.class_index, the channel of the foreground."
            )
        if multiple < 1:
            raise ConfigError(f"model.multiple={multiple} must be at least 1.")
        self.class_index = class_index
        self.multiple = multiple
        self.file = Path(file)
        self.graph = OnnxGraph(self.file, input, output, layout)
        self.size = size
        self._squashed = squashed_size(rule, size, multiple, self.graph.fixed, self.file)
        self._scaled: InputSpec | None = None
        if size is not None and self._squashed is None:
            self._scaled = InputSpec(size, "short_side", multiple)
        self._values = value_spec(mean, std, range, divide_by_max, resample)
        self._warned_range = False

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which a picture of the given size goes through the network."""
        if self._squashed is not None:
            return self._squashed
        if self._scaled is None or self._keeps_size(height, width):
            return rounded_down(height, self.multiple), rounded_down(width, self.multiple)
        return self._scaled.canvas(height, width)

    def _keeps_size(self, height: int, width: int) -> bool:
        if self.rule == "modnet" and self.size is not None:
            return min(height, width) <= self.size <= max(height, width)
        return self.rule == "native"

    @torch.no_grad()
    def predict(self, *inputs: Tensor) -> Prediction:
        """(B, 3, H, W) in [0, 1] -> alpha; the graph runs on the CPU wherever the images are.

        Raises:
            ConfigError: the network refuses this size, or `class_index` does not fit its output.
            WeightsError: the output is no map of the picture, or not finite.
        """
        image = inputs[0]
        alphas = [self._alpha(picture[None].float().cpu()) for picture in image]
        return Prediction(torch.cat(alphas).to(image.device))

    def _alpha(self, image: Tensor) -> Tensor:
        height, width = int(image.shape[-2]), int(image.shape[-1])
        if self.channels == "bgr":
            image = image.flip(1)
        canvas = self.canvas(height, width)
        given = self._values.normalise(resize(image, canvas, self._values.resample))
        maps = torch.from_numpy(self.graph.run(given[0].numpy()))[None]
        alpha = self._foreground(maps)
        if self.postprocess == "minmax":
            alpha = stretch(alpha)
        return self._values.decode(alpha, height, width)

    def _foreground(self, maps: Tensor) -> Tensor:
        """(1, C, h, w) output -> (1, 1, h, w) alpha."""
        count = maps.shape[1]
        index = 0 if self.class_index is None and count == 1 else self.class_index
        if index is None or not 0 <= index < count:
            raise ConfigError(
                f"The output of {self.file} has {count} channels, but model.class_index={self.class_index}; "
                f"set it to the foreground's, 0 to {count - 1}."
            )
        if self.activation == "softmax":
            return maps.softmax(dim=1)[:, index : index + 1]
        chosen = maps[:, index : index + 1]
        if self.activation == "sigmoid":
            return chosen.sigmoid()
        self._warn_of_range(chosen)
        return chosen

    def _warn_of_range(self, alpha: Tensor) -> None:
        low, high = float(alpha.min()), float(alpha.max())
        # a stretch brings any range to [0, 1]
        fine = low >= -OVERSHOOT and high <= 1 + OVERSHOOT
        if fine or self.postprocess == "minmax" or self._warned_range:
            return
        self._warned_range = True
        warnings.warn(
            f"The output of {self.file} reaches from {low:.3g} to {high:.3g}; it is cut off to [0, 1]. If "
            "these are logits, set model.activation=sigmoid or softmax.",
            stacklevel=2,
        )


def squashed_size(
    rule: str, size: int | None, multiple: int, fixed: tuple[int | None, int | None], file: Path
) -> tuple[int, int] | None:
    """(height, width) of every picture's canvas with `squash`, else None.

    Raises:
        ConfigError: size, rule and the sides that the file fixes contradict each other.
    """
    taken = "x".join("any" if side is None else str(side) for side in fixed[::-1])
    if fixed != (None, None) and rule != "squash":
        raise ConfigError(f"{file} takes pictures of {taken} px only: set model.rule=squash.")
    if size is None and None in fixed and rule != "native":
        sides = "any size" if fixed == (None, None) else f"{taken} px"
        raise ConfigError(f"{file} takes pictures of {sides}: set model.size to the side it was made for.")
    wanted = {side for side in fixed if side is not None and size is not None and side != size}
    if wanted:
        right = str(fixed[0]) if fixed[0] == fixed[1] else "null" if None not in fixed else str(min(wanted))
        raise ConfigError(
            f"{file} takes pictures of {taken} px, not model.size={size}: set model.size={right}."
        )
    if size is not None and None in fixed and (size < 1 or size % multiple):
        raise ConfigError(f"model.size={size} must be a positive multiple of model.multiple={multiple}.")
    if rule != "squash":
        return None
    height, width = (side or size for side in fixed)
    assert height is not None
    assert width is not None
    return height, width


def value_spec(
    mean: Sequence[float], std: Sequence[float], span: Sequence[float], divide_by_max: bool, resample: str
) -> InputSpec:
    """How values in [0, 1] become a network's, as an InputSpec whose size means nothing.

    Raises:
        ConfigError: `span` is neither (0, 1) nor (0, 255), or mean and std are not 3 numbers each.
    """
    if tuple(span) not in RANGES:
        raise ConfigError(f"model.range={list(span)} is not a choice; it is [0,1] or [0,255].")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ConfigError("model.mean and model.std hold 3 numbers each, those of std above 0.")
    top = float(span[1])
    # (top x - mean) / std = (x - mean / top) / (std / top)
    means, stds = ((values[0] / top, values[1] / top, values[2] / top) for values in (mean, std))
    return InputSpec(1, multiple=1, mean=means, std=stds, divide_by_max=divide_by_max, resample=resample)
