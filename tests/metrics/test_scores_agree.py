"""Scores against independent implementations."""

import types
from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics.functional.classification as torchmetrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kolbench.metrics import scores
from kolbench.metrics.histogram import level_counts
from tests.helpers.counted import planes, saved
from tests.helpers.pysodmetrics import pysodmetrics


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**16), percent=st.integers(5, 95))
def test_scores_agree_with_scikit_learn(seed: int, percent: int) -> None:
    alpha, mask, product = planes(seed, n=3)
    counts = level_counts(alpha, mask, product)
    truth = mask.flatten(1).numpy().astype(int)
    predicted = (saved(alpha).reshape(3, -1) > 255 * percent / 100).astype(int)
    assume(predicted.any(1).all() and not predicted.all(1).any())
    oracle: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "iou": sklearn.metrics.jaccard_score,
        "miou": lambda t, p: sklearn.metrics.jaccard_score(t, p, average="macro"),
        "acc": sklearn.metrics.accuracy_score,
        "precision": sklearn.metrics.precision_score,
        "recall": sklearn.metrics.recall_score,
        "f0.3": lambda t, p: sklearn.metrics.fbeta_score(t, p, beta=0.3**0.5),
        "f0.09": lambda t, p: sklearn.metrics.fbeta_score(t, p, beta=0.3),
        "f1": sklearn.metrics.f1_score,
    }
    found = scores.image_scores(counts, percent / 100)
    means = scores.mean_scores(counts, percent / 100)
    for name, score in oracle.items():
        expected = [score(t, p) for t, p in zip(truth, predicted, strict=True)]
        assert found[name] == pytest.approx(expected, abs=1e-12), name
        if f"{name}_pooled" in means:
            assert means[f"{name}_pooled"] == pytest.approx(
                score(truth.ravel(), predicted.ravel()), abs=1e-12
            )
    everywhere = sklearn.metrics.confusion_matrix(truth.ravel(), predicted.ravel()).ravel()
    tn, fp, fn, tp = everywhere
    assert [int(part.sum()) for part in scores.confusion(counts, percent / 100)] == [tp, fp, fn, tn]


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_scores_agree_with_torchmetrics(threshold: float) -> None:
    alpha, mask, _ = planes(15, n=6)
    counts = level_counts(alpha, mask)
    # the 8-bit picture again as probabilities; torchmetrics' foreground is value > threshold, too
    probability = torch.from_numpy(saved(alpha)).double() / 255
    found = scores.image_scores(counts, threshold)
    for i in range(6):
        arguments = (probability[i], mask[i].int(), threshold)
        assert found["iou"][i] == pytest.approx(
            float(torchmetrics.binary_jaccard_index(*arguments)), abs=1e-6
        )
        assert found["acc"][i] == pytest.approx(float(torchmetrics.binary_accuracy(*arguments)), abs=1e-6)
        assert found["f1"][i] == pytest.approx(float(torchmetrics.binary_f1_score(*arguments)), abs=1e-6)
        f = torchmetrics.binary_fbeta_score(probability[i], mask[i].int(), 0.3**0.5, threshold)
        assert found["f0.3"][i] == pytest.approx(float(f), abs=1e-6)


@pytest.fixture
def py_sod(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    (module,) = pysodmetrics(monkeypatch, "fmeasurev2")
    return module


def test_scores_agree_with_py_sod_metrics_at_every_threshold(py_sod: types.ModuleType) -> None:
    alpha, mask, _ = planes(16, n=5)
    counts = level_counts(alpha, mask)
    handlers = {
        "iou": py_sod.IOUHandler(True, False),
        "acc": py_sod.OverallAccuracyHandler(True, False),
        "precision": py_sod.PrecisionHandler(True, False),
        "recall": py_sod.RecallHandler(True, False),
        "f0.3": py_sod.FmeasureHandler(True, False, beta=0.3),
        "f0.09": py_sod.FmeasureHandler(True, False, beta=0.09),
        "f1": py_sod.FmeasureHandler(True, False, beta=1),
    }
    judge = py_sod.FmeasureV2(handlers)
    for i in range(5):
        judge.step(saved(alpha)[i, 0] / 255, mask[i, 0].numpy() == 1, normalize=False)
    # theirs is level >= 255, 254 ... 0, ours level > 254, 253 ... 0; theirs has no counterpart for >= 0
    curve = scores.threshold_curve(counts, [level / 255 for level in range(254, -1, -1)])
    results = judge.get_results()
    for name in handlers:
        assert curve[name] == pytest.approx(results[name]["dynamic"][:-1], abs=1e-12), name
    assert scores.max_f(counts) == pytest.approx(results["f0.3"]["dynamic"][:-1].max(), abs=1e-12)
