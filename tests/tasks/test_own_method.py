"""What a method of one's own is told where it does not keep to the contract."""

import pytest

from tests.helpers.commands import kolbench

CODE = """
import torch
from torch import nn
from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import InputSpec


class Own(NetworkSegmenter[nn.Module]):
    def __init__(self, size):
        super().__init__(InputSpec(size), nn.Sequential(nn.Conv2d(3, {channels}, 1), nn.Sigmoid()))

    def losses(self, batch):
        return {losses}
"""
TRAINING = """
recipe: ${budget.recipe}
training:
  paper: {size: 32, epochs: 1, batch: 2}
  recipes:
    official:
      optimizer: {_target_: torch.optim.SGD, _partial_: true, lr: 0.1}
      augment: []
"""
NAME = "name: own\n"
LOSS = "self.network(batch['image']).mean()"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "losses", "yaml", "code", "told"),
    [
        (1, LOSS, NAME + TRAINING, 1, r"own_method.Own.losses gives a Tensor; it must give a dict of scalar"),
        (
            1,
            "{'a': batch['mask']}",
            NAME + TRAINING,
            1,
            "own_method.Own.losses gives a of shape (2, 1, 64, 64)",
        ),
        (2, f"{{'a': {LOSS}}}", NAME + TRAINING, 1, "own_method.Own.predict gives alpha of shape (1, 2, "),
        (
            1,
            f"{{'a': {LOSS}}}",
            NAME,
            2,
            "own has weights to learn, but its YAML does not say how: add training:",
        ),
        (1, f"{{'a': {LOSS}}}", TRAINING, 2, "the YAML of the chosen model has no name:"),
        (
            *(1, f"{{'a': {LOSS}}}", NAME + TRAINING.replace("recipe: ${budget.recipe}", ""), 2),
            "The model's YAML has recipes but names none: add recipe: ${budget.recipe}",
        ),
        (1, "(", NAME + TRAINING, 2, "own_method.Own cannot be imported: "),
    ],
)
def test_a_broken_contract_is_named(tmp_path, channels, losses, yaml, code, told):
    (tmp_path / "own_method.py").write_text(CODE.format(channels=channels, losses=losses))
    model = tmp_path / "conf" / "model"
    model.mkdir(parents=True)
    (model / "own.yaml").write_text(f"_target_: own_method.Own\nsize: 64\n{yaml}")
    words = ("model=own", "budget=smoke", "budget.size=64", "data.picture_size=64")
    done = kolbench("--config-dir", "conf", *words, cwd=tmp_path, code=code)
    assert told in done.stderr
    assert "fault of kolbench" not in done.stderr


def test_a_method_of_another_folder_is_named_with_what_to_do(tmp_path):
    model = tmp_path / "conf" / "model"
    model.mkdir(parents=True)
    (model / "own.yaml").write_text("_target_: nowhere_at_all.Own\nname: own\n")
    done = kolbench("--config-dir", "conf", "model=own", "budget=smoke", cwd=tmp_path, code=2)
    assert "there is no module nowhere_at_all. It must be installed, or its folder be" in done.stderr
