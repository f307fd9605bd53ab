"""`weights=` by name for one of our methods: the file, or its tensors where it does not take the size."""

from pathlib import Path

import numpy as np
import pytest

import kolbench
from kolbench.config.compose import build_segmenter, model_config
from kolbench.data.scenes.scene import make_scene
from kolbench.io.files import HOME
from kolbench.models.checkpoints import download, named
from kolbench.models.checkpoints.run import load_into

TYPED = frozenset({"experiment", "model.size"})


@pytest.fixture
def u2netp(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The official file in a cache of its own."""
    monkeypatch.setenv(HOME, str(tmp_path))
    place = download.weights_folder() / "u2netp-onnx" / "u2netp.onnx"
    place.parent.mkdir(parents=True)
    place.symlink_to(shared / "weights" / "u2netp.onnx")
    return place


@pytest.mark.slow
@pytest.mark.shared
def test_a_size_that_the_file_does_not_take_is_our_own_networks(u2netp: Path) -> None:
    official, none = named.resolved(model_config("u2netp", size=320), Path("official"), TYPED)
    assert (official.name, none) == ("official_u2netp", None)
    chosen = model_config("u2netp", size=128)
    model, tensors = named.resolved(chosen, Path("official"), TYPED)
    assert (model, tensors and tensors.parent) == (chosen, u2netp.parent)
    assert tensors is not None
    own = build_segmenter(model.changed(size=320))
    load_into(own, tensors)
    picture = make_scene(0, 0, 96).image
    expected = build_segmenter(official).segment(picture)
    assert np.abs(own.segment(picture) - expected).max() < 1e-3
    assert np.ptp(expected) > 0.5
    # from Python too
    assert type(kolbench.load("u2netp", "official", "cpu", size=128)) is type(own)
    assert type(kolbench.load("u2netp-onnx", device="cpu", size=320)) is type(build_segmenter(official))
    # made once
    written = tensors.stat().st_mtime_ns
    assert named.resolved(chosen, Path("official"), TYPED)[1] == tensors
    assert tensors.stat().st_mtime_ns == written
