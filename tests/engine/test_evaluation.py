"""What an evaluation leaves of soft and of binary truths."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from kolbench.engine import completion, evaluation
from kolbench.engine.evaluation import evaluate
from kolbench.io import images, masks
from kolbench.io.arrays import as_arrays
from kolbench.metrics import scores
from kolbench.metrics.scores import matting
from kolbench.metrics.texture import glcm_entropy
from kolbench.metrics.traits import traits_of
from kolbench.models.trivial import Ellipse
from kolbench.runs import traits

MATTE = (torch.arange(24 * 32).reshape(1, 1, 24, 32) % 256) / 255


def batch(soft: bool) -> dict[str, object]:
    found = {"image": torch.rand(1, 3, 24, 32), "mask": (MATTE >= 0.5).float(), "name": ["a"]}
    return found | ({"matte": MATTE} if soft else {})


@pytest.mark.parametrize("soft", [True, False])
def test_true_alphas_are_kept_in_8_bits_and_scored(tmp_path: Path, soft: bool) -> None:
    scored = evaluate(
        Ellipse(), {"test": DataLoader([batch(soft)], batch_size=None)}, torch.device("cpu"), tmp_path
    )
    truth, alpha = (
        np.asarray(masks.read_alpha(tmp_path / part / "a.png")[0]) for part in ("truths", "alphas")
    )
    expected = (MATTE[0, 0] * 255).round().numpy()
    assert np.array_equal(truth, expected if soft else np.where(expected > 127, 255, 0))
    noted = json.loads((tmp_path / completion.COUNTED).read_text())
    assert noted["true_alpha"] == completion.has_alpha(tmp_path) == soft
    values = scored["test"].counts.values
    assert ("sad" in values) == ("sad" in noted["code"]) == soft
    assert "weighted_f" not in values
    if soft:
        names = [score.name for score in scores.family_scores("matting") if score.by_default]
        assert [float(values[name][0]) for name in names] == list(matting.quick(alpha, truth))


def test_held_products_are_kept_where_there_are_any_and_the_first_images_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "LARGE_THUMBS", 1)
    mask = torch.zeros(1, 1, 400, 900)
    mask[..., 300:600] = 1
    product = mask * (torch.arange(900) < 350)
    held, empty = (
        {"image": torch.rand(1, 3, 400, 900), "mask": mask, "product": shown, "name": [name]}
        for name, shown in (("held", product), ("empty", product * 0))
    )
    evaluate(Ellipse(), {"test": DataLoader([held, empty], batch_size=None)}, torch.device("cpu"), tmp_path)
    assert [path.name for path in (tmp_path / "products").iterdir()] == ["held.png"]
    kept, _ = masks.read_alpha(tmp_path / "products" / "held.png")
    assert np.array_equal(kept, product[0, 0].numpy() * 255)
    sizes = {name: images.read_rgb(tmp_path / "thumbs" / f"{name}.jpg").shape for name in ("held", "empty")}
    assert sizes == {"held": (341, 768, 3), "empty": (114, 256, 3)}


def test_what_test_pictures_are_like_is_kept_and_of_frames_without_truth_nothing(tmp_path: Path) -> None:
    flat = batch(soft=False) | {"image": torch.full((1, 3, 24, 32), 0.5), "name": ["flat"]}
    noisy = batch(soft=False) | {"name": ["noisy"]}
    unscored = batch(soft=False) | {"name": ["unscored"], "unscored": True}
    loaders = {
        "val": DataLoader([batch(soft=False)], batch_size=None),
        "test": DataLoader([flat, noisy, unscored], batch_size=None),
    }
    evaluate(Ellipse(), loaders, torch.device("cpu"), tmp_path)
    found = traits.read(tmp_path)
    shown, truth = as_arrays(noisy["image"])[0], as_arrays(noisy["mask"])[0]
    assert list(found.index) == ["flat", "noisy"]
    assert list(found["glcm_entropy"]) == [0.0, glcm_entropy(shown)]
    assert found.loc["noisy"].to_dict() == pytest.approx(asdict(traits_of(shown, truth)), nan_ok=True)


def test_persons_are_counted_where_their_numbers_have_gaps(tmp_path: Path) -> None:
    numbers = torch.zeros(1, 1, 24, 32, dtype=torch.uint8)
    numbers[..., 2:6], numbers[..., 20:30] = 1, 4
    test = batch(soft=False) | {"name": ["gaps"], "instances": numbers}
    loaders = {name: DataLoader([part], batch_size=None) for name, part in (("val", test), ("test", test))}
    evaluate(Ellipse(), loaders, torch.device("cpu"), tmp_path)
    assert traits.read(tmp_path).loc["gaps", "people"] == 2
