"""`task=place`: an advertisement behind the KOL and what she holds, and how much of it can be seen."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from kolbench.config.compose import instantiate
from kolbench.config.groups import Component
from kolbench.config.schema import TaskResult
from kolbench.data.manifest import VIDEO_SUFFIXES
from kolbench.errors import ConfigError
from kolbench.inference.apply.config import ApplyConfig
from kolbench.inference.apply.outputs import OutputKind
from kolbench.inference.apply.pipeline import apply_method
from kolbench.io import images
from kolbench.io.files import write_atomically
from kolbench.types import Float32Array, UInt8Array
from kolbench.video.animations import is_animation
from kolbench.video.compositing.ad import Ad, AdStill, AdVideo, Placement
from kolbench.video.compositing.composite import AdBehind, Look
from kolbench.video.compositing.filmstrip import Filmstrip
from kolbench.video.compositing.foreground import require_foreground_method
from kolbench.video.compositing.visibility import REPORT_SUFFIXES, Row, VisibilityReport
from kolbench.video.frame import Frame
from kolbench.video.reader import VideoReader

PICTURE_COLUMNS = ("share", "ad_area", "visible_area")


@dataclass(frozen=True)
class PlaceConfig(ApplyConfig):
    """What `task=place` reads. ad: a picture or a video. placement: ad.Placement. look: composite.Look."""

    ad: Path | None
    placement: Component
    look: Component


def run(config: PlaceConfig) -> TaskResult:
    """Writes every input with `ad=` behind the KOL, and beside it a report of what could be seen of the ad.

    Returns:
        How many inputs failed.

    Raises:
        KolbenchError: the ad cannot be read, or see pipeline.apply_method.
    """
    ad = config.ad
    if ad is None:
        raise ConfigError("task=place needs ad=FILE, an image or a video.")
    open_ad = ad_opener(ad)
    require_foreground_method(config.foreground)
    placement, look = instantiate(config.placement), instantiate(config.look)
    pictures: dict[Path, Row] = {}
    begin = partial(Placing, open_ad, placement, look, config.foreground, pictures)
    output = Path(str(config.output)).expanduser()
    kind = OutputKind("placed", begin, beside=partial(files_beside, output))
    result = apply_method(config, [kind], "placing the ad in", [ad])
    if pictures:
        print(write_pictures(pictures, output))
    return result


def files_beside(output: Path, target: Path, shape: str) -> list[Path]:
    """The reports that belong to one `target` of `output`; see outputs.Kind."""
    if shape == "picture":
        return [table_of(output, target == output)]
    report = report_of(target, shape == "folder")
    return [report.with_name(f"{report.name}{suffix}") for suffix in REPORT_SUFFIXES]


def report_of(clip: Path, is_folder: bool) -> Path:
    """Where a clip's report stands, without the suffixes of its files."""
    return clip.with_name(f"{clip.name if is_folder else clip.stem}.visibility")


def table_of(output: Path, lone: bool) -> Path:
    """Where the table of pictures stands: in the folder `output`, or beside the one picture that it is."""
    return output.with_name(f"{output.stem}.visibility.csv") if lone else output / "visibility.csv"


def write_pictures(pictures: Mapping[Path, Row], output: Path) -> str:
    """Writes what of the ad can be seen in each picture, a row each; returns a line to print."""
    table = table_of(output, list(pictures) == [output])
    rows = [
        {
            "picture": path.relative_to(table.parent).as_posix(),
            **{key: getattr(row, key) for key in PICTURE_COLUMNS},
        }
        for path, row in pictures.items()
    ]
    write_atomically(table, partial(pd.DataFrame(rows).to_csv, index=False, float_format="%.6f"))
    shares = [row.share for row in pictures.values() if row.share is not None]
    if not shares:
        return f"no image holds the ad; table in {table}"
    mean = sum(shares) / len(shares)
    return f"{mean:.0%} of the ad can be seen, on average over {len(shares)} images; table in {table}"


def ad_opener(path: Path) -> Callable[[], Ad]:
    """Gives the ad from its beginning, for each input anew; a picture is read once.

    Transparency is kept. Videos and animated pictures move.

    Raises:
        DataError: it is missing or cannot be read.
    """
    if not _moves(path):
        still = AdStill(images.read_rgba(path))
        return lambda: still
    with VideoReader(path, alpha=True) as reader:
        length = reader.seconds

    def frames() -> Iterator[Frame]:
        with VideoReader(path, alpha=True) as clip:
            yield from clip

    return lambda: AdVideo(frames, length)


def _moves(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES or is_animation(path)


class Placing:
    """One input with the ad behind the KOL.

    Args:
        open_ad: gives the ad. placement: where it stands. look: how it is blended in.
        foreground_method: see compositing.foreground.
        pictures: takes the row of a picture, by its output; a clip has a report of its own.
    """

    def __init__(
        self,
        open_ad: Callable[[], Ad],
        placement: Placement,
        look: Look,
        foreground_method: str,
        pictures: dict[Path, Row],
    ) -> None:
        self._ad = open_ad()
        self._pictures = pictures
        self._behind = AdBehind(self._ad, placement, look, foreground_method)
        self._report = VisibilityReport()
        self._strip = Filmstrip()

    def __call__(self, frame: Frame, alpha: Float32Array, cut: bool) -> UInt8Array:
        """The frame with the ad; the report takes note of what is seen."""
        if cut:
            self._behind.cut()
        image, ad_alpha = self._behind(frame, alpha)
        self._report.push(ad_alpha, alpha, frame.seconds, cut)
        self._strip.push(image, frame.seconds)
        return image

    def finish(self, target: Path, seconds: float) -> list[str]:
        """Of a clip, writes TARGET.visibility.csv, .json, .png and .svg."""
        self._ad.close()
        if not seconds:
            self._pictures[target] = self._report.rows[0]
            return []
        self._report.end(seconds)
        files = self._report.write(report_of(target, target.is_dir()), self._strip.stills)
        return [f"{visibility_line(self._report.summary())}; report in {files[0]}"]


def visibility_line(summary: Mapping[str, Any]) -> str:
    """A clip's visibility in one sentence."""
    if summary["mean_share"] is None:
        return "no frame holds the ad"
    return (
        f"{summary['mean_share']:.0%} of the ad can be seen on average; half of it or more for "
        f"{summary['seconds_50']:.1f} of {summary['total_seconds']:.1f} s, "
        f"{summary['longest_view']:.1f} s without a break"
    )
