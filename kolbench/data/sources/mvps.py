"""`data=mvps`: MVPS (Yu et al., 2024, the set of PDNet), clips of portraits in seven scenarios."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from kolbench.data import listing, paired
from kolbench.errors import DataError, nearest

NAME = "mvps"
FRAMES, ANNOTATIONS, LISTS = "Keyframes/480p", "Annotations/480p", "ImageSets"
VAL_SHARE = 0.1  # of the frames of the clips that train.txt names
DEPTH = 3  # SCENARIO/CLIP/FRAME


class MVPSSource(paired.PairedSource):
    """Reads the annotated frames, every fifth of a video; the tags are the scenarios.

    `Keyframes/480p/SCENARIO/CLIP/FRAME.jpg` with `Annotations/480p/SCENARIO/CLIP/FRAME.png`;
    `ImageSets/train.txt` and `ImageSets/val.txt` name a `SCENARIO/CLIP` a line. The clips of val.txt are for
    testing, and some of train.txt are drawn for validation, the same on every machine.

    Args:
        root: the folder of the three, or the one above, where theirs is called MVPS.

    Raises:
        DataError: a folder or a list is missing, or a list names what is no clip, or a clip that has no
            annotated frames, that stands twice or in both; names all of it.
    """

    def __init__(self, root: str | Path) -> None:
        above = listing.require_folder(root)
        folder = above / "MVPS" if (above / "MVPS").is_dir() else above
        _require_parts(folder)
        images, masks = (_by_clip(folder / part) for part in (FRAMES, ANNOTATIONS))
        clips = {name: name.rpartition("/")[0] for name in images}
        annotated = {clips[name] for name in images.keys() & masks.keys()}
        train, test = _read_lists(folder / LISTS, annotated)
        frames = [name for name in sorted(images.keys() & masks.keys()) if clips[name] in train]
        held = paired.drawn(frames, VAL_SHARE, clips)
        splits = {
            paired.TRAIN: [name for name in frames if name not in held],
            paired.VAL: sorted(held),
            paired.TEST: [name for name in images if clips[name] in test],
        }
        scenarios = {name: name.partition("/")[0] for name in images}
        super().__init__(folder, images, masks, splits, clips, tags=scenarios)
        self._unlisted = sorted(annotated - {*train, *test})

    def describe(self) -> list[str]:
        """As every layout of pictures with masks, and which clips no list names."""
        if not self._unlisted:
            return super().describe()
        named = listing.shorten(self._unlisted, 5)
        return [
            *super().describe(),
            f"{len(self._unlisted)} clips stand in no list and are left out: {named}",
        ]


def _require_parts(folder: Path) -> None:
    lists = [f"{LISTS}/{split}.txt" for split in ("train", "val")]
    lacking = [f"{part}/" for part in (FRAMES, ANNOTATIONS) if not (folder / part).is_dir()]
    lacking += [name for name in lists if not (folder / name).is_file()]
    if lacking:
        raise DataError(f"{folder} has no {', no '.join(lacking)}, which data={NAME} needs.")


def _by_clip(folder: Path) -> dict[str, Path]:
    """`SCENARIO/CLIP/FRAME` -> file.

    Raises:
        DataError: a picture lies elsewhere; names all that do.
    """
    found = listing.pictures_below(folder)
    if elsewhere := [str(path) for name, path in found.items() if name.count("/") != DEPTH - 1]:
        raise DataError(f"Frames lie in SCENARIO/CLIP/ below {folder}; not so {listing.shorten(elsewhere)}.")
    return found


def _read_lists(folder: Path, clips: Iterable[str]) -> tuple[list[str], list[str]]:
    """The clips of train.txt and of val.txt."""
    known, places = set(clips), dict[str, str]()
    named: Mapping[str, list[str]] = {"train": [], "val": []}
    problems = []
    for split, chosen in named.items():
        path = folder / f"{split}.txt"
        for number, line in enumerate(listing.read_text(path).splitlines(), start=1):
            clip, where = line.strip().strip("/"), f"{path}, line {number}"
            if not clip:
                continue
            if clip not in known:
                hint = nearest(clip, known)
                meant = f" Did you mean {hint}?" if hint else ""
                problems.append(f"{where}: there is no clip {clip} with annotated frames.{meant}")
            elif clip in places:
                problems.append(f"{where}: {clip} stands already in {places[clip]}.")
            else:
                places[clip] = where
                chosen.append(clip)
    if problems:
        raise DataError("\n  ".join([f"{len(problems)} lines of the lists are wrong:", *problems[:20]]))
    return named["train"], named["val"]
