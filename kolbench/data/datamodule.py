"""The one datamodule: splits, checks, loaders; the same for every method."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler, Subset
from torchvision.transforms import v2

from kolbench.data import augment, checking, duplicates, protocols, splits, targets
from kolbench.data.clip_flow import ClipFlow
from kolbench.data.clip_references import ClipReferences, ReferenceOptions, WithReferences
from kolbench.data.config import ALL, DataConfig
from kolbench.data.corrupted import CorruptedSource
from kolbench.data.corruptions import Corruption
from kolbench.data.dataset import (
    EpochSampler,
    EvaluationSet,
    PretrainingSet,
    SampleCache,
    TrainingSet,
    WholeClips,
    collate,
    seed_for,
)
from kolbench.data.mean_mask import mean_mask
from kolbench.data.portions import Portion
from kolbench.data.references import References, references
from kolbench.data.shards import Shard, require_enough
from kolbench.data.sources.base import Source
from kolbench.data.steps import StepSampler, StepSet, Stream, ordered
from kolbench.errors import ConfigError
from kolbench.io import progress
from kolbench.segmenter import Segmenter
from kolbench.types import BINARY, IMAGE_STEP, NATIVE, REFERENCE, VIDEO_STEP, Batch, Sample

PRETRAINING_CHECK_PICTURES = 100
SPLITS = ("train", "val", "test")

Loader = DataLoader[Any]


class SegmentationDataModule(LightningDataModule):
    """Pictures of one source, split once, for training, pretraining and scoring.

    A Trainer takes it as it is: `fit` trains on train and validates on val, once `cache_samples` has been
    called; `test` scores the splits of `evaluated_rows`, in their order.

    Args:
        source: where pictures and truth come from.
        seed: of the run; decides order and augmentation.
        batch: training pictures in a batch. epoch_pictures: in an epoch; None = each once.
        transforms: the recipe's `augment` list.
        config: split, checks and loading.
        limit: at most so many pictures of each split; None = all.
        accelerated: whether the network runs on a GPU, so that loading is worth processes.
        eval_protocol: one of `EVAL_PROTOCOLS`, how pictures are scored. A training is validated on pictures
            at their own size all the same, so that one training serves all protocols.
        entries: makes what the method reads of pictures that are scored, beyond picture and truth; see
            EvaluationSet.
        still: pictures for the image steps of methods that have video steps too; nothing of it is scored. Of
            a source with a split the training pictures count, else all.
        flow: of the source's clips, for methods that read it; None = none does.
        scored_with: the other frames of its clip that a frame is scored with, for methods that read them;
            None = none does.
        corruption: of the test pictures, and of no others; None = they are scored as they are.
        shard: the part of every split that is given to be scored; None = all of it.

    Raises:
        DataError: a split is empty, leaks, or its pictures cannot be read.
        ConfigError: the source lacks what the config asks for, holds no clips beside `still`, or has no
            picture for the shard.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        batch: int,
        transforms: Sequence[v2.Transform],
        config: DataConfig,
        limit: Mapping[str, int | None],
        accelerated: bool = False,
        epoch_pictures: int | None = None,
        eval_protocol: str = NATIVE,
        entries: v2.Transform | None = None,
        still: Source | None = None,
        flow: ClipFlow | None = None,
        scored_with: ReferenceOptions | None = None,
        corruption: Corruption | None = None,
        shard: Shard | None = None,
    ) -> None:
        super().__init__()
        self.flow = flow
        self.source = source
        self.still = still
        self.seed = seed
        self.batch = batch
        # a batch goes through the network in so many parts, which divide it
        self.parts = 1
        self.epoch_pictures = epoch_pictures
        self.eval_protocol = eval_protocol
        self.corruption = corruption
        self.transforms = list(transforms)
        self.config = config
        made = splits.made_for(source, config)
        self.rows = {name: _limited(getattr(made, name), limit.get(name)) for name in SPLITS}
        if config.train_pictures is not None:
            self.rows["train"] = splits.subset(
                source, self.rows["train"], config.train_pictures, config.train_draw
            )
        self.splits = dataclasses.replace(
            made, train=self.rows["train"], val=self.rows["val"], test=self.rows["test"]
        )
        self.workers = config.worker_count(accelerated)
        self._samples: SampleCache | None = None
        self._remembers = False
        self._scored_with = scored_with
        self._validated_with = scored_with
        self._still_samples: SampleCache | None = None
        self._references: References | None = None
        self._steps: Sequence[str] = (IMAGE_STEP,)
        self._portion = Portion()
        self.still_rows = [] if still is None else _limited(splits.training_rows(still), limit.get("train"))
        if still is not None and not any(source.clips[row] for row in self.rows["train"]):
            raise ConfigError(
                "data.still= gives the images of no clip beside clips, but the training images are of no "
                "clip. Leave it away, or take clips, such as data=davis."
            )
        scored = partial(EvaluationSet, source, protocol=eval_protocol, entries=entries, flow=flow)
        self._evaluation = {name: scored(self.rows[name]) for name in ("val", "test")}
        if corruption is not None:
            tested = CorruptedSource(source, corruption)
            moved = None if flow is None else flow.of_source(tested)
            self._evaluation["test"] = EvaluationSet(
                tested, self.rows["test"], protocol=eval_protocol, entries=entries, flow=moved
            )
        # read once and in order: to keep them would only fill the memory
        self._evaluation[ALL] = scored(self.splits.all(), memory_bytes=0)
        self.shard = shard
        self._given = self._evaluation if shard is None else self._parts(shard)
        native = EvaluationSet(source, self.rows["val"], entries=entries, flow=flow)
        self._validation = self._evaluation["val"] if eval_protocol == NATIVE else native

    def _parts(self, shard: Shard) -> dict[str, EvaluationSet]:
        tested = self._evaluation["test"]
        require_enough(tested.names, tested.clips, shard)
        return {name: scored.part(shard) for name, scored in self._evaluation.items()}

    @property
    def truth(self) -> str:
        """`alpha` where pictures are scored against true alphas too, else `binary`; a square holds none."""
        return self.source.truth if self.eval_protocol == NATIVE else BINARY

    def evaluated_rows(self) -> dict[str, list[int]]:
        """What a method is scored on: val and test, and `all` where the protocol asks for it."""
        names = ("val", "test", ALL) if self.config.protocol == ALL else ("val", "test")
        found = {name: self._evaluation[name].indices for name in names}
        # where all is for testing there is no validation
        return {name: rows for name, rows in found.items() if rows}

    def fingerprint(self) -> dict[str, str]:
        """What identifies the pictures and their split: content digest and the names in each split."""
        names = {name: [self.source.names[i] for i in rows] for name, rows in self.rows.items()}
        digest = f"{seed_for('splits', names['train'], names['val'], names['test']):016x}"
        found = {"source": self.source.fingerprint(), "splits": digest}
        if self.still is None:
            return found
        still_names = [self.still.names[row] for row in self.still_rows]
        truth = self.still.truth
        return {**found, "still": f"{seed_for('still', self.still.fingerprint(), still_names, truth):016x}"}

    def describe(self) -> list[str]:
        """Lines to print before a run: what the source holds and how it is split."""
        by_group = self.config.split != "paper"
        source = self.source
        splits.assert_disjoint(self.splits, source.names, source.groups, by_group, source.clips)
        fold = f"fold {self.config.fold} of {self.config.folds}" if self.config.folds else ""
        described = splits.describe(self.splits, self.source, self.config.split, fold)
        lines = [*self.source.describe(), described]
        if self.config.train_pictures is not None:
            lines.append(f"data.train_pictures: {len(self.rows['train'])} images are trained on")
        if self.config.protocol == ALL:
            count = len(self.splits.all())
            lines.append(f"data.protocol=all: all {count} images are scored too, training ones included")
        if self.still is not None:
            lines += [f"data.still: {line}" for line in self.still.describe()]
            lines.append(f"data.still: {len(self.still_rows)} images for image steps")
        lines += [] if self.corruption is None else [self.corruption.words()]
        return [*lines, *protocols.WORDS[self.eval_protocol]]

    def verify(self) -> list[str]:
        """Reads every picture once, refuses near-duplicates across splits; lines to print.

        Raises:
            DataError: lists all bad files, or the pictures that stand in two splits.
        """
        if not self.source.needs_checking:
            return []
        hashes = self.source.known_hashes
        if hashes is None:
            hashes = checking.checked_hashes(self.source, "checking images")
        allowed = self.config.allow_duplicates or self.config.split == "paper"
        if self.still is None:
            return duplicates.report(hashes, self.splits, self.source.names, allowed)
        offset = len(self.source)
        more = self.still.known_hashes
        if more is None:
            more = checking.checked_hashes(self.still, "checking images of data.still")
        both = {**hashes, **{offset + row: value for row, value in more.items()}}
        train = [*self.splits.train, *(offset + row for row in self.still_rows)]
        names = [*self.source.names, *(f"data.still {name}" for name in self.still.names)]
        return duplicates.report(both, dataclasses.replace(self.splits, train=train), names, allowed)

    def typical_size(self) -> tuple[int, int]:
        """(height, width) with the median aspect of up to 20 training pictures."""
        rows = self.rows["train"][:20]
        shapes = [self.source.read(index).image.shape[:2] for index in rows]
        aspect = float(np.median([width / height for height, width in shapes]))
        height = int(np.median([height for height, _ in shapes]))
        return height, round(height * aspect)

    def adapt(self, segmenter: Segmenter) -> None:
        """Lets training and validation give what this method needs beyond single pictures.

        One that remembers frames is validated on whole clips, with their frames without truth. One that has
        video steps is trained on frames of clips, each together with another frame of its clip.
        """
        self._remembers = segmenter.stateful
        self._validated_with = self._scored_with if REFERENCE in segmenter.input_keys else None
        self._steps = segmenter.training_steps
        clips, rows = self.source.clips, self.rows["train"]
        in_clips = VIDEO_STEP in segmenter.training_steps and any(clips[row] for row in rows)
        kind = segmenter.training_reference
        self._references = references(kind, rows, clips, self.seed) if in_clips else None

    def divide(self, portion: Portion) -> None:
        """Gives this process its part of every training batch and of the validation pictures.

        Raises:
            ConfigError: they cannot be shared.
        """
        portion.require_shareable(self.step_pictures(), self._validation)
        self._portion = portion

    def validated_names(self) -> list[str]:
        """The validation pictures of all processes, in their order."""
        return self._validation.names

    def checked_names(self) -> list[str]:
        """The masks that a pretraining is checked on, of all processes, in their order."""
        return [str(row) for row in range(len(self._checked()))]

    def cache_samples(self, input_size: Callable[[int, int], tuple[int, int]]) -> tuple[int, int]:
        """Decodes the training pictures once, at the size that the method trains at.

        Args:
            input_size: `Segmenter.training_input_size`; called with the typical height and width.

        Returns:
            That (height, width).

        Raises:
            ConfigError: true colours are asked for that the source does not know.
        """
        size = input_size(*self.typical_size())
        if self.flow is not None:
            self.flow.prepare([*self.rows["train"], *self.rows["val"]])
        if self._samples is None or self._samples.size != size:
            self._require_colours()
            self._samples = self._cached(self.source, self.rows["train"], size)
            if self.still is not None:
                self._still_samples = self._cached(self.still, self.still_rows, size)
        return size

    def _cached(self, source: Source, rows: Sequence[int], size: tuple[int, int]) -> SampleCache:
        with progress.bar("preparing training images", len(rows)) as advance:
            return SampleCache(
                source, rows, size, self.config.cache, self.config.colours, lambda _: advance(1)
            )

    def mean_mask(self) -> torch.Tensor:
        """The average training mask, (1, 1, 128, 128) float32, as `eval_protocol` has pictures."""
        return mean_mask(self.source, self.rows["train"], self.eval_protocol)

    def _require_colours(self) -> None:
        if self.config.colours and not self.source.knows_colours:
            raise ConfigError(
                "data.colours=true: only data=synthetic knows the true colours of fore- and background."
            )

    def training_samples(self) -> tuple[SampleCache, int]:
        """The decoded training pictures, and the width of the transition region at their size.

        Raises:
            RuntimeError: `cache_samples` was not called before.
        """
        if self._samples is None:
            raise RuntimeError("cache_samples() comes before the training loaders")
        return self._samples, targets.scaled_region(int(self.config.region_px), min(self._samples.size))

    def train_dataloader(self, draws: int | None = None, pretraining: str = "") -> Loader:
        """Augmented training batches.

        Args:
            draws: pictures in an epoch; None = `epoch_pictures`.
            pretraining: name of the network that is pretrained, whose draws are its own; "" = the method.
                It sees single pictures.
        """
        samples, region_px = self.training_samples()
        transform = augment.composed(self.transforms, samples)
        seed = seed_for(self.seed, pretraining)
        others = None if pretraining else self._references
        dataset = TrainingSet(samples, transform, region_px, seed, self.source, others, flow=self.flow)
        still = None if others is None else self._still_set(transform, region_px, seed)
        if still is not None:
            return self._mixed(dataset, still, draws)
        batch = self.step_pictures(draws)
        sampler = EpochSampler(len(dataset), seed, draws or self.epoch_pictures, whole=batch)
        own, size = self._portion.of_batches(sampler, batch)
        return self._loader(dataset, size // self.parts, own)

    def step_pictures(self, draws: int | None = None) -> int:
        """How many training pictures a batch holds, all its parts together; draws: see `train_dataloader`."""
        available = len(self.rows["train"])
        return min(self.batch, available, draws or self.epoch_pictures or available)

    def step_order(self) -> list[str]:
        """The kinds of an epoch's training steps; none where all are pictures, of clips or not."""
        if self._references is None:
            return []
        if self.still is None or IMAGE_STEP not in self._steps:
            return [VIDEO_STEP]
        count, batch = self._video_draws(None)
        return ordered(self._steps, VIDEO_STEP, count // batch)

    def _video_draws(self, draws: int | None) -> tuple[int, int]:
        """Frames of clips in an epoch beside pictures, and in a batch."""
        size = len(self.rows["train"])
        count = draws or self.epoch_pictures or size
        return count, min(self.batch, size, count)

    def _still_set(self, transform: v2.Transform, region_px: int, seed: int) -> TrainingSet | None:
        """The pictures of image steps; None where there are no such steps, or no pictures of their own."""
        if self.still is None or self._still_samples is None or IMAGE_STEP not in self._steps:
            return None
        own = seed_for(seed, "still")
        return TrainingSet(self._still_samples, transform, region_px, own, self.still, beside_clips=True)

    def _mixed(self, video: TrainingSet, still: TrainingSet, draws: int | None) -> Loader:
        """Video and image batches in the order of the method's steps; an epoch is of all frames of clips."""
        sets = {VIDEO_STEP: video, IMAGE_STEP: still}
        count, batch = self._video_draws(draws)
        streams = {
            VIDEO_STEP: Stream(len(video), batch, video.seed),
            IMAGE_STEP: Stream(len(still), min(self.batch, len(still)), still.seed),
        }
        sampler = StepSampler(self._steps, streams, VIDEO_STEP, count // batch)
        return self._loader(StepSet(sets), None, self._portion.of_steps(sampler))

    def pretraining_check_dataloader(self) -> Loader:
        """Up to 100 training masks, never augmented, by which a pretraining is scored and stopped."""
        masks = self._checked()
        return self._loader(
            Subset(masks, self._portion.of_rows(len(masks), self.batch)), max(1, self.batch // self.parts)
        )

    def _checked(self) -> PretrainingSet:
        samples, region_px = self.training_samples()
        return PretrainingSet(samples, region_px, PRETRAINING_CHECK_PICTURES)

    def val_dataloader(self) -> Loader:
        """Validation pictures one by one at their own size, for a training to choose its epoch by."""
        seen = _seen(self._portion.of_validation(self._validation), self._remembers)
        return self._loader(self._with_references(seen, self.source, self._validated_with, NATIVE), 1)

    def test_dataloader(self) -> list[Loader]:
        """A loader for each entry of `evaluated_rows`: pictures one by one as `eval_protocol` has them."""
        return list(self.evaluation_dataloaders().values())

    def evaluation_dataloaders(
        self, remembers: bool = False, shard: Shard | None = None
    ) -> dict[str, Loader]:
        """The same loaders by the names of their splits, of a shard where there is one.

        Args:
            remembers: whether the method remembers frames, so that it is given those without truth too.
        """
        given = self._given if shard is None else self._parts(shard)
        # of few validation clips some shards have none
        sets = {name: given[name] for name in self.evaluated_rows() if given[name].indices}
        for scored in sets.values():
            if scored.flow is not None:
                scored.flow.prepare(scored.indices)
        seen = {name: (_seen(scored, remembers), scored.source) for name, scored in sets.items()}
        return {name: self._loader(self._scored(*pictures), 1) for name, pictures in seen.items()}

    def test_batch(self, number: int) -> Batch:
        """One test picture, counted from 0, alone in a batch as `evaluation_dataloaders` gives it."""
        scored = self._evaluation["test"]
        if scored.flow is not None:
            # a panel asks for single pictures, and for no loader before
            scored.flow.prepare([scored.indices[number]])
        return collate([self._scored(scored, scored.source)[number]])

    def test_picture(self, number: int) -> Sample:
        """One test picture, counted from 0, as `eval_protocol` has it."""
        return self._evaluation["test"].picture(number)

    def _scored(self, pictures: Dataset[Any], source: Source) -> Dataset[Any]:
        return self._with_references(pictures, source, self._scored_with, self.eval_protocol)

    def _with_references(
        self, pictures: Dataset[Any], source: Source, options: ReferenceOptions | None, protocol: str
    ) -> Dataset[Any]:
        if options is None:
            return pictures
        return WithReferences(pictures, ClipReferences(source, options, self.seed, protocol))

    def _loader(
        self,
        dataset: Dataset[Any],
        batch: int | None,
        sampler: Sampler[Any] | None = None,
    ) -> Loader:
        """batch: pictures in one; None = the sampler draws whole batches."""
        return DataLoader(
            dataset,
            batch_size=batch,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
        )


def _seen(scored: EvaluationSet, remembers: bool) -> Dataset[Any]:
    """What a method is given of the pictures that are scored."""
    return WholeClips(scored) if remembers and scored.source.unscored else scored


def _limited(rows: Sequence[int], limit: int | None) -> list[int]:
    return list(rows) if limit is None else list(rows)[:limit]
