"""The JSON beside an exported file: how to feed it, what it was made from, how well it agrees."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from kolbench.config.old_names import current_model
from kolbench.errors import ConfigError, WeightsError
from kolbench.io.files import sha256, write_json
from kolbench.models.checkpoints.run import sidecar_of
from kolbench.preprocessing import current_resize_mode
from kolbench.types import JsonObject

VERSION = 3
# of weights and maps
FLOAT32, INT8 = "float32", "int8"
KIND = "kolbench export"


@dataclass(frozen=True)
class Sidecar:
    """All that is known about an exported file, as plain values.

    Attributes:
        file: its name when it was written. sha256: of its content. format: `onnx` or `torchscript`.
        method: its name in conf/model. settings: the `model` group that it was trained with.
        input: what the graph takes: `name`, `layout`, `channels` (`RGB`, or `RGB and prior`, the alpha that
            the graph gave for the frame before, 0 at a clip's beginning), `range`; `size`, `resize_mode`,
            `multiple` and `resample` (see InputSpec); `sizes`: `free`, or [height, width] in pixels; `batch`:
            `free` or 1; `normalised_inside`: mean, std and divide_by_max, which are in the graph.
        output: what it gives: `name`, `range`, and `postprocess`: `none`, or `minmax` after it.
        threshold: of alpha, chosen on validation pictures; None where that is not known.
        weights: `name` and `sha256` of the checkpoint. opset: of ONNX, else None.
        parity: `bound`, `max`, `mean` and `pictures`, see kolbench.inference.export.parity; no bound is kept
            by `int8`.
        versions: of kolbench and torch.
        precision: `float32` or `int8`. loss: of `int8`, see kolbench.inference.export.quantising.Loss.
    """

    file: str
    sha256: str
    format: str
    method: str
    settings: JsonObject
    input: JsonObject
    output: JsonObject
    threshold: float | None
    weights: dict[str, str]
    opset: int | None
    parity: JsonObject
    versions: dict[str, str]
    precision: str = FLOAT32
    loss: JsonObject = field(default_factory=dict)

    @property
    def feeding(self) -> JsonObject:
        """The options of OnnxSegmenter."""
        resizing = {key: self.input[key] for key in ("size", "resize_mode", "multiple", "resample")}
        # files of earlier versions take none
        prior = self.input["channels"] != "RGB"
        return {**resizing, "postprocess": self.output["postprocess"], "prior": prior}

    @property
    def fixed(self) -> bool:
        """Whether the graph takes pictures of one size only."""
        return bool(self.input["sizes"] != "free")


def write(sidecar: Sidecar, model: Path) -> None:
    """Writes it beside the file, atomically."""
    write_json(sidecar_of(model), {"kind": KIND, "version": VERSION, **dataclasses.asdict(sidecar)})


def read(model: Path) -> Sidecar | None:
    """The sidecar of a file, or None where no JSON of ours lies beside it.

    Raises:
        WeightsError: it is damaged or of a later version.
    """
    path = sidecar_of(model)
    values = _ours(path)
    if values is None:
        return None
    if values.pop("version") not in range(1, VERSION + 1):
        raise WeightsError(f"{path} was written by a later kolbench; update, or export the file again.")
    del values["kind"]
    try:
        # version 1 said `rule`, with other words
        given = current_model(values["input"])
        given["resize_mode"] = current_resize_mode(str(given["resize_mode"]))
        return Sidecar(**{**values, "input": given})
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path} is damaged ({error}); export the file again.") from error


def verify(sidecar: Sidecar, model: Path) -> None:
    """Compares the content of a file with its sidecar.

    Raises:
        WeightsError: they do not belong together.
    """
    if sha256(model) != sidecar.sha256:
        raise WeightsError(
            f"{model} is not the file that {sidecar_of(model)} describes (its sha256 differs): one of them "
            "was changed or only partly copied. Copy both again, or export again."
        )


def refuse_overwriting(model: Path) -> None:
    """Nothing but an earlier export may be replaced.

    Raises:
        ConfigError: the file, or the JSON beside it, is something else.
    """
    beside = sidecar_of(model)
    if _ours(beside) is not None:
        return
    if beside.exists():
        raise ConfigError(
            f"output={model} would write {beside}, which is there and is no sidecar of an export."
        )
    if model.exists():
        raise ConfigError(f"output={model} is there and was not written by task=export; choose another name.")


def _ours(path: Path) -> JsonObject | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    ours = isinstance(values, dict) and values.get("kind") == KIND and {"version", "file"} <= set(values)
    return values if ours else None
