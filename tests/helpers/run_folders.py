"""Finished run folders of made-up methods, by the project's own writers: no network, no training."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import torch
import yaml

from kolbench.io.files import write_json
from kolbench.io.images import write_jpeg, write_png
from kolbench.metrics import histogram, scores
from kolbench.metrics.counts import ImageCounts
from kolbench.metrics.video.accuracy import UNTRIMMED
from kolbench.metrics.video.clip_scores import mean_over_clips
from kolbench.metrics.video.meter import COLUMNS
from kolbench.report import figures, gallery, sentences, tables
from kolbench.report.drawing import Figure
from kolbench.report.gallery import Gallery
from kolbench.report.layout import Table
from kolbench.runs import clips, finished, record, run_folder
from kolbench.runs.finished import Comparison
from kolbench.runs.record import VERSION

HEIGHT, WIDTH = 48, 64
PRODUCTS = ("bottle", "phone", "bag")
SCENES = ("indoor", "outdoor", "stage")
# method -> parameters, GMACs at the fixture's size, seconds per picture
COSTS = {
    "u2net": (44_009_869, 0.71, 0.031),
    "u2netp": (1_131_181, 0.24, 0.019),
    "modnet": (6_487_795, 0.33, 0.012),
    "rsudisnet": (7_646_857, 0.52, 0.024),
    "unet": (1_941_105, 0.12, 0.009),
}
BASELINES = ("allfg", "ellipse", "meanmask")
# folder, method, quality, and what else `make_run` takes
MIXED: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
    ("modnet", "modnet", 0.88, {}),
    ("r0", "rsudisnet", 0.97, {"whole": True}),
    ("r1", "rsudisnet", 0.97, {"seed": 1}),
    ("unet", "unet", 0.88, {}),
    ("allfg", "allfg", 0.1, {}),
    ("box", "grabcut", 0.9, {"truth_access": "box"}),
    ("oracle", "kmeans", 0.99, {"truth_access": "mask"}),
)


def make_run(
    folder: Path,
    method: str,
    seed: int = 0,
    quality: float = 0.8,
    pictures: int = 12,
    truth_access: str = "none",
    *,
    threshold: float | None = None,
    overrides: Sequence[str] = (),
    started: str = "2026-11-21T10:00:00+0000",
    budget: str = "quick",
    data: str = "fixture",
    trained: bool | None = None,
    epochs: int = 6,
    seconds: float | None = None,
    videos: bool = True,
    tags: bool = True,
    products: bool = True,
    files: bool = True,
    scene_seed: int = 0,
    whole: bool = False,
    model: Mapping[str, object] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a complete, finished run folder and returns it.

    Truths depend on `scene_seed` and the picture's number only, so runs of one `pictures` and `scene_seed`
    are one test set. Alphas are blurred truths with smooth noise that grows as quality falls from 1.

    Args:
        folder: the run folder itself; made here.
        method: any name; costs of known ones are set apart.
        seed: of the noise too.
        quality: 1 is nearly the truth, 0 nearly noise.
        pictures: of the test split; validation has half as many.
        truth_access: `none`, `box` or `mask`.
        threshold: None takes the best one on validation, as the program does.
        overrides: command words, such as `model.variant=i`; `model=METHOD` and the seed come by themselves.
        started: ISO time.
        budget: its name.
        data: name of the data.
        trained: writes history and progress; None: what reads only the picture and is no baseline or classic.
        epochs: of the history.
        seconds: per picture; None: the method's.
        videos: False leaves the groups empty.
        tags, products: False leaves them out.
        files: False writes no picture files, for large sets.
        scene_seed: another one gives other pictures under the same names.
        whole: also scores all pictures, as many training ones included as there are test pictures.
        model: the `model` group of its `config.yaml`; None = none there.
        changes: put over `run.json` at the end, for damaged or older records.
    """
    run_folder.claim(folder)
    if trained is None:
        trained = truth_access == "none" and method not in (
            *BASELINES,
            "kmeans",
            "meanshift",
            "grabcut",
        )
    parameters, gmacs, usual = COSTS.get(method, (0 if not trained else 500_000, 0.05, 0.02))
    pace = usual if seconds is None else seconds
    sizes = {"val": max(2, pictures // 2), "test": pictures} | ({"train": pictures} if whole else {})
    registered = tuple(scores.all_scores())
    made = _predicted(
        method, seed, quality, tuple(sizes.items()), (videos, tags, products), scene_seed, registered
    )
    scored = {
        split: replace(part, seconds=[float(pace * max(factor, 0.05)) for factor in made.spreads[split]])
        for split, part in made.scored.items()
    }
    if whole:
        train = replace(scored.pop("train"), seconds=[pace] * pictures)
        scored["whole"] = _joined("whole", train, scored["val"], scored["test"])
    chosen = scores.best_threshold(scored["val"].counts) if threshold is None else threshold
    key = (method, seed, quality, pictures, videos, tags, products, scene_seed, whole, registered)
    with _written_once(folder, (*key, pace, chosen, files)) as to_write:
        if to_write:
            run_folder.write_histograms(folder / run_folder.HISTOGRAMS, scored)
            run_folder.write_scores(folder, scored, chosen)
        for index, levels in enumerate(made.levels["test"] if to_write and files else []):
            _write_pictures(
                folder, scored["test"].names[index], scene("test", index, scene_seed), levels, products
            )
    rng = np.random.default_rng()
    rng.bit_generator.state = made.state
    if trained:
        _write_training(folder, rng, epochs, quality, files)
    record = _record(method, seed, truth_access, budget, data, started, [f"model={method}", *overrides])
    record |= {
        "threshold": chosen,
        "threshold_from": "validation" if threshold is None else "the command",
        "scores": scores.mean_scores(scored["test"].counts, chosen),
        "all": scores.mean_scores(scored["whole"].counts, chosen) if whole else None,
        "baselines": dict(_baselines(sizes["val"], pictures, scene_seed, registered)),
        "pictures": {split: len(part.names) for split, part in scored.items()},
        "fingerprint": {"source": f"{zlib.crc32(f'{data} {scene_seed}'.encode()):064x}", "splits": "5" * 16},
        "parameters": parameters,
        "cost": {
            "macs": round(gmacs * 1e9) if trained else None,
            "memory": (parameters * 4 if trained else 0) + 3_000_000,
            "checkpoint": parameters * 4,
            "picture": [HEIGHT, WIDTH],
        },
        "test_seconds_per_picture": float(np.median(scored["test"].seconds)),
        "training": _training(method, seed, epochs, quality, folder) if trained else None,
    }
    if seed:
        record["overrides"].append(f"seed={seed}")
    config = {key: record[key] for key in ("method", "budget", "data", "seed")} | {"threshold": threshold}
    config |= {"model": dict(model)} if model is not None else {}
    (folder / run_folder.CONFIG).write_text(yaml.safe_dump(config), encoding="utf-8")
    write_json(folder / run_folder.RUN, record | dict(changes or {}))
    return folder


def add_clips(run: Path, j_of_clips: Sequence[float | Sequence[float]], trim: str = UNTRIMMED) -> None:
    """Makes the videos of a run's test pictures clips, each with a J for all frames, or one for each frame.

    F is half of J, dtSSD 3, flicker 0.1.
    """
    path = run / run_folder.RUN
    numbers = finished.find(str(run))[0].test
    pictures: dict[str, list[str]] = {}
    for name, group in zip(numbers.names, numbers.groups, strict=True):
        pictures.setdefault(group, []).append(name)
    blank = dict.fromkeys(COLUMNS, np.nan)
    rows = [
        {"clip": clip, "name": name, **blank, "j": value, "f": value / 2, "dtssd": 3 if number else np.nan}
        for (clip, names), j in zip(pictures.items(), j_of_clips, strict=True)
        for number, (name, value) in enumerate(zip(names, np.broadcast_to(j, len(names)), strict=True))
    ]
    clips.write_frames(run / run_folder.CLIP_FRAMES, rows)
    write_json(
        run / run_folder.CLIPS,
        {clip: {"pictures": names, "flicker": 0.1} for clip, names in pictures.items()},
    )
    found = clips.read(run, trim)
    video = mean_over_clips(clip.scores for clip in found.values())
    replace(record.read(path), clips=found, video=video, trim=trim).write(path)


def mixed_runs(folder: Path) -> None:
    """Good and bad methods, two seeds, a baseline, helped methods, below the folder; 30 images, 12 videos."""
    for name, method, quality, choices in MIXED:
        make_run(folder / name, method, quality=quality, pictures=30, files=False, **choices)


def only_comparison(folder: Path) -> Comparison:
    """The runs below a folder, which are of one test set."""
    (comparison,) = finished.test_sets(finished.find(str(folder)))
    return comparison


def page_runs(folder: Path) -> Comparison:
    """Five runs of one comparison, written below the folder: good and bad, a floor, one that is helped."""
    for method, quality, options in (
        ("rsudisnet", 0.9, {"threshold": 0.333}),
        ("modnet", 0.75, {}),
        ("u2net", 0.4, {}),
        ("ellipse", 0.1, {}),
        ("grabcut", 0.8, {"truth_access": "box"}),
    ):
        make_run(folder / method, method, quality=quality, **options)
    return finished.test_sets(finished.find(str(folder)))[0]


def page_parts(
    comparison: Comparison, *more: Table
) -> tuple[list[Table], list[Figure], Gallery | None, list[str]]:
    """Tables (more of them at the end), figures, images and sentences of a page."""
    return (
        [*tables.all_tables(comparison), *more],
        figures.all_figures(comparison),
        gallery.gallery_of(comparison),
        sentences.sentences(comparison),
    )


Scene = tuple[np.ndarray, np.ndarray, np.ndarray, str]


@cache
def scene(split: str, index: int, scene_seed: int = 0) -> Scene:
    """Picture (H, W, 3) uint8, truth and product (H, W) bool, tags; the same for every method.

    A person is a tilted ellipse; two of three pictures hold a product, a disc at the ellipse's side.
    """
    rng = np.random.default_rng([scene_seed, index, len(split)])
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    cx, cy = rng.uniform(24, 40), rng.uniform(20, 28)
    rx, ry = rng.uniform(8, 13), rng.uniform(12, 19)
    person = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1
    held = index % 3 != 2
    disc = (x - cx - rx) ** 2 + (y - cy) ** 2 <= rng.uniform(3, 5) ** 2
    product = disc if held else np.zeros_like(disc)
    truth = person | product
    picture = np.stack([x * 2 + 60, y * 3 + 40, np.full_like(x, 90)], -1).astype(np.uint8)
    picture[person] = (220, 180, 150)
    picture[product] = (60, 90, 220)
    what = PRODUCTS[index % len(PRODUCTS)] if held else "nothing_held"
    return picture, truth, product, f"{what} {SCENES[index // 2 % 3]} {'dim' if index % 4 == 0 else 'bright'}"


_WRITTEN: dict[object, dict[Path, bytes]] = {}


@contextmanager
def _written_once(folder: Path, key: object) -> Iterator[bool]:
    """Whether the block must write its files; where the same was written before, they are there already."""
    if key in _WRITTEN:
        for path, data in _WRITTEN[key].items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(data)
        yield False
        return
    before = set(folder.rglob("*"))
    yield True
    files = (path for path in set(folder.rglob("*")) - before if path.is_file())
    _WRITTEN[key] = {path.relative_to(folder): path.read_bytes() for path in files}


class _Predicted(NamedTuple):
    """What a method predicts, by split; `spreads` of its seconds around 1; `state` of the noise after it."""

    scored: dict[str, ImageCounts]
    levels: dict[str, list[np.ndarray]]
    spreads: dict[str, np.ndarray]
    state: Mapping[str, Any]


@lru_cache(maxsize=64)
def _predicted(
    method: str,
    seed: int,
    quality: float,
    sizes: tuple[tuple[str, int], ...],
    given: tuple[bool, bool, bool],
    scene_seed: int,
    registered: tuple[object, ...],
) -> _Predicted:
    """Counts of all pictures; runs that differ in what they record only are counted once."""
    rng = np.random.default_rng([seed, zlib.crc32(method.encode())])
    scored, levels, spreads = {}, {}, {}
    for split, count in sizes:
        if split != "train":
            scored[split], levels[split] = _scored(split, count, rng, quality, given, scene_seed)
    for split, part in scored.items():
        spreads[split] = rng.normal(1, 0.02, len(part.names))
    for split, count in sizes:
        if split == "train":
            scored[split], levels[split] = _scored(split, count, rng, quality, given, scene_seed)
            spreads[split] = np.ones(count)
    return _Predicted(scored, levels, spreads, rng.bit_generator.state)


def _scored(
    split: str,
    count: int,
    rng: np.random.Generator,
    quality: float,
    given: tuple[bool, bool, bool],
    scene_seed: int,
) -> tuple[ImageCounts, list[np.ndarray]]:
    videos, tags, products = given
    part, alphas = ImageCounts(split), []
    for index in range(count):
        _, truth, product, tag = scene(split, index, scene_seed)
        levels = _levels(truth, rng, quality)
        alpha, mask, inside = (torch.from_numpy(a)[None, None] for a in (levels / 255, truth, product))
        counts = histogram.level_counts(
            alpha, mask, inside if products else None, extra=scores.extra_counts()
        )
        part.names.append(f"{split}_{index:04d}")
        # videos of three and two pictures in turn
        part.groups.append(f"{split}_video_{(index + index // 5) // 3:03d}" if videos else "")
        part.tags.append(tag if tags else "")
        part.sizes.append((HEIGHT, WIDTH))
        part.notes.append("")
        part.parts.append(counts)
        alphas.append(levels)
    return part, alphas


def _joined(split: str, *parts: ImageCounts) -> ImageCounts:
    columns = ("names", "groups", "tags", "sizes", "seconds", "notes", "parts")
    return ImageCounts(
        split, **{key: [value for part in parts for value in getattr(part, key)] for key in columns}
    )


def _levels(truth: np.ndarray, rng: np.random.Generator, quality: float) -> np.ndarray:
    """8-bit alpha: the blurred truth with noise of a few pixels' size."""
    noise = cv2.GaussianBlur(rng.normal(size=truth.shape).astype(np.float32), (0, 0), 3) * 16
    soft = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 1.0)
    wrong = (1 - quality) * rng.uniform(0.6, 1.4)
    alpha = np.clip(soft + wrong * noise, 0, 1)
    levels: np.ndarray = (alpha * 255).round().astype(np.uint8)
    return levels


def _write_pictures(folder: Path, name: str, shown: Scene, levels: np.ndarray, products: bool) -> None:
    picture, truth, product, _ = shown
    for part in ("alphas", "truths", "products", "thumbs"):
        (folder / part).mkdir(exist_ok=True)
    write_png(folder / "alphas" / f"{name}.png", levels)
    write_png(folder / "truths" / f"{name}.png", truth.astype(np.uint8) * 255)
    if products and product.any():
        write_png(folder / "products" / f"{name}.png", product.astype(np.uint8) * 255)
    write_jpeg(folder / "thumbs" / f"{name}.jpg", picture)


def _write_training(folder: Path, rng: np.random.Generator, epochs: int, quality: float, files: bool) -> None:
    steps = np.arange(epochs)
    loss = 2.0 * np.exp(-steps / 3) + 0.2
    miou = quality * (1 - np.exp(-(steps + 1) / 3)) + rng.normal(0, 0.003, epochs)
    history = pd.DataFrame({"epoch": steps, "step": (steps + 1) * 10, "lr": 1e-3, "train/loss": loss})
    history["train/semantic"] = loss / 2
    for name, factor in (("miou", 1.0), ("iou", 0.95), ("acc", 1.05), ("mae", 0.1), ("f0.3", 1.02)):
        history[f"val/{name}"] = miou * factor
    history["val/threshold"] = 0.5
    history.to_csv(folder / run_folder.HISTORY, index=False)
    if not files:
        return
    progress = folder / "progress"
    progress.mkdir()
    picture, truth, _, _ = scene("val", 0)
    write_jpeg(progress / "picture.jpg", picture)
    for epoch in range(epochs):
        alpha = _levels(truth, rng, quality * (epoch + 1) / epochs)
        write_png(progress / f"epoch_{epoch:04d}.png", alpha)


def _training(method: str, seed: int, epochs: int, quality: float, folder: Path) -> dict[str, Any]:
    fingerprint = f"{zlib.crc32(f'{method} {seed} {quality}'.encode()):016x}"
    return {
        "folder": f"../../trainings/{method}-{fingerprint}",
        "fingerprint": fingerprint,
        "pictures": {"source": "a" * 64, "splits": "5" * 16},
        "lr_factor": 10.0,
        "backbone_weights": None,
        "best_epoch": epochs - 1,
        "best_val_miou": quality,
        "input_size": [64, 64],
        "pictures_per_second": 40.0,
        "reused": False,
        "seconds": 12.5 * epochs,
        "pretraining": {},
        "train_seconds": 10.0 * epochs,
    }


@cache
def _baselines(
    val: int, test: int, scene_seed: int, registered: tuple[object, ...]
) -> Mapping[str, Mapping[str, Any]]:
    """An ellipse in the middle of the frame, and the mean of the validation truths."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ellipse = ((x - WIDTH / 2) / 16) ** 2 + ((y - HEIGHT / 2) / 20) ** 2 <= 1
    truths = [scene("val", index, scene_seed)[1] for index in range(val)]
    alphas = {"ellipse": ellipse * 1.0, "meanmask": np.mean(truths, axis=0)}
    return {name: _baseline(alpha, test, scene_seed) for name, alpha in alphas.items()}


def _baseline(alpha: np.ndarray, count: int, scene_seed: int) -> dict[str, Any]:
    rows = ImageCounts("test")
    for index in range(count):
        _, truth, product, _ = scene("test", index, scene_seed)
        soft, mask, inside = (torch.from_numpy(plane)[None, None] for plane in (alpha, truth, product))
        rows.parts.append(histogram.level_counts(soft, mask, inside, extra=scores.extra_counts()))
    return {"threshold": 0.5, **scores.mean_scores(rows.counts, 0.5)}


def _record(
    method: str,
    seed: int,
    truth_access: str,
    budget: str,
    data: str,
    started: str,
    overrides: list[str],
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "status": "finished",
        "task": "fit",
        "method": method,
        "budget": budget,
        "data": data,
        "seed": seed,
        "sweep": None,
        "choices": {"model": method, "budget": budget, "data": data, "refiner": "none", "task": "fit"},
        "overrides": overrides,
        "device": "cpu (2 threads)",
        "started": started,
        "versions": {
            "kolbench": "0.1.0",
            "lightning": "2.6.6",
            "python": "3.11.7",
            "torch": "2.15.0",
            "torchvision": "0.29.2",
        },
        "commit": "0123456789ab",
        "machine": {"cores": 2, "platform": "Linux", "threads": 2},
        "truth_access": truth_access,
        "input_keys": ["image"]
        if truth_access == "none"
        else ["image", "boxes" if truth_access == "box" else "mask"],
        "refiner": "none",
        "instances": None,
        "notes": {},
        "seconds": 100.0,
    }
