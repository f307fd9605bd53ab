"""The page of `--help`, lists of choices, and first words that are no command."""

import re

import pytest

from kolbench import __version__
from kolbench.config import front_page
from kolbench.config.compose import conf_dir
from kolbench.config.front_page import answer, choices, first_line_of
from tests.helpers.commands import kolbench, kolbench_process
from tests.helpers.tasks import composed


@pytest.mark.parametrize("width", [80, 100])
def test_the_page_names_every_task_and_experiment_within_the_terminal(width):
    lines = front_page.front_page(width).splitlines()
    assert max(map(len, lines)) <= width
    for group in ("task", "experiment"):
        for path in (conf_dir() / group).glob("[!_]*.yaml"):
            (line,) = (line for line in lines if line.split()[:1] == [path.stem])
            assert first_line_of(path).startswith(line.split(maxsplit=1)[1].strip())


@pytest.mark.parametrize("group", ["task", "experiment"])
def test_the_line_of_a_choice_is_one_line(group):
    long = {name: line for name, line in choices(group).items() if not 10 < len(line) < 64}
    assert long == {}


def test_a_line_ends_with_the_first_sentence_of_the_header(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("# @package _global_\n# One thing (CVAT 1.1) of\n# two lines. And more.\n#   x\na: 1\n")
    assert first_line_of(path) == "One thing (CVAT 1.1) of two lines."
    path.write_text("a: 1\n# later\n")
    assert first_line_of(path) == ""


def test_every_example_composes():
    for line in front_page.EXAMPLES:
        words = [word for word in line.removeprefix("python -m kolbench ").split() if word != "-m"]
        # a sweep's words are several
        assert composed(*(re.sub(r",.*", "", word) for word in words))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 0, "experiments, experiment=NAME"),
        (("--help",), 0, "tasks, task=NAME"),
        (("-h",), 0, "examples"),
        (("--version",), 0, f"kolbench {__version__}"),
        (("--help", "refiner"), 0, "guided"),
        (("task=list",), 0, "quickstart"),
        (("--help", "experimnt"), 2, "Did you mean --help experiment?"),
        (("report", "runs=x"), 2, "did you mean: python -m kolbench task=report runs=x"),
        (("unet", "-m", "seed=1,2"), 2, "did you mean: python -m kolbench experiment=unet -m seed=1,2"),
        (("grabcutt",), 2, "grabcutt is no KEY=VALUE. Did you mean experiment=grabcut?"),
        (("zebra",), 2, "zebra is no KEY=VALUE. --help shows how."),
        (("--budget=smoke",), 2, "Did you mean budget=smoke?"),
        (("--versoin",), 2, "Did you mean --version?"),
        (("--foo",), 2, "there is no flag --foo. --help shows how."),
    ],
)
def test_what_asks_for_no_work_is_answered(words, code, said):
    answered = answer(words)
    assert answered is not None
    assert answered.code == code
    assert said in answered.text


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=unet", "--cfg", "job"),
        ("experiment=unet", "-c", "job", "-p", "model"),
        ("experiment=unet", "--help"),
        ("-m", "seed=1,2"),
        ("--multi", "seed=1,2"),
        ("--hydra-help",),
        ("--info", "plugins"),
        ("~refiner",),
        ("--config-dir", "mine", "experiment=own"),
        ("-cn=config", "budget=smoke"),
        ("name=list",),
        ("--dry-run", "task=suite"),
    ],
)
def test_work_and_what_hydra_answers_is_left_to_it(words):
    assert answer(words) is None


def test_choices_of_ones_own_folder_are_listed(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("# My images.\n")
    monkeypatch.setattr("sys.argv", ["kolbench", f"--config-dir={tmp_path}", "data=list"])
    answered = answer([f"--config-dir={tmp_path}", "data=list"])
    assert answered is not None
    assert "mine" in answered.text
    assert "My images." in answered.text


def test_a_wrong_command_leaves_no_folder(tmp_path):
    for words in (("threshold=3",), ("experiment=kmeans", "data=folder", "data.root=absent")):
        kolbench(*words, cwd=tmp_path, code=2 if len(words) == 1 else 1)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_hydras_own_pages_are_still_there(tmp_path):
    assert "name: unet" in kolbench_process("experiment=unet", "--cfg", "job", cwd=tmp_path).stdout
    assert "KEY=VALUE" in kolbench_process(cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []
