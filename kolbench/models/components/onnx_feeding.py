"""How a network of others is fed, in one line, and a hint where a normalisation seems to be missing."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kolbench.io.files import sha256
from kolbench.models.checkpoints.catalogue import Entry, catalogue

PLAIN_MEAN, PLAIN_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
IMAGENET = "model.mean=[0.485,0.456,0.406] model.std=[0.229,0.224,0.225]"
# between a file's input and its first layer these move values and change none
_MOVING = frozenset(
    ("Cast", "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Pad", "Slice", "Resize", "Dropout")
)
# first layers with weights, which rest on the values as they come
_WEIGHING = frozenset(("Conv", "ConvInteger", "QLinearConv", "Gemm", "MatMul"))


class Feed(NamedTuple):
    """What a network gets and gives.

    given: name of the input that takes the image. size: in words. span, mean, std: (x - mean) / std of x in
    0 to `span`. peak: whether each image is divided by its own maximum first. output: name, and `outputs` the
    names of all.
    """

    given: str
    size: str
    span: float
    mean: Sequence[float]
    std: Sequence[float]
    peak: bool
    channels: str
    layout: str
    dtype: str
    output: str
    outputs: Sequence[str]

    @property
    def is_plain(self) -> bool:
        """Whether the values go in as they are, in 0 to 1."""
        unset = tuple(self.mean) == PLAIN_MEAN and tuple(self.std) == PLAIN_STD
        return unset and self.span == 1 and not self.peak

    def described(self, file: Path) -> str:
        """One line."""
        values = f"values 0 to {self.span:g}"
        values += " after division by the image's maximum" if self.peak else ""
        if (tuple(self.mean), tuple(self.std)) == (PLAIN_MEAN, PLAIN_STD):
            values += ", no mean and std"
        else:
            values += f", mean {_numbers(self.mean)}, std {_numbers(self.std)}"
        place = f" ({list(self.outputs).index(self.output) + 1} of {len(self.outputs)})"
        output = f"output {self.output}{place if len(self.outputs) > 1 else ''}"
        return (
            f"{file.name} is fed: {self.size}, {values}, {self.channels.upper()}, {self.layout.upper()}, "
            f"{self.dtype}; {output}"
        )


def hint(file: Path, feed: Feed, typed: Iterable[str] = ()) -> str | None:
    """A sentence where no mean and std are set although the file's own contents suggest some.

    A file of the catalogue, by its SHA-256, is known: its authors' values are named where others are set. Of
    any other file the first layer behind the input tells. Arithmetic (Sub, Div, BatchNormalization, ...) is a
    normalisation inside, as `task=export` writes it; a convolution on the image as it comes is none. That is
    a fact about the file and no proof that it was trained with one: the sentence says so, and typing
    `model.mean` or `model.std`, also as they are, ends it.

    What a network makes of an image is deliberately not looked at: MODNet's alphas are as decided without its
    normalisation as with it (mean |2 alpha - 1| of 8 drawn scenes: 0.968 and 0.964).

    Args:
        typed: keys of the command, such as `model.mean`.
    """
    if not feed.is_plain or {"model.mean", "model.std"} & set(typed):
        return None
    entry = _of_catalogue(file)
    if entry is not None:
        return _known(entry)
    layer = first_layer(file, feed.given)
    if layer not in _WEIGHING:
        return None
    return (
        f"warning: no mean and std are set, and the first layer of {file.name} ({layer}) takes the image as "
        "it comes: no normalisation is inside the file. If it was trained with one, set it (ImageNet's: "
        f"{IMAGENET}); if not, model.mean=[0,0,0] says so."
    )


def first_layer(file: Path, given: str) -> str | None:
    """What is first computed from an input, such as `Conv` or `Sub`; None where that is not clear."""
    import onnx

    try:
        # tensors in files of their own are not needed
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception:  # what the runtime could open and this cannot tells nothing
        return None
    return _first(graph, given)


def _first(graph: Any, name: str) -> str | None:
    while True:
        takers = [node for node in graph.node if name in node.input]
        # a shape that is read changes no value
        layers = [node for node in takers if node.op_type not in ("Shape", "Size")]
        if len({node.op_type for node in layers}) != 1:
            return None
        if layers[0].op_type not in _MOVING:
            return str(layers[0].op_type)
        if len(layers) > 1:
            return None
        name = layers[0].output[0]


def _of_catalogue(file: Path) -> Entry | None:
    size = file.stat().st_size
    alike = [entry for entry in catalogue().entries.values() if entry.bytes in (size, None)]
    if not alike:
        return None
    content = sha256(file)
    return next((entry for entry in alike if entry.sha256 == content), None)


def _known(entry: Entry) -> str | None:
    mean, std = entry.feed.get("mean"), entry.feed.get("std")
    if mean is None and std is None:
        return None
    return (
        f"warning: no mean and std are set, but this file is {entry.name} of the catalogue, which its "
        f"authors feed with mean {mean} and std {std}: weights={entry.name} instead of model.file= sets all."
    )


def _numbers(values: Sequence[float]) -> str:
    """One number where all are the same."""
    return " ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
