"""What the labels of a folder's label maps mean: by `data.person_colour`, or by a labelmap.txt."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kolbench.data import listing
from kolbench.data.labels import KOL, PRODUCT, LabelMap, label_classes, plain, require_kol
from kolbench.errors import ConfigError, DataError
from kolbench.io.label_maps import Label, parse_labels

LABEL_FILE = "labelmap.txt"


class Meanings(NamedTuple):
    """person, product: labels of a KOL, and of what is held. file: that says so, or None. note: a line."""

    person: tuple[Label, ...]
    product: tuple[Label, ...]
    file: Path | None
    note: str


def meanings(root: Path, person: object, product: object, labels: LabelMap | None) -> Meanings | None:
    """What labels mean; None where nobody says, so that the masks are no label maps.

    `labelmap.txt`, which CVAT and datumaro write beside segmentation masks, has a line for each class,
    `name:red,green,blue:parts:actions`; it counts where no colour is asked for.

    Args:
        root: the folder. person, product: see io.label_maps.parse_labels. labels: see data.labels.

    Raises:
        ConfigError: a colour is none, or a product's is given without a person's.
        DataError: labelmap.txt is malformed, or none of its classes is a KOL.
    """
    asked = parse_labels("data.person_colour", person), parse_labels("data.product_colour", product)
    if asked[1] and not asked[0]:
        raise ConfigError("data.product_colour needs data.person_colour, the colour of the person.")
    if both := set(asked[0]) & set(asked[1]):
        raise ConfigError(f"data.person_colour and data.product_colour both name {both.pop()}.")
    if asked[0]:
        return Meanings(*asked, None, "masks are label maps: data.person_colour is foreground")
    path = root / LABEL_FILE
    return _from_file(path, label_classes(labels)) if path.is_file() else None


def _from_file(path: Path, classes: Mapping[str, str]) -> Meanings:
    colours = _read(path)
    require_kol(list(colours), classes, str(path))
    kinds = {name: classes.get(plain(name), "not counted") for name in colours}
    person, product = (
        tuple(colour for name, colour in colours.items() if kinds[name] == kind) for kind in (KOL, PRODUCT)
    )
    told = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
    return Meanings(person, product, path, f"masks are label maps by {path}: {told}")


def _read(path: Path) -> dict[str, Label]:
    colours: dict[str, Label] = {}
    for number, line in enumerate(listing.read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.partition(":")
        levels = [level.strip() for level in rest.partition(":")[0].split(",")]
        if len(levels) != 3 or not all(
            level.isdecimal() and len(level) < 4 and int(level) < 256 for level in levels
        ):
            raise DataError(
                f"{path}, line {number}: {line.strip()} is not name:red,green,blue, levels 0 to 255."
            )
        red, green, blue = map(int, levels)
        colours[name.strip()] = red, green, blue
    return colours
