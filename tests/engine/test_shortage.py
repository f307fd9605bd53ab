"""Memory that runs out while pictures are scored or loaded: which picture, and what to lower."""

import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from kolbench.engine.evaluation import evaluate
from kolbench.errors import KolbenchError, OutOfMemoryError, told
from kolbench.segmenter import Segmenter
from kolbench.types import Prediction


class Hungry(Segmenter):
    """Asks torch for more memory than there is for one picture."""

    def __init__(self, columns):
        super().__init__()
        self.columns = columns

    def predict(self, *inputs):
        if inputs[0].shape[-1] == self.columns:
            torch.empty(2**60)
        return Prediction(1 - inputs[0][:, :1])


class Pictures(Dataset[dict[str, torch.Tensor | str]]):
    """Four pictures of 20 to 23 columns; `third` happens where the third is read."""

    def __init__(self, third=lambda: None):
        self.third = third

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            self.third()
        image = torch.full((3, 10, 20 + index), 0.5)
        return {"image": image, "mask": torch.ones(1, 10, 20 + index), "name": f"n{index}"}


def gathered(items):
    return {
        "image": torch.stack([item["image"] for item in items]),
        "mask": torch.stack([item["mask"] for item in items]),
        "name": [item["name"] for item in items],
    }


def scored(segmenter, third=lambda: None, workers=0):
    loader = DataLoader(Pictures(third), num_workers=workers, collate_fn=gathered)
    return evaluate(segmenter, {"test": loader}, torch.device("cpu"))


def test_scoring_names_the_picture_its_size_and_what_to_lower():
    said = r"Memory ran out while scoring on image n1 of 21x10 px\. model\.size= .*; refiner=none"
    with pytest.raises(OutOfMemoryError, match=said):
        scored(Hungry(21))
    assert len(scored(Hungry(30))["test"].names) == 4


def test_memory_that_runs_out_between_pictures_names_none():
    with pytest.raises(OutOfMemoryError, match=r"ran out while scoring\. "):
        scored(Hungry(30), lambda: np.empty(2**57))


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
# torch's loader says once more that its process was killed, where nobody can hear it: as it is thrown away
@pytest.mark.filterwarnings("ignore:.*_MultiProcessingDataLoaderIter:pytest.PytestUnraisableExceptionWarning")
def test_a_process_that_loads_pictures_runs_out_or_is_killed():
    said = r"in a process that loads images\. Lower data\.workers= \(0 loads in the main"
    with pytest.raises(OutOfMemoryError, match=said):
        scored(Hungry(30), lambda: np.empty(2**57), workers=1)
    said = (
        r"While scoring, a process that loads images was ended from outside \(.*for lack of memory\)\. "
        r"Lower data\.workers="
    )
    with pytest.raises(OutOfMemoryError, match=said):
        scored(Hungry(30), killed, workers=1)


def test_what_is_told_of_memory_is_no_fault_of_the_program_and_keeps_no_array():
    try:
        raise KolbenchError("what happened") from MemoryError()
    except KolbenchError as error:
        shown = told(error)
    assert (shown.__traceback__, shown.__cause__, shown.__context__) == (None, None, None)
    wrapped = RuntimeError(
        "Caught _ArrayMemoryError in DataLoader worker process 0.\nUnable to allocate 8 PiB"
    )
    primitive = RuntimeError("could not create a primitive")
    for failure in (MemoryError(), wrapped, primitive, OSError(12, "Cannot allocate memory")):
        assert str(told(failure)).startswith("memory ran out (")
        assert "fault of kolbench" not in str(told(failure))
    descriptor = RuntimeError("could not create a primitive descriptor for a convolution")
    assert "fault of kolbench" in str(told(descriptor))
    exits = "DataLoader worker (pid(s) 12, 13) exited unexpectedly"
    assert "(cause unknown, perhaps for lack of memory)" in str(told(RuntimeError(exits)))
    bus = "DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that"
    assert "(Bus error, most likely for lack of shared memory)" in str(told(RuntimeError(bus)))
