"""Pictures that processes compute ahead: same alphas, same order, and the truth only where it is declared."""

import json
import os

import numpy as np
import pytest
import torch

from kolbench.engine.evaluation import evaluate, timed_on
from kolbench.engine.parallel import Precomputed
from kolbench.errors import DataError, OutOfMemoryError
from kolbench.io.arrays import as_arrays
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction
from tests.helpers.array_functions import Darkness, Dying, Refusing, TooWide


class Dark(Segmenter):
    def predict(self, *inputs):
        return Prediction(1 - inputs[0][:, :1])

    def array_function(self):
        return Darkness(os.getpid())


def batches(count):
    for index in range(count):
        width = 20 + index % 3
        image = torch.full((1, 3, 10, width), index / 255)
        mask = torch.zeros(1, 1, 10, width)
        mask[..., : index + 1] = 1
        yield {"image": image, "mask": mask, "name": [f"n{index}"]}


class Loader:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __iter__(self):
        return batches(self.count)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_order_and_alphas_are_those_of_the_loader(processes):
    found = list(Precomputed(Loader(9), Darkness(os.getpid()), ("image",), processes))
    assert [batch["name"] for batch in found] == [[f"n{index}"] for index in range(9)]
    for index, batch in enumerate(found):
        ready, mask = batch["ready"], batch["mask"]
        assert isinstance(ready, torch.Tensor)
        assert isinstance(mask, torch.Tensor)
        assert ready.shape == mask.shape
        assert torch.allclose(ready, torch.full_like(ready, 1 - index / 255))
        assert batch["seconds"] > 0
    assert {batch["notes"][0] for batch in found} == {"dark" if processes == 1 else "dark elsewhere"}


@pytest.mark.slow
def test_a_failure_in_a_process_reaches_the_user_as_it_is():
    with pytest.raises(DataError, match=r"cannot work on 2\d columns"):
        list(Precomputed(Loader(3), Refusing(), ("image",), 2))


@pytest.mark.slow
def test_a_process_that_is_killed_is_named_as_that():
    said = "One of 2 processes .* was killed, most likely for lack of memory.*OMP_NUM_THREADS=1"
    with pytest.raises(OutOfMemoryError, match=said):
        list(Precomputed(Loader(3), Dying(), ("image",), 2))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_picture_that_memory_does_not_suffice_for_is_named(processes):
    scored = Precomputed(Loader(4), TooWide(21), ("image",), processes)
    with pytest.raises(OutOfMemoryError, match="while scoring image n1 of 21x10 px") as caught:
        list(scored)
    assert ("OMP_NUM_THREADS=1" in str(caught.value)) == (processes > 1)


@pytest.mark.slow
def test_the_scores_are_the_same_as_without_processes():
    class Alone(Dark):
        def array_function(self):
            return None

    ahead, alone = (
        evaluate(method, {"test": Loader(5)}, torch.device("cpu")) for method in (Dark(), Alone())
    )
    for name, mine in ahead["test"].counts.items():
        assert np.array_equal(mine, alone["test"].counts[name])
    assert ahead["test"].names == alone["test"].names
    assert [note.split()[0] for note in ahead["test"].notes] == ["dark"] * 5
    assert alone["test"].notes == [""] * 5


def test_processes_are_timed_on_the_cpu_and_the_seconds_say_so(tmp_path):
    class Alone(Dark):
        def array_function(self):
            return None

    assert timed_on(Dark(), torch.device("cuda")) == torch.device("cpu")
    assert timed_on(Alone(), torch.device("cuda")) == torch.device("cuda")
    evaluate(Dark(), {"val": Loader(1)}, torch.device("cpu"), tmp_path / "new")
    timing = json.loads((tmp_path / "new" / "timing.json").read_text())
    assert timing == {"device": f"cpu ({torch.get_num_threads()} threads)"}


def test_a_refiner_comes_between_method_and_scores():
    def inverted(image, alpha):
        return 1 - alpha

    plain = evaluate(Dark(), {"test": Loader(3)}, torch.device("cpu"))["test"]
    refined = evaluate(Dark(), {"test": Loader(3)}, torch.device("cpu"), refiner=inverted)["test"]
    assert np.array_equal(refined.counts.fg, plain.counts.fg[:, ::-1])


def test_entries_become_arrays():
    pictures = torch.rand(2, 3, 4, 6)
    first, second = as_arrays(pictures)
    assert (first.shape, first.dtype, first.flags["C_CONTIGUOUS"]) == ((4, 6, 3), np.uint8, True)
    assert second[1, 2, 0] == round(float(pictures[1, 0, 1, 2]) * 255)
    mask = torch.eye(3)[None, None]
    (array,) = as_arrays(mask)
    assert np.array_equal(array, np.eye(3, dtype=np.uint8))
