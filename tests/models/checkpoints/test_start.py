"""`init=`: what comes over into a network that will be trained."""

import re

import pytest
import torch
from torch import nn

from kolbench.config.compose import build_segmenter, model_config, save_yaml
from kolbench.errors import ConfigError, WeightsError
from kolbench.io.files import sha256
from kolbench.models.checkpoints import start
from kolbench.models.rsudisnet import FROM_MODNET
from tests.helpers.catalogue import small_catalogue


def built(name, **options):
    return build_segmenter(model_config(name, size=128, **options).without_backbone())


def trained(segmenter):
    """The method with statistics in its batch norms, as after a training."""
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return segmenter


def saved(segmenter, path, model=None):
    content = {"state_dict": segmenter.inference_network().state_dict(), "model": dict(model or {})}
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def modnet():
    torch.manual_seed(1)
    return trained(built("modnet"))


def test_a_checkpoint_of_the_same_method_comes_over_as_a_whole(modnet, tmp_path):
    path = saved(modnet, tmp_path / "m.ckpt")
    begun = start.start_of(path, model_config("modnet"))
    fresh = built("modnet")
    loaded = start.load(fresh, begun)
    own = modnet.network.state_dict()
    assert (loaded.taken, loaded.tensors) == (len(own), len(own))
    assert (loaded.lacking, loaded.frozen_norms) == ((), ())
    assert loaded.parts == ("backbone", "lr_branch", "hr_branch", "f_branch")
    assert all(torch.equal(tensor, own[name]) for name, tensor in fresh.network.state_dict().items())
    origin = begun.origin
    assert (origin.name, origin.method, origin.sha256) == (str(path), "modnet", sha256(path))
    assert (origin.licence, origin.commercial) == (None, None)


def test_heads_that_a_file_lacks_begin_as_they_would(modnet, tmp_path):
    heads = ("lr_branch.conv_lr.", "hr_branch.conv_hr.")
    state = {k: v for k, v in modnet.network.state_dict().items() if not k.startswith(heads)}
    torch.save(state, tmp_path / "m.pth")
    fresh = built("modnet")
    before = {k: v.clone() for k, v in fresh.network.state_dict().items() if k.startswith(heads)}
    loaded = start.load(fresh, start.start_of(tmp_path / "m.pth", model_config("modnet")))
    assert set(loaded.lacking) == {head.strip(".") for head in heads}
    assert loaded.taken == len(state)
    after = fresh.network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_rsudisnet_takes_the_semantic_branch_of_modnet_and_nothing_else(modnet, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    settings = model_config("modnet", size=128).to_mapping()
    saved(modnet, folder / "checkpoints" / "best.ckpt", settings)
    save_yaml({"model": settings}, folder / "config.yaml")
    fresh = built("rsudisnet")
    before = {name: tensor.clone() for name, tensor in fresh.network.state_dict().items()}
    begun = start.start_of(folder, model_config("rsudisnet"))
    assert (begun.method, begun.owner and begun.owner.name) == ("modnet", "modnet")
    loaded = start.load(fresh, begun)
    theirs, ours = modnet.network.state_dict(), fresh.network.state_dict()
    expected = {
        new + name.removeprefix(old): tensor
        for name, tensor in theirs.items()
        for old, new in FROM_MODNET.items()
        if name.startswith(old)
    }
    # all of the branch but its head, which stands in other layers
    assert set(expected) == {n for n in ours if n.startswith("lr.") and not n.startswith("lr.head.")}
    assert loaded.taken == len(expected)
    assert loaded.parts == ("lr.backbone", "lr.context", "lr.conv16", "lr.conv8")
    for name, tensor in ours.items():
        assert torch.equal(tensor, expected.get(name, before[name])), name
    # the same picture gives the same semantic features
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        semantic = fresh.network.eval().lr(image)[1]
        assert torch.allclose(
            semantic, modnet.network.eval().lr_branch(modnet.network.backbone(image)), atol=1e-6
        )


def test_another_context_does_not_fit(modnet):
    with pytest.raises(ConfigError, match=re.escape("lr.context.")):
        built("rsudisnet", context="easpp").start_from(modnet.network.state_dict(), "modnet")


def test_a_method_that_can_use_nothing_says_so(modnet, tmp_path):
    path = saved(modnet, tmp_path / "m.ckpt", model_config("modnet", size=128).to_mapping())
    begun = start.start_of(path, model_config("unet"))
    with pytest.raises(ConfigError, match="weights of modnet, which UNetSegmenter cannot start from"):
        start.load(built("unet"), begun)


def test_a_name_of_another_method_is_refused_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    for name, method in (("official", "unet"), ("u2netp-onnx", "modnet"), ("u2netp-onnx", "rsudisnet")):
        with pytest.raises(ConfigError, match="init="):
            start.require_usable(built(method), name, method)
    start.require_usable(built("rsudisnet"), "official", "rsudisnet")
    start.require_usable(built("modnet"), "modnet-onnx", "modnet")
    start.require_usable(built("modnet"), tmp_path / "m.ckpt", "modnet")
    assert not (tmp_path / "home").exists()


def test_norms_without_statistics_are_named(tmp_path):
    source = trained(built("u2netp"))
    norms = [n for n, m in source.network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    folded = source.network.get_submodule(norms[1])
    folded.reset_running_stats()
    loaded = start.load(
        built("u2netp"), start.start_of(saved(source, tmp_path / "u.ckpt"), model_config("u2netp"))
    )
    assert loaded.frozen_norms == (norms[1],)


def test_missing_files_and_names_say_what_to_give(tmp_path):
    with pytest.raises(WeightsError, match="there is no such file, run folder or id"):
        start.start_of(tmp_path / "no.ckpt", model_config("modnet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"init=.*empty: there is no file .*best\.ckpt"):
        start.start_of(tmp_path / "empty", model_config("modnet"))
    with small_catalogue(), pytest.raises(ConfigError, match=r"no official weights for unet .* for modnet"):
        start.start_of("official", model_config("unet"))


@pytest.mark.shared
def test_official_weights_begin_modnet_and_rsudisnet(shared, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(shared / "weights"))
    begun = start.start_of("official", model_config("modnet"))
    assert (begun.words, begun.origin.licence, begun.origin.commercial) == (
        "modnet-onnx",
        "Apache-2.0",
        "yes",
    )
    loaded = start.load(built("modnet"), begun)
    assert (loaded.taken, loaded.tensors, len(loaded.frozen_norms)) == (428, 439, 52)
    begun = start.start_of("official", model_config("rsudisnet"))
    loaded = start.load(built("rsudisnet"), begun)
    # all norms of MobileNetV2 were folded
    assert (loaded.taken, len(loaded.frozen_norms)) == (328, 52)
