"""A task is one Python file and one YAML, outside the package too."""

import sys

import pytest

from tests.helpers.commands import kolbench

CODE = """
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.fields import key, whole
from kolbench.config.schema import TaskConfig, TaskResult


@dataclass(frozen=True)
class CountConfig(TaskConfig):
    input: Path
    most: int = key(whole(1))


def run(config: CountConfig) -> TaskResult:
    found = sorted(path.name for path in config.input.iterdir())[: config.most]
    print(f"{len(found)} files: {', '.join(found)}")
    return TaskResult(exit_code=7)
"""
YAML = """
# @package _global_
task:
  name: count
  run: my_count_task.run
  folder: .
input: ???
most: 2
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "count.yaml").write_text(YAML)
    (tmp_path / "my_count_task.py").write_text(CODE)
    (tmp_path / "a folder").mkdir()
    for name in "abc":
        (tmp_path / "a folder" / name).touch()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_count_task", None)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("input=a folder",), 7, "2 files: a, b"),
        (("input=a folder", "most=3"), 7, "3 files: a, b, c"),
        (("input=a folder", "most=0"), 2, "most=0 is not a whole number of at least 1"),
        ((), 2, "input has no value: add input=... to the command"),
        (("input=a folder", "gate=0.3"), 2, "this task has no gate=; task=compare has it"),
        (("input=a folder", "refiner=guided"), 2, "task=count reads no refiner=; leave refiner= away"),
    ],
)
def test_a_task_of_ones_own(own, words, code, told):
    done = kolbench("--config-dir", "conf", "task=count", *words, cwd=own, code=code)
    assert told in done.stdout + done.stderr
