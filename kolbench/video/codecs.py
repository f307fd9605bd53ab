"""The formats a video can be written in, and which of them an output's name means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kolbench.errors import ConfigError, require_choice

PNG = "png"
# suffix -> FFmpeg's name of the container
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True)
class VideoFormat:
    """A video codec with its settings.

    Attributes:
        codec: FFmpeg's encoder. suffixes: files that may hold it, the first one by default.
        opaque, transparent: pixel formats of RGB and RGBA pictures; None where there is no alpha.
        halves_colour: whether colour has half the picture's size (4:2:0), so that both sides must be even.
        options: of the encoder.
    """

    codec: str
    suffixes: tuple[str, ...]
    opaque: str
    transparent: str | None
    halves_colour: bool
    options: Mapping[str, str] = field(default_factory=dict)


VIDEO_FORMATS: dict[str, VideoFormat] = {
    # without B-frames the packets stand in the order of display, so that every timestamp and the last
    # duration are exact in every container and player; with x264's own quantiser of chroma flat colours
    # are up to 6 levels off, with this one 4 (640 colours), for 4 % more bytes
    "h264": VideoFormat(
        "libx264",
        (".mp4", ".m4v", ".mov", ".mkv"),
        "yuv420p",
        None,
        True,
        {"crf": "18", "preset": "veryfast", "bf": "0", "x264-params": "chroma-qp-offset=-2"},
    ),
    # deadline=good is ten times slower for the same error; an alternate reference frame would have no alpha
    "vp9": VideoFormat(
        "libvpx-vp9",
        (".webm",),
        "yuv420p",
        "yuva420p",
        True,
        {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1", "auto-alt-ref": "0"},
    ),
    "prores": VideoFormat(
        "prores_ks",
        (".mov",),
        "yuv444p10le",
        "yuva444p10le",
        False,
        {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
    ),
}
HOW_ALPHA_IS_KEPT = (
    "write .webm (VP9 with alpha), .mov with format=prores (ProRes 4444), or a folder (a PNG sequence)"
)


def format_name_of(path: str | Path, needs_alpha: bool, format_name: str | None = None) -> str:
    """The name of the format in which a video is written: `h264`, `vp9`, `prores` or `png`.

    Args:
        path: the output; a folder, or a path without a suffix, means a PNG sequence.
        needs_alpha: whether its pictures have an alpha channel.
        format_name: one of the four; None or `auto` = as the suffix says.

    Raises:
        ConfigError: the suffix is unknown, does not hold the format, or the format holds no alpha.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if format_name in (None, "auto"):
        format_name = _by_suffix(path, suffix)
    format_name = require_choice("format", str(format_name), (*VIDEO_FORMATS, PNG))
    if format_name == PNG:
        if suffix in CONTAINERS and not path.is_dir():
            raise ConfigError(f"output={path}: format=png writes a folder; leave {suffix} away.")
        return format_name
    chosen = VIDEO_FORMATS[format_name]
    if suffix not in chosen.suffixes:
        raise ConfigError(
            f"output={path}: format={format_name} is written as {', '.join(chosen.suffixes)}; "
            f"give such a name, or leave format away."
        )
    if needs_alpha and chosen.transparent is None:
        raise ConfigError(f"output={path}: {suffix} with H.264 has no alpha channel; {HOW_ALPHA_IS_KEPT}.")
    return format_name


def _by_suffix(path: Path, suffix: str) -> str:
    if path.is_dir() or not suffix:
        return PNG
    for name, video_format in VIDEO_FORMATS.items():
        if suffix in video_format.suffixes:
            return name
    raise ConfigError(
        f"output={path}: videos are written as {', '.join(CONTAINERS)}, or as a folder of PNGs "
        f"(no suffix); {suffix} is none of them."
    )
