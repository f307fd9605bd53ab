"""What puts a method to work starts without what only training, logging and scoring need."""

import json

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


# one process for all of them, as each costs a second: what an earlier one loads counts for the later ones
ANSWERS = """
import contextlib, io, json, sys
from hydra.core.global_hydra import GlobalHydra
from kolbench.__main__ import main
for line in json.load(sys.stdin):
    sys.argv = ["kolbench", *line]
    GlobalHydra.instance().clear()
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        try:
            main()
        except SystemExit:
            pass
    print(json.dumps([out.getvalue(), sorted(sys.modules)]))
"""
# a command, what it says, and what it needs none of beside torch and HEAVY
QUICK = [
    (("--help",), "experiment"),
    (("experimen=modnet",), "Did you mean experiment"),
    (("budget.epoch=3",), "Did you mean budget.epochs"),
    (("experiment=modnett",), "Did you mean experiment=modnet"),
    (("task=fitt",), "task=fitt does not exist"),
    (("gate=0.3",), "task=compare"),
    (("data=folder",), "data.root has no value"),
    (("budget.epochs=many",), "budget.epochs=many is not a whole number"),
    (("on_oom=double",), "on_oom=double is not one of stop, halve"),
    (("threshold=2",), "threshold=2 is not a number"),
    (("metrics=[a b",), "cannot be understood"),
    (("smooth=null",), "a group cannot be null"),
    (("experiment=modnet", "--cfg", "job"), "ModNet"),
]
# those that read finished runs may load pandas and what draws
READING = [
    (("task=weights",), "modnet-onnx"),
    (("task=weights", "get=[nothing]"), "nothing"),
    (("task=suite",), "task=suite needs suite=FOLDER"),
    (("task=suite", "suite=nowhere"), "nowhere/suite.yaml does not exist"),
    (("task=suite", "suite=suite", "--dry-run"), "== 1 of 1, only: to run"),
    (("task=paper", "threshold=0.5"), "leave threshold= out"),
    (("task=score",), "task=score needs runs=FOLDER"),
    (("task=score", "runs=nowhere"), "nowhere matches nothing"),
    (("task=report",), "task=report needs runs=FOLDER"),
    (("task=report", "runs=nowhere"), "nowhere matches nothing"),
    (("task=compare",), "task=compare needs a=RUN_FOLDER"),
    (("task=compare", "a=nowhere", "b=nowhere"), "nowhere matches nothing"),
]
SLOW_TO_LOAD = {"torch", "torchvision", *HEAVY}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "unneeded"),
    [(QUICK, {*SLOW_TO_LOAD, "pandas", "matplotlib", "scipy", "cv2", "rich"}), (READING, SLOW_TO_LOAD)],
    ids=["mistakes", "reading"],
)
def test_what_needs_no_network_answers_without_torch(tmp_path, lines, unneeded):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "suite.yaml").write_text("runs: {only: [experiment=allfg]}\n")
    words = json.dumps([words for words, _ in lines])
    done = python(ANSWERS, cwd=tmp_path, given=words)
    for (line, said), answer in zip(lines, done.stdout.splitlines(), strict=True):
        answered, loaded = json.loads(answer)
        assert said.lower() in answered.lower(), line
        assert "Traceback" not in answered, line
        assert not {name.partition(".")[0] for name in loaded} & unneeded, line
