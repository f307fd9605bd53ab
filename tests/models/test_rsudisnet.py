"""RSUDISNet: the losses of its equations and its ground-truth encoder."""

import numpy as np
import pytest
import torch
from torch import nn

from kolbench.errors import ConfigError
from kolbench.models.components.blocks import NestedU
from kolbench.models.components.gt_encoder import GTEncoder
from kolbench.models.rsudisnet import RSUDISNet, RSUDISNetSegmenter
from kolbench.types import Batch
from tests.helpers.networks import SLIM, array, batch_for, make


@pytest.mark.slow
def test_every_rsu_bottom_of_rsudisnet_is_8x8_at_512() -> None:
    with torch.device("meta"):
        network, encoder = RSUDISNet(hr_rsu7_1=True), GTEncoder()
    bottoms = {}
    for root in (network, encoder):
        for name, block in root.named_modules():
            if isinstance(block, NestedU):
                block.get_submodule(f"rebnconv{block.height}").register_forward_hook(
                    lambda _m, _i, out, name=name: bottoms.__setitem__(name, tuple(out.shape[-2:]))
                )
    network(torch.empty(1, 3, 512, 512, device="meta"))
    encoder(torch.empty(1, 1, 512, 512, device="meta"))
    assert len(bottoms) == 10
    assert set(bottoms.values()) == {(8, 8)}


def test_rsudisnet_losses_are_those_of_equation_12() -> None:
    torch.manual_seed(3)
    segmenter = RSUDISNetSegmenter(128, boundary_gain=2.0, lambda_f=0.5, **SLIM).eval()
    assert segmenter.gt_encoder is not None
    batch = batch_for(segmenter)
    with torch.no_grad():
        maps = segmenter.network.forward_train(2 * batch["image"] - 1)
        targets = segmenter.gt_encoder(batch["alpha"]).features
        terms = segmenter.losses(batch)
    g, m, image = array(batch["alpha"]), array(batch["transition"]), array(batch["image"])
    expected = {"semantic": 3 * 0.5 * np.mean((array(maps.semantic) - array(batch["semantic"])) ** 2)}
    for level in ("m", "7", "6"):
        expected[f"detail_{level}"] = 10 * np.mean(m * np.abs(array(maps.details[level]) - g))
    for level in ("8", "7", "6"):
        error = np.abs(array(maps.alphas[level]) - g)
        expected[f"alpha_{level}"] = 3 * np.mean(error)
        expected[f"comp_{level}"] = 3 * np.mean(image * error)
        expected[f"boundary_{level}"] = 3 * 2 * np.mean(m * error)
        expected[f"feature_{level}"] = 0.5 * np.mean(
            (array(maps.features[level]) - array(targets[level])) ** 2
        )
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_composition_option() -> None:
    segmenter = RSUDISNetSegmenter(128, comp_loss="fb", **SLIM)
    batch = batch_for(segmenter)
    with pytest.raises(ConfigError, match=r"model\.comp_loss=fb"):
        segmenter.losses(batch)
    same = torch.rand_like(batch["image"])
    known: Batch = {**batch, "foreground": same, "background": same}
    assert segmenter.losses(known)["comp_8"].item() == 0
    without = RSUDISNetSegmenter(128, comp_loss="none", **SLIM)
    assert not [name for name in without.losses(batch) if name.startswith("comp")]


def test_bn_relu_alpha_is_clamped_at_inference_only() -> None:
    segmenter = RSUDISNetSegmenter(128, **SLIM).eval()
    nn.init.constant_(segmenter.network.fusion.head.bn.bias, 3.0)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert segmenter.network.forward_train(image).alphas["8"].max() > 1.5
        assert segmenter.network(image).max() == 1


def test_gt_encoder_is_frozen_outside_its_pretraining() -> None:
    segmenter = RSUDISNetSegmenter(128, **SLIM)
    (stage,) = segmenter.pretraining()
    assert stage.segmenter.network is segmenter.gt_encoder
    settings = (stage.name, stage.lr, stage.max_steps, stage.check_every, stage.stop_f)
    assert settings == ("gt_encoder", 1e-3, 3000, 250, 0.99)
    stage.segmenter.requires_grad_(True).train()
    torch.stack(list(stage.segmenter.losses(batch_for(segmenter)).values())).sum().backward()
    assert all(p.grad is not None for p in segmenter.gt_encoder.parameters())
    segmenter.gt_encoder.zero_grad()
    before = {name: value.clone() for name, value in segmenter.gt_encoder.state_dict().items()}
    terms = segmenter.train().losses(batch_for(segmenter))
    torch.stack(list(terms.values())).sum().backward()
    assert not any(module.training for module in segmenter.gt_encoder.modules())
    assert all(p.grad is None and not p.requires_grad for p in segmenter.gt_encoder.parameters())
    assert all(torch.equal(before[n], v) for n, v in segmenter.gt_encoder.state_dict().items())


def test_gt_encoder_in_train_mode_moves_its_statistics_only() -> None:
    segmenter = RSUDISNetSegmenter(128, gt_encoder_mode="train", **SLIM).eval()
    before = {name: value.clone() for name, value in segmenter.gt_encoder.state_dict().items()}
    segmenter.losses(batch_for(segmenter))
    moved = {n for n, v in segmenter.gt_encoder.state_dict().items() if not torch.equal(before[n], v)}
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.rpartition(".")[2] for name in moved} == statistics


@pytest.mark.slow
def test_gt_encoder_learns_the_alpha_it_reads() -> None:
    torch.manual_seed(0)
    segmenter = RSUDISNetSegmenter(128, **SLIM)
    stage = segmenter.pretraining()[0].segmenter
    stage.requires_grad_(True).train()
    optimizer = torch.optim.Adam(stage.parameters(), lr=1e-2)
    batch = batch_for(segmenter)
    for _ in range(15):
        optimizer.zero_grad()
        torch.stack(list(stage.losses(batch).values())).sum().backward()
        optimizer.step()
    assert stage.input_keys == ("alpha",)
    prediction = stage.predict(batch["alpha"])
    assert prediction.alpha.shape == batch["alpha"].shape
    inside, outside = batch["mask"] > 0, batch["mask"] == 0
    assert prediction.alpha[inside].mean() > prediction.alpha[outside].mean() + 0.3


def test_no_intermediate_supervision_without_its_weight() -> None:
    segmenter = make("rsudisnet-bare")
    assert isinstance(segmenter, RSUDISNetSegmenter)
    assert segmenter.gt_encoder is None
    assert segmenter.pretraining() == ()
    assert set(segmenter.losses(batch_for(segmenter))) == {"semantic", "detail_m", "alpha_8", "comp_8"}
