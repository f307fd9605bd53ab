"""The groups of a command as types: the method and its recipe, the budget, the data, where runs go."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from kolbench.config.fields import Values, build, require_mapping
from kolbench.config.old_names import current_model


@dataclass(frozen=True)
class Component:
    """An object that a YAML describes.

    name: of the choice, such as `guided`; "" where the YAML gives none. options: `_target_` and arguments.
    """

    name: str
    options: Values

    @classmethod
    def from_mapping(cls, values: Values) -> Self:
        """The group's own keys; `name` is the choice's, the rest goes to `_target_`."""
        options = {key: value for key, value in values.items() if key != "name"}
        return cls(str(values.get("name", "")), options)

    def to_mapping(self) -> dict[str, object]:
        """The group as its YAML has it."""
        return {**self.options, **({"name": self.name} if self.name else {})}


@dataclass(frozen=True)
class Recipe:
    """How a method is trained, by the released code or by a paper.

    optimizer: a partial `_target_`, called with the parameters. scheduler: see engine.schedule; None = a
    constant rate. augment: transforms by `_target_`, of torchvision.transforms.v2 or ours. lr_factors: names
    of the network's parts -> factor on the learning rate; 0 = the part stays as it is.
    """

    optimizer: Values
    scheduler: Values | None = None
    augment: tuple[Values, ...] = ()
    lr_factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSpec:
    """The `training` key of a method that is trained.

    recipes: name -> recipe. paper: size, epochs and batch of `budget=paper`. finetune: size of
    `budget=finetune`. quick: epochs, rate and schedule of `budget=quick`. short_lr_factor: what the short
    budgets multiply the learning rate by. evaluation_only: keys that only change how pictures are predicted,
    and their values while training. channels_last: on which devices maps lie channels last in memory
    while it is trained, `never`, `cpu` or `always`.
    """

    recipes: Mapping[str, Recipe]
    paper: Values = field(default_factory=dict)
    finetune: Values = field(default_factory=dict)
    quick: Values = field(default_factory=dict)
    short_lr_factor: float = 1.0
    evaluation_only: Values = field(default_factory=dict)
    channels_last: str = "never"


@dataclass(frozen=True)
class ModelConfig:
    """The `model` group: one method.

    name: of the method. options: `_target_` and the constructor's arguments. recipe: one of
    `training.recipes`. training: None for methods that are not trained. values: the group as it was resolved.
    """

    name: str
    options: Values
    recipe: str | None
    training: TrainingSpec | None
    values: Values

    @classmethod
    def from_mapping(cls, values: Values) -> Self:
        """The resolved group; names of earlier versions are brought up to date.

        Raises:
            ConfigError: a key of `training` is missing or unknown.
        """
        values = current_model(values)
        options = {k: v for k, v in values.items() if k not in ("name", "recipe", "training")}
        given, recipe = values.get("training"), values.get("recipe")
        training = (
            None
            if given is None
            else build(TrainingSpec, require_mapping("model.training", given), "model.training.")
        )
        return cls(str(values["name"]), options, None if recipe is None else str(recipe), training, values)

    def to_mapping(self) -> dict[str, object]:
        """The group as its YAML has it."""
        return dict(self.values)

    def changed(self, **options: object) -> Self:
        """The same method with other options."""
        return type(self).from_mapping({**self.values, **options})

    def without_backbone(self) -> Self:
        """The same method for a checkpoint that holds the backbone: nothing else is loaded."""
        return self.changed(backbone_weights=None) if "backbone_weights" in self.options else self

    def as_trained(self) -> Self:
        """The method while it is trained: what only changes predictions stands at its fixed value."""
        return self.changed(**self.training.evaluation_only) if self.training else self

    @property
    def target(self) -> str:
        """Dotted path of the class."""
        return str(self.options["_target_"])

    @property
    def channels_last(self) -> str:
        """On which devices maps lie channels last while it is trained."""
        assert self.training is not None
        return self.training.channels_last

    @property
    def chosen_recipe(self) -> Recipe:
        """The recipe that `model.recipe` names."""
        assert self.training is not None
        assert self.recipe is not None
        return self.training.recipes[self.recipe]


@dataclass(frozen=True)
class PerSplit:
    """Numbers of training, validation and test pictures; None = no bound."""

    train: int | None
    val: int | None
    test: int | None

    def get(self, split: str) -> int | None:
        """The number of a split."""
        found: int | None = getattr(self, split)
        return found


@dataclass(frozen=True)
class Budget:
    """The `budget` group: how much work a run may be.

    size: side of the training pictures in pixels. epochs, batch: of training. epoch_pictures: in an epoch,
    each drawn as often as any other; None = each once. lr_factor: on the recipe's learning rate. limit: at
    most so many pictures of each split. values: the group as it was resolved.
    stop_on_nan: whether a training stops at the first loss that is not finite.
    """

    name: str
    size: int
    epochs: int
    batch: int
    lr_factor: float
    limit: PerSplit
    values: Values
    stop_on_nan: bool = True
    epoch_pictures: int | None = None

    @classmethod
    def from_mapping(cls, values: Values) -> Self:
        """The resolved group; keys that only methods read stay in `values`."""
        own = ("name", "size", "epochs", "batch", "lr_factor", "limit", "stop_on_nan", "epoch_pictures")
        return build(cls, {**{key: values[key] for key in own if key in values}, "values": values}, "budget.")


@dataclass(frozen=True)
class DataGroup:
    """The `data` group: name of the layout; source, the `_target_` that reads it; values, the whole group."""

    name: str
    source: Component
    values: Values

    @classmethod
    def from_mapping(cls, values: Values) -> Self:
        """The resolved group."""
        source = Component.from_mapping(require_mapping("data.source", values.get("source")))
        return cls(str(values["name"]), source, values)


@dataclass(frozen=True)
class Paths:
    """Where runs go. runs: the folder of all of them. run: this job's own."""

    runs: Path
    run: Path

    @classmethod
    def from_mapping(cls, values: Values) -> Self:
        """The resolved group."""
        return cls(Path(str(values["runs"])), Path(str(values["run"])))


@dataclass(frozen=True)
class Invocation:
    """How a job was asked for.

    overrides: the words that were typed. choices: group -> its chosen YAML. sweep: name of the sweep; None
    for a single job. resolved: the whole configuration.
    """

    overrides: tuple[str, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    sweep: str | None = None
    resolved: Values = field(default_factory=dict)

    @property
    def typed_keys(self) -> frozenset[str]:
        """The keys that were typed, without signs and values."""
        return frozenset(key_of(word) for word in self.overrides)

    def with_values(self, **groups: object) -> Self:
        """The same command with other resolved groups."""
        return replace(self, resolved={**self.resolved, **groups})


def key_of(word: str) -> str:
    """The key of an override such as `+model.size=320`."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]
