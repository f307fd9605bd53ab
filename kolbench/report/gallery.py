"""The test images that the page shows, each once, with what each method made of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from kolbench.report import choices
from kolbench.report.faces import SHOW
from kolbench.report.numbers import Numbers, RunNumbers, numbers_of
from kolbench.report.shots import Shot, read_shot, text_bytes
from kolbench.runs.finished import Comparison
from kolbench.runs.method_names import told_apart

# images that are seen at once, and those with a held product
MOST_ROWS = 8
MOST_HELD = 6
# with fewer images of held products nothing is said about their order
ENOUGH_HELD = 10
# px of the longer side: of the rows seen at once, as large as fits, and of all others
LARGE_SIDES = (768, 640, 512, 384, 256)
SMALL_SIDE = 256
# of all images and mattes of a gallery, as they stand in the page
MOST_BYTES = 8_000_000

# row of the image, px of its longer side -> the image
ReadShot = Callable[[int, int], Shot]


@dataclass(frozen=True)
class Gallery:
    """Test images and the methods that are shown on them; no image is in it twice.

    labels: of the methods, in the order of the columns. rows: the images seen at once, hardest first. more:
    the others that some rule found, hardest first. held: images with a held product, lowest recall first;
    some may be of `rows` or `more`. images_held: how many test images have a product. notes: how the choice
    was made, sentences. faces: as `report.faces` has it.
    """

    labels: tuple[str, ...]
    rows: tuple[Shot, ...]
    more: tuple[Shot, ...] = ()
    held: tuple[Shot, ...] = ()
    images_held: int = 0
    notes: tuple[str, ...] = field(default=())
    faces: str = SHOW

    @property
    def shots(self) -> tuple[Shot, ...]:
        """Every image once."""
        return tuple({shot.name: shot for shot in (*self.rows, *self.more, *self.held)}.values())


def gallery_of(comparison: Comparison, faces: str = SHOW, most_bytes: float = MOST_BYTES) -> Gallery | None:
    """The images worth a look; None where no run of a method that reads the image has kept any.

    Chosen by the methods that read the image only, which are the first columns, best first. After them stand
    those that use ground truth, and the best baseline. Of runs that differ in the seed only, the first stands
    for all. Runs without stored images are left out, as the notes then say.

    Args:
        comparison: the runs.
        faces: as `report.faces.without_faces` has it.
        most_bytes: what all files may take in a page. Images get smaller, then fewer, where need be.

    Raises:
        DataError: an image's file is missing, damaged or of another shape, or its name leaves the folder.
    """
    numbers = numbers_of(comparison)
    firsts = [runs[0] for runs in numbers.families.values()]
    usable = _best_first(run for run in firsts if run.run.has_pictures)
    compared = [run for run in usable if run.run.truth_access == "none" and not run.is_baseline]
    if not compared:
        return None
    helped = [run for run in usable if run.run.truth_access != "none"]
    columns = [*compared, *helped, *[run for run in usable if run.is_baseline][:1]]
    reasons = choices.telling(compared, names_of(numbers.runs))
    held = choices.least_held(compared)
    first = choices.hardest_first(list(reasons)[:MOST_ROWS], compared)
    others = choices.hardest_first(list(reasons)[MOST_ROWS:], compared)

    @cache
    def read(row: int, longest: int) -> Shot:
        return read_shot(comparison.pictures[row], columns, longest, faces, reasons.get(row, ()))

    small = _small_shots([*(row for row in held[:MOST_HELD] if row not in first), *others], read, most_bytes)
    rows = _large_shots(first, read, most_bytes - text_bytes(small.values()))
    shots = {**small, **dict(zip(first, rows, strict=False))}
    return Gallery(
        tuple(run.label for run in columns),
        tuple(rows),
        tuple(shots[row] for row in others if row in shots),
        tuple(shots[row] for row in held[:MOST_HELD] if row in shots),
        len(held),
        tuple(_notes(numbers, columns, [run.label for run in firsts if run not in usable])),
        faces,
    )


def names_of(runs: Sequence[RunNumbers]) -> dict[str, str]:
    """Label -> what a run is called where people read; with its label too where two would be called alike."""
    return told_apart({run.label: run.run.method for run in runs})


def _best_first(runs: Iterable[RunNumbers]) -> list[RunNumbers]:
    return sorted(runs, key=lambda run: -run.means["miou"])


def _small_shots(rows: Sequence[int], read: ReadShot, most_bytes: float) -> dict[int, Shot]:
    """The images of these rows, as many as take half of the bytes."""
    found: dict[int, Shot] = {}
    for row in dict.fromkeys(rows):
        shot = read(row, SMALL_SIDE)
        if text_bytes([*found.values(), shot]) > most_bytes / 2:
            break
        found[row] = shot
    return found


def _large_shots(rows: Sequence[int], read: ReadShot, most_bytes: float) -> list[Shot]:
    """The images of these rows, as large as the bytes allow; the last ones left out if need be."""
    shots: list[Shot] = []
    for side in LARGE_SIDES:
        shots = [read(row, side) for row in rows]
        if text_bytes(shots) <= most_bytes:
            return shots
    while len(shots) > 1 and text_bytes(shots) > most_bytes:
        shots.pop()
    return shots


def _notes(numbers: Numbers, columns: Sequence[RunNumbers], without: Sequence[str]) -> list[str]:
    names = names_of(numbers.runs)
    notes = ["Images are chosen by the scores of the fully automatic methods, without baselines."]
    if any(len(runs) > 1 for runs in numbers.families.values()):
        notes.append("Of runs that differ in the seed only, the first stands for all.")
    for text, labels in (
        ("Uses ground truth", [run.label for run in columns if run.run.truth_access != "none"]),
        ("Baseline, which ignores the image", [run.label for run in columns if run.is_baseline]),
        ("Left out, as their run folders hold no images", without),
    ):
        if labels:
            notes.append(f"{text}: {', '.join(names[label] for label in labels)}.")
    return notes
