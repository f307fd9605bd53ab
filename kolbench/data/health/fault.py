"""What the doctor finds: one fault is one row, of a kind that says how grave it is and what to do."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

REFUSED, WARNING, NOTE = "refused", "warning", "note"
SEVERITIES = (REFUSED, WARNING, NOTE)


class Kind(NamedTuple):
    """A kind of fault.

    title: in a table. severity: `refused` by training, `warning`, or `note`. advice: what to do.
    """

    title: str
    severity: str
    advice: str


# in the order in which they are shown
KINDS: dict[str, Kind] = {
    "folder": Kind("wrong folders, names or lists", REFUSED, "Fix it; training stops here."),
    "unreadable": Kind("unusable file", REFUSED, "Replace or remove it."),
    "sizes": Kind("image and mask differ in size", REFUSED, "Export the mask at the image's own size."),
    "all_full": Kind(
        "all masks are full", REFUSED, "Set data.person_colour, or export masks with a black background."
    ),
    "leak": Kind("leakage between splits", REFUSED, "Keep it in one split only."),
    "duplicate_across": Kind(
        "near-duplicates across splits",
        REFUSED,
        "Keep both in one split, or allow them with data.allow_duplicates=true.",
    ),
    "duplicate_allowed": Kind(
        "near-duplicates across splits, allowed", WARNING, "Scores come out too high; keep both in one split."
    ),
    "levels": Kind("mask levels had to be guessed", WARNING, "Save the mask as 0 and 255."),
    "mixed_levels": Kind("masks with different levels", NOTE, "Export all masks alike, as 0 and 255."),
    "inverted": Kind(
        "possibly inverted", WARNING, "White must be the person; if black is, set data.person_colour=black."
    ),
    "empty": Kind("empty mask", WARNING, "Label the image, or leave it out if nobody is in it."),
    "full": Kind("mask is all foreground", WARNING, "Label the image again, or leave it out."),
    "tiny": Kind("very little foreground", WARNING, "Check that the whole person is labelled."),
    "same_mask": Kind("same mask as another image", WARNING, "One of the two is probably a wrong copy."),
    "duplicate": Kind("the same image twice in a split", WARNING, "Remove one: it counts twice."),
    "left_out": Kind("left out", WARNING, "Add what is missing, or give both files the same name."),
    "product_outside": Kind(
        "product outside the mask", WARNING, "A held product belongs to the mask; label it there too."
    ),
    "product_whole": Kind(
        "product covers the whole mask", WARNING, "Label the person too, or remove the product mask."
    ),
    "product_empty": Kind("empty product mask", NOTE, "Remove the file, or label the held product."),
    "orientation": Kind(
        "rotated by EXIF", WARNING, "Save image and mask upright, without an orientation tag."
    ),
    "said": Kind("warning about the whole set", WARNING, "See the message."),
    "splits": Kind("splits and groups", WARNING, "Split the images again, or label more."),
    "specks": Kind("specks in the mask", NOTE, "Erase what is not part of the person."),
    "persons": Kind(
        "several objects", NOTE, "Passers-by are background; keep only the person who holds something."
    ),
    "resolution": Kind("unusual resolution", NOTE, "Check whether it is a thumbnail or a scan."),
    "aspect": Kind("unusual aspect ratio", NOTE, "Check whether it is a banner, a strip or a collage."),
    "flat": Kind("hardly any content", NOTE, "Check whether the image is black, blank or damaged."),
    "blurred": Kind(
        "no edge in the image where the mask has one",
        NOTE,
        "Check whether the image is blurred or the mask shifted.",
    ),
    "profile": Kind("another colour profile", NOTE, "It is converted to sRGB when it is read."),
    "products": Kind("products only partly labelled", NOTE, "Product scores count labelled images only."),
}


class Fault(NamedTuple):
    """One row of the doctor's table.

    kind: a key of `KINDS`. file: that has it, or the picture's name. what: is wrong. advice: what to do; of
    the kind where nothing better is known. pictures: indices of the pictures to show. mended: what `fix=true`
    did about it, "" where nothing.
    """

    kind: str
    file: str
    what: str
    advice: str
    pictures: tuple[int, ...] = ()
    mended: str = ""

    @property
    def severity(self) -> str:
        """One of `SEVERITIES`."""
        return KINDS[self.kind].severity

    @property
    def title(self) -> str:
        """The name of its kind."""
        return KINDS[self.kind].title


def fault(kind: str, file: str, what: str, pictures: Sequence[int] = (), advice: str = "") -> Fault:
    """A fault, with its kind's advice unless there is another."""
    return Fault(kind, file, what, advice or KINDS[kind].advice, tuple(pictures))


def from_message(kind: str, message: str, pictures: Sequence[int] = (), file: str = "") -> Fault:
    """A fault from the message of an error, which says where, what, and often what to do.

    Args:
        kind: of the fault. message: begins with the file, mostly. pictures: to show.
        file: where the message does not begin with one.
    """
    where, text = _parted(message, file)
    what, advice = sentences(text)
    return fault(kind, where, what, pictures, advice)


def _parted(message: str, file: str) -> tuple[str, str]:
    """The file that a message begins with, with its line number, and the rest."""
    line = re.match(r"(.+?, line \d+): (.+)", message, re.DOTALL)
    if line:
        return line[1], line[2]
    begins = re.match(r"(\S*/.*?\.\w{2,5})(?:: | (?=\w))(.+)", message, re.DOTALL)
    if begins and (not file or begins[1].startswith(file.rpartition("/")[0])):
        told = begins[2]
        return begins[1], message if told.startswith("and ") else told[:1].upper() + told[1:]
    return file, message


def sentences(text: str) -> tuple[str, str]:
    """What is wrong, and what to do: the first sentence and the rest, or parted at a semicolon.

    The advice is "" where the text is one sentence without one.
    """
    first, stop, rest = re.match(r"(.*?)(\.(?=\s+[A-Z])|\Z)\s*(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # matches any text
    # what a folder holds instead is no advice
    if rest and not rest.startswith("It holds "):
        return first + stop, rest
    what, sign, advice = first.rpartition("; ")
    if not sign:
        return text, ""
    # words of a command stay as they are typed
    begins = advice[:1] if "=" in advice.split()[0] else advice[:1].upper()
    return f"{what}. {rest}".rstrip(), begins + advice[1:] + stop


def below(found: Fault, root: Path | None) -> Fault:
    """The fault with files named as they are below the data set's folder; None = it has none."""
    if root is None:
        return found
    file = "the whole data set" if found.file == str(root) else found.file.removeprefix(f"{root}/")
    return found._replace(file=file, what=found.what.replace(f"{root}/", ""))


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Gravest first, then as `KINDS` has the kinds; within one kind as they were found."""
    kinds = list(KINDS)
    return sorted(faults, key=lambda found: (SEVERITIES.index(found.severity), kinds.index(found.kind)))


def many(number: int, noun: str) -> str:
    """A number with its noun, such as `1 image` and `1,200 images`."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def counted(faults: Iterable[Fault]) -> dict[str, int]:
    """Severity -> how many faults have it, all severities."""
    found = [one.severity for one in faults]
    return {severity: found.count(severity) for severity in SEVERITIES}
