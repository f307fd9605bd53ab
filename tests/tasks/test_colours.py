"""Patches of known colours through every path from file to file: how far off the worst of them comes out."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from kolbench import load
from kolbench.io import images
from kolbench.video.reader import VideoReader
from tests.helpers import clips
from tests.helpers.serving import method, running, send, uploaded
from tests.helpers.tasks import run_task

# of files that lose something; README.md states it
MOST_LEVELS = 4
OTHERS = [
    (128,) * 3,
    (235, 188, 150),
    (64,) * 3,
    (141, 85, 56),
    (200,) * 3,
    (60, 36, 26),
    (30, 60, 120),
    (128, 0, 32),
]
# the outer columns are beside the ellipse of `experiment=ellipse`, where an ad is seen
PATCHES = np.array(
    [[clips.COLOURS[2 * n], OTHERS[2 * n], OTHERS[2 * n + 1], clips.COLOURS[2 * n + 1]] for n in range(4)],
    np.uint8,
)
OUTER = [0, 3]
PATCH = (24, 32)
SIZE = (96, 128)
SOURCES = [
    (pixel_format, full, matrix)
    for pixel_format in ("yuv420p", "yuv422p", "yuv444p")
    for full, matrix in ((False, "bt709"), (True, "bt601"))
]


def picture():
    """(96, 128, 3) uint8: 4x4 patches."""
    return np.repeat(np.repeat(PATCHES, PATCH[0], 0), PATCH[1], 1)


def error(image, columns=(0, 1, 2, 3)):
    """The largest error in levels at the patches' centres, where no neighbour's chroma reaches."""
    assert image.shape[:2] == SIZE
    parts = image[..., :3].reshape(4, PATCH[0], 4, PATCH[1], 3)[:, 10:14, :, 12:20].astype(int)
    return int(np.abs(parts - PATCHES[:, None, :, None])[:, :, columns].max())


def lossless_clip(path, pixel_format, full, matrix):
    """Two frames of the patches, as Y, Cb, Cr that are computed here."""
    height, width = SIZE
    values = np.array([clips.planes_of(c, matrix, 8, full) for c in PATCHES.reshape(-1, 3)], np.uint8)
    planes = np.repeat(np.repeat(values.reshape(4, 4, 3), PATCH[0], 0), PATCH[1], 1)
    down, across = {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1)}[pixel_format]
    tag, range_tag = {"bt709": 1, "bt601": 5}[matrix], 2 if full else 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, range_tag
        for number in range(2):
            frame = av.VideoFrame(width, height, pixel_format)
            for channel, plane in enumerate(frame.planes):
                step = (down, across) if channel else (1, 1)
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                rows[:, : plane.width] = planes[:: step[0], :: step[1], channel]
            frame.pts, frame.colorspace, frame.color_range = number, tag, range_tag
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def seen(path):
    """Every frame of a video, or of a folder of PNGs."""
    if path.is_dir():
        return [np.asarray(Image.open(file)) for file in sorted(path.rglob("*.png"))]
    with VideoReader(path, alpha=True) as reader:
        return [frame.image for frame in reader]


def run(task, experiment, given, output, *words):
    run_task(f"task={task}", f"experiment={experiment}", *words, input=str(given), output=str(output))
    columns = OUTER if experiment == "ellipse" else [0, 1, 2, 3]
    return max(error(image, columns) for image in seen(output))


@pytest.mark.parametrize(("pixel_format", "full", "matrix"), SOURCES)
def test_videos_keep_their_colours_through_every_task(tmp_path, pixel_format, full, matrix):
    clip = lossless_clip(tmp_path / "c.mkv", pixel_format, full, matrix)
    ad = tmp_path / "ad.png"
    images.write_png(ad, picture())
    everywhere = [f"placement.{side}" for side in ("left=0", "top=0", "width=1", "height=1", "fit=stretch")]
    behind = (f"ad={clip}", *everywhere)
    errors = {
        "predict, H.264": run("predict", "allfg", clip, tmp_path / "a.mp4", "save=black"),
        "predict, VP9 with alpha": run("predict", "allfg", clip, tmp_path / "b.webm", "save=cutout"),
        "predict, ProRes": run("predict", "allfg", clip, tmp_path / "c.mov", "save=cutout", "format=prores"),
        "predict, PNG": run("predict", "allfg", clip, tmp_path / "d", "save=cutout", "format=png"),
        "place, in front": run("place", "allfg", clip, tmp_path / "e.mp4", *behind),
        "place, the ad": run("place", "ellipse", clip, tmp_path / "f.mp4", *behind),
        "place, the ad an image": run("place", "ellipse", clip, tmp_path / "g.mkv", f"ad={ad}", *everywhere),
        "filter, in front": run("filter", "allfg", clip, tmp_path / "h.mp4", "filter=blur"),
        "filter, an image behind": run(
            "filter", "ellipse", clip, tmp_path / "i.mp4", "filter=image", f"filter.image={ad}"
        ),
    }
    run_task("task=prepare", input=str(clip), output=str(tmp_path / "set"), frames=2)
    errors["prepare"] = max(error(image) for image in seen(tmp_path / "set" / "images" / "c"))
    assert max(errors.values()) <= MOST_LEVELS, errors
    # nothing but the rounding of the source
    assert max(errors[path] for path in ("predict, ProRes", "predict, PNG", "prepare")) <= 1, errors


def test_pictures_keep_their_colours_in_the_page():
    with running([method("allfg", load("allfg"))]) as port:
        for subsampling in (0, 1, 2, None):
            data = io.BytesIO()
            if subsampling is None:
                Image.fromarray(picture()).save(data, "PNG")
            else:
                Image.fromarray(picture()).save(data, "JPEG", quality=95, subsampling=subsampling)
            token = uploaded(port, data.getvalue())["token"]
            shown = send(port, "GET", f"/pictures/{token}").picture()
            cut = send(port, "POST", f"/pictures/{token}/files/cutout", {"method": 0}).picture()
            assert max(error(shown), error(cut)) <= (0 if subsampling is None else 1)
