"""Lists what lies below a folder: images by stem, groups, tags, split files, and a digest of it all."""

import csv
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kolbench.errors import DataError, nearest

# Formats that cannot be decoded everywhere are listed too: reading them says what to do.
PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "tif", "tiff", "webp"),
        *("gif", "ppm", "pgm", "pbm", "jp2", "avif", "heic", "heif", "jxl", "tga"),
    )
)
SPLIT_NAMES = ("train", "val", "test")
SHOWN = 20
BLOCK_BYTES = 64 * 1024
WHOLE_BYTES = 64 * 1024 * 1024

# what is done about a fault after which reading can go on: raise it, or note it
Refuse = Callable[[str], None]


class Lists(NamedTuple):
    """What files beside the images say about them, in the order of the names.

    groups: the video of each image, None where unknown. tags: scenarios, may be "".
    given_splits: split -> indices; None where the folder says nothing. notes: lines to print.
    """

    groups: list[str | None]
    tags: list[str]
    given_splits: dict[str, list[int]] | None
    notes: list[str]


def refuse(message: str) -> None:
    """What is done about a fault unless all of them are wanted.

    Raises:
        DataError: always.
    """
    raise DataError(message)


def require_folder(folder: str | Path, key: str = "data.root") -> Path:
    """Makes a path of `folder` and requires that it is one.

    Raises:
        DataError: it does not exist or is a file; names the nearest sibling.
    """
    path = Path(folder).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise DataError(f"{key}={path} is a file, but a folder is needed.")
    siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    hint = nearest(path.name, siblings, likeness=0.75)
    raise DataError(f"{key}={path} does not exist.{f' Did you mean {path.parent / hint}?' if hint else ''}")


def subfolder(root: Path, name: str, why: str) -> Path:
    """Finds the folder `name` in `root`.

    Args:
        why: what follows its name in the message.

    Raises:
        DataError: there is none; lists the folders that are there.
    """
    if (root / name).is_dir():
        return root / name
    inside = sorted(path.name for path in root.iterdir() if path.is_dir())
    raise DataError(f"{root} has no folder {name}/{why}. It holds {shorten(inside) or 'no folders'}.")


def key_of(path: Path, folder: Path) -> str:
    """Names a file: its path below `folder` with slashes, without suffix, in composed Unicode (NFC)."""
    return unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())


def visible_files(folder: Path, suffixes: Iterable[str] | None = None) -> list[Path]:
    """Lists files of these suffixes (in lower case; None = all) below `folder`, sorted, without hidden ones.

    Links are followed, so that a folder linked to twice is there twice; those that lead back into a
    folder that they lie in are not.
    """
    files = sorted(_files_below(folder, frozenset()))
    if suffixes is None:
        return files
    wanted = set(suffixes)
    return [path for path in files if path.suffix.lower() in wanted]


def _files_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        return
    try:
        inside = list(folder.iterdir())
    except PermissionError:
        return  # such as lost+found of a disk
    for path in inside:
        # what macOS and network drives leave beside pictures
        if path.name.startswith(".") or path.name in ("__MACOSX", "@eaDir", "#recycle"):
            continue
        if path.is_dir():
            yield from _files_below(path, above | {real})
        elif path.is_file():
            yield path


def pictures_below(folder: Path, refuse: Refuse = refuse) -> dict[str, Path]:
    """Finds all image files below `folder` at any depth; name -> file.

    Args:
        folder: to search.
        refuse: told of each fault; where it returns, the first of two files counts.

    Raises:
        DataError: two files differ in their suffix only, so a mask would belong to both.
    """
    found: dict[str, Path] = {}
    for path in visible_files(folder, PICTURE_SUFFIXES):
        key = key_of(path, folder)
        if key in found:
            refuse(
                f"{found[key]} and {path} have the same name without suffix, so masks and splits cannot "
                "tell them apart. Rename or remove one."
            )
        found.setdefault(key, path)
    return found


def shorten(items: Iterable[str], shown: int = SHOWN) -> str:
    """Writes a list as `a, b, c and 7 more`."""
    listed = list(items)
    rest = len(listed) - shown
    return ", ".join(listed[:shown]) + (f" and {rest} more" if rest > 0 else "")


def unmatched(what: str, names: set[str], others: Mapping[str, Path]) -> list[str]:
    """Names the files without a partner, and those that differ from one in case only; lines to print."""
    if not names:
        return []
    lines = [f"{len(names)} {what} without a partner are left out: {shorten(sorted(names))}"]
    folded = {other.casefold(): other for other in others if other not in names}
    for name in sorted(names):
        other = folded.get(name.casefold())
        if other is not None and other != name:
            lines.append(f"{name} and {other} differ in upper and lower case only; name them alike")
            break
    return lines


def without_partner(matched: set[str], files: Mapping[str, Mapping[str, Path]]) -> dict[Path, str]:
    """File -> what it lacks.

    Args:
        matched: names that have an image and a mask. files: `image`, `mask` and others -> name -> file.
    """
    lacking = {"image": "has no mask of the same name", "mask": "has no image of the same name"}
    return {
        path: lacking.get(what, "has no image and mask of the same name")
        for what, paths in files.items()
        for name, path in sorted(paths.items())
        if name not in matched
    }


def drawn(sizes: Mapping[str, int], share: float) -> list[str]:
    """Clips for validation, by a draw that only their names decide, until they hold a share of all images.

    Args:
        sizes: images of each training clip, of which one stays. share: in (0, 1).
    """
    order = sorted(sizes, key=lambda clip: hashlib.sha256(clip.encode()).digest())
    chosen: list[str] = []
    for clip in order[:-1]:
        if chosen and sum(sizes[c] for c in chosen) >= share * sum(sizes.values()):
            break
        chosen.append(clip)
    return sorted(chosen)


def spread(count: int, wanted: int) -> list[int]:
    """Picks at most `wanted` of the numbers below `count`, evenly spread."""
    return sorted({index * count // min(wanted, count) for index in range(min(wanted, count))})


def digest(parts: Iterable[tuple[str, Path, bool]]) -> str:
    """Digests names, sizes and contents (sha256); times and places do not count.

    Args:
        parts: (name, file, whole). Labels are hashed whole, and so are images up to 64 MiB. Of a
            larger image only its size and both ends of 64 KiB count: a change between them that
            keeps the size is not seen.

    Raises:
        DataError: a file cannot be read.
    """
    hasher = hashlib.sha256()
    for name, path, whole in sorted(parts, key=lambda part: part[0]):
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from None
        hasher.update(f"{name}\n{size}\n".encode())
        hasher.update(content_digest(path, whole or size <= WHOLE_BYTES))
    return hasher.hexdigest()


def content_digest(path: Path, whole: bool) -> bytes:
    """Digests a file (sha256), or its first and last 64 KiB, by which a video is known again.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as handle:
            if whole or path.stat().st_size <= 2 * BLOCK_BYTES:
                return hashlib.file_digest(handle, "sha256").digest()
            head = handle.read(BLOCK_BYTES)
            handle.seek(-BLOCK_BYTES, 2)
            return hashlib.sha256(head + handle.read()).digest()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}.")


def read_text(path: Path) -> str:
    """Reads a UTF-8 text, with or without byte order mark, its line ends as they are.

    Raises:
        DataError: the file cannot be read or is not UTF-8; names the encoding that it seems to have.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text[:512]:
        raise DataError(f"{path} is not UTF-8 text but {_encoding(data)}; save it as UTF-8.")
    return text


def _encoding(data: bytes) -> str:
    """What text that is not UTF-8 seems to be."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:512]:
        return "UTF-16 or no text"
    return "one of 8 bits, such as Windows-1252 or GBK"


def read_lists(
    root: Path,
    names: Sequence[str],
    absent: Mapping[str, str] | None = None,
    clips: Mapping[str, Sequence[int]] | None = None,
    refuse: Refuse = refuse,
) -> Lists:
    """Reads groups, tags and splits of the named images.

    `groups.csv` (columns stem, group and optionally tag) decides groups, an empty group being none;
    without it a sub-folder is a group. `train.txt`, `val.txt`, `test.txt` list one stem a line; without
    them sub-folders called train, val and test, if all images lie in them, are the splits.

    Args:
        root: the folder of the files.
        names: of the images that can be used.
        absent: names that cannot, and why.
        clips: names that stand for several images, and the indices of these.
        refuse: told of each fault; where it returns, the line is passed over.

    Raises:
        DataError: names file and line of an unknown stem, or of an image that is listed twice.
    """
    known = _Known({name: index for index, name in enumerate(names)}, absent or {}, clips or {})
    groups, folder_splits = _from_folders(names)
    tags = [""] * len(names)
    notes: list[str] = []
    table = root / "groups.csv"
    if table.is_file():
        groups = _read_groups(table, known, tags, refuse)
    splits = _read_splits(root, known, refuse) or folder_splits
    if splits is not None:
        unlisted = len(names) - sum(len(indices) for indices in splits.values())
        if unlisted:
            notes.append(f"{unlisted} images stand in no split and are not used with data.split=files")
    return Lists(groups, tags, splits, notes)


class _Known(NamedTuple):
    """What a line of a list may name: an image, one that cannot be used (and why), or a clip of images."""

    pictures: Mapping[str, int]
    absent: Mapping[str, str]
    clips: Mapping[str, Sequence[int]]

    def stem(self, line: str) -> str:
        """Finds the name that a line means, with or without suffix and `images/`."""
        name = unicodedata.normalize("NFC", line.strip().replace("\\", "/")).removeprefix("./").rstrip("/")
        bare = name.rpartition(".")[0] if "." + name.rpartition(".")[2].lower() in PICTURE_SUFFIXES else name
        candidates = (name, bare, name.removeprefix("images/"), bare.removeprefix("images/"))
        return next((stem for stem in candidates if any(stem in names for names in self)), name)

    def rows(self, line: str, where: str) -> Sequence[int]:
        """Finds the images that a line means; none for what is known to be unusable."""
        stem = self.stem(line)
        if stem in self.pictures:
            return [self.pictures[stem]]
        if stem in self.clips:
            return self.clips[stem]
        if stem in self.absent:
            return []
        hint = nearest(stem, {**self.clips, **self.pictures})
        meant = f" Did you mean {hint}?" if hint else ""
        what = "clip or image" if self.clips else "image"
        raise DataError(f"{where}: there is no {what} {line.strip()}.{meant}")


def _from_folders(names: Sequence[str]) -> tuple[list[str | None], dict[str, list[int]] | None]:
    parents = [name.split("/")[:-1] for name in names]
    if parents and all(parent and parent[0] in SPLIT_NAMES for parent in parents):
        splits: dict[str, list[int]] = {split: [] for split in SPLIT_NAMES}
        for index, parent in enumerate(parents):
            splits[parent[0]].append(index)
        return ["/".join(parent[1:]) or None for parent in parents], splits
    return ["/".join(parent) or None for parent in parents], None


def _lines(path: Path, refuse: Refuse) -> list[str]:
    """The lines of a text; none where it cannot be read."""
    try:
        return read_text(path).splitlines()
    except DataError as error:
        refuse(str(error))
        return []


def _read_groups(table: Path, known: _Known, tags: list[str], refuse: Refuse) -> list[str | None]:
    groups: list[str | None] = [None] * len(known.pictures)
    for number, cells in enumerate(csv.reader(_lines(table, refuse)), start=1):
        if not cells or not "".join(cells).strip() or (number == 1 and cells[0].strip() in ("stem", "name")):
            continue
        if len(cells) not in (2, 3):
            refuse(f"{table}, line {number}: {len(cells)} columns; they are stem,group or stem,group,tag.")
            continue
        for row in _rows_meant(known, cells[0], f"{table}, line {number}", refuse):
            groups[row] = cells[1].strip() or None
            tags[row] = cells[2].strip() if len(cells) == 3 else ""
    return groups


def _rows_meant(known: _Known, line: str, where: str, refuse: Refuse) -> Sequence[int]:
    """The images that a line means; none where it means nothing."""
    try:
        return known.rows(line, where)
    except DataError as error:
        refuse(str(error))
        return []


def _read_splits(root: Path, known: _Known, refuse: Refuse) -> dict[str, list[int]] | None:
    files = {split: root / f"{split}.txt" for split in SPLIT_NAMES}
    if not any(path.is_file() for path in files.values()):
        return None
    splits: dict[str, list[int]] = {split: [] for split in SPLIT_NAMES}
    seen: dict[int, str] = {}
    for split, path in files.items():
        lines = _lines(path, refuse) if path.is_file() else []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            rows = _rows_meant(known, line, where, refuse)
            if not rows and (why := known.absent.get(known.stem(line))):
                refuse(f"{where}: {line.strip()} {why}. Add what is missing, or remove the line.")
            if before := [seen[row] for row in rows if row in seen]:
                refuse(f"{where}: {line.strip()} stands already in {before[0]}. Keep one of them.")
            new = [row for row in rows if row not in seen]
            seen |= dict.fromkeys(new, where)
            splits[split] += new
    return splits


def group_note(groups: Sequence[str | None]) -> str:
    """Says how many groups are known, for a line to print; "" where none is."""
    known = Counter(group for group in groups if group is not None)
    if not known:
        return ""
    loose = sum(group is None for group in groups)
    return f"{len(known)} groups" + (f" ({loose} images in none)" if loose else "")
