"""What fit and test share: the datamodule of a configuration, and scores that are computed once."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torchvision.transforms import v2

from kolbench.config.compose import data_group, instantiate, located
from kolbench.config.fields import require_mapping
from kolbench.config.groups import Component, DataGroup, ModelConfig
from kolbench.config.old_names import current_target
from kolbench.config.schema import FLIP, NO_TTA, UNCORRUPTED, UNSMOOTHED
from kolbench.data import clip_references, corrupted, corruptions, perturb
from kolbench.data.clip_flow import ClipFlow
from kolbench.data.clip_references import ReferenceOptions
from kolbench.data.config import ALL, SKIP, DataConfig
from kolbench.data.corruptions import Corruption
from kolbench.data.datamodule import SegmentationDataModule
from kolbench.data.flow import FlowOptions
from kolbench.data.readable import ReadableSource
from kolbench.data.shards import Shard
from kolbench.data.sources.base import Source
from kolbench.engine import completion
from kolbench.engine.cache import EVALUATIONS
from kolbench.engine.callbacks.checkpoint import BEST
from kolbench.engine.evaluation import TIMING, evaluate
from kolbench.engine.smoothed import MakeSmoother, require_clips
from kolbench.engine.team import Team
from kolbench.errors import ConfigError
from kolbench.io import progress
from kolbench.io.files import home, read_json
from kolbench.metrics import scores
from kolbench.metrics.counts import ImageCounts
from kolbench.models.precomputed import MasksSegmenter
from kolbench.models.trivial import Ellipse, MeanMask
from kolbench.refiners import weights as refiner_weights
from kolbench.runs import fingerprint, run_folder
from kolbench.runs.method_names import shown_name
from kolbench.segmenter import Segmenter
from kolbench.tasks.scoring import PicturesConfig, ScoringConfig
from kolbench.tasks.together import Scorer
from kolbench.types import ALPHA, BINARY, FLOW, NATIVE, Refiner

# tta -> the modules that its alphas follow from
_TTA_MODULES: Mapping[str, tuple[str, ...]] = {NO_TTA: (), FLIP: ("kolbench.models.mirrored",)}
_EVALUATION_MODULES = (
    "kolbench.engine.evaluation",
    "kolbench.engine.callbacks.scores",
    "kolbench.engine.callbacks.clip_scores",
    "kolbench.data.dataset",
    "kolbench.data.protocols",
    "kolbench.models.trivial",
)


def open_source(config: PicturesConfig) -> Source:
    """The pictures that the `data` group names, without those that cannot be read where it asks for that."""
    return _opened(config.data, DataConfig.from_mapping(config.data.values))


def open_data(
    config: PicturesConfig, device: torch.device, source: Source | None = None, shard: Shard | None = None
) -> SegmentationDataModule:
    """The datamodule that the resolved configuration describes.

    Args:
        config: of the task. device: where methods run.
        source: what `open_source` gave; None = it is opened.
        shard: the part that is scored; None = all of it.

    Raises:
        ConfigError: true alphas are asked for of a layout that holds none.
    """
    chosen = DataConfig.from_mapping(config.data.values)
    source = _opened(config.data, chosen) if source is None else source
    if config.data.values.get("truth") == ALPHA and source.truth != ALPHA:
        raise ConfigError(
            f"data.truth=alpha: data={config.data.name} holds no true alphas. data=folder, data=p3m10k and "
            "data=synthetic can; leave data.truth= away."
        )
    return SegmentationDataModule(
        source,
        flow=_flow(config, source),
        seed=config.seed,
        batch=config.budget.batch,
        transforms=augmentation_of(config.model),
        config=chosen,
        limit=asdict(config.budget.limit),
        accelerated=device.type == "cuda",
        epoch_pictures=config.budget.epoch_pictures,
        eval_protocol=config.eval_protocol,
        entries=_made_entries(config.model),
        scored_with=ReferenceOptions.of_model(config.model.options),
        corruption=_corruption(config),
        still=None if (group := still_group(config.data)) is None else _opened(group, chosen),
        shard=shard,
    )


def _opened(data: DataGroup, config: DataConfig) -> Source:
    """A data set, with `data.on_error=skip` without what cannot be read."""
    source: Source = instantiate(data.source)
    return ReadableSource(source) if config.on_error == SKIP and source.needs_checking else source


def _corruption(config: PicturesConfig) -> Corruption | None:
    """What happens to the test pictures; None where nothing does.

    Raises:
        ConfigError: all pictures are to be scored, training ones included.
    """
    if config.corrupt == UNCORRUPTED:
        return None
    if config.data.values.get("protocol") == ALL:
        raise ConfigError(
            f"corrupt={config.corrupt} corrupts the test images alone, and data.protocol=all scores all of "
            "them as one set; leave one of the two away."
        )
    return Corruption(config.corrupt, config.severity, config.seed)


def still_group(data: DataGroup) -> DataGroup | None:
    """The pictures that `data.still` names; None where it names none.

    Raises:
        ConfigError: there is no such data set, or it lacks a key.
    """
    asked = data.values.get("still")
    return None if asked is None else data_group("data.still", require_mapping("data.still", asked))


def _made_entries(model: ModelConfig) -> v2.Transform | None:
    """What makes the entries that the method reads beyond picture and truth; None where it reads none."""
    keys = getattr(located(current_target(model.target)), "input_keys", ())
    return perturb.for_scoring() if perturb.ENTRY in keys else None


def _flow(config: PicturesConfig, source: Source) -> ClipFlow | None:
    """The optical flow that the method reads; None where it reads none.

    Raises:
        ConfigError: pictures are to be scored as squares, of which no flow is known.
    """
    keys = getattr(located(current_target(config.model.target)), "input_keys", ())
    if FLOW not in keys:
        return None
    if config.eval_protocol != NATIVE:
        raise ConfigError(
            f"eval_protocol={config.eval_protocol} scores squares, and {config.model.name} reads the flow of "
            "whole frames; leave eval_protocol= away."
        )
    return ClipFlow(source, FlowOptions.of_model(config.model.options), home() / "flow")


def augmentation_of(model: ModelConfig) -> list[v2.Transform]:
    """The transforms of the chosen recipe; none for methods that are not trained.

    Raises:
        ConfigError: an entry cannot be built or is no transform; names its place.
    """
    made: list[v2.Transform] = []
    for number, entry in enumerate(model.chosen_recipe.augment if model.training else ()):
        where = f"model.training.recipes.{model.recipe}.augment[{number}]"
        if "_target_" not in entry:
            raise ConfigError(
                f"{where}={dict(entry)} names no transform; write "
                "{_target_: torchvision.transforms.v2.RandomHorizontalFlip, p: 0.5}, or any other of v2."
            )
        try:
            transform = instantiate(entry)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        if not isinstance(transform, v2.Transform):
            raise ConfigError(f"{where}: {entry['_target_']} is no torchvision.transforms.v2.Transform.")
        made.append(transform)
    return made


def ready(segmenter: Segmenter, data: SegmentationDataModule) -> Segmenter:
    """An untrained method with what it needs of the data set: the mean mask, or a look for missing mattes.

    Raises:
        ConfigError: mattes of whole pictures would be stretched over the squares of another protocol.
            Or such mattes are to be scored on corrupted pictures, which they were not made of.
        DataError: mattes are missing.
    """
    if data.eval_protocol != NATIVE and isinstance(segmenter, MasksSegmenter) and segmenter.resize:
        raise ConfigError(
            f"eval_protocol={data.eval_protocol} does not score whole images, and their mattes would be "
            "stretched over what it scores. Give mattes of its squares with model.resize=false, or leave "
            "eval_protocol= away."
        )
    if data.corruption is not None and isinstance(segmenter, MasksSegmenter):
        raise ConfigError(
            f"corrupt={data.corruption.kind} changes images, and the mattes of model.masks_dir were made "
            "of them as they are. Leave corrupt= away."
        )
    if isinstance(segmenter, MeanMask):
        segmenter.fit_mean(data.mean_mask())
    rows = [row for part in data.evaluated_rows().values() for row in part]
    segmenter.check([data.source.names[row] for row in dict.fromkeys(rows)])
    return segmenter


def scores_of(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: ScoringConfig,
    team: Team,
    training: Path | None,
    pictures: Path | None = None,
    refiner: Refiner | None = None,
) -> dict[str, ImageCounts]:
    """Histograms of validation and test pictures; found again where this training was evaluated before.

    What an earlier evaluation lacks of what scores need is added to its test pictures.

    Args:
        team: the processes that predict.
        training: the training's folder, below which finished evaluations are kept; None = do not keep.
        pictures: where alphas and thumbnails go when nothing is kept.
        refiner: of the configuration; None = alphas as they are.
    """
    scorer = scorer_of(segmenter, data, config, team, refiner)
    if training is None:
        scored = scorer.scored(pictures)
        _say_what_cannot_be(config, pictures)
        return scored
    folder = evaluation_folder(training, data, config)
    if not (folder / run_folder.HISTOGRAMS).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        best = training / BEST
        scored = scorer.scored(folder, best if best.is_file() else None)
        run_folder.write_histograms(folder / run_folder.HISTOGRAMS, scored)
    else:
        print(
            "every threshold follows from the histograms of an earlier evaluation "
            f"(on {read_json(folder / TIMING)['device']}); no forward pass is needed"
        )
        added = completion.complete(folder, completion.has_alpha(folder), config.model.name)
        if added:
            print(f"added to it, from its alphas and ground truths: {', '.join(added)}")
    _say_what_cannot_be(config, folder)
    if pictures is not None:
        run_folder.link_tree(folder, pictures)
    return run_folder.read_histograms(folder / run_folder.HISTOGRAMS)


def scorer_of(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: ScoringConfig,
    team: Team,
    refiner: Refiner | None,
) -> Scorer:
    """What predicts as the configuration says."""
    return Scorer(segmenter, data, team, config.precision, refiner, smoother_of(config, data))


def validation_of(
    segmenter: Segmenter,
    data: SegmentationDataModule,
    config: ScoringConfig,
    team: Team,
    training: Path,
    refiner: Refiner | None = None,
) -> ImageCounts:
    """Histograms of the validation pictures alone, scored as by `scores_of`; found again in the same way.

    Args:
        training: the training's folder, below which they are kept.

    Raises:
        ConfigError: there are no validation pictures.
    """
    if "val" not in data.evaluated_rows():
        raise ConfigError(
            f"test=false scores the validation images alone, and data={config.data.name} gives none; leave "
            "test= away, or split the images with data.split=auto."
        )
    kept = evaluation_folder(training, data, config).with_suffix(".val.parquet")
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        scorer = scorer_of(segmenter, data, config, team, refiner)
        run_folder.write_histograms(kept, scorer.validated())
    return run_folder.read_histograms(kept)["val"]


def smoother_of(config: ScoringConfig, data: SegmentationDataModule) -> MakeSmoother | None:
    """What makes the smoother that `smooth=` names; None where it names none.

    Raises:
        ConfigError: an option is out of range, or the pictures are of no clip.
    """
    if config.smooth.name == UNSMOOTHED:
        return None
    require_clips(config.smooth.name, any(data.source.clips))
    return partial(instantiate, config.smooth)


def _say_what_cannot_be(config: ScoringConfig, folder: Path | None) -> None:
    """Which scores that were asked for need true alphas, where the truths are binary."""
    words = scores.needing_alpha(config.metrics)
    if words and folder is not None and not completion.has_alpha(folder):
        squares = config.eval_protocol != NATIVE
        why = f"eval_protocol={config.eval_protocol} scores binary masks" if squares else "here it is binary"
        asked = f"metrics=[{','.join(words)}] needs"
        print(f"{asked} alpha mattes as ground truth; {why}, so there are no such scores")


def evaluation_folder(training: Path, data: SegmentationDataModule, config: ScoringConfig) -> Path:
    """Where this training's evaluation on these pictures, by this code, is kept."""
    chosen = {
        "pictures": data.fingerprint(),
        "splits": list(data.evaluated_rows()),
        "eval_protocol": data.eval_protocol,
        "groups": data.source.groups,
        "clips": list(data.source.clips) if any(data.source.clips) else None,
        # tags that are made on demand follow from the pictures
        "tags": data.source.tags if isinstance(data.source.tags, list) else None,
        "model": config.model.to_mapping(),
        "refiner": _by_content(config.refiner),
        "precision": config.precision,
        # evaluations of before know no such key
        **({} if config.tta == NO_TTA else {"tta": config.tta}),
        **({} if config.smooth.name == UNSMOOTHED else {"smooth": config.smooth.to_mapping()}),
    }
    chosen |= {} if data.corruption is None else {"corruption": asdict(data.corruption)}
    # without mattes nothing has changed
    chosen |= {} if data.truth == BINARY else {"truth": data.truth}
    # what scores need besides is added later: engine.completion knows the code of each
    built = fingerprint.targets(chosen["refiner"], chosen.get("smooth"))
    modules = [*_EVALUATION_MODULES, *_TTA_MODULES[config.tta], *built]
    # of the other methods no alpha follows from it
    modules += [] if _made_entries(config.model) is None else [perturb.__name__]
    modules += [] if data.corruption is None else [corrupted.__name__, corruptions.__name__]
    scored_with = ReferenceOptions.of_model(config.model.options)
    modules += [] if scored_with is None else [clip_references.__name__]
    digest = fingerprint.digest(chosen, fingerprint.code_hash(modules))
    return training / EVALUATIONS / digest


def _by_content(refiner: Component) -> dict[str, object]:
    """A refiner's settings with the digest of its weights in the place of their name."""
    settings = refiner.to_mapping()
    if (weights := refiner_weights.named_by(refiner)) is None:
        return settings
    return {**settings, "weights": refiner_weights.digest_of(weights)}


def forget(training: Path, data: SegmentationDataModule, config: ScoringConfig) -> None:
    """Removes what `scores_of` has kept of these pictures, so that they are predicted anew.

    Runs keep the files that they have of it.
    """
    shutil.rmtree(evaluation_folder(training, data, config), ignore_errors=True)


def baselines_of(
    data: SegmentationDataModule, config: ScoringConfig, device: torch.device, training: Path | None
) -> dict[str, dict[str, ImageCounts]]:
    """The ellipse and, where there are training pictures, their mean mask, scored like any method."""
    baselines: dict[str, Callable[[], Segmenter]] = {"ellipse": Ellipse}
    if data.rows["train"]:
        baselines["meanmask"] = lambda: MeanMask(data.mean_mask())
    kept = None
    if training is not None:
        evaluation = evaluation_folder(training, data, config)
        counted = fingerprint.code_hash(scores.counting_modules())[:8]
        kept = evaluation.with_name(f"{evaluation.name}-baselines-{counted}")
        kept.mkdir(parents=True, exist_ok=True)
    return {
        name: _baseline(name, build, data, device, kept and kept / f"{name}.parquet")
        for name, build in baselines.items()
    }


def _baseline(
    name: str,
    build: Callable[[], Segmenter],
    data: SegmentationDataModule,
    device: torch.device,
    kept: Path | None,
) -> dict[str, ImageCounts]:
    if kept is not None and kept.is_file():
        return run_folder.read_histograms(kept)
    with progress.about(f"the baseline {shown_name(name)}"):
        scored = evaluate(build().to(device), data.evaluation_dataloaders(), device)
    if kept is not None:
        run_folder.write_histograms(kept, scored)
    return scored
