"""`task=fit`: train or find the finished training, choose the threshold on validation, score the test set.

Methods that are not trained go straight to their scores.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import Callback

from kolbench.config.compose import build_segmenter, instantiate, located
from kolbench.config.fields import Values
from kolbench.config.groups import Component, ModelConfig
from kolbench.config.old_names import current_target
from kolbench.config.schema import STOP, TaskResult
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.portions import Portion
from kolbench.engine import cache, collective, launch
from kolbench.engine.callbacks.checkpoint import BEST
from kolbench.engine.module import require_factors
from kolbench.engine.schedule import Milestones, Schedule, TorchSchedule
from kolbench.engine.team import Team, placed, plan_of
from kolbench.engine.trainer import check_options
from kolbench.engine.training import TrainingConfig, train
from kolbench.errors import ConfigError, DataError, WeightsError, require_choice
from kolbench.io import progress
from kolbench.metrics import scores
from kolbench.models.checkpoints import named, start
from kolbench.models.checkpoints.run import load_into
from kolbench.models.mirrored import with_tta
from kolbench.models.onnx import told_of
from kolbench.runs import fingerprint
from kolbench.runs.method_names import shown_name
from kolbench.runs.record import Part
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation, parts, together
from kolbench.tasks.recorder import RunRecorder
from kolbench.tasks.scoring import ScoringConfig, with_model
from kolbench.types import BINARY, IMAGE_STEP, VIDEO_STEP, Refiner

# of resume=: the training is found again, and the pictures are predicted anew
ONLY_TRAINING = "training"
ENTRY_MODULES = ("kolbench.engine.training", "kolbench.engine.module", "kolbench.data.datamodule")


@dataclass(frozen=True)
class FitConfig(ScoringConfig):
    """What `task=fit` reads.

    resume: auto goes on with a killed training and finds finished trainings and predictions again, never
    starts anew, training finds the training alone. callbacks: Lightning's, or a user's
    own, that watch the training; each under a name. init: weights to start from: official, an id of the
    catalogue, a checkpoint or a run folder; None = from the recipe's beginning. on_oom: where a batch does
    not fit into memory, stop, or halve it and accumulate gradients. test: whether the test pictures are
    scored.
    """

    resume: str
    callbacks: Mapping[str, Component]
    init: Path | None = None
    on_oom: str = STOP
    test: bool = True


def run(config: FitConfig) -> TaskResult:
    """One run of one method.

    Returns:
        The headline scores on the test pictures, and the validation score for sweepers; with `test=false`
        the validation score alone.

    Raises:
        KolbenchError: the settings, the pictures or the training make a result impossible.
    """
    scores.load(config.metrics)
    asked = config.model
    model, _ = named.resolved(config.model, None)
    if model is not config.model:
        config = with_model(config, model)
    _check(config)
    refiner = instantiate(config.refiner)
    begun = None if config.init is None else start.start_of(config.init, config.model)
    plan = plan_of(config.trainer, config.device)
    if launch.is_follower(plan):
        with launch.together(plan) as team:
            return _follow(config, begun, team, refiner)
    # a wrong path leaves no run folder
    with progress.working(f"opening data={config.data.name}"):
        source = evaluation.open_source(config)
    with (
        progress.about(shown_name(config.model.name)),
        RunRecorder(config) as recorder,
        together.joined(plan, recorder) as team,
    ):
        seed_everything(config.seed, workers=True, verbose=False)
        data = evaluation.open_data(config, recorder.device, source)
        recorder.say(*data.describe())
        _require_training_pictures(config, data)
        recorder.say(*_divided(config, data, team))
        recorder.rest_on(_parts(config, asked, data))
        settings, code = _fingerprint(config, begun, data, team)
        root = config.paths.runs / ("untrained" if config.model.training is None else "trainings")
        with cache.training(
            root, config.model.name, fingerprint.digest(settings, code), {"settings": settings}, config.resume
        ) as found:
            if config.resume == ONLY_TRAINING:
                evaluation.forget(found.folder, data, config)
            if config.model.training is None:
                segmenter = _untrained(found, data, config, recorder)
            else:
                segmenter = _trained(found, data, config, begun, recorder, team)
            segmenter = with_tta(segmenter, config.tta)
            if not config.test:
                validation = evaluation.validation_of(segmenter, data, config, team, found.folder, refiner)
                return recorder.finish_without_test(segmenter, validation, data)
            scored = evaluation.scores_of(
                segmenter, data, config, team, found.folder, recorder.folder, refiner
            )
            baselines = evaluation.baselines_of(data, config, recorder.device, found.folder)
        with progress.working("measuring what an image costs"):
            recorder.describe(segmenter, data, refiner)
        return recorder.finish(scored, baselines, data)


def _follow(config: FitConfig, begun: start.Start | None, team: Team, refiner: Refiner | None) -> TaskResult:
    """What the other processes of a run do: the same training and a part of the scoring, in its folders."""
    launch.leave_no_folder(config.paths.run)
    seed_everything(config.seed, workers=True, verbose=False)
    data = evaluation.open_data(config, team.device)
    _divided(config, data, team)
    for order in launch.orders():
        folder = Path(order[together.FOLDER])
        if order[together.WHAT] == together.TRAIN:
            untrained, norms = _beginning(config, begun, _unsaid)
            train(untrained, data, _training_config(config, team, norms), folder)
        else:
            segmenter = with_tta(_with_weights(config, data, order[together.WEIGHTS]), config.tta)
            evaluation.scorer_of(segmenter, data, config, team, refiner).score_part(folder)
    return TaskResult()


def _with_weights(config: FitConfig, data: SegmentationDataModule, weights: str) -> Segmenter:
    segmenter: Segmenter = build_segmenter(config.model.without_backbone() if weights else config.model)
    if weights:
        load_into(segmenter, Path(weights))
        return segmenter
    return evaluation.ready(segmenter, data)


def _divided(config: FitConfig, data: SegmentationDataModule, team: Team) -> list[str]:
    """Lines to print."""
    if config.model.training is None or team.size == 1:
        return []
    data.divide(Portion(team.rank, team.size))
    step = data.step_pictures()
    lines = [f"{team.size} processes share each batch of {step} images, {step // team.size} each"]
    epoch = data.epoch_pictures or len(data.rows["train"])
    if left := epoch % step:
        lines.append(f"{left} of {epoch} images wait for another epoch: they do not fill a batch")
    return lines


def _unsaid(*lines: str) -> None:
    """The first process has said it."""


def _parts(config: FitConfig, asked: ModelConfig, data: SegmentationDataModule) -> list[Part]:
    pictures, refiner = [parts.of_pictures(config.data, data.source)], parts.of_refiner(config.refiner)
    if data.still is not None and (still := evaluation.still_group(config.data)) is not None:
        # nothing of it is tested on
        used = parts.of_pictures(still, data.still)
        pictures.append(replace(used, role=parts.TRAINING_PICTURES, sets=()))
    if config.init is None:
        return [*pictures, *parts.of_method(asked), *refiner]
    begun = parts.of_weights(config.init, start.method_of(config.init, asked.name), parts.INITIAL)
    return [*pictures, *begun, *refiner]


def _check(config: FitConfig) -> None:
    require_choice("resume", config.resume, ("auto", "never", ONLY_TRAINING))
    # a wrong option is refused before anything is written
    segmenter: Segmenter = build_segmenter(config.model.without_backbone())
    if segmenter.trainable and config.model.training is None:
        raise ConfigError(
            f"{config.model.name} has weights to learn, but its YAML does not say how: add training: with a "
            "recipe, as CONTRIBUTING.md shows, or score weights that you have with task=test weights=FILE."
        )
    with_tta(segmenter, config.tta)
    check_options(config.trainer)
    _callbacks(config)
    if config.model.training is not None:
        _check_recipe(config, segmenter)
        _check_steps(config, segmenter)
        if config.init is not None:
            start.require_usable(segmenter, config.init, config.model.name)
    elif config.init is not None:
        raise ConfigError(f"init={config.init}: {config.model.name} is not trained; leave init= away.")


def _check_steps(config: FitConfig, segmenter: Segmenter) -> None:
    """Refuses pictures for image steps where the method takes no turns."""
    mixes = {IMAGE_STEP, VIDEO_STEP} <= set(segmenter.training_steps)
    if config.data.values.get("still") is not None and not mixes:
        raise ConfigError(
            "data.still= is for methods that learn from clips and single images in turn, such as pdnet; "
            f"{config.model.name} learns from one kind. Leave it away."
        )


def _require_training_pictures(config: FitConfig, data: SegmentationDataModule) -> None:
    if config.model.training is not None and not data.rows["train"]:
        raise DataError(
            f"data={config.data.name} gives test images only, but {config.model.name} is to be trained. "
            "Train it on other images, or score weights that you have with task=test weights=."
        )


def _check_recipe(config: FitConfig, segmenter: Segmenter) -> None:
    evaluation.augmentation_of(config.model)
    require_choice("model.training.channels_last", config.model.channels_last, ("never", "cpu", "always"))
    recipe, where = config.model.chosen_recipe, f"model.training.recipes.{config.model.recipe}"
    try:
        optimizer = instantiate(recipe.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.optimizer: {error}.") from error
    schedule = _schedule(recipe.scheduler)
    try:
        if schedule is not None:
            schedule.configured(optimizer, 1, config.budget.epochs)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}.scheduler: {error}.") from error
    try:
        require_factors(segmenter.inference_network(), recipe.lr_factors)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from error


def _schedule(entry: Values | None) -> Schedule | None:
    """A recipe's `scheduler`: milestones, or a `_target_` of ours or torch's; None = a constant rate."""
    if not entry:
        return None
    if "_target_" not in entry:
        return Milestones.from_mapping(entry)
    target = located(current_target(str(entry["_target_"])))
    if isinstance(target, type) and issubclass(target, Schedule):
        made: Schedule = instantiate(entry)
        return made
    own = {key: str(entry[key]) for key in ("interval", "monitor") if key in entry}
    build = instantiate({"_partial_": True, **{key: entry[key] for key in entry if key not in own}})
    return TorchSchedule(build, **own)


def _callbacks(config: FitConfig) -> list[Callback]:
    made = []
    for name, entry in config.callbacks.items():
        callback = instantiate(entry)
        if not isinstance(callback, Callback):
            raise ConfigError(f"callbacks.{name}: {entry.options.get('_target_')} is no Lightning callback.")
        made.append(callback)
    return made


def _fingerprint(
    config: FitConfig, begun: start.Start | None, data: SegmentationDataModule, team: Team
) -> tuple[Mapping[str, object], str]:
    resolved = config.invocation.resolved
    if begun is not None:
        resolved = {**resolved, "model": config.model.without_backbone().to_mapping()}
    resolved = {**resolved, "trainer": placed(config.trainer, team.plan)}
    chosen = fingerprint.training_settings(resolved, team.device.type, data.fingerprint())
    chosen |= {} if begun is None else {"init": begun.sha256}
    chosen |= {} if data.source.truth == BINARY else {"truth": data.source.truth}
    still = evaluation.still_group(config.data)
    built = fingerprint.targets(chosen, config.data.source.options, still and still.source.options)
    begins = [] if begun is None else [start.__name__]
    return chosen, fingerprint.code_hash([*ENTRY_MODULES, *built, *begins], fingerprint.ONLY_SCORES)


def _untrained(
    found: cache.TrainingFolder, data: SegmentationDataModule, config: FitConfig, recorder: RunRecorder
) -> Segmenter:
    segmenter: Segmenter = build_segmenter(config.model)
    recorder.say(
        f"{shown_name(config.model.name)} is not trained: it is only scored",
        *told_of(segmenter, config.invocation.typed_keys),
    )
    if not found.evaluated:
        recorder.check(data)
    return evaluation.ready(segmenter, data)


def _trained(
    found: cache.TrainingFolder,
    data: SegmentationDataModule,
    config: FitConfig,
    begun: start.Start | None,
    recorder: RunRecorder,
    team: Team,
) -> Segmenter:
    """The method with the weights of its best epoch; the run folder holds them and the history."""
    recorder.replay(found.folder)
    if found.finished:
        recorder.say(
            f"training {found.fingerprint} is finished already: {found.folder} (resume=never trains anew); "
            "only the evaluation runs"
        )
        summary = {**found.summary(), "reused": True}
    else:
        if found.begun:
            recorder.say(f"training {found.fingerprint} was interrupted: going on in {found.folder}")
        recorder.check(data)
        untrained, norms = _beginning(config, begun, recorder.say)
        chosen = _training_config(config, team, norms)
        if team.size > 1:
            collective.order({together.WHAT: together.TRAIN, together.FOLDER: str(found.folder)})
        done = train(untrained, data, chosen, found.folder, recorder.listen, found.require_held)
        summary = {**done, "reused": False}
    if "halved" in summary:
        recorder.say(
            f"for lack of memory its batches went through in parts of {summary['batch']}: batch norms saw so "
            "many images at once"
        )
    segmenter: Segmenter = build_segmenter(config.model.without_backbone())
    try:
        load_into(segmenter, found.folder / BEST)
    except WeightsError as error:
        raise WeightsError(f"{error} Or train it anew with resume=never.") from error
    recorder.keep_training(found.folder, {**summary, "init": asdict(begun.origin) if begun else None})
    return segmenter


def _beginning(
    config: FitConfig, begun: start.Start | None, say: Callable[..., None]
) -> tuple[Segmenter, frozenset[str]]:
    """The method before its first step, and the names of batch norms that keep their statistics."""
    if begun is None:
        untrained: Segmenter = build_segmenter(config.model.as_trained())
        say(*untrained.beginning)
        return untrained, frozenset()
    segmenter: Segmenter = build_segmenter(config.model.without_backbone().as_trained())
    loaded = start.load(segmenter, begun)
    say(
        f"starting from {begun.origin.name}: {loaded.taken} of {loaded.tensors} tensors come from it "
        f"({', '.join(loaded.parts)})"
    )
    if loaded.lacking:
        say(f"it lacks the training-only {', '.join(loaded.lacking)}: they start as without init=")
    if loaded.frozen_norms:
        say(
            f"{len(loaded.frozen_norms)} batch norms were folded when its file was written: they keep scale "
            "and shift as layers of their own, without statistics of batches"
        )
    return segmenter, frozenset(loaded.frozen_norms)


def _training_config(config: FitConfig, team: Team, norms: frozenset[str]) -> TrainingConfig:
    recipe = config.model.chosen_recipe
    return TrainingConfig(
        optimizer=instantiate(recipe.optimizer),
        schedule=_schedule(recipe.scheduler),
        lr_factor=config.budget.lr_factor,
        epochs=config.budget.epochs,
        seed=config.seed,
        options=config.trainer,
        team=team,
        model=config.model.to_mapping(),
        callbacks=_callbacks(config),
        stop_on_nan=config.budget.stop_on_nan,
        lr_factors=recipe.lr_factors,
        frozen_norms=norms,
        on_oom=config.on_oom,
        channels_last=config.model.channels_last in ("always", team.device.type),
    )
