"""task=prepare: frames from videos, ready to be labelled (RSUDISNet, section 3.4: 20 frames a video)."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kolbench.config.schema import TaskConfig, TaskResult
from kolbench.data import listing
from kolbench.data.manifest import HOW_TO_LABEL, VIDEO_SUFFIXES, ManifestRow, read_manifest, write_manifest
from kolbench.errors import ConfigError, DataError, KolbenchError, require_choice
from kolbench.io import progress
from kolbench.io.images import write_jpeg, write_png
from kolbench.types import UInt8Array
from kolbench.video import timelines
from kolbench.video.timelines import Moment, Timeline

WRITERS: Mapping[str, Callable[[Path, UInt8Array], None]] = {
    "png": write_png,
    "jpg": lambda path, image: write_jpeg(path, image, quality=95),
}


@dataclass(frozen=True)
class PrepareConfig(TaskConfig):
    """What `task=prepare` reads.

    input: a video, or a folder searched at any depth. output: a folder. frames: of a video. format: png or
    jpg.
    """

    input: Path | None
    output: Path | None
    frames: int
    format: str


def run(config: PrepareConfig) -> TaskResult:
    """Extracts frames of every video into `output/images/VIDEO/` and remembers them in `output/manifest.csv`.

    A second run adds only what is missing; files that are there are never touched. A video that cannot be
    read is named and skipped, and leaves nothing behind.

    Returns:
        How many videos were skipped or are damaged.

    Raises:
        ConfigError: a setting is missing or out of range. DataError: no video, or none could be read.
    """
    source, output = _required("input", config.input), _required("output", config.output)
    count, format_name = config.frames, require_choice("format", config.format, WRITERS)
    videos = _find_videos(source)
    (output / "images").mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    damages: list[str] = []
    total = written = 0
    with progress.bar("extracting frames", len(videos)) as advance:
        for file, path in videos:
            try:
                present, new, damaged = _prepare_video(path, file, output, count, format_name)
                total, written = total + present, written + new
                damages += damaged
            except DataError as error:
                failures.append(str(error))
            except OSError as error:
                raise DataError(f"Writing into {output} failed: {error.strerror or error}.") from error
            advance(1)
    _summarise(output, len(videos) - len(failures), total, written, failures, damages)
    figures = {"videos": len(videos) - len(failures), "frames": total, "written": written}
    return TaskResult(failed=len(failures) + len(damages), figures=figures)


def _required(key: str, path: Path | None) -> Path:
    if path is None:
        raise ConfigError(f"{key} has no value: add {key}=PATH to the command.")
    return path


def _find_videos(source: Path) -> list[tuple[str, Path]]:
    """(path below the input, file) of each video."""
    if source.is_file():
        return [(source.name, source)]
    folder = listing.require_folder(source, "input")
    files = listing.visible_files(folder, VIDEO_SUFFIXES)
    if not files:
        known = ", ".join(sorted(VIDEO_SUFFIXES))
        raise DataError(f"input={source} holds no video ({known}).")
    return [(path.relative_to(folder).as_posix(), path) for path in files]


def _prepare_video(
    path: Path, file: str, output: Path, count: int, format_name: str
) -> tuple[int, int, list[str]]:
    """Frames there now, frames written, and what is damaged; a failure takes back all that it wrote."""
    digest = listing.content_digest(path, whole=False).hex()[:16]
    before = read_manifest(output)
    timeline = timelines.read_timeline(path)
    moments = timelines.choose_moments(timeline, count)
    video = _folder_name(unicodedata.normalize("NFC", path.stem), digest, before, output / "images")
    names = {moment: f"{video}/{video}_{moment.number:06d}" for moment in moments}
    rows = [ManifestRow(names[m], video, f"{m.seconds:.6f}", str(m.number), file, digest) for m in moments]
    # remembered before the first frame is written, so that a killed run is known again
    write_manifest(output, {row.name: row for row in (*rows, *before)}.values())
    folder = output / "images" / video
    folder.mkdir(exist_ok=True)
    there = listing.pictures_below(folder)
    missing = [moment for moment in moments if names[moment].partition("/")[2] not in there]
    try:
        replaced = _write_frames(
            path, timeline, missing, {m: folder.parent / f"{names[m]}.{format_name}" for m in missing}
        )
    except KolbenchError:
        write_manifest(output, before)
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    return len(moments), len(missing), _told(path, replaced)


def _write_frames(
    path: Path, timeline: Timeline, moments: Iterable[Moment], targets: Mapping[Moment, Path]
) -> list[Moment]:
    """Those of the moments whose frame is damaged, so that the next whole one was written."""
    done: list[Path] = []
    replaced: list[Moment] = []
    try:
        for moment, image in timelines.extract(path, timeline, moments, replaced.append):
            target = targets[moment]
            WRITERS[target.suffix[1:]](target, image)
            done.append(target)
    except KolbenchError:
        for target in done:
            target.unlink()
        raise
    return replaced


def _told(path: Path, replaced: Sequence[Moment]) -> list[str]:
    if not replaced:
        return []
    one = len(replaced) == 1
    frames = "1 frame is" if one else f"{len(replaced)} frames are"
    stands = "the next whole one stands for it" if one else "the next whole ones stand for them"
    return [f"{path}: {frames} damaged, first at {replaced[0].seconds:.2f} s; {stands}"]


def _folder_name(stem: str, digest: str, known: Iterable[ManifestRow], images: Path) -> str:
    """The folder that this video has already, else a new one; two videos never share one."""
    rows = list(known)
    for row in rows:
        if row.digest == digest:
            return row.video
    taken = {row.video.casefold() for row in rows} | {path.name.casefold() for path in images.iterdir()}
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def _summarise(
    output: Path, videos: int, total: int, written: int, failures: list[str], damages: list[str]
) -> None:
    for damage in damages:
        print(damage)
    for failure in failures:
        print(f"skipped: {failure}")
    if not videos:
        raise DataError(f"None of the {len(failures)} videos could be read; the first: {failures[0]}")
    print(f"{total} frames of {videos} videos in {output / 'images'}, {written} of them new")
    if failures:
        print(f"{len(failures)} videos skipped")
    print(f"{HOW_TO_LABEL} Then: python -m kolbench experiment=rsudisnet data=kol data.root={output}")
