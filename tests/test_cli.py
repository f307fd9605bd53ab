"""The command line as a user types it, mistakes included."""

import copy
import io
import sys
from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from kolbench import cli
from kolbench.cli import quoted, what_differs
from kolbench.config import explain as explanations
from kolbench.config.compose import build_segmenter, conf_dir, instantiate, located, plain, register
from kolbench.config.explain import explain
from kolbench.errors import ConfigError
from tests.helpers.commands import kolbench, kolbench_process
from tests.helpers.tasks import chosen, composed, configured, typed


@pytest.fixture(scope="module", autouse=True)
def listed_once():
    """The YAML files are searched for their keys once, not after each wrong word."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("known_keys", "keys_of_tasks"):
            patched.setattr(explanations, name, cache(getattr(explanations, name)))
        yield


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["experiment=rsudisnt"], "Did you mean experiment=rsudisnet?"),
        (["model.varient=i"], "there is no key model.varient. Did you mean model.variant?"),
        (["trainer.max_epoch=3"], "there is no key trainer.max_epoch. (python"),
        (["size=64"], "there is no key size. Did you mean model.size?"),
        (["+treshold=0.3"], "Did you mean threshold?"),
        (["experiment=allfg", "+gate=0.3"], "this task has no gate=; task=compare has it"),
        (["refiner=null"], "a group cannot be null; its own choice for nothing is often called none"),
        (
            ["--dry-run"],
            "has no --dry-run; task=curve, task=export, task=filter, task=place, task=predict, task=suite",
        ),
        (
            ["model.input_rule=squash"],
            "has no key resize_mode; another choice of model has it (experiment=NAME)",
        ),
        (["threshold=1.5"], "threshold=1.5 is not a number in [0, 1)"),
        (["data=folder"], "add data.root=... to the command"),
        (["device=cuda:77"], "device=cuda:77"),
        (["device=gpu"], "it is one of auto, cpu, cuda"),
        (["resume=yes", "budget=smoke"], "resume=yes is not a choice; it is one of auto, never"),
        (["model.variant=b"], "model.variant=b is not a choice"),
        (["model.training.recipes.official.optimizer.lr=-1"], "optimizer: Invalid learning rate"),
        (["task.run=kolbench.tasks.fitt.run"], "kolbench.tasks.fitt.run does not exist"),
    ],
)
def test_a_wrong_command_is_answered_with_what_to_type(words, expected, tmp_path):
    done = kolbench(*words, cwd=tmp_path, code=2)
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data=foldr"], "Did you mean data=folder?"),
        (["experiment=u2net", "model.context=se"], "the chosen model has no key context; another choice"),
        (["variant=i"], "Did you mean model.variant?"),
        (["budget.siz=256"], "Did you mean budget.size?"),
        (["threshhold=0.3"], "Did you mean threshold?"),
        (["bugdet=smoke"], "Did you mean budget?"),
        (["experiment=allfg", "gate=0.3"], "this task has no gate=; task=compare has it"),
        (["experiment=allfg", "ad=x.png"], "this task has no ad=; task=place has it"),
        (["task=place", "placement.widht=0.3"], "Did you mean placement.width?"),
    ],
)
def test_words_that_hydra_refuses_are_explained(words, expected):
    with pytest.raises(HydraException) as refused:
        composed(*words)
    assert expected in explain(refused.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["task=report", "runs=x", "experiment=unet"],
            "task=report reads no experiment=; leave experiment= away",
        ),
        (["task=compare", "data=folder", "data.root=x"], "task=compare reads no data=; leave data= away"),
        (["+budget.sise=256"], "there is no key budget.sise"),
        (["threshold=abc"], "threshold=abc is not a number in [0, 1), or null"),
        (["seed=-1"], "seed=-1 is not a whole number from 0"),
        (["budget.epochs=abc"], "budget.epochs=abc is not a whole number of at least 1"),
        (["budget.limit.val=0"], "budget.limit.val=0 is not a whole number of at least 1, or null"),
        (["budget.lr_factor=-1"], "budget.lr_factor=-1 is not a positive number"),
        (["trainer.precision=foo"], "trainer.precision=foo is not a choice"),
        (["model.recipe=offical"], "Did you mean model.recipe=official?"),
    ],
)
def test_values_and_groups_that_do_not_fit_are_refused(words, expected):
    with pytest.raises(ConfigError) as refused:
        configured(*words)
    assert expected in str(refused.value)


@pytest.mark.slow
def test_what_an_experiment_sets_for_another_task_is_left_out(tmp_path):
    # init and callbacks are keys of a training
    words = ("task=test", "experiment=finetune_modnet", "budget=smoke", "data.picture_size=64")
    assert "task=test needs weights=RUN_FOLDER" in kolbench(*words, cwd=tmp_path, code=2).stderr
    assert "this task has no init=" in kolbench(*words, "init=x", cwd=tmp_path, code=2).stderr


@pytest.mark.slow
def test_the_command_in_a_process_of_its_own_answers_as_the_one_in_this_process(tmp_path):
    for words, code in ((["experiment=rsudisnt"], 2), (["experiment=u2netp", "--cfg", "job"], 0)):
        here = kolbench(*words, cwd=tmp_path, code=code)
        there = kolbench_process(*words, cwd=tmp_path, code=code)
        assert (here.stdout, here.stderr) == (there.stdout, there.stderr)


@pytest.mark.slow
def test_a_failing_job_does_not_stop_the_sweep(tmp_path):
    done = kolbench("-m", "data=folder", "data.root=absent,missing", "budget=smoke", cwd=tmp_path, code=1)
    assert "2 of the sweep's jobs failed" in done.stderr
    assert "absent" in done.stderr
    assert "missing" in done.stderr


def test_a_sweeps_table_names_what_differs():
    jobs = [("experiment=unet", "budget=smoke"), ("experiment=kmeans", "budget=smoke")]
    assert what_differs(jobs) == ["unet", "kmeans"]
    jobs = [("experiment=unet", "threshold=0.1"), ("experiment=unet", "threshold=0.2")]
    assert what_differs(jobs) == ["threshold=0.1", "threshold=0.2"]
    assert what_differs([("experiment=unet", "seed=1")]) == ["unet seed=1"]


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=kmeans", "budget=smoke", "model.k=6", "++model.new=[1,2]", "+trainer.max_time=1"),
        ("task=predict", "smooth=ema", "save=[alpha]", "~refiner", 'output="a=b"'),
        ("experiment=kmeans", "model.kk=3"),
        ("bugdet=smoke",),
        ("~model.kk",),
    ],
)
def test_the_tests_compose_words_as_hydra_does(words):
    def by_hydra():
        register()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return plain(compose("config", overrides=[*words, "paths.run=unused"]))

    def left(by):
        try:
            values = by()
        except HydraException as error:
            return str(error)
        # it holds the present second
        values["paths"].pop("new")
        return values

    assert left(lambda: composed(*words)) == left(by_hydra)


def config_names(group):
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml") if path.stem[0] != "_")


# what an experiment's YAML leaves to the user
ASKED = {
    "masks": ["model.masks_dir=unused"],
    "onnx": ["model.file=unused"],
    "official_modnet": ["model.file=unused"],
    "official_u2netp": ["model.file=unused"],
}


def at_budget(experiment, budget):
    """The experiment's task at another budget than its own: the budget's YAML in place of the other one."""
    words = (f"experiment={experiment}", *ASKED.get(experiment, []))
    tree = copy.deepcopy(chosen(*words))
    tree.budget = OmegaConf.load(conf_dir() / "budget" / f"{budget}.yaml")
    tree.budget.backbone_weights = None
    return typed(plain(tree), *words)


def test_a_budget_in_place_of_another_is_as_if_it_had_been_chosen():
    words = ("experiment=modnet", "budget=paper", "budget.backbone_weights=null")
    swapped, composed = at_budget("modnet", "paper"), configured(*words)
    assert (swapped.model, swapped.budget) == (composed.model, composed.budget)
    for name in config_names("experiment"):
        assert "budget" not in OmegaConf.load(conf_dir() / "experiment" / f"{name}.yaml")


@pytest.fixture(scope="module")
def built():
    """Configurations of methods that could be built."""
    return []


@pytest.mark.parametrize("budget", config_names("budget"))
@pytest.mark.parametrize("experiment", config_names("experiment"))
def test_every_experiment_composes_and_builds_at_every_budget(experiment, budget, built):
    model = at_budget(experiment, budget).model
    # what the others ask for is built in models/test_precomputed
    if experiment in ASKED or model in built:
        return
    # no weight is looked at
    with torch.device("meta"):
        segmenter = build_segmenter(model)
        built.append(model)
        assert segmenter.trainable == (model.training is not None)
        if not segmenter.trainable:
            return
        optimizer = instantiate(model.chosen_recipe.optimizer)(segmenter.parameters())
    assert optimizer.param_groups[0]["lr"] > 0


def test_the_paper_budget_is_the_papers_recipe():
    def chosen(name):
        config = configured(f"experiment={name}", "budget=paper")
        budget = config.budget
        rate = config.model.chosen_recipe.optimizer["lr"]
        return (budget.size, budget.epochs, budget.batch, rate, budget.lr_factor)

    assert chosen("rsudisnet") == (512, 200, 4, 1e-4, 1.0)
    assert chosen("modnet") == (512, 200, 4, 1e-3, 1.0)
    assert chosen("u2net") == (320, 150, 12, 0.01, 1.0)


def test_an_override_on_the_command_line_wins_over_the_experiment():
    assert configured("experiment=modnet", "data=folder", "data.root=x").data.name == "folder"
    assert configured("experiment=modnet", "model.loss=paper").model.options["loss"] == "paper"


@pytest.mark.parametrize("group", ["task", "data", "logger"])
def test_every_target_exists(group):
    for name in config_names(group):
        loaded = OmegaConf.load(conf_dir() / group / f"{name}.yaml")
        if group == "task":
            assert callable(located(loaded.task.run))
        elif group == "data":
            assert callable(located(loaded.source._target_))
        else:
            entries = {key: entry for key, entry in (loaded or {}).items() if key != "defaults"}
            for entry in entries.values():
                assert callable(located(entry._target_))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"_target_": "kolbench.video.temporal.smooth.OneFrameDelay", "tolerence": 0.1},
            r"OneFrameDelay has no option tolerence\. Did you mean tolerance\?$",
        ),
        (
            {"_target_": "kolbench.video.temporal.smooth.Unsmoothed", "tolerance": 0.1},
            r"Unsmoothed has no option tolerance\.$",
        ),
        (
            {"_target_": "torch.optim.Adam", "_partial_": True, "lrr": 1},
            r"no option lrr\. Did you mean lr\?$",
        ),
        (
            {"_target_": "kolbench.video.temporal.smooth.Calm"},
            r"kolbench\.video\.temporal\.smooth\.Calm does not exist",
        ),
    ],
)
def test_an_option_that_a_class_lacks_is_named(config, told):
    with pytest.raises(ConfigError, match=told):
        instantiate(config)


def test_a_class_may_take_any_option():
    assert instantiate({"_target_": "argparse.Namespace", "anything": 1}).anything == 1


@pytest.mark.parametrize("sweep", config_names("sweep"))
def test_every_sweep_composes(sweep):
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        words = [f"sweep={sweep}", "paths.run=unused"]
        config = compose("config", overrides=words, return_hydra_config=True)
    assert config.hydra.mode.name == "MULTIRUN"
    assert len(config.hydra.sweeper.params.threshold.split(",")) == 8


@pytest.mark.parametrize(
    "word",
    [
        "output=n\u00e4me \u4eba\U0001f600/x (1),b.png",
        "input=~/a=b.jpg",
        'input=it\'s "so".jpg',
        "filter.colour=#00ff00",
        "input=shots/*.jpg",
        "output='quoted already'",
        "input=C:\\new folder\\a.jpg",
        *(
            "output=2026_11_21",
            "output=1_000",
            "output=1.50",
            "output=1e3",
            "input=.5",
            "output=true",
            "ad=NaN",
        ),
        *("output=-", "input=null_and_void", "output=01", "output=1:2"),
    ],
)
def test_names_of_files_need_no_quotes_of_hydras(word):
    task = "place" if word.startswith("ad=") else "filter"
    config = composed(quoted(word), f"task={task}", *(["filter=colour"] if task == "filter" else []))
    key, _, value = word.partition("=")
    found = config["filter"]["colour"] if key == "filter.colour" else config[key]
    assert found == value.strip("'")


def test_other_words_stay_as_they_are():
    for word in ("smooth=ema", "input=${paths.runs}", "save=[alpha,cutout]", "-m", "input=", "weights=null"):
        assert quoted(word) == word


def test_sweeps_and_references_stay_what_they_are():
    assert quoted("input=a,2026_11_21") == 'input=a,"2026_11_21"'
    assert quoted("output=my out/${threshold}.png") == 'output="my out/${threshold}.png"'


@pytest.mark.parametrize("key", ["paths.runs", "name", "data.root", "model.backbone_weights"])
def test_keys_that_become_paths_take_any_name(key):
    chosen = ("experiment=modnet", "data=folder", *(() if key == "data.root" else ("data.root=x",)))
    config = composed(*chosen, quoted(f"{key}=my runs, [1]/\u65e5\u672c"))
    assert OmegaConf.select(OmegaConf.create(dict(config)), key) == "my runs, [1]/\u65e5\u672c"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("methods=[modnet:a[1]]", ["modnet:a[1]"]),
        ("methods=[ellipse:\u65e5]", ["ellipse:\u65e5"]),
        ("methods=[modnet:a b (1).pth]", ["modnet:a b (1).pth"]),
        ("port=3 4(", "3 4("),
    ],
)
def test_a_word_that_is_not_understood_comes_back_in_the_quotes_it_needs(word, expected):
    with pytest.raises(HydraException) as error:
        composed("task=serve", word)
    said = explain(error.value)
    assert said.startswith(f"the command cannot be understood: {word}. A value")
    suggested = said.rpartition("needs two pairs of quotes: ")[2].strip("'")
    assert composed("task=serve", suggested)[word.partition("=")[0]] == expected


def test_any_name_can_be_printed_on_any_terminal(monkeypatch):
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    cli._say_any_name()
    print("a \u65e5\udcff b", flush=True)
    monkeypatch.undo()
    assert written.getvalue() == b"a \\u65e5\\udcff b\n"
