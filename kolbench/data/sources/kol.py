"""`data=kol`: frames that task=prepare extracted from videos, labelled with Labelme or by masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kolbench.data import listing
from kolbench.data.manifest import HOW_TO_LABEL, MANIFEST, read_manifest
from kolbench.data.sources.base import Source
from kolbench.data.sources.folder import FolderSource, subfolder
from kolbench.data.sources.labelme import LabelmeSource
from kolbench.errors import DataError
from kolbench.types import BINARY, Sample


class KolSource(Source):
    """Reads frames that task=prepare extracted, labelled with Labelme or by masks; the groups are the videos.

    Where `masks/` holds images it is read (as `data=folder`, with `products/`), else the Labelme files
    beside the frames. Frames without label are counted and left out.

    Args:
        root: the output folder of task=prepare.
        labels: see LabelmeSource.

    Raises:
        DataError: there is no manifest, or nothing is labelled yet; says how to label.
    """

    def __init__(self, root: str | Path, labels: Mapping[str, Sequence[str]] | None = None) -> None:
        self.root = listing.require_folder(root)
        videos = _videos(self.root)
        frames = listing.pictures_below(subfolder(self.root, "images"))
        masks = self.root / "masks"
        self._inner: FolderSource | LabelmeSource
        if masks.is_dir() and listing.pictures_below(masks):
            self._inner = FolderSource(self.root, truth=BINARY)
        elif listing.visible_files(self.root / "images", (".json",)):
            self._inner = LabelmeSource(self.root / "images", labels)
        else:
            raise DataError(
                f"None of the {len(frames)} frames in {self.root / 'images'} is labelled. {HOW_TO_LABEL}"
            )
        names = self._inner.names
        absent = dict.fromkeys(frames.keys() - set(names), "is not labelled")
        lists = listing.read_lists(self.root, names, absent)
        groups = [videos.get(name, group) for name, group in zip(names, lists.groups, strict=True)]
        super().__init__(names, groups, lists.tags, lists.given_splits)
        self._frame_count = len(frames)
        self._video_count = len(set(videos.values()))

    def read(self, index: int) -> Sample:
        """Reads one labelled frame as FolderSource or LabelmeSource does."""
        return self._inner.read(index)

    def files(self, index: int) -> Mapping[str, Path]:
        """As the masks or label files of the frame have them."""
        return self._inner.files(index)

    def mask_levels(self, index: int) -> tuple[str, str]:
        """Of masks; label files have none."""
        return self._inner.mask_levels(index)

    def fingerprint(self) -> str:
        """Digests the labelled frames."""
        return self._inner.fingerprint()

    def describe(self) -> list[str]:
        """Says how many frames of how many videos are labelled, and what the labels hold."""
        labelled = len({group for group in self.groups if group is not None})
        line = (
            f"{self.root}: {len(self)} of {self._frame_count} frames labelled, "
            f"in {labelled} of {self._video_count} videos; the others are left out"
        )
        return [line, *self._inner.describe()]


def _videos(root: Path) -> dict[str, str]:
    """Frame name -> video, from the manifest."""
    if not (root / MANIFEST).is_file():
        raise DataError(
            f"{root} has no {MANIFEST}: task=prepare did not write it. Use data=folder or data=labelme."
        )
    return {row.name: row.video for row in read_manifest(root)}
