"""`data=eg1800`: EG1800 (Shen et al., 2016), portraits of Flickr, as PortraitNet's authors hand it out."""

from pathlib import Path

from kolbench.data import listing, paired
from kolbench.data.sources.base import SplitPlan
from kolbench.errors import DataError

NAME = "eg1800"
VAL_SHARE = 0.1  # of the training pictures
# RCRNet's paper counts 1,309 training and 270 test pictures
PLAN = (1309 * (1 - VAL_SHARE), 1309 * VAL_SHARE, 270)


class EG1800Source(paired.PairedSource):
    """Reads `EG1800/Images` and `EG1800/Labels`.

    Where eg1800_train.txt and eg1800_test.txt lie beside them or above (PortraitNet's lists, 1,447 and 289),
    they are the split, and a tenth of the training pictures is for validation. Without them the set is dealt
    in RCRNet's proportions.

    Args:
        root: the folder that holds `EG1800`, or that folder itself.

    Raises:
        DataError: a folder is missing, nothing matches, one list of the two is missing, or a list names an
            unknown picture.
    """

    plan = SplitPlan(PLAN)

    def __init__(self, root: str | Path) -> None:
        above = listing.require_folder(root)
        inner = above / "EG1800" if (above / "EG1800").is_dir() else above
        images = listing.pictures_below(paired.folder_in(inner, "Images", NAME))
        masks = listing.pictures_below(paired.folder_in(inner, "Labels", NAME))
        super().__init__(inner, images, masks, _splits(inner, above, images.keys() & masks.keys()))


def _splits(inner: Path, above: Path, known: set[str]) -> dict[str, list[str]] | None:
    found = {}
    for split in (paired.TRAIN, paired.TEST):
        places = [folder / f"{NAME}_{split}.txt" for folder in (inner, above, inner.parent)]
        found[split] = next((path for path in places if path.is_file()), None)
    train, test = found[paired.TRAIN], found[paired.TEST]
    if train is None and test is None:
        return None
    if train is None or test is None:
        lacking = next(split for split, path in found.items() if path is None)
        raise DataError(f"{above}: {NAME}_{lacking}.txt is missing; give both lists, or neither.")
    names = paired.listed(train, known)
    held = paired.drawn(names, VAL_SHARE)
    return {
        paired.TRAIN: [name for name in names if name not in held],
        paired.VAL: sorted(held),
        paired.TEST: paired.listed(test, known),
    }
