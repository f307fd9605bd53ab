"""`data=davis`: labelled video clips, as `CLIP/images` with `CLIP/masks` or as DAVIS comes; split by clip."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kolbench.data import listing
from kolbench.data.clip_frames import in_time, unscored_after, unscored_before, unscored_note
from kolbench.data.mask_files import MaskFiles
from kolbench.data.sources.base import Source
from kolbench.errors import ConfigError, DataError, nearest
from kolbench.io.images import read_rgb
from kolbench.io.masks import inspect_mask, require_same_size
from kolbench.types import Sample, UInt8Array

ALL = "all"
PICTURES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets"
RESOLUTION = "480p"
YEARS = ("2017", "2016")
VAL_SHARE = 0.1  # of the images that train.txt names


class DavisSource(Source):
    """Reads video clips with a mask for each frame; the groups are the clips.

    Two layouts:

    - `CLIP/images` with `CLIP/masks`. Beside the clips may lie train.txt, val.txt and test.txt, each line a
      clip (all of its frames) or a frame (`CLIP/STEM`), and groups.csv (see listing.read_lists), whose stems
      may be clips too.
    - DAVIS's own: `JPEGImages/480p/CLIP`, `Annotations/480p/CLIP` and
      `ImageSets/2016|2017|480p/train.txt|val.txt` (Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017).
      There val.txt names the test clips, and some clips of train.txt are drawn for validation, the same on
      every machine.

    Images without a mask between the frames of a clip are `unscored`.

    Every object of an annotation is foreground. Where annotations number their objects (palette, as in
    DAVIS-2017) these are the instances; annotations in black and white have none.

    Args:
        root: the folder of the clips, or DAVIS's own (or the one above it).
        resolution: `480p`, `1080p`, `Full-Resolution`; None = 480p, or the only one there is.
        image_set: the folder below ImageSets; None = 2017, 2016 or the resolution, the first there is.
        objects: `all`, or clip -> ids that count as foreground, all others of that clip being background.

    Raises:
        DataError: neither layout is found, nothing matches, or a list contradicts itself or names an unknown
            clip.
        ConfigError: no such resolution, image set, or clip in `objects`.
    """

    def __init__(
        self,
        root: str | Path,
        resolution: str | None = None,
        image_set: str | int | None = None,
        objects: str | Mapping[str, int | Sequence[int]] = ALL,
    ) -> None:
        self.root = listing.require_folder(root)
        layout = _original(self.root, resolution)
        if layout is None and not (resolution is None and image_set is None):
            raise ConfigError(
                "data.resolution and data.image_set are for DAVIS's own layout, but "
                f"{self.root} has no {PICTURES}/. Leave them null."
            )
        layout = layout or _simple(self.root)
        self._images, self._masks = layout.images, layout.masks
        names = sorted(self._images.keys() & self._masks.keys(), key=lambda name: in_time(_clip(name), name))
        if not names:
            raise DataError(
                f"{self.root}: none of {len(self._images)} frames has a mask of the same clip and name "
                f"({len(self._masks)} masks)."
            )
        self._clips = [_clip(name) for name in names]
        self._objects = _wanted_objects(objects, self._clips)
        self._mask_files = MaskFiles(self._masks)
        if layout.lists is None:
            lists = self._read_lists(names)
        else:
            lists = _read_image_set(layout.lists, image_set, layout.resolution, self._clips)
        super().__init__(names, lists.groups, lists.tags, lists.given_splits, self._clips)
        self._notes = lists.notes
        others = {name: _clip(name) for name in self._images.keys() - self._masks.keys()}
        self.unscored = unscored_before(names, self._clips, others)
        self.unscored_after = unscored_after(names, self._clips, others)
        self._has_instances = self._any_ids()

    def read(self, index: int) -> Sample:
        """Reads the frame, its mask, and the instances where this set numbers its objects.

        Raises:
            DataError: a file cannot be read, the sizes differ, or `objects` asks for ids that no file has.
        """
        name = self.names[index]
        image = read_rgb(self._images[name])
        reading = self._mask_files.inspect(name)
        require_same_size(self._images[name], image, self._masks[name], reading.mask)
        wanted = self._objects.get(self._clips[index])
        if not self._has_instances:
            if wanted is not None:
                raise DataError(
                    f"{self._masks[name]} does not number its objects, so data.objects cannot choose any."
                )
            return Sample(image, reading.mask)
        ids = _ids(self._masks[name]) if _numbers_objects(reading.kind) else reading.mask
        if wanted is not None:
            ids = np.where(np.isin(ids, wanted), ids, 0).astype(np.uint8)
        return Sample(image, (ids > 0).astype(np.uint8), instances=ids)

    def files(self, index: int) -> Mapping[str, Path]:
        """Frame and mask."""
        name = self.names[index]
        return {"image": self._images[name], "mask": self._masks[name]}

    def read_unscored(self, name: str) -> UInt8Array:
        """Reads a frame that has no mask."""
        return read_rgb(self._images[name])

    def fingerprint(self) -> str:
        """Digests frames and masks (see listing.digest), and the choice of objects."""
        others = [name for before in self.unscored.values() for name in before]
        others += self.unscored_after.values()
        digest = listing.digest(
            [
                *((f"{name} image", self._images[name], False) for name in [*self.names, *others]),
                *((f"{name} mask", self._masks[name], True) for name in self.names),
            ]
        )
        if not self._objects:
            return digest
        return hashlib.sha256(f"{digest} {sorted(self._objects.items())}".encode()).hexdigest()

    def describe(self) -> list[str]:
        """Says how many frames and clips there are, what is left out, and which mask levels were seen."""
        used = {*self.names, *(name for before in self.unscored.values() for name in before)}
        numbered = ", objects are numbered" if self._has_instances else ""
        lines = [f"{self.root}: {len(self)} frames with masks of {len(set(self._clips))} clips{numbered}"]
        lines += unscored_note(self.unscored)
        lines += listing.unmatched("images", self._images.keys() - used, self._masks)
        lines += listing.unmatched("masks", self._masks.keys() - used, self._images)
        for clip, wanted in sorted(self._objects.items()):
            lines.append(f"{clip}: only the objects {', '.join(map(str, wanted))} are foreground")
        return [*lines, *self._notes, *self._mask_files.notes(self.names)]

    def _any_ids(self) -> bool:
        """Whether the first mask of some clip numbers its objects."""
        first = dict(zip(reversed(self._clips), reversed(self.names), strict=True))
        for name in first.values():
            try:
                if _numbers_objects(inspect_mask(self._masks[name]).kind):
                    return True
            except DataError:
                continue  # reading all frames names it
        return False

    def _read_lists(self, names: Sequence[str]) -> listing.Lists:
        """What the files beside the clips say; without groups.csv each clip is a group."""
        clips: dict[str, list[int]] = {}
        for row, clip in enumerate(self._clips):
            clips.setdefault(clip, []).append(row)
        absent = dict.fromkeys(self._images.keys() - self._masks.keys(), "has no mask")
        absent |= dict.fromkeys({_clip(name) for name in absent} - clips.keys(), "has no masks")
        return listing.read_lists(self.root, names, absent, clips)


class _Layout(NamedTuple):
    """Frames and masks by `CLIP/STEM`; lists: DAVIS's ImageSets, None in the simple layout."""

    images: dict[str, Path]
    masks: dict[str, Path]
    lists: Path | None = None
    resolution: str = ""


def _ids(path: Path) -> UInt8Array:
    """(H, W) object ids of a palette or grey PNG, 0 = background."""
    with Image.open(path) as image:
        return np.array(image, np.uint8)


def _numbers_objects(kind: str) -> bool:
    return kind.startswith(("palette", "class indices"))


def _clip(name: str) -> str:
    return name.partition("/")[0]


def _simple(root: Path) -> _Layout:
    """`CLIP/images` and `CLIP/masks`."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    clips = [path for path in folders if (path / "images").is_dir() and (path / "masks").is_dir()]
    if not clips:
        found = listing.shorten(f"{path.name}/" for path in folders) or "no folders"
        raise DataError(
            f"{root} holds no clips: data=davis needs CLIP/images/ and CLIP/masks/, or as DAVIS comes "
            f"{PICTURES}/{RESOLUTION}/CLIP/ and {ANNOTATIONS}/{RESOLUTION}/CLIP/. It holds {found}."
        )
    return _Layout(_by_clip(clips, "images"), _by_clip(clips, "masks"))


def _by_clip(clips: Iterable[Path], part: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for clip in clips:
        name = unicodedata.normalize("NFC", clip.name)
        found |= {f"{name}/{key}": path for key, path in listing.pictures_below(clip / part).items()}
    return found


def _original(root: Path, resolution: str | None) -> _Layout | None:
    """DAVIS's own folders in `root` or in root/DAVIS; None where there are none."""
    base = next((path for path in (root, root / "DAVIS") if (path / PICTURES).is_dir()), None)
    if base is None:
        return None
    if not (base / ANNOTATIONS).is_dir():
        raise DataError(f"{base} has {PICTURES}/ but no {ANNOTATIONS}/: frames without masks cannot be used.")
    both = sorted(_folder_names(base / PICTURES) & _folder_names(base / ANNOTATIONS))
    chosen = _chosen_resolution(base, both, resolution)
    images, masks = (listing.pictures_below(base / part / chosen) for part in (PICTURES, ANNOTATIONS))
    return _Layout(images, masks, base / LISTS, chosen)


def _chosen_resolution(base: Path, both: list[str], resolution: str | None) -> str:
    if resolution is not None and resolution not in both:
        raise ConfigError(
            f"data.resolution={resolution}: {base} has {listing.shorten(both) or 'none'} in both "
            f"{PICTURES}/ and {ANNOTATIONS}/."
        )
    if resolution is not None:
        return resolution
    if RESOLUTION in both:
        return RESOLUTION
    if len(both) != 1:
        raise DataError(
            f"{base} has {listing.shorten(both) or 'no folder'} in both {PICTURES}/ and {ANNOTATIONS}/; "
            "say which with data.resolution."
        )
    return both[0]


def _folder_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _image_set_folder(lists: Path, image_set: str | int | None, resolution: str) -> Path | None:
    """The folder that holds train.txt and val.txt; None where there is none and none is asked for."""
    usable = [p.parent.name for p in sorted(lists.glob("*/train.txt")) if (p.parent / "val.txt").is_file()]
    if image_set is not None and str(image_set) not in usable:
        raise ConfigError(
            f"data.image_set={image_set}: {lists} has train.txt and val.txt in "
            f"{listing.shorten(usable) or 'no folder'}."
        )
    wanted = (str(image_set),) if image_set is not None else (*YEARS, resolution)
    return next((lists / name for name in wanted if name in usable), None)


def _read_image_set(
    folders: Path, image_set: str | int | None, resolution: str, clips: Sequence[str]
) -> listing.Lists:
    """The split that DAVIS's own lists mean for frames of these clips, each clip being a group."""
    unused = listing.Lists(list(clips), [""] * len(clips), None, [])
    folder = _image_set_folder(folders, image_set, resolution)
    if folder is None:
        return unused
    named = {split: _listed_clips(folder / f"{split}.txt") for split in ("train", "val")}
    both = sorted(set(named["train"]) & set(named["val"]))
    if both:
        raise DataError(f"{folder}: train.txt and val.txt both name {listing.shorten(both)}.")
    frames = Counter(clips)
    missing = sorted({*named["train"], *named["val"]} - frames.keys())
    if missing:
        unused.notes.append(f"{folder}: {len(missing)} clips are not here: {listing.shorten(missing, 5)}")
    train = [clip for clip in named["train"] if clip in frames]
    test = [clip for clip in named["val"] if clip in frames]
    if len(train) < 2 or not test:
        unused.notes.append(f"{folder} is not used: its lists leave too few of the clips that are here")
        return unused
    val = listing.drawn({clip: frames[clip] for clip in train}, VAL_SHARE)
    split_of = dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for row, clip in enumerate(clips):
        if clip in split_of:
            splits[split_of[clip]].append(row)
    drawn = f"{folder}: val.txt is the test set; {', '.join(val)} of train.txt drawn for validation"
    return unused._replace(given_splits=splits, notes=[*unused.notes, drawn])


def _listed_clips(path: Path) -> list[str]:
    """Clips of a list that names one a line (2017), or a frame and its annotation (2016), in order."""
    clips: dict[str, None] = {}
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if words := line.split():
            parts = words[0].strip("/").split("/")
            clips[parts[-2] if len(parts) > 1 else parts[0]] = None
    return list(clips)


def _wanted_objects(objects: object, clips: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Clip -> ids; empty where all objects count."""
    if objects == ALL or objects is None:
        return {}
    if not isinstance(objects, Mapping):
        raise ConfigError(f"data.objects={objects} is neither all nor ids by clip, such as {{CLIP: [1, 2]}}.")
    for clip in objects:
        if clip not in clips:
            hint = nearest(str(clip), set(clips))
            raise ConfigError(f"data.objects names no clip {clip}.{f' Did you mean {hint}?' if hint else ''}")
    try:
        return {clip: tuple(sorted(int(i) for i in np.atleast_1d(ids))) for clip, ids in objects.items()}
    except (TypeError, ValueError):
        raise ConfigError(
            f"data.objects={dict(objects)}: ids are whole numbers, as {{CLIP: [1, 2]}}."
        ) from None
