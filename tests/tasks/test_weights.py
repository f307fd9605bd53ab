"""Weights by name, as they are typed: from the first download to the matte, and what is said before."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import kolbench
from kolbench.io import images
from tests.helpers.catalogue import small_catalogue
from tests.helpers.commands import kolbench as command
from tests.helpers.web import Web


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    with small_catalogue() as server:
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (64, 1, 3))
    images.write_png(tmp_path / "photo.png", ramp)
    return tmp_path / "photo.png"


def expected(photo: Path) -> np.ndarray:
    level = images.read_rgb(photo)[..., 0].astype(np.float64) / 255
    return 1 / (1 + np.exp(-3 * (level - 0.5) / 0.5))


def test_without_a_method_the_default_is_said_downloaded_and_used(web, photo, tmp_path):
    words = ("task=predict", "input=photo.png", "output=matte.png", "backend=eager")
    first = command(*words, cwd=tmp_path).stdout
    assert "no method is named, so A small network (logits-onnx, " in first
    assert "MIT, commercial use unstated) is taken; choose another with weights=RUN_FOLDER" in first
    assert first.index("is taken") < first.index("downloading A small network")
    matte = images.read_rgb(tmp_path / "matte.png")[..., 0].astype(np.float64) / 255
    assert np.abs(matte - expected(photo)).max() <= 1 / 255
    second = command(*words, cwd=tmp_path).stdout
    assert "downloading" not in second
    assert len(web.asked) == 1


@pytest.mark.slow
def test_nothing_is_downloaded_for_a_dry_run_or_a_wrong_command(web, photo, tmp_path):
    command("task=predict", "input=photo.png", "output=matte.png", "--dry-run", cwd=tmp_path)
    command("task=predict", "input=nothing.png", "output=matte.png", cwd=tmp_path, code=1)
    told = command(
        *("task=predict", "experiment=modnet", "weights=oficial", "input=photo.png", "output=m.png"),
        cwd=tmp_path,
        code=1,
    )
    assert "There is no checkpoint file oficial" in told.stderr
    assert web.asked == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("experiment=modnet", "weights=official"),
        ("weights=logits-onnx",),
        ("experiment=onnx", "model.file=unused", "weights=half-onnx"),
    ],
)
def test_a_name_is_a_method_in_every_task(web, photo, tmp_path, words):
    command("task=predict", *words, "input=photo.png", "output=matte.png", "backend=eager", cwd=tmp_path)
    matte = images.read_rgb(tmp_path / "matte.png")[..., 0].astype(np.float64) / 255
    assert np.abs(matte - expected(photo)).max() <= 1.5 / 255
    done = command("task=test", *words, "budget=smoke", "data.picture_size=64", cwd=tmp_path)
    name = "official_modnet" if "half-onnx" not in words[-1] else "half-onnx"
    assert name in done.stdout
    (record,) = tmp_path.glob(f"runs/{name}/*/run.json")
    assert record.is_file()


def test_from_python(web, photo):
    for segmenter in (kolbench.load("modnet", weights="official"), kolbench.load("half-onnx")):
        assert np.abs(segmenter.segment(photo) - expected(photo)).max() < 2e-3


def test_the_list_says_what_is_at_hand(web, tmp_path):
    listed = command("task=weights", cwd=tmp_path).stdout
    assert "official: A small network" in listed
    assert listed.count(" no ") == 2
    assert web.asked == []
    fetched = command("task=weights", "get=[half-onnx]", cwd=tmp_path).stdout
    assert f"half-onnx: {tmp_path / 'home' / 'weights' / 'half-onnx' / 'half.onnx'}" in fetched
    assert "yes" in fetched
    wrong = command("task=weights", "get=[half-onx]", cwd=tmp_path, code=2)
    assert "Did you mean half-onnx?" in wrong.stderr
