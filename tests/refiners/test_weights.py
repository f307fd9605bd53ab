"""`refiner.weights=` by name, file and run folder: what is loaded, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kolbench.config.compose import model_config, save_yaml
from kolbench.errors import ConfigError, WeightsError
from kolbench.io.files import sha256
from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.models.components.refinement import RefinementNetwork
from kolbench.refiners import weights
from kolbench.refiners.cascadepsp import from_weights

SMALL = {"backbone": "mobilenet_v2", "width": 0.25}
SETTINGS = {"name": "cascadepsp", "_target_": "x", "recipe": None, **SMALL}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return RefinementNetwork("mobilenet_v2", 0.25).state_dict()


@pytest.fixture
def bare(state: dict[str, Tensor], tmp_path: Path) -> Path:
    """As the authors' files are: under the names of a data-parallel wrapper, without counters."""
    path = tmp_path / "model.pth"
    named = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({name: tensor for name, tensor in named.items() if "num_batches" not in name}, path)
    return path


@pytest.fixture
def run(state: dict[str, Tensor], tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    save_yaml({"model": SETTINGS}, folder / "config.yaml")
    torch.save({"state_dict": state}, folder / "checkpoints" / "best.ckpt")
    return folder


def test_a_bare_file_is_loaded_into_the_network_that_is_named(bare: Path, state: dict[str, Tensor]) -> None:
    refiner = from_weights(str(bare), "mobilenet_v2", 0.25, mode="fast")
    loaded = refiner.network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    assert not refiner.network.training
    assert refiner.mode == "fast"


def test_a_run_folder_says_its_own_network(run: Path, state: dict[str, Tensor]) -> None:
    network = from_weights(str(run)).network
    assert torch.equal(network.final_21.weight, state["final_21.weight"])
    assert weights.resolved(str(run), None, None) == (run / "checkpoints" / "best.ckpt", "mobilenet_v2", 0.25)


def test_so_does_a_checkpoint_of_ours(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "mine.ckpt"
    torch.save({"state_dict": state, "model": SETTINGS}, path)
    assert weights.resolved(str(path), None, None) == (path, "mobilenet_v2", 0.25)


def test_official_weights_are_the_papers_network(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"cascadepsp": bare}
    monkeypatch.setattr(download, "fetch", lambda entry: files[entry.name])
    assert weights.resolved("official", None, None) == (bare, "resnet50", 1.0)
    with pytest.raises(ConfigError, match=r"says itself .* leave refiner.width= away"):
        weights.resolved("official", None, 0.25)
    with pytest.raises(ConfigError, match=r"refiner.weights=sinet is a sinet, not a cascadepsp"):
        weights.resolved("sinet", None, None)


def test_weights_are_known_by_their_content(bare: Path, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy.pth"
    copy.parent.mkdir()
    copy.write_bytes(bare.read_bytes())
    assert weights.digest_of(str(copy)) == weights.digest_of(str(bare)) == sha256(bare)
    assert weights.digest_of(str(run)) == sha256(run / "checkpoints" / "best.ckpt")
    assert weights.digest_of("official") == catalogue().entry("cascadepsp").sha256


@pytest.mark.parametrize(("backbone", "width"), [(None, None), ("mobilenet_v2", None), (None, 0.25)])
def test_a_bare_file_needs_to_be_told(bare: Path, backbone: str | None, width: float | None) -> None:
    with pytest.raises(ConfigError, match=r"add refiner.backbone= and refiner.width= \(the authors' file"):
        from_weights(str(bare), backbone, width)


def test_the_weights_of_another_network_do_not_fit(bare: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit RefinementNetwork"):
        from_weights(str(bare), "resnet18", 0.25)


def test_another_method_is_refused(run: Path) -> None:
    save_yaml({"model": model_config("unet").to_mapping()}, run / "config.yaml")
    with pytest.raises(ConfigError, match=r"is a unet, not a cascadepsp; give official"):
        from_weights(str(run))


def test_what_is_not_there_is_named(run: Path) -> None:
    with pytest.raises(WeightsError, match=r"no such file, .* Did you mean cascadepsp\?"):
        from_weights("cascadpsp")
    (run / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(WeightsError, match=r"holds no checkpoints/best.ckpt; give a finished run folder"):
        from_weights(str(run))


def test_a_wrong_hash_is_no_official_file(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLBENCH_HOME", str(bare.parent))
    entry = replace(catalogue().entry("cascadepsp"), sha256=sha256(bare))
    # the authors' md5 is another
    assert download.at_hand(entry) is None
    assert download.at_hand(replace(entry, md5=None)) == bare
