"""`data=folder`: images, masks and perhaps product masks in folders of their own, matched by stem."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from kolbench.data import listing
from kolbench.data.label_map import Meanings, meanings
from kolbench.data.labels import LabelMap
from kolbench.data.mask_files import SAMPLED, MaskFiles
from kolbench.data.sources.base import Source
from kolbench.data.truth import AUTO, TRUTHS, Verdict
from kolbench.errors import ConfigError, DataError, require_choice
from kolbench.io.images import read_rgb
from kolbench.io.label_maps import Label, colours_in, read_labels
from kolbench.io.masks import read_mask, require_same_size
from kolbench.types import ALPHA, BINARY, Sample, UInt8Array


class FolderSource(Source):
    """Reads `images/` with `masks/` and perhaps `products/`, matched by path without suffix, at any depth.

    A product outside its mask is added to the mask: what is held belongs to the KOL. Beside the folders
    may lie `train.txt`, `val.txt`, `test.txt` and `groups.csv` (see listing.read_lists).

    Args:
        root: the folder that holds them.
        images, masks, products: what they are called there.
        truth: auto, binary or alpha: whether the masks are true alphas; see data.truth.
        person_colour, product_colour: where masks are label maps, the colours or class numbers of persons and
            of what they hold; see data.label_map. None = as labelmap.txt says, if it lies there.
        labels: of labelmap.txt: class (`kol`, `product`, `background`) -> names.
        refuse: told of each fault of names and lists; where it returns, that is passed over.

    Raises:
        DataError: a folder is missing, nothing matches, names collide, or a list names an unknown picture; or
            none of the label maps looked at has a person.
        ConfigError: no such truth, or no such colour.
    """

    def __init__(
        self,
        root: str | Path,
        images: str = "images",
        masks: str = "masks",
        products: str = "products",
        truth: str = AUTO,
        person_colour: object = None,
        product_colour: object = None,
        labels: LabelMap | None = None,
        refuse: listing.Refuse = listing.refuse,
    ) -> None:
        self._asked = require_choice("data.truth", truth, TRUTHS)
        self.root = listing.require_folder(root)
        folders = subfolder(self.root, images), subfolder(self.root, masks)
        self._images, self._masks = (listing.pictures_below(folder, refuse) for folder in folders)
        held = self.root / products
        self._products = listing.pictures_below(held, refuse) if held.is_dir() else {}
        names = sorted(self._images.keys() & self._masks.keys())
        if not names:
            raise DataError(_nothing_matches(*folders, self._images, self._masks))
        absent = dict.fromkeys(self._images.keys() - self._masks.keys(), "has no mask")
        absent |= dict.fromkeys(self._masks.keys() - self._images.keys(), "has a mask but no image")
        lists = listing.read_lists(self.root, names, absent, refuse=refuse)
        super().__init__(names, lists.groups, lists.tags, lists.given_splits)
        self._notes = lists.notes
        self._meanings = meanings(self.root, person_colour, product_colour, labels)
        if self._meanings is None:
            self._mask_files = MaskFiles(self._masks, surely=truth == ALPHA)
        else:
            self._mask_files = self._label_maps(self._meanings, truth)

    def read(self, index: int) -> Sample:
        """Reads the image, its mask and its product mask (None where there is no file).

        Raises:
            DataError: a file cannot be read or the sizes differ; names the files.
        """
        name = self.names[index]
        image = read_rgb(self._images[name])
        mask, matte = self._mask_files.read_truth(name, self.truth)
        require_same_size(self._images[name], image, self._masks[name], mask)
        product = self._product(name, image)
        if product is None:
            return Sample(image, mask, matte=matte)
        whole = None if matte is None else np.maximum(matte, product.astype(np.float32))
        return Sample(image, np.maximum(mask, product), product, whole)

    def _product(self, name: str, image: UInt8Array) -> UInt8Array | None:
        """What is held, by a file of its own or by the label map."""
        if name in self._products:
            product = read_mask(self._products[name])
            require_same_size(self._images[name], image, self._products[name], product)
            return product
        if self._meanings is None or not self._meanings.product:
            return None
        return read_labels(self._masks[name], self._meanings.product)

    def _label_maps(self, meant: Meanings, truth: str) -> MaskFiles:
        if truth == ALPHA:
            raise ConfigError("data.truth=alpha and label maps exclude each other; labels are no alphas.")
        self._asked = BINARY
        files = MaskFiles(self._masks, foreground=(*meant.person, *meant.product))
        seen = [self.names[index] for index in listing.spread(len(self), SAMPLED)]
        if not any(_has_label(self._masks[name], meant.person) for name in seen):
            first = self._masks[seen[0]]
            raise DataError(
                f"None of {len(seen)} label maps looked at has the person's label. {first} has "
                f"{colours_in(first)}; say which in data.person_colour."
            )
        return files

    def files(self, index: int) -> Mapping[str, Path]:
        """Image and mask, and the product mask where there is one."""
        name = self.names[index]
        found = {"image": self._images[name], "mask": self._masks[name]}
        return found | ({"product": self._products[name]} if name in self._products else {})

    def mask_levels(self, index: int) -> tuple[str, str]:
        """Of binary masks."""
        return self._mask_files.levels_of(self.names[index]) if self.truth == BINARY else ("", "")

    def left_out(self) -> Mapping[Path, str]:
        """Images without a mask, masks and product masks without an image."""
        return listing.without_partner(
            set(self.names), {"image": self._images, "mask": self._masks, "product": self._products}
        )

    @property
    def truth(self) -> str:
        """What was asked for, or under `auto` what a sample of the masks looks like."""
        return self._verdict.truth

    @cached_property
    def _verdict(self) -> Verdict:
        return self._mask_files.judge(self._asked, self.names)

    def fingerprint(self) -> str:
        """Digests images, masks and products (see listing.digest)."""
        parts = [(f"{name} image", self._images[name], False) for name in self.names]
        parts += [(f"{name} mask", self._masks[name], True) for name in self.names]
        parts += [(f"{n} product", self._products[n], True) for n in self.names if n in self._products]
        if self._meanings is not None and self._meanings.file is not None:
            parts.append(("labels", self._meanings.file, True))
        return listing.digest(parts)

    def describe(self) -> list[str]:
        """Says what the folder holds, what is left out, and which mask levels were seen."""
        matched = set(self.names)
        parts = [f"{len(self)} images with masks"]
        if self._products:
            parts.append(f"{len(matched & self._products.keys())} with product masks")
        parts += filter(None, [listing.group_note(self.groups)])
        lines = [f"{self.root}: {', '.join(parts)}"]
        for what, files in (("images", self._images), ("masks", self._masks), ("products", self._products)):
            lines += listing.unmatched(
                what, files.keys() - matched, self._masks if what == "images" else self._images
            )
        lines += self._notes
        lines.append(self._verdict.note if self._meanings is None else self._meanings.note)
        # a matte that is cut is no fault
        told = self._mask_files.suspicious() if self.truth == ALPHA else self._mask_files.notes(self.names)
        return [*lines, *told]


def _has_label(path: Path, labels: Sequence[Label]) -> bool:
    """Whether a label map has one of some labels; not where it cannot be read, which reading all names."""
    with suppress(DataError):
        return bool(read_labels(path, labels).any())
    return False


def subfolder(root: Path, name: str) -> Path:
    """Finds the folder `name` in `root`.

    Raises:
        DataError: there is none; lists the folders that are there.
    """
    return listing.subfolder(
        root, name, "; data=folder needs images/ and masks/, or their names in data.images= and data.masks="
    )


def _nothing_matches(
    images_folder: Path, masks_folder: Path, images: Mapping[str, Path], masks: Mapping[str, Path]
) -> str:
    for folder, files in ((images_folder, images), (masks_folder, masks)):
        if not files:
            return f"{folder} holds no images; frames of videos are made by task=prepare."
    first = [next(iter(sorted(files))) for files in (images, masks)]
    return (
        f"No image of {images_folder} ({len(images)}, first: {first[0]}) has a mask of the same name in "
        f"{masks_folder} ({len(masks)}, first: {first[1]}). Name them alike, suffixes may differ."
    )
