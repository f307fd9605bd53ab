"""Run folders of eight by six pixels, whose every score can be worked out by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kolbench.io import images
from kolbench.metrics import histogram
from kolbench.metrics.counts import ImageCounts
from kolbench.report import gallery
from kolbench.report.gallery import Gallery
from kolbench.runs import finished as folders
from kolbench.runs import run_folder
from kolbench.runs.finished import Comparison

# images are 8 columns by 6 rows; the truth is the left half, the product its first column
TRUTH = np.zeros((6, 8), bool)
TRUTH[:, :4] = True
PRODUCT = np.zeros((6, 8), bool)
PRODUCT[:, :1] = True
NOTHING = np.zeros((6, 8), bool)


def columns(first: int, last: int, level: int = 255) -> np.ndarray:
    """Alpha of a level in these columns, first included, last not."""
    alpha = np.zeros((6, 8), np.uint8)
    alpha[:, first:last] = level
    return alpha


# mIoU by hand of the first c columns, c up to 4: (c/4 + 4/(8-c)) / 2, so 1, 0.583, 0.25; of all 8 it is 0.25
GOOD, HALF, NONE, EVERYTHING = columns(0, 4), columns(0, 2), columns(0, 0), columns(0, 8)


def write_run(
    folder: Path,
    method: str,
    alphas: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    held: Sequence[int] = (),
    threshold: float = 0.5,
    size: int = 1,
    seed: int = 0,
    truth_access: str = "none",
) -> None:
    """A run folder by hand; images of `held` rows have a product; files are `size` times as large."""
    names = names or [f"p{number}" for number in range(len(alphas))]
    part = ImageCounts("test")
    folder.mkdir(parents=True)
    for row, (name, alpha) in enumerate(zip(names, alphas, strict=True)):
        product = PRODUCT if row in held else NOTHING
        maps = (torch.from_numpy(a)[None, None] for a in (alpha / 255, TRUTH, product))
        counts = histogram.level_counts(*maps)
        part.names.append(name)
        part.groups.append("")
        part.tags.append("")
        part.notes.append("")
        part.sizes.append(TRUTH.shape)
        part.seconds.append(0.1)
        part.parts.append(counts)
        if ".." in name or name.startswith("/"):
            continue
        large = np.ones((size, size), np.uint8)
        kept = [("alphas", alpha), ("truths", TRUTH * np.uint8(255))]
        kept += [("products", product * np.uint8(255))] if product.any() else []
        for place, pixels in kept:
            (folder / place / name).parent.mkdir(parents=True, exist_ok=True)
            images.write_png(folder / place / f"{name}.png", np.kron(pixels, large).astype(np.uint8))
        (folder / "thumbs" / name).parent.mkdir(parents=True, exist_ok=True)
        images.write_jpeg(folder / "thumbs" / f"{name}.jpg", np.full((6, 8, 3), 200, np.uint8), quality=100)
    run_folder.write_histograms(folder / run_folder.HISTOGRAMS, {"test": part})
    record = {
        "status": "finished",
        "method": method,
        "aid": truth_access,
        "seed": seed,
        "threshold": threshold,
    }
    record |= {"data": "hand", "started": "2026", "overrides": [f"seed={seed}"], "fingerprint": {}}
    (folder / run_folder.RUN).write_text(json.dumps(record))


def comparison_of(folder: Path) -> Comparison:
    """The one test set of the runs below a folder."""
    (found,) = folders.test_sets(folders.find(str(folder)))
    return found


def gallery_of(folder: Path) -> Gallery:
    """What the page shows of the runs below a folder."""
    return some(gallery.gallery_of(comparison_of(folder)))


def some(found: Gallery | None) -> Gallery:
    """A gallery where there must be one."""
    assert found is not None
    return found
