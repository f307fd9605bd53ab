"""A card for each method and one for the data: what they are, what they may be used for, where they fail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kolbench.config.schema import NO_TTA, UNSMOOTHED
from kolbench.report.breakdowns import FEWEST, means_by_tag, worst_tag
from kolbench.report.intervals import TOO_FEW, Interval
from kolbench.report.licences import NOT_RECORDED, strictest
from kolbench.report.licences import PICTURES as IMAGES
from kolbench.report.numbers import UNREFINED, Numbers, RunNumbers, numbers_of
from kolbench.report.reproduction import Fact, without_home
from kolbench.report.words import counted, in_per_cent, millions, percent_range
from kolbench.runs import configuration, folds
from kolbench.runs.finished import Comparison
from kolbench.runs.method_names import shown_label, shown_name
from kolbench.runs.record import Part, RunRecord
from kolbench.types import ALPHA, NATIVE, Int64Array

_WEIGHTS = ("weights", "initial weights", "backbone", "refiner's weights")
_TRAINING_IMAGES = "training pictures"
_SHORT_BUDGETS = ("smoke", "quick")
_MOST_NAMED = 6
_DIGITS = 12
_GIVEN = {"box": "the ground-truth box", "mask": "the ground-truth mask"}
_SPLITS = {
    "auto": "by the set's own lists, else by video or other group",
    "group": "by video or other group, none in two splits",
    "files": "by the set's own lists",
    "paper": "random images, as the RSUDISNet paper did: frames of one video may be in two splits",
    "test": "all images are test images",
}


@dataclass(frozen=True)
class Card:
    """What a card says. title: of the method or the data. key: the method's, or "". gist: in one line."""

    title: str
    key: str
    gist: str
    facts: tuple[Fact, ...]


def method_cards(comparison: Comparison) -> list[Card]:
    """A card for each run of the report that is no baseline, from what its run folder records."""
    numbers = numbers_of(comparison)
    return [_method_card(numbers, run) for run in numbers.runs if not run.is_baseline]


def data_card(comparison: Comparison) -> Card:
    """The card of the test images, and of the images beside them, from what the run folders record."""
    numbers = numbers_of(comparison)
    images = len(comparison.pictures)
    facts = (
        Fact("Images", _images(comparison)),
        Fact("Groups", _groups(comparison)),
        *_clips(numbers),
        Fact("Split", _split(comparison)),
        Fact("Ground truth", _truth(comparison)),
        Fact("Image size", _sizes(numbers)),
        Fact("Foreground", _foreground(numbers)),
        Fact("Held products", _products(numbers)),
        *_conditions(numbers),
        Fact("Near-duplicates", _duplicates(comparison)),
        *_skipped(comparison),
        *_licences(comparison),
        _fingerprint(comparison),
    )
    return Card(comparison.name, "", f"{images} test image{'' if images == 1 else 's'}", facts)


def _method_card(numbers: Numbers, run: RunNumbers) -> Card:
    record = run.run.record
    facts = (
        Fact("What it is", _kind(record)),
        Fact("Reads", _reads(record)),
        Fact("Parameters", _parameters(record)),
        Fact("Input size", _input_size(run)),
        *_trained_on(record),
        *_weights(record),
        *_beside(record),
        Fact("Threshold", f"{run.run.threshold:g}, from {record.threshold_from or 'an unrecorded choice'}"),
        Fact("Commercial use", strictest(record.rests_on)),
        Fact("Intended use", _intended(numbers, record)),
        Fact("Held products", _recall(numbers, run)),
        *_worst(numbers, run),
        *_limits(numbers, run),
    )
    size = "" if not record.parameters else f", {millions(record.parameters)} parameters"
    title = shown_label(run.label, record.method)
    return Card(title, record.method, f"mIoU {in_per_cent(run.means['miou'])}{size}", facts)


def _kind(record: RunRecord) -> str:
    parts = [part for part in record.rests_on if part.role == "weights"]
    if record.method == "masks":
        return "predictions made elsewhere, scored as they are"
    if record.training is not None:
        return "network, trained with kolbench"
    if parts:
        owned = any(part.role == _TRAINING_IMAGES for part in record.rests_on)
        return f"network with {'weights of a run' if owned else 'weights of others'}, not trained here"
    return (
        "not trained: no weights"
        if record.parameters == 0
        else "network; where its weights are from is not recorded"
    )


def _parameters(record: RunRecord) -> str:
    """Of a file of others nobody counted them: the method records none, and yet rests on weights."""
    if record.parameters is None:
        return NOT_RECORDED
    counted_none = not record.parameters and any(part.role == "weights" for part in record.rests_on)
    return "not counted: the weights are a file of others" if counted_none else f"{record.parameters:,}"


def _reads(record: RunRecord) -> str:
    given = _GIVEN.get(record.truth_access)
    if given:
        return f"the image and {given} (oracle), so it is not automatic"
    others = [key for key in record.input_keys if key != "image"]
    return f"the image{', and ' + ', '.join(others) if others else ''} (fully automatic)"


def _input_size(run: RunNumbers) -> str:
    training = run.run.record.training
    if training and training.input_size:
        height, width = training.input_size
        return f"{width}x{height} px while training"
    size = run.run.model.get("size")
    return f"{size} px" if isinstance(size, int) else "the image's own"


def _trained_on(record: RunRecord) -> Iterator[Fact]:
    training = record.training
    if training is None:
        known = [part.name for part in record.rests_on if part.role == _TRAINING_IMAGES]
        seen = [name for part in record.rests_on if part.role in _WEIGHTS for name in part.sets]
        if known or seen:
            yield Fact(
                "Trained on", ", ".join(dict.fromkeys([*known, *(n.upper().replace("_", "-") for n in seen)]))
            )
        elif any(part.role == "weights" for part in record.rests_on):
            yield Fact("Trained on", NOT_RECORDED)
        return
    count = record.pictures.get("train")
    images = "an unrecorded number of" if count is None else f"{count:,}"
    yield Fact(
        "Trained on", f"{images} images of {_data_names(record)}, budget {record.budget}, seed {record.seed}"
    )


def _data_names(record: RunRecord) -> str:
    roles = (IMAGES, _TRAINING_IMAGES)
    names = dict.fromkeys(part.name for part in record.rests_on if part.role in roles)
    return " and ".join(names) or record.data


def _weights(record: RunRecord) -> Iterator[Fact]:
    for part in record.rests_on:
        if part.role in _WEIGHTS:
            yield Fact(part.role.capitalize(), without_home(f"{part.name}: {_terms(part)}"))
    if record.training is not None and not any(
        p.role in ("initial weights", "backbone") for p in record.rests_on
    ):
        yield Fact("Initial weights", "none: trained from nothing" if record.rests_on else NOT_RECORDED)


def _terms(part: Part) -> str:
    return f"{part.licence or 'licence not stated'}; commercial use: {strictest([part])}"


def _beside(record: RunRecord) -> Iterator[Fact]:
    """What follows the method and is part of the numbers."""
    if (record.refiner or UNREFINED) != UNREFINED:
        yield Fact("Refiner", str(record.refiner))
    if record.tta != NO_TTA:
        yield Fact("Test-time augmentation", record.tta)
    if record.smooth != UNSMOOTHED:
        yield Fact("Smoothing over time", record.smooth)


def _intended(numbers: Numbers, record: RunRecord) -> str:
    if record.truth_access != "none":
        return "an upper reference for automatic methods; it cannot be used on images without ground truth"
    name = numbers.comparison.name
    if record.training is not None:
        return f"person and held product in images like those of {_data_names(record)}"
    return f"person and held product; measured here on {name} only"


def _recall(numbers: Numbers, run: RunNumbers) -> str:
    count = int(run.has_product.sum())
    if not count:
        return "no test image has a product mask: nothing is known"
    found = numbers.intervals({run.label: run.images["product_recall"]})[run.label]
    return f"recall {in_per_cent(run.means['product_recall'])}{_range(found)} on {counted(count, 'image')}"


def _worst(numbers: Numbers, run: RunNumbers) -> Iterator[Fact]:
    means = means_by_tag(run.images["miou"], numbers.tags)
    worst = worst_tag(means, numbers.tags)
    if worst is not None:
        count = len(numbers.tags[worst])
        yield Fact(
            "Worst group",
            f"{worst}: mIoU {in_per_cent(means[worst])} on {counted(count, 'image')} (lowest of tags with at "
            f"least {FEWEST})",
        )


def _limits(numbers: Numbers, run: RunNumbers) -> Iterator[Fact]:
    """What the numbers hold against it."""
    found = [*_not_better(numbers, run), *_failures(run)]
    record = run.run.record
    if record.training is not None and record.budget in _SHORT_BUDGETS:
        found.append(f"budget={record.budget} is a short training: more would change the numbers")
    if record.training is not None and len(numbers.families[run.run.family]) == 1:
        found.append("one training: what another seed changes is not known")
    if found:
        yield Fact("Known limits", "; ".join(found))


def _not_better(numbers: Numbers, run: RunNumbers) -> Iterator[str]:
    means = {name: row["miou"] for name, row in numbers.recorded_baselines.items()}
    means |= {other.run.method: other.means["miou"] for other in numbers.runs if other.is_baseline}
    ahead = [shown_name(name) for name, miou in means.items() if miou >= run.means["miou"]]
    if ahead:
        yield f"mean mIoU is not above the baseline{'' if len(ahead) == 1 else 's'} {' and '.join(ahead)}"


def _failures(run: RunNumbers) -> Iterator[str]:
    low = int((run.images["miou"] < 0.5).sum())
    if low:
        yield f"mIoU below 50 % on {low} of {counted(len(run.images['miou']), 'test image')}"
    for note, count in run.run.record.notes.items():
        yield f"{note} on {counted(count, 'test image')}"


def _images(comparison: Comparison) -> str:
    counts = [run.record.pictures for run in comparison.runs]
    beside = {
        name: sorted({found[split] for found in counts if split in found})
        for split, name in (("val", "validation"), ("train", "training"))
    }
    parts = [f"{len(comparison.pictures):,} test"]
    parts += [
        f"{' or '.join(f'{n:,}' for n in numbers)} {name}" for name, numbers in beside.items() if numbers
    ]
    lacking = [name for name, numbers in beside.items() if not numbers]
    return ", ".join(parts) + (f"; {' and '.join(lacking)}: {NOT_RECORDED}" if lacking else "")


def _groups(comparison: Comparison) -> str:
    if comparison.groups == comparison.pictures:
        return "none known: images are treated as independent"
    return f"{counted(len(set(comparison.groups)), 'group')} (videos) among the test images"


def _clips(numbers: Numbers) -> Iterator[Fact]:
    names = {clip for run in numbers.runs for clip in run.run.record.clips}
    if names:
        yield Fact("Clips", f"{counted(len(names), 'clip')} among the test images")


def _split(comparison: Comparison) -> str:
    said = []
    for run in comparison.runs:
        data = configuration.group_of(folds.parts_of(run)[0].folder, "data")
        if not data:
            continue
        policy = str(data.get("split"))
        words = f"data.split={policy}: {_SPLITS.get(policy, policy)}"
        if data.get("folds"):
            words = f"cross-validation of {data['folds']} folds, each image tested once"
        elif policy in ("auto", "group", "paper"):
            words += f", split_seed={data.get('split_seed')}"
        said.append(words)
    return "; or ".join(dict.fromkeys(said)) or NOT_RECORDED


def _truth(comparison: Comparison) -> str:
    kinds = sorted({run.record.truth for run in comparison.runs})
    words = " and ".join("alpha mattes" if kind == ALPHA else "binary masks" for kind in kinds)
    protocol = comparison.runs[0].record.eval_protocol
    scale = "at each image's own size" if protocol == NATIVE else f"eval_protocol={protocol}"
    return f"{words}, scored {scale}"


def _sizes(numbers: Numbers) -> str:
    sizes = np.array(numbers.comparison.runs[0].test.sizes)
    order = np.argsort(sizes.prod(1), kind="stable")
    low, high = (f"{sizes[row][1]}x{sizes[row][0]}" for row in (order[0], order[-1]))
    return f"{low} px" if low == high else f"{low} to {high} px"


def _foreground(numbers: Numbers) -> str:
    counts = numbers.comparison.runs[0].test.counts
    shares = counts.fg.sum(1) / (counts.fg.sum(1) + counts.bg.sum(1))
    mean, low, high = (in_per_cent(float(found)) for found in (shares.mean(), shares.min(), shares.max()))
    return f"{mean} of an image on average, from {low} to {high}"


def _products(numbers: Numbers) -> str:
    run = numbers.runs[0]
    count = int(run.has_product.sum())
    images = counted(len(numbers.comparison.pictures), "test image")
    return f"{count} of {images} {'has' if count == 1 else 'have'} a product mask"


def _conditions(numbers: Numbers) -> Iterator[Fact]:
    tags: Mapping[str, Int64Array] = numbers.tags
    if tags:
        common = sorted(tags, key=lambda tag: (-len(tags[tag]), tag))
        some = ", ".join(f"{tag} {len(tags[tag])}" for tag in common[:_MOST_NAMED])
        rest = f" and {len(common) - _MOST_NAMED} more tags" if len(common) > _MOST_NAMED else ""
        origin = " (found by rule)" if numbers.tagged_by_rule else ""
        yield Fact("Conditions", f"{some}{rest}{origin}")


def _duplicates(comparison: Comparison) -> str:
    said = dict.fromkeys(line for run in comparison.runs for line in run.record.checked)
    return "; ".join(said) or NOT_RECORDED


def _skipped(comparison: Comparison) -> Iterator[Fact]:
    names = sorted({name for run in comparison.runs for name in run.record.skipped})
    if names:
        more = ", ..." if len(names) > _MOST_NAMED else ""
        some = ", ".join(names[:_MOST_NAMED])
        yield Fact("Left out", f"{counted(len(names), 'image')} that could not be read: {some}{more}")


def _licences(comparison: Comparison) -> Iterator[Fact]:
    found: Sequence[Part] = list(
        dict.fromkeys(p for run in comparison.runs for p in run.record.rests_on if p.role == IMAGES)
    )
    said = dict.fromkeys(
        f"{part.licence or 'not stated'}; commercial use: {strictest([part])}" for part in found
    )
    yield Fact("Licence", "; or ".join(said) or NOT_RECORDED)


def _fingerprint(comparison: Comparison) -> Fact:
    prints = dict.fromkeys(
        run.record.fingerprint.source
        for run in comparison.runs
        if run.record.fingerprint and run.record.fingerprint.source
    )
    if len(prints) == 1:
        return Fact("Fingerprint", "of images and masks:", next(iter(prints)))
    some = ", ".join(digest[:_DIGITS] for digest in prints)
    return Fact(
        "Fingerprint",
        f"several, as runs were given different other images: {some}" if prints else NOT_RECORDED,
    )


def _range(found: Interval) -> str:
    return f" (95 % CI {percent_range(found)})" if found.known else f" ({TOO_FEW})"
