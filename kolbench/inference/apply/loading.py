"""The method of a configuration, ready for pictures: weights, device, fastest form, refiner."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from kolbench.config.compose import build_segmenter, instantiate
from kolbench.engine.devices import choose_device, describe
from kolbench.errors import ConfigError, require_choice
from kolbench.inference.apply.config import ApplyConfig, MethodConfig
from kolbench.inference.backends import BACKENDS, Prepared, prepare
from kolbench.inference.export.exported import is_exported, open_exported
from kolbench.inference.highres import LONGEST, segment_in_bounded_memory, shrunk
from kolbench.inference.predictor import Predictor
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.models.checkpoints.run import load_into, model_of, sidecar_of
from kolbench.models.mirrored import with_tta
from kolbench.models.onnx import told_of
from kolbench.segmenter import Clip, Segmenter
from kolbench.types import Float32Array, UInt8Array


class Fast:
    """Runs a method in the fastest form that is found on its first picture, in bounded memory.

    Args:
        backend: one of inference.backends.BACKENDS. pictures: how many are to come, at least.
    """

    def __init__(self, segmenter: Segmenter, device: torch.device, backend: str, pictures: int) -> None:
        require_choice("backend", backend, BACKENDS)
        self._segmenter = segmenter
        self._find = partial(prepare, device=device, backend=backend, pictures=pictures, in_pipeline=True)
        self._quick: Segmenter | None = None

    def __call__(self, image: UInt8Array) -> Float32Array:
        """(H, W, 3) uint8 -> alpha (H, W) float32."""
        if self._quick is not None:
            return segment_in_bounded_memory(self._quick.segment, image)
        found = self._found_on(image)
        if found.alpha is not None and found.alpha.shape == image.shape[:2]:
            return found.alpha
        return segment_in_bounded_memory(found.segmenter.segment, image)

    def form_for(self, image: UInt8Array) -> Segmenter:
        """The fastest form, found on the first picture that is asked for."""
        return self._quick or self._found_on(image).segmenter

    def _found_on(self, image: UInt8Array) -> Prepared:
        found = self._find(self._segmenter, picture=shrunk(image, LONGEST))
        self._quick = found.segmenter
        for note in found.notes:
            print(note)
        return found


class FastShot:
    """The same on the frames of one shot, in their order: a stateful method goes on from frame to frame."""

    def __init__(self, fast: Fast) -> None:
        self._fast = fast
        self._clip: Clip | None = None

    def __call__(self, image: UInt8Array, beside: Sequence[UInt8Array] = ()) -> Float32Array:
        """(H, W, 3) uint8 -> alpha (H, W) float32. beside: see `Clip.segment`."""
        if self._clip is None:
            self._clip = Clip(self._fast.form_for(image))
        return segment_in_bounded_memory(partial(self._clip.segment, beside=beside), image)


def open_predictor(config: ApplyConfig, pictures: int = 1) -> Predictor:
    """The method of a configuration with its weights and refiner, on its device.

    Args:
        pictures: how many are to come, at least; for many it pays to look for the fastest way.

    Raises:
        KolbenchError: there are no weights, they do not fit, or the method needs the truth.
    """
    device = choose_device(config.device)
    if config.weights is not None and not named.is_name(config.weights) and holds_network(config.weights):
        refuse_options(config)
        segmenter = open_exported(config.weights, config.device)
        name = config.weights.name
    else:
        segmenter, name = _configured(config)
    print(f"{name} on {describe(device)}")
    refiner = instantiate(config.refiner)
    segmenter = with_tta(segmenter.to(device).eval(), config.tta)
    fast = Fast(segmenter, device, config.backend, pictures)
    return Predictor(segmenter, refiner, fast, partial(FastShot, fast))


def refuse_options(config: MethodConfig) -> None:
    """Refuses a method or its options beside `weights=`, where that is a whole network.

    Raises:
        ConfigError: names the key.
    """
    typed = sorted(config.invocation.typed_keys)
    wrong = next((key for key in typed if key.partition(".")[0] in ("experiment", "model")), None)
    if wrong:
        raise ConfigError(
            f"weights={config.weights} is a whole network that knows its input; leave {wrong}= away. "
            "For another size export it again with model.size=, or use kolbench.load(FILE, size=...)."
        )


def holds_network(weights: Path) -> bool:
    """Whether a file is a whole network of `task=export`, rather than weights for one."""
    return is_exported(weights) and (weights.suffix.lower() == ".onnx" or sidecar_of(weights).is_file())


def _configured(config: ApplyConfig) -> tuple[Segmenter, str]:
    """The method with its weights, and its name."""
    task = config.task
    model, weights = named.resolved(config.model, _or_default(config), config.invocation.typed_keys)
    if weights is not None:
        model = model_of(model, weights, config.invocation.typed_keys).without_backbone()
    name = model.name
    segmenter: Segmenter = build_segmenter(model)
    if not segmenter.works_on_pictures:
        raise ConfigError(f"{name} needs more than the image, which is all that task={task} has.")
    for line in told_of(segmenter, config.invocation.typed_keys):
        print(line)
    if weights is not None:
        load_into(segmenter, weights)
    elif segmenter.trainable:
        raise ConfigError(
            f"task={task} needs weights=RUN_FOLDER, weights=FILE with experiment={name}, weights=official, "
            "or a method that is not trained, such as experiment=grabcut."
        )
    return segmenter, name


def _or_default(config: ApplyConfig) -> Path | None:
    """The weights of the command; those of the catalogue's default where it names no method either."""
    if config.weights is not None or config.invocation.typed_keys & {"experiment", "model"}:
        return config.weights
    chosen = catalogue().default
    print(
        f"no method is named, so {catalogue().entry(chosen)} is taken; choose another with "
        "weights=RUN_FOLDER, experiment=NAME, or an id that task=weights lists"
    )
    return Path(chosen)
