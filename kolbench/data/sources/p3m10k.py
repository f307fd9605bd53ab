"""`data=p3m10k`: P3M-10k (Li et al., 2021), portraits with alpha mattes, faces blurred for training."""

from pathlib import Path

from kolbench.data import listing, paired
from kolbench.data.truth import AUTO, TRUTHS
from kolbench.errors import require_choice
from kolbench.types import ALPHA, BINARY

NAME = "p3m10k"
# test set -> the folder of its pictures
TEST_SETS = {"P3M-500-P": "blurred_image", "P3M-500-NP": "original_image"}
VAL_SHARE = 0.05  # of the training pictures


class P3M10kSource(paired.PairedSource):
    """Reads `train/{blurred_image,mask}` and one of the two test sets below `validation/`.

    A twentieth of the training pictures is for validation. Of the mattes one half and more is foreground.

    Args:
        root: the folder that holds `train` and `validation`.
        test_set: `P3M-500-P` (blurred faces) or `P3M-500-NP` (celebrities, not blurred).
        truth: alpha, or auto, which means alpha here; binary leaves the mattes out.

    Raises:
        DataError: a folder is missing, or nothing matches.
        ConfigError: no such test set or truth.
    """

    def __init__(self, root: str | Path, test_set: str = "P3M-500-P", truth: str = AUTO) -> None:
        known = BINARY if require_choice("data.truth", truth, TRUTHS) == BINARY else ALPHA
        require_choice("data.test_set", test_set, TEST_SETS)
        folder = listing.require_folder(root)
        train = _pairs(folder, "train", "blurred_image")
        test = _pairs(folder, f"validation/{test_set}", TEST_SETS[test_set])
        images, masks = ({**train[kind], **test[kind]} for kind in (0, 1))
        names = sorted(train[0].keys() & train[1].keys())
        held = paired.drawn(names, VAL_SHARE)
        splits = {
            paired.TRAIN: [name for name in names if name not in held],
            paired.VAL: sorted(held),
            paired.TEST: sorted(test[0].keys() & test[1].keys()),
        }
        super().__init__(folder, images, masks, splits, soft=True, truth=known)


def _pairs(root: Path, part: str, images: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures and mattes of one part, by `PART/NAME`."""
    found = [
        listing.pictures_below(paired.folder_in(root, f"{part}/{kind}", NAME)) for kind in (images, "mask")
    ]
    first, second = ({f"{part}/{name}": path for name, path in files.items()} for files in found)
    return first, second
