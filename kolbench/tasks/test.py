"""`task=test`: score a trained method, or official weights, on any data, without training."""

from dataclasses import dataclass, replace
from pathlib import Path

from lightning.pytorch import seed_everything

from kolbench.config.compose import build_segmenter, instantiate, load_yaml
from kolbench.config.fields import require_mapping
from kolbench.config.schema import TaskResult
from kolbench.data import splits
from kolbench.data.shards import Shard
from kolbench.data.sources.base import Source
from kolbench.engine import launch
from kolbench.engine.team import Team, plan_of
from kolbench.errors import ConfigError
from kolbench.io import progress
from kolbench.metrics import scores
from kolbench.models.checkpoints import named
from kolbench.models.checkpoints.run import is_run_folder, load_into, model_of
from kolbench.models.mirrored import with_tta
from kolbench.models.onnx import told_of
from kolbench.runs import record
from kolbench.runs.method_names import shown_name
from kolbench.runs.run_folder import CONFIG
from kolbench.segmenter import Segmenter
from kolbench.tasks import evaluation, parts, shard
from kolbench.tasks.recorder import NO_THRESHOLD, KnownThreshold, RunRecorder
from kolbench.tasks.scoring import ScoringConfig, with_model
from kolbench.tasks.together import FOLDER, joined
from kolbench.types import Refiner

# what decides which pictures are for training
_SPLITS = ("split", "split_seed", "folds", "fold")
_SPLIT_KEYS = frozenset(f"data.{key}" for key in _SPLITS)


@dataclass(frozen=True)
class TestConfig(ScoringConfig):
    """What `task=test` reads. weights: a run folder, a checkpoint, `official` or an id of the
    catalogue; None for methods that need none. shard: K/N to score one of N parts alone; None = all."""

    weights: Path | None
    shard: str | None = None


def run(config: TestConfig) -> TaskResult:
    """Scores `weights` with the `model` group, or with the settings of the run folder that `weights` is.

    Pictures that bring no list of training pictures are all scored, unless the weights were trained on them.

    Raises:
        KolbenchError: no weights for a method that needs them, or they do not fit.
    """
    scores.load(config.metrics)
    typed, asked, given = config.invocation.typed_keys, config.weights, config.model
    model, weights = named.resolved(config.model, config.weights, typed)
    if weights is not None:
        model = model_of(model, weights, typed).without_backbone()
    if model is not config.model:
        config = with_model(config, model)
    config = replace(config, weights=weights)
    segmenter: Segmenter = build_segmenter(config.model.without_backbone())
    if config.weights is None and segmenter.trainable:
        raise ConfigError(f"task=test needs weights=RUN_FOLDER or weights=FILE for {config.model.name}.")
    scored_as = with_tta(segmenter, config.tta)
    refiner = instantiate(config.refiner)
    # a wrong path leaves no run folder
    with progress.working(f"opening data={config.data.name}"):
        source = evaluation.open_source(config)
    if asked is not None:
        config = _all_for_testing(config, source)
    part = None if config.shard is None else Shard.of(config.shard)
    plan = plan_of(config.trainer, config.device)
    if part is not None and plan.size > 1:
        raise ConfigError(
            f"shard={config.shard} and trainer.devices={plan.devices} both share the images; leave one away."
        )
    if launch.is_follower(plan):
        with launch.together(plan) as team:
            return _follow(config, team, segmenter, refiner)
    with (
        progress.about(shown_name(config.model.name)),
        RunRecorder(config, shard.begun(part)) as recorder,
        joined(plan, recorder) as team,
    ):
        seed_everything(config.seed, workers=True, verbose=False)
        data = evaluation.open_data(config, recorder.device, source, part)
        recorder.say(*data.describe())
        recorder.rest_on(
            [
                parts.of_pictures(config.data, data.source),
                *(parts.of_method(given) if asked is None else parts.of_weights(asked, given.name)),
                *parts.of_refiner(config.refiner),
            ]
        )
        if splits.lists_tests_alone(data.source):
            recorder.say("only test images are listed: these are scored, and none chooses the threshold")
        elif data.config.split == "test":
            recorder.say("no training images are listed, so all are scored; data.split=auto splits them")
        recorder.check(data)
        recorder.say(*told_of(segmenter, typed))
        # None: the file's own
        if (size := config.model.options.get("size")) is not None:
            recorder.say(f"network input {size} px (model.size=)")
        if config.weights is not None:
            for head in load_into(segmenter, config.weights):
                recorder.say(f"{config.weights} lacks the training-only head {head}; it is not needed here")
        evaluation.ready(segmenter, data)
        scored = evaluation.scores_of(scored_as, data, config, team, None, recorder.folder, refiner)
        baselines = evaluation.baselines_of(data, config, recorder.device, None)
        with progress.working("measuring what an image costs"):
            recorder.describe(scored_as, data, refiner)
        known = _known_threshold(asked)
        if part is not None:
            return shard.leave(recorder, data, scored, baselines, known, config.weights)
        return recorder.finish(scored, baselines, data, known)


def _follow(config: TestConfig, team: Team, segmenter: Segmenter, refiner: Refiner | None) -> TaskResult:
    """What the other processes of a run do: a part of the scoring, in its folder."""
    launch.leave_no_folder(config.paths.run)
    seed_everything(config.seed, workers=True, verbose=False)
    data = evaluation.open_data(config, team.device)
    if config.weights is not None:
        load_into(segmenter, config.weights)
    scored_as = with_tta(evaluation.ready(segmenter, data), config.tta)
    for order in launch.orders():
        evaluation.scorer_of(scored_as, data, config, team, refiner).score_part(Path(order[FOLDER]))
    return TaskResult()


def _all_for_testing(config: TestConfig, source: Source) -> TestConfig:
    """The command with every picture a test picture, where nothing says which ones are for training.

    A run whose training split these very pictures keeps that split, folds included, so that no picture that
    it was trained on is a test picture; what was typed of the split stays.
    """
    if config.invocation.typed_keys & _SPLIT_KEYS:
        return config
    values = dict(config.data.values)
    run = None if config.weights is None else _run_of(config.weights)
    trained = None if run is None else record.of_weights(run).fingerprint
    if run is not None and trained is not None and trained.source == source.fingerprint():
        own = require_mapping("data", load_yaml(run / CONFIG).get("data") or {})
        values |= {key: own[key] for key in _SPLITS if key in own}
    elif values.get("split") == "auto" and splits.tests_only(source):
        values["split"] = "test"
    else:
        return config
    return replace(
        config,
        data=replace(config.data, values=values),
        invocation=config.invocation.with_values(data=values),
    )


def _run_of(weights: Path) -> Path | None:
    """The run folder that weights are, or lie in."""
    return next((f for f in (weights, weights.absolute().parent.parent) if is_run_folder(f)), None)


def _known_threshold(weights: Path | None) -> KnownThreshold:
    if weights is None:
        return NO_THRESHOLD
    if named.is_name(weights):
        return KnownThreshold(0.5, "its authors' use")
    found = record.threshold_of(weights)
    return NO_THRESHOLD if found is None else KnownThreshold(found, "the run")
