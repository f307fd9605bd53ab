"""What puts a method to work starts without what only training, logging and scoring need."""

import pytest

from tests.helpers.commands import python

HEAVY = {"lightning", "wandb", "torchmetrics", "segmentation_models_pytorch", "sklearn", "tensorboard"}
TASKS = ("predict", "place", "filter", "export", "serve", "prepare", "benchmark")
PROGRAM = """
import sys
from kolbench.config.compose import conf_dir, register, task_of
for task in sys.argv[1:]:
    task_of(f"kolbench.tasks.{task}.run")
from kolbench.inference.apply.loading import open_predictor
import kolbench, numpy
kolbench.load("grabcut").segment(numpy.zeros((24, 32, 3), numpy.uint8))
print(*sorted(sys.modules))
"""


@pytest.mark.slow
def test_putting_a_method_to_work_needs_no_lightning(tmp_path):
    loaded = set(python(PROGRAM, *TASKS, cwd=tmp_path).stdout.split())
    assert "torch" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    # torchvision's detection brings torch's compiler, half of the time that a start takes
    assert not loaded & {"torch._dynamo", "torchvision.models.detection"}


ANSWERS = """
import sys
sys.argv[0] = "kolbench"
from kolbench import cli
try:
    cli.main()
except SystemExit:
    pass
print(*sorted(sys.modules))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--help",), "experiment"),
        (("experimen=modnet",), "Did you mean experiment"),
        (("experiment=modnet", "--cfg", "job"), "ModNet"),
        (("task=weights",), "modnet-onnx"),
        (("task=report", "runs=nowhere"), "nowhere matches nothing"),
        (("task=compare", "a=nowhere", "b=nowhere"), "nowhere matches nothing"),
    ],
)
def test_what_needs_no_network_answers_without_torch(tmp_path, words, said):
    done = python(ANSWERS, *words, cwd=tmp_path)
    *_, loaded = done.stdout.splitlines()
    assert said.lower() in (done.stdout + done.stderr).lower()
    assert not {name.partition(".")[0] for name in loaded.split()} & {"torch", *HEAVY}
