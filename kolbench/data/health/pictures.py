"""Faults of single pictures, from what was measured of each."""

from collections.abc import Sequence
from pathlib import Path

from kolbench.data.health.examination import Examined
from kolbench.data.health.fault import Fault, fault
from kolbench.data.health.file_facts import UPRIGHT
from kolbench.data.health.measures import Measures
from kolbench.data.health.outliers import FLAT_BITS
from kolbench.data.sources.base import Source
from kolbench.types import BINARY

# of the picture's outermost pixels; the mask of a person who fills the frame reaches three sides at most
INVERTED_EDGE = 0.8
TINY_SHARE = 0.002
# of a product's pixels
OUTSIDE_SHARE = 0.05


def picture_faults(source: Source, index: int, examined: Examined) -> list[Fault]:
    """What may be wrong with a picture that can be used."""
    assert examined.measures is not None  # it was read
    image = _file(source, index, "image")
    mask = _file(source, index, "mask")
    said = [
        *_of_file(image, examined, index),
        *_of_mask(mask, examined.measures, index, source.truth == BINARY),
        *_of_product(_file(source, index, "product"), examined, index),
    ]
    if examined.doubt:
        said.append(fault("levels", mask, examined.doubt[:1].upper() + examined.doubt[1:] + ".", [index]))
    if examined.measures.entropy < FLAT_BITS:
        entropy = f"Its entropy is {examined.measures.entropy:.1f} bits; photographs have 7 and more."
        said.append(fault("flat", image, entropy, [index]))
    return said


def _file(source: Source, index: int, what: str) -> str:
    """The file, or the picture's name where its layout has no such file."""
    found = source.files(index).get(what)
    return source.names[index] if found is None else str(found)


def _of_file(image: str, examined: Examined, index: int) -> list[Fault]:
    found = []
    turns = {what: said.orientation for what, said in examined.files.items()}
    turned = turns.get("image", UPRIGHT)
    if turned != turns.get("mask", turned):
        what = f"The image has EXIF orientation {turned}, its mask {turns['mask']}: one of them is rotated."
        found.append(fault("orientation", image, what, [index]))
    elif turned != UPRIGHT:
        what = f"EXIF orientation {turned}: kolbench rotates it, other tools may not."
        found.append(fault("orientation", image, what, [index]))
    if "image" in examined.files and (profile := examined.files["image"].profile):
        found.append(fault("profile", image, f"Its colour profile is {profile}.", [index]))
    return found


def _of_mask(mask: str, measures: Measures, index: int, binary: bool) -> list[Fault]:
    share = measures.foreground
    if share == 0:
        return [fault("empty", mask, "No pixel is foreground.", [index])]
    if share == 1:
        return [fault("full", mask, "Every pixel is foreground.", [index])]
    found = []
    if measures.edge > INVERTED_EDGE:
        what = (
            f"{100 * measures.edge:.0f} % of the image's border is foreground, and {100 * share:.0f} % "
            "of the whole image."
        )
        found.append(fault("inverted", mask, what, [index]))
    if share < TINY_SHARE:
        found.append(fault("tiny", mask, f"Foreground is {100 * share:.2f} % of the image.", [index]))
    # hair of a true alpha comes in pieces
    if measures.specks and binary:
        objects = "1 object is" if measures.specks == 1 else f"{measures.specks} objects are"
        found.append(fault("specks", mask, f"{objects} smaller than 0.02 % of the image.", [index]))
    if measures.objects > 1:
        what = f"{measures.objects} objects, each at least a quarter of the largest one's area."
        found.append(fault("persons", mask, what, [index]))
    return found


def _of_product(product: str, examined: Examined, index: int) -> list[Fault]:
    measures = examined.measures
    assert measures is not None
    if measures.product == 0:
        # layouts without product files give empty ones where nothing is held
        held = Path(product).is_file()
        return [fault("product_empty", product, "It marks nothing.", [index])] if held else []
    if examined.outside > OUTSIDE_SHARE:
        what = f"{100 * examined.outside:.0f} % of it is outside the mask; it is added to the mask."
        return [fault("product_outside", product, what, [index])]
    if measures.product == measures.foreground:
        return [fault("product_whole", product, "Product and mask are identical.", [index])]
    return []


def known_rows(examined: Sequence[Examined]) -> list[int]:
    """Indices of the pictures that can be used."""
    return [row for row, one in enumerate(examined) if one.measures is not None]
