"""8-bit static quantisation: an ONNX file with 8-bit weights and maps, and what that costs in accuracy."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from kolbench.data.listing import pictures_below
from kolbench.errors import ConfigError, KolbenchError, first_sentence
from kolbench.inference.export.exporting import CPU, Origin, check_target, sidecar_for, write_checked
from kolbench.inference.export.graph import Network, network_of
from kolbench.inference.export.parity import Parity, compare, pictures
from kolbench.inference.export.sidecar import INT8, Sidecar, write
from kolbench.inference.export.tracing import INPUT
from kolbench.io.files import write_atomically
from kolbench.io.images import read_rgb
from kolbench.io.masks import read_mask
from kolbench.metrics import scores
from kolbench.metrics.counts import Counts
from kolbench.metrics.histogram import level_counts
from kolbench.preprocessing import resize
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, JsonObject, UInt8Array

IMAGES, MASKS = "images", "masks"
# where a run has chosen none
THRESHOLD = 0.5


class Shown(NamedTuple):
    """A picture's file, and its mask's where there is one."""

    picture: Path
    mask: Path | None


@dataclass(frozen=True)
class Loss:
    """What the 8-bit file loses against the method, on pictures that it was not calibrated on.

    calibrated, pictures: numbers of pictures. alpha_mae: mean over pictures of the mean absolute difference
    of the two alphas. masks: how many pictures have one; miou, miou_int8: of the method and of the file at
    `threshold` on these; None where there are none.
    """

    calibrated: int
    pictures: int
    alpha_mae: float
    threshold: float
    masks: int = 0
    miou: float | None = None
    miou_int8: float | None = None

    def as_values(self) -> JsonObject:
        """For a sidecar."""
        return dict(vars(self))

    def in_words(self) -> str:
        """A sentence without its end."""
        said = (
            f"8 bits, calibrated on {self.calibrated} images: alphas of {self.pictures} others differ by "
            f"{self.alpha_mae:.4f} on average"
        )
        if self.miou is None or self.miou_int8 is None:
            return f"{said}; no masks lie beside them, so that mIoU is not known"
        return (
            f"{said}; mIoU at {self.threshold:.2f} of the {self.masks} with a mask: {self.miou:.4f} before, "
            f"{self.miou_int8:.4f} now ({100 * (self.miou_int8 - self.miou):+.2f} points)"
        )


def export_int8(
    segmenter: Segmenter,
    output: Path,
    folder: Path,
    origin: Origin,
    advance: Callable[[int], object] = lambda steps: None,
) -> tuple[Sidecar, Loss]:
    """Writes a method's network with 8-bit weights and maps, and its sidecar; all or nothing.

    Every other picture in the order of names calibrates the ranges of maps (their least and greatest value);
    on the rest the loss of accuracy is measured. Weights are signed and scaled by channel, maps unsigned.

    Args:
        segmenter: with its weights, on the CPU; it is not changed.
        output: the `.onnx` file. folder: of pictures, see `halves`. origin: see Sidecar.
        advance: called with 1 for each picture, calibrated or measured.

    Raises:
        ConfigError: the method has no network, or carries a state; fewer than 2 pictures; `output` is taken.
        KolbenchError: it cannot be quantised. Nothing was written.
    """
    chosen = check_target(output, "onnx")
    network = network_of(segmenter)
    if network.prior:
        raise ConfigError(
            "precision=int8 is for networks that see one image at a time; this one remembers its alpha."
        )
    calibrating, held = halves(folder)
    found: list[tuple[Parity, Loss, bool]] = []

    def fill(partial: Path) -> None:
        with TemporaryDirectory() as place:
            plain = Path(place) / "float32.onnx"
            _, free = write_checked(segmenter, network, plain, chosen)
            _quantise(network, [shown.picture for shown in calibrating], plain, partial, advance)
        opened = chosen.open(partial, network.feeding, CPU)
        threshold = THRESHOLD if origin.threshold is None else origin.threshold
        loss = loss_of(segmenter, opened, held, len(calibrating), threshold, advance)
        found.append((Parity(compare(segmenter, opened, pictures())), loss, free))

    write_atomically(output, fill)
    agreement, loss, free = found[0]
    # the bound of other files does not hold, and is not claimed
    values = {**agreement.as_values(), "bound": None}
    written = sidecar_for(output, network, "onnx", origin, values, free, INT8, loss.as_values())
    write(written, output)
    return written, loss


def halves(folder: Path) -> tuple[list[Shown], list[Shown]]:
    """The pictures to calibrate on, and those to measure on: by turns, in the order of their names.

    Args:
        folder: of pictures, at any depth, with masks of the same names in `masks` beside it; or a folder that
            holds `images`, and perhaps `masks`.

    Raises:
        ConfigError: there are fewer than 2 pictures. DataError: two have the same name.
    """
    images = folder / IMAGES if (folder / IMAGES).is_dir() else folder
    if not images.is_dir():
        raise ConfigError(f"calibrate={folder} is no folder.")
    masks_folder = images.parent / MASKS
    masks = pictures_below(masks_folder) if masks_folder.is_dir() else {}
    found = [Shown(path, masks.get(name)) for name, path in sorted(pictures_below(images).items())]
    if len(found) < 2:
        raise ConfigError(
            f"calibrate={folder} holds {len(found)} image{'' if len(found) == 1 else 's'}; half of them "
            "calibrate, and the rest tell what is lost: give at least 2, better 50 of the kind to come."
        )
    return found[::2], found[1::2]


def loss_of(
    method: Segmenter,
    other: Segmenter,
    held: Sequence[Shown],
    calibrated: int,
    threshold: float,
    advance: Callable[[int], object] = lambda steps: None,
) -> Loss:
    """Compares both on held-out pictures; arguments as of `export_int8` and Loss."""
    gaps: list[float] = []
    before: list[Counts] = []
    after: list[Counts] = []
    for shown in held:
        image = read_rgb(shown.picture)
        expected, found = method.segment(image), other.segment(image)
        gaps.append(float(np.abs(expected.astype(np.float64) - found).mean()))
        if shown.mask is not None:
            mask = _mask_of(shown, expected)
            before.append(_counts(expected, mask))
            after.append(_counts(found, mask))
        advance(1)
    mious = [
        scores.mean_scores(Counts.joined(counts), threshold)["miou"] if counts else None
        for counts in (before, after)
    ]
    return Loss(calibrated, len(held), float(np.mean(gaps)), threshold, len(before), *mious)


def _mask_of(shown: Shown, alpha: Float32Array) -> UInt8Array:
    assert shown.mask is not None
    mask = read_mask(shown.mask)
    if mask.shape != alpha.shape:
        raise ConfigError(f"{shown.mask} is {mask.shape[1]}x{mask.shape[0]} px, another size than its image.")
    return mask


def _counts(alpha: Float32Array, mask: UInt8Array) -> Counts:
    return level_counts(torch.from_numpy(alpha)[None, None], torch.from_numpy(mask)[None, None])


def _quantise(
    network: Network,
    calibrating: Sequence[Path],
    plain: Path,
    path: Path,
    advance: Callable[[int], object],
) -> None:
    """Fills `path` from the file in float32: optimised, ranges found, all quantised that can be."""
    from onnxruntime import quantization  # type: ignore[import-untyped]
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    ready = plain.with_name("optimised.onnx")
    try:
        with _quiet():
            quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(ready),
                str(path),
                _Reader(_given(network, calibrating, advance)),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
    except KolbenchError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise KolbenchError(
            f"This network cannot be quantised to 8 bits: {first_sentence(error)} Nothing was written; "
            "precision=float32 works."
        ) from error


class _Reader:
    """What onnxruntime's CalibrationDataReader is: gives one input after the other, then None."""

    def __init__(self, inputs: Iterator[dict[str, Float32Array]]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, Float32Array] | None:
        return next(self._inputs, None)

    def __iter__(self) -> Iterator[Any]:
        return self._inputs


def _given(
    network: Network, calibrating: Sequence[Path], advance: Callable[[int], object]
) -> Iterator[dict[str, Float32Array]]:
    """Pictures as the graph takes them."""
    spec = network.spec
    for path in calibrating:
        image = torch.from_numpy(read_rgb(path)).permute(2, 0, 1)[None].float() / 255
        size = spec.input_size(int(image.shape[-2]), int(image.shape[-1]))
        yield {INPUT: np.asarray(resize(image, size, spec.resample).numpy(), np.float32)}
        advance(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what the quantiser logs: advice on settings that are chosen here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
