import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest
from omegaconf import OmegaConf

from kolbench.config import compose, old_names
from kolbench.config.groups import Budget, Component, Invocation, ModelConfig, key_of
from kolbench.config.schema import KEYS, PATHS, TaskConfig
from kolbench.errors import ConfigError
from tests.helpers.tasks import composed, configured

TASKS = sorted(path.stem for path in (compose.conf_dir() / "task").glob("[!_]*.yaml"))
OF_ALL = {field.name for field in dataclasses.fields(TaskConfig)}
GROUPS = {path.name for path in compose.conf_dir().iterdir() if path.is_dir()}


def keys_of(task):
    """What a task's YAML sets at the root, and the groups that it adds."""
    loaded = OmegaConf.load(compose.conf_dir() / "task" / f"{task}.yaml")
    added = {word.rpartition("@")[2] for entry in loaded.get("defaults", []) for word in entry}
    return ({str(key) for key in loaded} | added) - {"task", "defaults"}


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_yaml_sets_the_keys_that_its_dataclass_reads(task):
    _, kind = compose.task_of(f"kolbench.tasks.{task}.run")
    # `from_` reads from=
    fields = {field.name.removesuffix("_") for field in dataclasses.fields(kind)} - OF_ALL
    assert fields - GROUPS - {"name"} == keys_of(task) - GROUPS
    assert keys_of(task) <= fields


@pytest.mark.parametrize("task", TASKS)
def test_what_names_a_file_is_a_path_for_everybody(task):
    _, kind = compose.task_of(f"kolbench.tasks.{task}.run")
    files = {
        name.removesuffix("_") for name, hint in get_type_hints(kind).items() if hint in (Path, Path | None)
    }
    assert files <= PATHS


def test_every_key_is_a_key_of_something():
    of_tasks = set().union(*(keys_of(task) for task in TASKS))
    of_groups = {
        f"{path.parent.name}.{key}"
        for path in compose.conf_dir().glob("*/*.yaml")
        for key in flat(OmegaConf.to_container(OmegaConf.load(path)) or {})
    }
    of_all_commands = OmegaConf.load(compose.conf_dir() / "config.yaml")
    assert set(KEYS) <= of_tasks | of_groups | set(map(str, of_all_commands))


def flat(values):
    for key, value in values.items():
        yield str(key)
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in flat(value))


def test_the_keys_of_another_task_are_refused():
    for word in ("experiment=unet", "budget=smoke", "refiner=guided"):
        with pytest.raises(ConfigError, match=f"task=report reads no {word.partition('=')[0]}=; leave"):
            configured("task=report", "runs=x", word)
    assert configured("task=suite", "suite=x", "experiment=unet").suite == Path("x")


def test_added_keys_are_refused_where_nobody_would_look_at_them():
    with pytest.raises(ConfigError, match=r"there is no key budget\.sise"):
        configured("+budget.sise=256")
    assert configured("+trainer.max_time=00:01:00:00").trainer["max_time"] == "00:01:00:00"


def test_groups_are_typed():
    config = configured(
        "experiment=modnet", "budget=paper", "budget.limit.val=3", "logger=all", "refiner=guided"
    )
    assert (config.budget.size, config.budget.limit.val, config.budget.limit.train) == (512, 3, None)
    assert isinstance(config.budget, Budget)
    assert config.model.target == "kolbench.models.modnet.MODNetSegmenter"
    assert config.model.chosen_recipe.optimizer["lr"] == 1e-3
    assert (config.refiner.name, config.refiner.options["radius"]) == ("guided", 0.01)
    assert set(config.logger) == {"tensorboard", "wandb"}
    assert all(isinstance(entry, Component) for entry in config.logger.values())


def test_a_model_group_survives_its_own_mapping():
    values = composed("experiment=u2netp", "model.postprocess=minmax")["model"]
    model = ModelConfig.from_mapping(values)
    assert model.to_mapping() == values
    assert ModelConfig.from_mapping(model.to_mapping()) == model
    assert model.as_trained().options["postprocess"] == "none"
    assert model.changed(size=96).options["size"] == 96


def test_what_was_typed():
    words = ("+model.size=320", "experiment=unet", "~refiner", "smooth@smooth=ema")
    assert [key_of(word) for word in words] == ["model.size", "experiment", "refiner", "smooth"]
    assert Invocation(overrides=words).typed_keys == {"model.size", "experiment", "refiner", "smooth"}


def test_a_task_must_say_what_it_reads():
    with pytest.raises(
        ConfigError, match=r"is no task: it must take one argument, annotated with a TaskConfig"
    ):
        compose.task_of("kolbench.config.schema.check")


def test_old_keys_still_work(monkeypatch, capsys):
    monkeypatch.setattr(old_names, "OLD_KEYS", {"soften": "smooth", "model.depth": "model.layers"})
    assert old_names.current_word("+soften=ema") == "++smooth=ema"
    assert capsys.readouterr().err == "kolbench: soften= is called smooth= now\n"
    for word in ("smooth=ema", "-m", "softener=ema", "input=soften=1"):
        assert old_names.current_word(word) == word
    assert old_names.current_model({"depth": 3, "name": "x"}) == {"layers": 3, "name": "x"}
