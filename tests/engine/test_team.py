"""How many processes work where, from the `trainer` group and `device=`; what contradicts is refused."""

import pytest
import torch

from kolbench.engine.team import Plan, Team, placed, plan_of
from kolbench.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture
def four_gpus(monkeypatch):
    """As on a machine with four; nothing is calculated on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_one_process_unless_more_are_asked_for():
    assert plan_of({"precision": "32-true"}, "cpu") == Plan(CPU)
    assert plan_of({"strategy": "ddp", "devices": 1}, "cpu") == Plan(CPU)
    assert plan_of({"devices": "auto"}, "cpu") == Plan(CPU)


@pytest.mark.usefixtures("four_gpus")
def test_the_device_says_what_and_the_trainer_how_many():
    assert plan_of({"devices": 2, "num_nodes": 3}, "auto") == Plan(torch.device("cuda"), 2, 3, "ddp")
    assert plan_of({"devices": "auto"}, "cuda").size == 4
    assert plan_of({"devices": -1}, "cuda").size == 4
    assert plan_of({"accelerator": "gpu"}, "cuda:2") == Plan(torch.device("cuda", 2))
    found = plan_of(
        {"accelerator": "cpu", "devices": 2, "strategy": "ddp_find_unused_parameters_true"}, "auto"
    )
    assert found == Plan(CPU, 2, 1, "ddp_find_unused_parameters_true")
    team = Team(plan_of({"devices": 2, "num_nodes": 2}, "cuda"), rank=3, local_rank=1)
    assert (team.size, team.device, team.first) == (4, torch.device("cuda", 1), False)


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("options", "device", "says"),
    [
        ({"accelerator": "cpu"}, "cuda", r"device=cuda and trainer\.accelerator=cpu name two kinds"),
        ({"accelerator": "gpu"}, "cpu", "name two kinds of devices"),
        ({"accelerator": "gup"}, "auto", r"trainer\.accelerator=gup is not a choice.*Did you mean"),
        ({"devices": 2}, "cuda:1", r"device=cuda:1 names one GPU, .* ask for 2 processes"),
        ({"devices": 5}, "cuda", r"trainer\.devices=5: PyTorch sees 4 CUDA GPUs"),
        ({"devices": 0}, "cpu", r"trainer\.devices=0 is no whole number from 1 on"),
        ({"devices": [0, 2]}, "cuda", r"trainer\.devices=\[0, 2\] is a list; .*CUDA_VISIBLE_DEVICES"),
        ({"devices": True}, "cpu", r"trainer\.devices=True is no whole number"),
        ({"num_nodes": "two"}, "cpu", r"trainer\.num_nodes=two is no whole number"),
        ({"strategy": "fsdp"}, "cuda", r"trainer\.strategy=fsdp is not used here: checkpoints hold whole"),
        ({"strategy": "ddp_spawn"}, "cpu", r"trainer\.strategy=ddp_spawn is not used here"),
        ({"sync_batchnorm": True}, "cpu", r"sync_batchnorm=true needs GPUs"),
    ],
)
def test_contradictions_are_refused_in_words(options, device, says):
    with pytest.raises(ConfigError, match=says):
        plan_of(options, device)


def test_a_gpu_of_apple_s_must_be_there():
    if torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ConfigError, match="sees no GPU of Apple's here"):
        plan_of({"accelerator": "mps"}, "auto")


def test_weights_follow_from_the_number_of_processes_not_from_words():
    by_words = {"precision": "32-true", "accelerator": "cpu", "devices": 1, "strategy": "ddp", "num_nodes": 1}
    assert placed(by_words, plan_of(by_words, "cpu")) == {"precision": "32-true"}
    joined = {**by_words, "devices": 2}
    expected = {"precision": "32-true", "processes": 2, "strategy": "ddp"}
    assert placed(joined, plan_of(joined, "cpu")) == expected
