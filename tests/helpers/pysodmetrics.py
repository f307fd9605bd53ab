"""PySODMetrics, the oracle of the scores of salient object detection."""

import importlib
import importlib.metadata
import importlib.util
import sys
import types

import pytest

NAME = "PySODMetrics"


def pysodmetrics(monkeypatch: pytest.MonkeyPatch, *modules: str) -> list[types.ModuleType]:
    """Modules of it without its package, which imports scikit-image for measures not compared here."""
    found = importlib.util.find_spec("py_sod_metrics")
    if found is None:
        pytest.skip(
            "needs pip install --no-deps pysodmetrics (its own dependencies name another OpenCV wheel)"
        )
    bare = types.ModuleType("py_sod_metrics")
    bare.__path__ = list(found.submodule_search_locations or [])
    monkeypatch.setitem(sys.modules, "py_sod_metrics", bare)
    if importlib.util.find_spec("skimage") is None:
        idle = types.ModuleType("skimage")
        idle.__dict__.update(measure=None, morphology=None)
        monkeypatch.setitem(sys.modules, "skimage", idle)
    return [importlib.import_module(f"py_sod_metrics.{module}") for module in modules]


def version() -> str:
    """Of what is installed."""
    return importlib.metadata.version("pysodmetrics")
