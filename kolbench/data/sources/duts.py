"""`data=duts`: DUTS (Wang et al., 2017), the set that saliency methods are trained on, and its test set."""

from pathlib import Path

from kolbench.data import listing, paired
from kolbench.errors import DataError

NAME = "duts"
TRAINING, TEST = "DUTS-TR", "DUTS-TE"
VAL_SHARE = 0.05  # of the training pictures


class DUTSSource(paired.PairedSource):
    """Reads `DUTS-TR` (10,553 pictures) and `DUTS-TE` (5,019), of either `PART-Image` and `PART-Mask`.

    A twentieth of the training pictures is for validation. DUTS-TE alone is scored whole; DUTS-TR alone is
    split like a folder without lists.

    Args:
        root: the folder that holds one of them or both.

    Raises:
        DataError: both are missing, a folder of one is, or nothing matches.
    """

    def __init__(self, root: str | Path) -> None:
        folder = listing.require_folder(root)
        parts = [part for part in (TRAINING, TEST) if (folder / part).is_dir()]
        if not parts:
            inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
            raise DataError(
                f"{folder} has neither {TRAINING}/ nor {TEST}/, of which data={NAME} needs one. "
                f"It holds {listing.shorten(inside) or 'no folders'}."
            )
        self.test_sets = ("duts_te" if TEST in parts else "duts_tr",)
        images = {part: _files(folder, part, "Image") for part in parts}
        masks = {part: _files(folder, part, "Mask") for part in parts}
        splits = None if parts == [TRAINING] else _splits(images, masks)
        super().__init__(folder, _joined(images), _joined(masks), splits)


def _files(root: Path, part: str, kind: str) -> dict[str, Path]:
    """Files of one part by `PART/NAME`."""
    found = listing.pictures_below(paired.folder_in(root, f"{part}/{part}-{kind}", NAME))
    return {f"{part}/{name}": path for name, path in found.items()}


def _joined(files: dict[str, dict[str, Path]]) -> dict[str, Path]:
    return {name: path for of_part in files.values() for name, path in of_part.items()}


def _splits(images: dict[str, dict[str, Path]], masks: dict[str, dict[str, Path]]) -> dict[str, list[str]]:
    """Names of each split; with DUTS-TE alone, of the test pictures."""
    names = {part: sorted(images[part].keys() & masks[part].keys()) for part in images}
    if TRAINING not in names:
        return {paired.TEST: names[TEST]}
    held = paired.drawn(names[TRAINING], VAL_SHARE)
    return {
        paired.TRAIN: [name for name in names[TRAINING] if name not in held],
        paired.VAL: sorted(held),
        paired.TEST: names[TEST],
    }
