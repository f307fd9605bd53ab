"""Several real processes train one method: equal weights, every picture once, scores as of one process."""

import itertools
import json

import pandas as pd
import pytest
import torch

from tests.helpers.ranks import together, trained, validated

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training by one process, and twice by two."""
    root = tmp_path_factory.mktemp("together")
    folders = {name: root / name for name in ("one", "two", "again")}
    for name, size in (("one", 1), ("two", 2), ("again", 2)):
        together(trained, folders[name], size)
    return folders


def weights(path):
    return torch.load(path, weights_only=True)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_all_processes_end_with_the_same_network(runs):
    first, second = (weights(runs["two"] / f"rank-{rank}.pt") for rank in (0, 1))
    assert {"0.running_mean", "0.num_batches_tracked", "1.weight"} <= first.keys()
    assert equal(first, second)


def test_a_training_by_two_repeats_itself_to_the_bit(runs):
    for name in ("best.ckpt", "encoder/best.ckpt"):
        one, other = (weights(runs[run] / "training" / name)["state_dict"] for run in ("two", "again"))
        assert equal(one, other), name
    texts = [(runs[run] / "training" / "history.csv").read_text() for run in ("two", "again")]
    assert texts[0] == texts[1]


def test_every_picture_is_seen_once_an_epoch_in_the_steps_of_one_process(runs):
    alone = json.loads((runs["one"] / "rank-0.json").read_text())
    shared = [json.loads((runs["two"] / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    for epoch, steps in enumerate(alone):
        halves = [[names for step in part[epoch] for names in step] for part in shared]
        assert sorted(itertools.chain(*halves)) == [f"p{number}" for number in range(6)]
        for number, step in enumerate(steps):
            assert step == [name for part in shared for name in part[epoch][number]]


def test_the_history_is_of_all_processes(runs):
    alone, shared = (pd.read_csv(runs[run] / "training" / "history.csv") for run in ("one", "two"))
    assert list(alone.columns) == list(shared.columns)
    assert list(shared["step"]) == list(alone["step"]) == [3, 6, 9]
    # a batch norm sees one picture of two: the losses are near, but not the same
    assert (shared["train/loss"] - alone["train/loss"]).abs().max() < 0.1
    summaries = [json.loads((runs[run] / "training" / "done.json").read_text()) for run in ("one", "two")]
    assert [each["pretraining"]["encoder"]["steps"] for each in summaries] == [8, 8]


def test_the_same_weights_have_the_same_counts_whoever_counts(tmp_path):
    for size in (1, 2, 3):
        together(validated, tmp_path / str(size), size)
    alone = weights(tmp_path / "1" / "rank-0.pt")
    for size, rank in ((2, 0), (2, 1), (3, 0), (3, 2)):
        shared = weights(tmp_path / str(size) / f"rank-{rank}.pt")
        for name in ("method", "encoder"):
            assert shared[name]["names"] == alone[name]["names"]
            assert torch.equal(shared[name]["fg"], alone[name]["fg"])
            assert torch.equal(shared[name]["bg"], alone[name]["bg"])
            assert shared[name]["scores"] == alone[name]["scores"]
