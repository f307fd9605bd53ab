"""What `input=` means and where each result goes: trees are mirrored, no two inputs share an output."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kolbench.data.listing import PICTURE_SUFFIXES, require_folder, visible_files
from kolbench.data.manifest import VIDEO_SUFFIXES
from kolbench.errors import ConfigError, DataError, nearest
from kolbench.io import decoding
from kolbench.video.animations import is_animation
from kolbench.video.inspection import opened as av_opened

PIPE = "-"
WILDCARDS = "*?["
PICTURE, VIDEO = "picture", "video"
SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES
# pictures that may be animations
_MAY_MOVE = frozenset((".gif", ".png", ".apng", ".webp", ".avif"))
# of files in a folder that nobody takes for pictures or videos, so that they are not opened
_NEVER = frozenset(
    f".{suffix}"
    for suffix in (
        *(
            "txt",
            "csv",
            "tsv",
            "json",
            "jsonl",
            "xml",
            "md",
            "html",
            "pdf",
            "log",
            "ini",
            "srt",
            "vtt",
            "ass",
        ),
        *("py", "sh", "yaml", "yml", "toml", "ipynb", "zip", "tar", "gz", "7z", "rar", "part", "lock"),
        *("npy", "npz", "parquet", "pt", "pth", "ckpt", "onnx", "safetensors", "pkl", "db"),
        *("wav", "mp3", "aac", "m4a", "flac", "opus"),
    )
)


# asked several times of each input
_moves = lru_cache(maxsize=4096)(is_animation)


@dataclass(frozen=True)
class Item:
    """One input.

    source: the file. place: where it lies below the input, with its suffix. as_picture: whether one picture
    is asked for, so that of an animation the first frame counts.
    """

    source: Path
    place: Path
    as_picture: bool = False

    @property
    def is_video(self) -> bool:
        """Whether it is a video or an animation by its suffix, or where that says nothing by its content."""
        suffix = self.source.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return True
        if suffix in PICTURE_SUFFIXES:
            return suffix in _MAY_MOVE and not self.as_picture and _moves(self.source)
        return _kind_of(self.source) == VIDEO


def items_of(given: str, output: Path) -> list[Item]:
    """The pictures and videos that `input` names, in order.

    Args:
        given: a file, a folder (searched at any depth) or a pattern such as `shots/**/*.jpg`.
        output: files below it are no inputs, so that a second run does not take up the first one's results.

    Raises:
        DataError: there is nothing, or nothing that is a picture or a video by its suffix.
    """
    path = Path(given).expanduser()
    if path.is_file():
        wants_picture = output.suffix.lower() in PICTURE_SUFFIXES and not output.is_dir()
        return [Item(path, Path(path.name), wants_picture)]
    if path.is_dir():
        listed, base = visible_files(path), path
    elif any(sign in given for sign in WILDCARDS):
        base = _fixed_part(path)
        matched = (file for file in base.glob(str(path.relative_to(base))) if not _hidden(file, base))
        listed = [file for file in sorted(matched) if file.is_file()]
    else:
        raise DataError(_missing(path))
    found = [file for file in listed if _is_input(file)]
    items = [Item(file, file.relative_to(base)) for file in found if not _below(file, output)]
    if found and not items:
        raise ConfigError(f"output={output} holds the input itself; give another folder.")
    if not items:
        raise DataError(
            f"input={given} holds no image and no video that could be read "
            f"({', '.join(sorted(SUFFIXES))} are known)."
        )
    return items


def left_out(given: str, items: Sequence[Item]) -> list[str]:
    """What of a folder is no input, by suffix and number; a line, or none where all of it is."""
    folder = Path(given).expanduser()
    if not folder.is_dir():
        return []
    taken = {item.source for item in items}
    others = Counter(
        file.suffix.lower() or "no suffix" for file in visible_files(folder) if file not in taken
    )
    if not others:
        return []
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    return [f"left out of {given}, as neither image nor video: {counts}"]


def _is_input(file: Path) -> bool:
    suffix = file.suffix.lower()
    return suffix in SUFFIXES or (suffix not in _NEVER and _kind_of(file) != "")


@lru_cache(maxsize=4096)
def _kind_of(file: Path) -> str:
    """What a file's content is, whatever its name: `picture`, `video`, or "" for neither."""
    with suppress(DataError), decoding.opened(file) as data, decoding.header(data, str(file)):
        return PICTURE
    with suppress(DataError), av_opened(file) as container:
        # a text file may pass for subtitles
        moving = any(stream.codec_context is not None for stream in container.streams.video)
        return VIDEO if moving else ""
    return ""


def _missing(path: Path) -> str:
    if path.parent.is_dir():
        hint = nearest(path.name, [sibling.name for sibling in path.parent.iterdir()])
        meant = f" Did you mean {path.parent / hint}?" if hint else ""
        return f"input={path} does not exist.{meant}"
    require_folder(path.parent, "the folder of input")
    return f"input={path} does not exist."


def _fixed_part(pattern: Path) -> Path:
    """The folder of a pattern up to its first wildcard."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        # a folder may be called a[1]
        if any(sign in part for sign in WILDCARDS) and not Path(*parts, part).is_dir():
            break
        parts.append(part)
    return Path(*parts) if parts else Path()


def _hidden(file: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(base).parts)


def _below(file: Path, folder: Path) -> bool:
    return folder.is_dir() and file.resolve().is_relative_to(folder.resolve())


def targets_of(
    items: Sequence[Item], output: Path, suffixes: Mapping[str, str], kept: Sequence[Path] = ()
) -> dict[Item, Path]:
    """The output of each input.

    A single file goes to `output` itself where that has a suffix; all else goes below the folder `output`,
    at the same place as below the input. Where two inputs would go to one output (`a.jpg` and `a.png`), the
    outputs keep the inputs' suffixes too (`a.jpg.png` and `a.png.png`), on every file system: names that
    differ only in case or in Unicode composition count as one.

    Args:
        suffixes: of the output of a `picture` and of a `video`, such as `.png`; "" = a folder.
        kept: other files that are read, and so are not written either.

    Raises:
        ConfigError: an output would be one of the inputs, lies among them under a name that is taken, or
            `output` is a file where a folder is needed.
    """
    if len(items) == 1 and names_file(output):
        targets = {items[0]: output}
    else:
        if output.is_file():
            raise ConfigError(f"output={output} is a file, but {len(items)} results need a folder.")
        targets = _told_apart(items, output, suffixes)
    sources = {path.resolve() for path in (*(item.source for item in items), *kept)}
    for item, target in targets.items():
        if target.resolve() in sources:
            raise ConfigError(
                f"output={output} would overwrite the input {target}; give another folder or name."
            )
        if target != output and target.exists() and target.parent.samefile(item.source.parent):
            raise ConfigError(
                f"output={output} would overwrite {target}, which stands beside the input; "
                "give another folder."
            )
    return targets


def names_file(output: Path) -> bool:
    """Whether `output` means a file: it has a known suffix and is no folder."""
    return output.suffix.lower() in SUFFIXES and not output.is_dir()


def _told_apart(items: Iterable[Item], output: Path, suffixes: Mapping[str, str]) -> dict[Item, Path]:
    tries = dict.fromkeys(items, 0)
    while True:
        targets = {
            item: item.place.with_name(_name(item.place, number) + suffixes[_kind(item)])
            for item, number in tries.items()
        }
        crowds = _crowds(targets)
        if not crowds:
            return {item: output / target for item, target in targets.items()}
        for crowd in crowds:
            short = [item for item in crowd if tries[item] == 0]
            for item in short or crowd[1:]:
                tries[item] += 1


def _kind(item: Item) -> str:
    return VIDEO if item.is_video else PICTURE


def _name(place: Path, number: int) -> str:
    """The `number`-th choice of an output's name, without its suffix: a, a.jpg, a.jpg_2, a.jpg_3, ..."""
    if number == 0:
        return place.stem
    return place.name if number == 1 else f"{place.name}_{number}"


def _crowds(targets: Mapping[Item, Path]) -> list[list[Item]]:
    """The inputs that share an output, on any file system."""
    crowds: dict[str, list[Item]] = defaultdict(list)
    for item, target in targets.items():
        crowds[unicodedata.normalize("NFC", target.as_posix()).casefold()].append(item)
    return [crowd for crowd in crowds.values() if len(crowd) > 1]


def describe(items: Sequence[Item]) -> str:
    """How many pictures and videos there are, in words."""
    videos = sum(item.is_video for item in items)
    counts = ((len(items) - videos, "picture"), (videos, "video"))
    return " and ".join(f"{count:,} {word}{'s' * (count != 1)}" for count, word in counts if count)
