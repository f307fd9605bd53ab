"""What predict, place and filter share: a method over pictures and videos; reading and writing overlap."""

import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kolbench.config.compose import instantiate
from kolbench.config.schema import TaskResult
from kolbench.data.flow import FlowOptions, ShotFlow
from kolbench.errors import TERMINATED, ConfigError, KolbenchError, told
from kolbench.inference.apply import inputs
from kolbench.inference.apply.config import ApplyConfig
from kolbench.inference.apply.inputs import PIPE, Item
from kolbench.inference.apply.loading import open_predictor
from kolbench.inference.apply.outputs import (
    OutputKind,
    Rendering,
    is_sequence,
    reports_of,
    targets_of,
    video_format_name,
    write_picture,
)
from kolbench.inference.predictor import Predictor, binarize
from kolbench.io import colour_profiles, images, progress
from kolbench.models.mirrored import viewed
from kolbench.runs import sweep_outputs
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.frame import Frame
from kolbench.video.reader import VideoReader
from kolbench.video.sequence import PngSequence
from kolbench.video.stream import read_ahead, write_behind
from kolbench.video.temporal.cuts import Shots
from kolbench.video.temporal.islands import keeper_of
from kolbench.video.temporal.smooth import Smoother, Stabiliser
from kolbench.video.writers import VideoWriter, open_writer

FROM_STDIN = "stdin.png"


@dataclass
class Outcome:
    """What was done so far. damaged: videos that were written although some of their frames are lost."""

    pictures: int = 0
    frames: int = 0
    damaged: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def described(self) -> str:
        """What was done, in words."""
        counts = ((self.pictures, "image"), (self.frames, "frame"))
        words = [f"{count:,} {word}{'s' * (count != 1)}" for count, word in counts if count]
        return " and ".join(words) or "nothing"

    def result(self) -> TaskResult:
        """What the task returns."""
        return TaskResult(
            failed=len(self.failures) + self.damaged,
            figures={"pictures": self.pictures, "frames": self.frames},
        )


@dataclass(frozen=True)
class Application:
    """One command: what is done with every input, and what was done so far.

    config, kinds, doing: see `apply_method`. targets: name of a kind -> the output of each input.
    predictor: ready.
    """

    config: ApplyConfig
    kinds: Sequence[OutputKind]
    targets: Mapping[str, Mapping[Item, Path]]
    predictor: Predictor
    doing: str
    outcome: Outcome = field(default_factory=Outcome)

    def final(self, alpha: Float32Array) -> Float32Array:
        """The alpha as it is written: soft, or cut at `threshold=`."""
        return binarize(alpha, self.config.threshold)

    def final_of_picture(self, alpha: Float32Array) -> Float32Array:
        """The same of an image: what `keep=` keeps of it."""
        return self.final(keeper_of(self.config.keep).push(alpha, 0.0, False))


def apply_method(
    config: ApplyConfig, kinds: Sequence[OutputKind], doing: str, kept: Sequence[Path] = ()
) -> TaskResult:
    """Runs a method over all of `input=` and writes every kind of output.

    An input that cannot be read is named and skipped; nothing partial is left of it.

    Args:
        config: of the task.
        kinds: what is written of each input.
        doing: for the progress bar.
        kept: files that are read besides the inputs, and so may not be written.

    Returns:
        How many inputs failed or are damaged.

    Raises:
        KolbenchError: the settings do not go together, there is no input, or no weights.
    """
    given, output = _required(config, "input"), _required(config, "output")
    smoother_of(config)
    keeper_of(config.keep)
    if PIPE in (given, output):
        return _pipe(config, kinds, given, output, kept)
    place, format_name = Path(output).expanduser(), config.format
    items = inputs.items_of(given, place)
    targets = targets_of(items, place, kinds, format_name, kept)
    if config.dry_run:
        return _foretold(targets)
    written = [target for own in targets.values() for target in own.values()]
    sweep_outputs.SWEEP.take([*written, *reports_of(targets, kinds, format_name, place)])
    application = Application(config, kinds, targets, open_predictor(config, _expected(items)), doing)
    print("\n".join([f"{inputs.describe(items)} from {given}", *inputs.left_out(given, items)]))
    started, outcome = time.monotonic(), application.outcome
    of_pictures = [item for item in items if not item.is_video]
    try:
        with ended_cleanly():
            if of_pictures:
                _pictures(application, of_pictures)
            for item in items:
                if item.is_video:
                    _clip(application, item)
    finally:
        for line in (
            *outcome.notes,
            *colour_profiles.notes(),
            *(f"skipped: {failure}" for failure in outcome.failures),
        ):
            print(line)
    done = outcome.pictures + outcome.frames
    seconds = time.monotonic() - started
    print(f"{outcome.described()} in {seconds:.1f} s, {done / seconds:.1f} a second, in {output}")
    return outcome.result()


def _foretold(targets: Mapping[str, Mapping[Item, Path]]) -> TaskResult:
    for own in targets.values():
        for item, target in own.items():
            print(f"{item.source} -> {target}")
    return Outcome().result()


@contextmanager
def ended_cleanly() -> Iterator[None]:
    """SIGTERM ends the block as an exception does, so that what is half written is taken away."""

    def end(*_: object) -> None:
        sys.exit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _required(config: ApplyConfig, key: str) -> str:
    value: str | None = getattr(config, key)
    if not value:
        raise ConfigError(f"task={config.task} needs {key}=PATH.")
    return value


def smoother_of(config: ApplyConfig) -> Smoother:
    """A new smoother as `smooth=` says.

    Raises:
        ConfigError: an option is out of range.
    """
    smoother: Smoother = instantiate(config.smooth)
    return smoother


def _expected(items: Sequence[Item]) -> int:
    """How many predictions there are to make, at least: pictures, and the frames of the first video."""
    videos = [item.source for item in items if item.is_video]
    frames = 0
    if videos:
        with suppress(KolbenchError), VideoReader(videos[0]) as reader:
            frames = reader.frame_count
    return len(items) - len(videos) + frames


def _pictures(application: Application, items: Sequence[Item]) -> None:
    outcome = application.outcome

    def write(done: tuple[Item, UInt8Array, Float32Array]) -> None:
        item, image, alpha = done
        frame, final = Frame(image, 0, 0.0), application.final_of_picture(alpha)
        renderings = {kind: kind.begin() for kind in application.kinds}
        try:
            made = {kind: rendering(frame, final, False) for kind, rendering in renderings.items()}
            for kind, picture in made.items():
                target = application.targets[kind.name][item]
                write_picture(target, picture)
                for line in renderings[kind].finish(target, 0.0):
                    print(f"{item.source}: {line}")
        except Exception as error:  # whatever one input brings, the others go on
            outcome.failures.append(f"{item.source}: {told(error)}")
            return
        outcome.pictures += 1

    with (
        progress.bar(f"{application.doing} images", len(items)) as advance,
        write_behind(write) as put,
        read_ahead(_decoded(items, outcome)) as ahead,
    ):
        for item, image, alpha in application.predictor.each(_readable(ahead, outcome)):
            advance(1)
            if isinstance(alpha, KolbenchError):
                outcome.failures.append(f"{item.source}: {alpha}")
                continue
            put((item, image, alpha))


def _decoded(items: Iterable[Item], outcome: Outcome) -> Iterator[tuple[Item, UInt8Array | KolbenchError]]:
    for item in items:
        try:
            image = images.read_rgb(item.source)
        except KolbenchError as error:
            yield item, error
            continue
        except Exception as error:  # whatever one input brings, the others go on
            yield item, KolbenchError(f"{item.source}: {told(error)}")
            continue
        outcome.notes += note_of_frames(item.source)
        yield item, image


def note_of_frames(path: Path) -> list[str]:
    """A sentence where a picture that can be read is an animation, of which one frame is used."""
    # frames after the first one may be damaged
    with suppress(KolbenchError):
        if (frames := images.frames_in(path)) > 1:
            return [f"{path}: {frames} frames, the first is used; a video keeps them all"]
    return []


def _readable(
    pictures: Iterable[tuple[Item, UInt8Array | KolbenchError]], outcome: Outcome
) -> Iterator[tuple[Item, UInt8Array]]:
    for item, image in pictures:
        if isinstance(image, KolbenchError):
            outcome.failures.append(str(image))
        else:
            yield item, image


def _clip(application: Application, item: Item) -> None:
    started = time.monotonic()
    try:
        frames, lines = _stream(application, item)
    except KolbenchError as error:
        # a signal in its chain is raised
        application.outcome.failures.append(str(told(error)))
        return
    except Exception as error:  # whatever one input brings, the others go on
        application.outcome.failures.append(f"{item.source}: {told(error)}")
        return
    application.outcome.frames += frames
    rate = frames / (time.monotonic() - started)
    print(f"{item.source}: {frames:,} frames, {rate:.1f} a second")
    for line in lines:
        print(f"  {line}")


def _stream(application: Application, item: Item) -> tuple[int, list[str]]:
    """Frames written and what there is to say of one video."""
    targets = {kind: application.targets[kind.name][item] for kind in application.kinds}
    stabiliser, shots = Stabiliser(smoother_of(application.config)), Shots()
    keeper = keeper_of(application.config.keep)
    predictor = application.predictor.for_clip()
    renderings: dict[OutputKind, Rendering] = {kind: kind.begin() for kind in targets}
    held: deque[tuple[Frame, bool]] = deque()
    frames = 0
    with VideoReader(item.source) as reader:
        with ExitStack() as stack:
            writers: dict[OutputKind, VideoWriter | PngSequence] = {}
            for kind, target in targets.items():
                writer = _writer(target, reader, kind, application.config)
                stack.enter_context(writer)
                writers[kind] = writer

            def render(done: tuple[Frame, Float32Array, bool]) -> None:
                frame, alpha, cut = done
                write((frame.pts, [renderings[kind](frame, alpha, cut) for kind in writers]))

            def store(rendered: tuple[int, list[UInt8Array]]) -> None:
                pts, pictures = rendered
                for writer, picture in zip(writers.values(), pictures, strict=True):
                    writer.write(picture, pts)

            def finish(alphas: Iterable[Float32Array]) -> None:
                for final in alphas:
                    frame, is_cut = held.popleft()
                    put((frame, application.final(final), is_cut))

            name = f"{application.doing} {item.source.name}"
            advance = stack.enter_context(progress.bar(name, reader.frame_count))
            write = stack.enter_context(write_behind(store))
            put = stack.enter_context(write_behind(render))
            ahead = stack.enter_context(read_ahead(_with_cuts(reader, shots)))
            for (frame, is_cut), _, alpha in predictor.each(_in_shots(ahead, predictor)):
                if isinstance(alpha, KolbenchError):
                    raise type(alpha)(f"{item.source}, frame {frames}: {alpha}")
                held.append((frame, is_cut))
                # islands that come and go would leave traces in what smoothing remembers
                kept = keeper.push(alpha, frame.seconds, is_cut)
                finish(stabiliser.push(kept, frame.seconds, is_cut))
                frames += 1
                advance(1)
            finish(stabiliser.flush())
        application.outcome.damaged += reader.is_damaged
        lines = [*reader.notes, *(note for writer in writers.values() for note in writer.notes)]
        lines += _flicker(stabiliser, len(shots.cuts), application.config.smooth.name)
        for kind, rendering in renderings.items():
            lines += rendering.finish(targets[kind], reader.seconds)
    return frames, lines


def _with_cuts(frames: Iterable[Frame], shots: Shots) -> Iterator[tuple[Frame, bool]]:
    """Frames, and whether a new shot begins with each."""
    for frame in frames:
        yield frame, shots.is_cut(frame.image, frame.seconds)


def _in_shots(
    frames: Iterable[tuple[Frame, bool]], predictor: Predictor
) -> Iterator[tuple[tuple[Frame, bool], UInt8Array]]:
    """The same with their pictures; the predictor forgets at cuts, and has the flow where it reads it."""
    predictor.begin_shot()
    options: FlowOptions | None = getattr(viewed(predictor.segmenter)[0], "flow_options", None)
    moving = _alone(frames) if options is None else _with_flow(frames, options)
    for frame, is_cut, beside in moving:
        if is_cut:
            predictor.begin_shot()
        predictor.beside = beside
        yield (frame, is_cut), frame.image


def _alone(frames: Iterable[tuple[Frame, bool]]) -> Iterator[tuple[Frame, bool, tuple[UInt8Array, ...]]]:
    for frame, is_cut in frames:
        yield frame, is_cut, ()


def _with_flow(
    frames: Iterable[tuple[Frame, bool]], options: FlowOptions
) -> Iterator[tuple[Frame, bool, tuple[UInt8Array, ...]]]:
    """The same with the flow to the next frame of the shot, so one frame late."""
    shot = ShotFlow(options)
    held: tuple[Frame, bool] | None = None
    for frame, is_cut in frames:
        last = shot.end() if is_cut and held is not None else None
        flow = shot.push(frame.image)
        if held is not None:
            picture = flow if last is None else last
            assert picture is not None  # a frame is held, so there was one before
            yield (*held, (picture,))
        held = frame, is_cut
    if held is not None:
        yield (*held, (shot.end(),))


def _writer(
    target: Path, reader: VideoReader, kind: OutputKind, config: ApplyConfig
) -> VideoWriter | PngSequence:
    format_name, sound = config.format, config.sound
    if is_sequence(kind, format_name, Path(str(config.output)).expanduser()):
        return PngSequence(target, reader, sound=sound)
    return open_writer(target, reader, kind.transparent, video_format_name(format_name), sound)


def _flicker(stabiliser: Stabiliser, cuts: int, smooth: str) -> list[str]:
    """Flicker in words: mean change of alpha per pixel from frame to frame, and at the border."""
    before, after = stabiliser.before.result(), stabiliser.after.result()
    if before.flicker_mad is None or after.flicker_mad is None:
        return []
    if smooth == "none":
        return [
            f"flicker {before.flicker_mad:.4f} (mean change of alpha from frame to frame, motion included)"
        ]
    return [
        f"flicker {before.flicker_mad:.4f} before and {after.flicker_mad:.4f} after smooth={smooth} "
        f"(mean change of alpha), {before.flicker_iou:.4f} and {after.flicker_iou:.4f} (1 - IoU), "
        f"{cuts} cuts"
    ]


def _pipe(
    config: ApplyConfig, kinds: Sequence[OutputKind], given: str, output: str, kept: Sequence[Path]
) -> TaskResult:
    """One picture from stdin, or to stdout, or both; all that is said goes to stderr."""
    if len(kinds) > 1:
        raise ConfigError(f"A pipe holds one image; save= names {len(kinds)} kinds.")
    if output == PIPE and sweep_outputs.SWEEP.job:
        raise ConfigError("output=- holds one image, but a sweep makes one of each job.")
    item = Item(Path(FROM_STDIN), Path(FROM_STDIN)) if given == PIPE else _lone_picture(given)
    rendering, target = kinds[0].begin(), None
    if output != PIPE:
        targets = targets_of([item], Path(output).expanduser(), kinds, config.format, kept)
        target = targets[kinds[0].name][item]
    elif config.format not in ("auto", "png"):
        raise ConfigError(f"format={config.format}: a pipe gives a PNG; leave format away.")
    if config.dry_run:
        print(f"{'stdin' if given == PIPE else item.source} -> {target or 'stdout'}", file=sys.stderr)
        return Outcome().result()
    if target is not None:
        sweep_outputs.SWEEP.take([target, *kinds[0].beside(target, "picture")])
    with redirect_stdout(sys.stderr):
        if given == PIPE:
            image = images.rgb_from_bytes(sys.stdin.buffer.read(), "the image from stdin")
        else:
            image = images.read_rgb(item.source)
            for line in note_of_frames(item.source):
                print(line)
        found = keeper_of(config.keep).push(open_predictor(config)(image), 0.0, False)
        alpha = binarize(found, config.threshold)
        picture = rendering(Frame(image, 0, 0.0), alpha, False)
    if target is None:
        sys.stdout.buffer.write(images.png_bytes(picture))
        sys.stdout.buffer.flush()
    else:
        write_picture(target, picture)
        rendering.finish(target, 0.0)
    return Outcome(pictures=1).result()


def _lone_picture(given: str) -> Item:
    items = inputs.items_of(given, Path(FROM_STDIN))
    if len(items) > 1 or items[0].is_video:
        raise ConfigError(f"output=- gives one image, but input={given} is {inputs.describe(items)}.")
    return items[0]
