"""`data=pphumanseg14k`: PP-HumanSeg14K (Chu et al., 2022), persons in video meetings."""

from pathlib import Path

from kolbench.data import listing, paired
from kolbench.errors import DataError

NAME = "pphumanseg14k"
VAL_SHARE = 0.1  # of the training pictures
# of an image's path in the lists: what stands before and behind its clip, as PDNet's authors read it
BEFORE, BEHIND = len("images/"), len("0000.jpg")


class PPHumanSeg14kSource(paired.PairedSource):
    """Reads the frames that `train_new.txt` and `val_new.txt` name, a line `IMAGE MASK` each.

    val_new.txt names the test pictures; clips that hold a tenth of the training pictures are for validation.
    Masks are 0 and some other level, 38 as it is published.

    Args:
        root: the folder of the lists, to which their paths are relative.

    Raises:
        DataError: a list or a file that it names is missing, or a line has another form.
    """

    def __init__(self, root: str | Path) -> None:
        folder = listing.require_folder(root)
        train, test = (_read(folder, f"{split}_new.txt") for split in ("train", "val"))
        both = {**train, **test}
        if len(both) < len(train) + len(test):
            twice = listing.shorten(sorted(train.keys() & test.keys()))
            raise DataError(f"{folder}: both lists name {twice}.")
        groups = {name: name[BEFORE:-BEHIND].strip("/") for name in both}
        held = paired.drawn(sorted(train), VAL_SHARE, groups)
        splits = {
            paired.TRAIN: [name for name in train if name not in held],
            paired.VAL: sorted(held),
            paired.TEST: list(test),
        }
        images, masks = ({name: pair[kind] for name, pair in both.items()} for kind in (0, 1))
        super().__init__(folder, images, masks, splits, groups)


def _read(folder: Path, name: str) -> dict[str, tuple[Path, Path]]:
    """Image path as listed -> the files of image and mask."""
    path = folder / name
    if not path.is_file():
        raise DataError(f"{folder} has no {name}, which data={NAME} needs.")
    found, lacking = {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise DataError(f"{path}, line {number}: `{line.strip()}` is not an image and a mask.")
        files = (folder / words[0], folder / words[1])
        lacking += [str(file) for file in files if not file.is_file()]
        found[words[0]] = files
    if lacking:
        raise DataError(f"{path} names files that are missing: {listing.shorten(lacking)}.")
    return found
