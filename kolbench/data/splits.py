"""Splits images into train, val and test: by file lists, by video, or as the RSUDISNet paper did."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kolbench.data.sources.base import Source
from kolbench.errors import ConfigError, DataError, require_choice

if TYPE_CHECKING:
    from kolbench.data.config import DataConfig

POLICIES = ("auto", "group", "paper", "files", "test")
NAMES = ("train", "val", "test")
# RSUDISNet, section 4.1: 1200 frames, split at random
PAPER_COUNTS = (1000, 100, 100)
SHUFFLES = 64
# one to test, one to validate, one to train
FEWEST_FOLDS = 3


@dataclass(frozen=True)
class Splits:
    """Indices of the images of each split.

    one_held_out: val and test are the same images, by design of the split.
    """

    train: list[int]
    val: list[int]
    test: list[int]
    one_held_out: bool = field(default=False, kw_only=True)

    def __iter__(self) -> Iterator[tuple[str, list[int]]]:
        return iter((name, getattr(self, name)) for name in NAMES)

    def apart(self) -> list[tuple[str, list[int]]]:
        """Lists the parts that must share no image, with their names."""
        if self.one_held_out:
            return [("train", self.train), ("val = test", sorted({*self.val, *self.test}))]
        return list(self)

    def all(self) -> list[int]:
        """Lists every image of all splits once, in order."""
        return sorted({*self.train, *self.val, *self.test})


def make_splits(
    source: Source, policy: str, seed: int, fractions: tuple[float, float, float] | None = None
) -> Splits:
    """Splits a source; the same names and seed give the same split in whatever order they are listed.

    Args:
        source: what to split.
        policy: `files`: the source's own lists; `group`: no group (video) in two splits, an image
            without group standing alone; `auto`: files where there are some, else group; where they list
            test images alone, as `test`; `paper`: by image, 1000/100/100 of at least 1200, else 10:1:1, or
            what the set's own plan says; `test`: all are test images, or those of the source's own list
            where it gives one, and nothing is trained.
        seed: of the draw; without effect on `files`.
        fractions: of train, val and test (`group` only); None = the plan's.

    Raises:
        DataError: lists or groups that the policy needs are not known, or are too few for three splits.
        ConfigError: no such policy, or one that takes frames out of their clips.
    """
    require_choice("data.split", policy, POLICIES)
    if policy == "paper" and any(source.clips):
        raise ConfigError(
            "data.split=paper deals frames at random, but these images are frames of clips, whose scores "
            "need whole clips. Leave data.split= away, or say data.split=group."
        )
    if policy == "test" or (policy == "auto" and lists_tests_alone(source)):
        return Splits([], [], sorted((source.given_splits or {}).get("test") or range(len(source.names))))
    if policy == "files" or (policy == "auto" and source.given_splits is not None):
        return _by_files(source)
    plan = source.plan
    if policy == "paper":
        held_out = plan.paper_held_out
        return _by_picture(source.names, seed) if held_out is None else _in_two(source.names, seed, held_out)
    if policy == "group" and all(group is None for group in source.groups):
        raise DataError(
            "data.split=group: no groups are known. Put each video's images into a sub-folder of its own, "
            "or add groups.csv (stem,group), or use data.split=auto."
        )
    return _by_group(source, seed, fractions or plan.fractions)


def make_fold(source: Source, folds: int, fold: int, seed: int) -> Splits:
    """Splits a source for one fold of a cross-validation: no group (video) stands in two folds.

    Each fold is tested once. The one after it is for validation, all others for training.

    Args:
        source: what to split; lists of its own play no part.
        folds: how many. fold: the one that is tested, counted from 0. seed: of the draw.

    Raises:
        DataError: there are fewer groups than folds.
    """
    members = _members(source)
    if len(members) < folds:
        raise DataError(
            f"data.folds={folds}: there are only {len(members)} groups (videos) of {len(source.names)} "
            "images; take fewer folds."
        )
    dealt = [
        sorted(row for key in keys for row in members[key])
        for keys in _balanced({key: len(rows) for key, rows in members.items()}, [1 / folds] * folds, seed)
    ]
    validated = (fold + 1) % folds
    train = [row for number, rows in enumerate(dealt) if number not in (fold, validated) for row in rows]
    return Splits(sorted(train), dealt[validated], dealt[fold])


def subset(source: Source, rows: Sequence[int], count: int, draw: int) -> list[int]:
    """So many of the given rows, group after group (video), in an order that `draw` alone decides.

    A smaller subset of the same draw is part of a larger one.

    Raises:
        DataError: there are fewer rows.
    """
    if count > len(rows):
        raise DataError(f"data.train_pictures={count}: there are {len(rows)} training images.")
    keys = {row: (source.groups[row] or "", source.names[row]) for row in rows}
    order = sorted(
        rows, key=lambda r: (_draw(draw, keys[r][0] or keys[r]), keys[r][0], _draw(draw, keys[r][1]))
    )
    return sorted(order[:count])


def _by_files(source: Source) -> Splits:
    given = source.given_splits
    if given is None:
        raise DataError(
            "data.split=files: there are no split files. Add train.txt, val.txt and test.txt (one stem a "
            "line) beside the folders, or use data.split=auto."
        )
    splits = Splits(*(sorted(given.get(name, [])) for name in NAMES))
    skipped = ", or data.on_error=skip left out all of them" if getattr(source, "skipped", None) else ""
    for name, rows in splits:
        if not rows:
            raise DataError(f"The given split has no {name} images: {name}.txt is missing or empty{skipped}.")
    return splits


def _by_picture(names: Sequence[str], seed: int) -> Splits:
    count = len(names)
    if count < len(NAMES):
        raise DataError(f"{count} images cannot be split into train, val and test; at least 3 are needed.")
    rows = _shuffled(names, seed)
    train, held = PAPER_COUNTS[0], PAPER_COUNTS[1]
    if count < sum(PAPER_COUNTS):
        held = max(1, round(count / 12))
        train = count - 2 * held
    ends = (train, train + held, train + 2 * held)
    return Splits(sorted(rows[: ends[0]]), sorted(rows[ends[0] : ends[1]]), sorted(rows[ends[1] : ends[2]]))


def _in_two(names: Sequence[str], seed: int, share: float) -> Splits:
    if len(names) < 2:
        raise DataError(f"{len(names)} image cannot be split in two; at least 2 are needed.")
    rows = _shuffled(names, seed)
    train = len(names) - max(1, round(share * len(names)))
    held = sorted(rows[train:])
    return Splits(sorted(rows[:train]), held, list(held), one_held_out=True)


def _shuffled(names: Sequence[str], seed: int) -> list[int]:
    return sorted(range(len(names)), key=lambda row: _draw(seed, names[row]))


def _by_group(source: Source, seed: int, fractions: tuple[float, float, float]) -> Splits:
    members = _members(source)
    if len(members) < len(NAMES):
        raise DataError(
            f"{len(members)} groups (videos) of {len(source.names)} images cannot be split into train, val "
            "and test: at least 3 are needed. Add videos, or use data.split=paper, which mixes the frames of "
            "a video and so flatters every score."
        )
    sizes = {key: len(rows) for key, rows in members.items()}
    best = _balanced(sizes, fractions, seed)
    return Splits(*(sorted(row for key in keys for row in members[key]) for keys in best))


def _members(source: Source) -> dict[tuple[str, str], list[int]]:
    """Group -> its rows; without a group a clip is one, and a picture of no clip stands by itself."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, (name, group) in enumerate(zip(source.names, source.groups, strict=True)):
        alone = ("clip", source.clips[row]) if source.clips[row] else ("picture", name)
        members.setdefault(alone if group is None else ("group", group), []).append(row)
    return members


def _balanced(
    sizes: dict[tuple[str, str], int], fractions: Sequence[float], seed: int
) -> list[list[tuple[str, str]]]:
    """The groups of each part, as near to the wanted shares of all pictures as the best of some draws."""
    targets = [fraction / sum(fractions) * sum(sizes.values()) for fraction in fractions]
    # other draws can only be better balanced where groups differ in size
    attempts = range(SHUFFLES if len(set(sizes.values())) > 1 else 1)
    dealt = [_deal(sizes, targets, seed, attempt) for attempt in attempts]
    return min(dealt, key=lambda groups: _imbalance(groups, sizes, targets))


def _imbalance(
    dealt: list[list[tuple[str, str]]], sizes: dict[tuple[str, str], int], targets: Sequence[float]
) -> float:
    counts = [sum(sizes[key] for key in keys) for keys in dealt]
    return sum(abs(count - target) for count, target in zip(counts, targets, strict=True))


def _deal(
    sizes: dict[tuple[str, str], int], targets: Sequence[float], seed: int, attempt: int
) -> list[list[tuple[str, str]]]:
    """Groups in a drawn order, one to each split, then each to the split that lacks most images."""
    order = sorted(sizes, key=lambda key: _draw(seed, attempt, *key))
    dealt: list[list[tuple[str, str]]] = [[key] for key in order[: len(targets)]]
    missing = [target - sizes[key] for target, key in zip(targets, order, strict=False)]
    for key in order[len(targets) :]:
        split = missing.index(max(missing))
        dealt[split].append(key)
        missing[split] -= sizes[key]
    return dealt


def _draw(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def tests_only(source: Source) -> bool:
    """Whether a source brings no list of training pictures, so that weights can be scored on all of it."""
    return not (source.given_splits or {}).get("train")


def lists_tests_alone(source: Source) -> bool:
    """Whether a source lists test pictures and no others, as sets do that nobody trains on."""
    given = source.given_splits or {}
    return bool(given.get("test")) and not (given.get("train") or given.get("val"))


def assert_disjoint(
    splits: Splits,
    names: Sequence[str],
    groups: Sequence[str | None],
    by_group: bool,
    clips: Sequence[str] = (),
) -> None:
    """Refuses splits that share an image, a clip, or with `by_group` a group (video).

    Raises:
        DataError: names what stands in two splits, and in which.
    """
    _require_apart(splits.apart(), names, "image", "Name each image in one split only.")
    if by_group:
        hint = (
            "Frames of one video look alike, so scores would flatter. Move the whole video into one split; "
            "if the groups are not videos, say so in groups.csv (stem,group; the group may be empty)."
        )
        _require_apart(splits.apart(), groups, "group", hint)
    if any(clips):
        hint = "Frames of one clip look alike, so scores would flatter. Move the whole clip into one split."
        _require_apart(splits.apart(), [clip or None for clip in clips], "clip", hint)


def shared(
    parts: Iterable[tuple[str, list[int]]], labels: Sequence[str | None]
) -> dict[str, tuple[str, str]]:
    """Labels that stand in several parts, with the first two of these.

    Args:
        parts: name and rows of each. labels: of each row, such as its group; None is shared with nobody.
    """
    home: dict[str, str] = {}
    found: dict[str, tuple[str, str]] = {}
    for split, rows in parts:
        for row in rows:
            label = labels[row]
            if label is not None and home.setdefault(label, split) != split:
                found.setdefault(label, (home[label], split))
    return found


def _require_apart(
    parts: Iterable[tuple[str, list[int]]], labels: Sequence[str | None], what: str, hint: str
) -> None:
    found = shared(parts, labels)
    if found:
        listed = "; ".join(f"{label} in {a} and {b}" for label, (a, b) in list(found.items())[:5])
        raise DataError(f"{len(found)} {what}s stand in two splits: {listed}. {hint}")


def describe(splits: Splits, source: Source, policy: str, fold: str = "") -> str:
    """Describes a split in a line like `593 train / 100 val / 100 test pictures, disjoint by file list`.

    Args:
        fold: in words, such as `fold 0 of 5`, where it is one of a cross-validation.
    """
    if not (splits.train or splits.val):
        whole = len(splits.test) == len(source.names)
        return f"{'all ' if whole else ''}{len(splits.test)} images are test images"
    counts = " / ".join(f"{len(rows)} {name}" for name, rows in splits)
    how = _how(splits, source, "group" if fold else policy)
    lists = "; the lists beside the images play no part" if fold and source.given_splits else ""
    return f"{counts} images, {fold + ', ' if fold else ''}{how}{lists}"


def _how(splits: Splits, source: Source, policy: str) -> str:
    if policy == "paper":
        same = "; val and test are the same images" if splits.one_held_out else ""
        return (
            f"at random by image as in {source.plan.paper}{same}: frames of one video may stand in "
            "several splits"
        )
    groups = [len({source.groups[row] for row in rows} - {None}) for _, rows in splits]
    counted = f" ({' / '.join(map(str, groups))} groups)"
    if policy == "files" or (policy == "auto" and source.given_splits is not None):
        return "disjoint by file list" + (f" and by group{counted}" if any(groups) else "")
    return f"disjoint by group{counted}" if any(groups) else "disjoint by image (no groups known)"


def made_for(source: Source, config: "DataConfig") -> Splits:
    """The split, or the fold, that the `data` group asks for."""
    if config.folds:
        return make_fold(source, config.folds, config.fold, config.split_seed)
    return make_splits(source, config.split, config.split_seed)


def training_rows(source: Source) -> Sequence[int]:
    """Rows of its training pictures, or all where it brings no split.

    Raises:
        DataError: its split has none.
    """
    if source.given_splits is None:
        return range(len(source))
    if not (rows := source.given_splits.get("train", [])):
        raise DataError("data.still: its lists name no training images.")
    return sorted(rows)
