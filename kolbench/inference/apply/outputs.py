"""Kinds of output of predict, place and filter, and the files that hold them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kolbench.errors import ConfigError, KolbenchError, require_choice
from kolbench.inference.apply import inputs
from kolbench.inference.apply.inputs import Item
from kolbench.io import images
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.codecs import CONTAINERS, HOW_ALPHA_IS_KEPT, VIDEO_FORMATS, format_name_of
from kolbench.video.frame import Frame

FORMATS = ("auto", "png", "jpg", "h264", "vp9", "prores")
# format -> suffix of a video; "" = a folder of PNGs
VIDEO_SUFFIX = {"png": "", "h264": ".mp4", "vp9": ".webm", "prores": ".mov"}
JPEG_SUFFIXES = (".jpg", ".jpeg")
# of files that people expect, and nothing here writes
NOT_WRITTEN = frozenset(
    (".txt", ".md", ".csv", ".json", ".xml", ".html", ".pdf", ".zip", ".npy", ".svg", ".psd", ".wav", ".mp3")
)


class Rendering(Protocol):
    """What becomes of one input, picture or clip, frame by frame in order of display."""

    def __call__(self, frame: Frame, alpha: Float32Array, cut: bool) -> Any:
        """A frame and its (H, W) float32 alpha in [0, 1] -> the picture to write, (H, W[, 3|4]).

        Args:
            cut: whether a new shot begins with this frame.
        """

    def finish(self, target: Path, seconds: float) -> list[str]:
        """Writes what belongs beside `target`, once that is whole; returns lines to print.

        Args:
            target: the picture, video or folder of PNGs.
            seconds: when the display of the last frame ends; 0 for a picture.
        """


@dataclass(frozen=True)
class OutputKind:
    """A kind of output.

    name: also its folder where several kinds are written. transparent: whether it has an alpha channel.
    deep: whether its pictures have 16 bits, which only PNGs hold. begin: a new Rendering for each input.
    beside: an output, and whether it is a `picture`, a `video` or a `folder` of PNGs -> the files that
    Rendering.finish and the task write besides.
    """

    name: str
    begin: Callable[[], Rendering]
    transparent: bool = False
    deep: bool = False
    beside: Callable[[Path, str], Sequence[Path]] = lambda target, shape: ()


@dataclass(frozen=True)
class Plain:
    """A Rendering without a memory."""

    make: Callable[[UInt8Array, Float32Array], Any]

    def __call__(self, frame: Frame, alpha: Float32Array, cut: bool) -> Any:
        """What `make` makes of the frame."""
        return self.make(frame.image, alpha)

    def finish(self, target: Path, seconds: float) -> list[str]:
        """Nothing belongs beside it."""
        return []


def targets_of(
    items: Sequence[Item],
    output: Path,
    kinds: Sequence[OutputKind],
    format_name: str,
    kept: Sequence[Path] = (),
) -> dict[str, dict[Item, Path]]:
    """kind's name -> the output of each input.

    Args:
        format_name: `auto` or one of FORMATS, for all outputs.
        kept: other files that are read, and so are not written.

    Raises:
        ConfigError: the format, the suffix of `output` and the kinds do not go together.
    """
    require_choice("format", format_name, FORMATS)
    _require_use(items, format_name)
    if inputs.names_file(output):
        if len(items) > 1:
            raise ConfigError(
                f"output={output} names a file, but {len(items)} results need a folder: leave "
                f"{output.suffix} away."
            )
        if len(kinds) > 1:
            names = ", ".join(kind.name for kind in kinds)
            raise ConfigError(f"output={output} is one file, but save= wants {names}: give a folder.")
        _require_fitting(items[0], output)
        if items[0].is_video:
            _require_eight_bits(
                kinds[0], format_name_of(output, kinds[0].transparent, video_format_name(format_name))
            )
        else:
            _require_picture(kinds[0], output, format_name)
    else:
        _require_folder(output)
    found = {}
    for kind in kinds:
        folder = output / kind.name if len(kinds) > 1 else output
        of_videos = any(item.is_video for item in items) and not inputs.names_file(output)
        suffixes = {
            "picture": _picture_suffix(kind, format_name),
            "video": _video_suffix(kind, format_name) if of_videos else "",
        }
        found[kind.name] = inputs.targets_of(items, folder, suffixes, kept)
    clash = {target for own in found.values() for target in own.values()} & set(
        reports_of(found, kinds, format_name, output)
    )
    if clash:
        raise ConfigError(
            f"{min(clash)} would hold both a result and the report that belongs to another one; move "
            "earlier reports out of input=."
        )
    return found


def reports_of(
    targets: Mapping[str, Mapping[Item, Path]], kinds: Sequence[OutputKind], format_name: str, output: Path
) -> list[Path]:
    """The files that are written besides the `targets`."""
    reports: list[Path] = []
    for kind in kinds:
        video = "folder" if is_sequence(kind, format_name, output) else "video"
        for item, target in targets[kind.name].items():
            reports += kind.beside(target, video if item.is_video else "picture")
    return reports


def _require_fitting(item: Item, output: Path) -> None:
    if item.is_video != Item(output, output).is_video:
        given, wanted = ("a video", "an image") if item.is_video else ("an image", "a video")
        raise ConfigError(
            f"input={item.source} is {given}, but output={output} would be {wanted}; give another suffix "
            "or a folder."
        )
    if not item.is_video and output.suffix.lower() not in (".png", *JPEG_SUFFIXES):
        raise ConfigError(f"output={output}: images are written as .png or .jpg.")


def _require_eight_bits(kind: OutputKind, format_name: str) -> None:
    if kind.deep and format_name != "png":
        raise ConfigError(f"save={kind.name}: a video holds 8 bits; use format=png and a folder for 16.")


def _require_picture(kind: OutputKind, output: Path, format_name: str) -> None:
    own = "jpg" if output.suffix.lower() in JPEG_SUFFIXES else "png"
    if format_name not in ("auto", own):
        raise ConfigError(
            f"output={output} and format={format_name} contradict each other; leave one of them away."
        )
    _picture_suffix(kind, own)


def _require_use(items: Sequence[Item], format_name: str) -> None:
    videos = sum(item.is_video for item in items)
    if format_name == "jpg" and videos == len(items):
        raise ConfigError("format=jpg is for images, but input= holds videos only.")
    if format_name in VIDEO_FORMATS and not videos:
        raise ConfigError(f"format={format_name} is for videos, but input= holds images only.")


def _require_folder(output: Path) -> None:
    """A name such as out.txt is a slip, unless a folder has it."""
    if not output.exists() and output.suffix.lower() in NOT_WRITTEN:
        raise ConfigError(
            f"output={output}: nothing is written as {output.suffix}; images are .png or .jpg, videos "
            f"{', '.join(CONTAINERS)}. Where a folder is meant, make it first."
        )


def _picture_suffix(kind: OutputKind, format_name: str) -> str:
    if format_name == "jpg" and (kind.transparent or kind.deep):
        raise ConfigError(f"format=jpg cannot hold save={kind.name}; use format=png.")
    return ".jpg" if format_name == "jpg" else ".png"


def _video_suffix(kind: OutputKind, format_name: str) -> str:
    if format_name in ("auto", "jpg"):
        format_name = "png" if kind.deep else "vp9" if kind.transparent else "h264"
    _require_eight_bits(kind, format_name)
    if kind.transparent and format_name == "h264":
        raise ConfigError(f"save={kind.name}: H.264 has no alpha channel; {HOW_ALPHA_IS_KEPT}.")
    return VIDEO_SUFFIX[format_name]


def is_sequence(kind: OutputKind, format_name: str, output: Path) -> bool:
    """Whether a video becomes a folder of PNGs, whatever the folder is called.

    Args:
        output: as it was typed.
    """
    return not inputs.names_file(output) and not _video_suffix(kind, format_name)


def video_format_name(format_name: str) -> str:
    """The `format=` of a video: what is meant for pictures leaves the choice to the file's suffix."""
    return "auto" if format_name == "jpg" else format_name


def write_picture(path: Path, picture: Any) -> None:
    """Writes one picture as its suffix says, atomically.

    Raises:
        KolbenchError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in JPEG_SUFFIXES:
            images.write_jpeg(path, picture, quality=95)
        else:
            images.write_png(path, picture)
    except OSError as error:
        raise KolbenchError(f"{path} cannot be written: {error.strerror or error}.") from error


def kinds_of(names: Sequence[str], known: Mapping[str, OutputKind]) -> list[OutputKind]:
    """The kinds that `save=` names: one, or a list such as `[alpha,cutout]`.

    Raises:
        ConfigError: a name is unknown, or nothing is named.
    """
    if not names:
        raise ConfigError(f"save= names nothing; it is one or a list of {', '.join(known)}.")
    return [known[require_choice("save", name, known)] for name in dict.fromkeys(names)]
