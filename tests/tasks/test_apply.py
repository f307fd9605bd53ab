"""predict, place and filter over real pictures and real videos, as the command line runs them."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from kolbench.config.compose import build_segmenter, model_config
from kolbench.data.scenes import scene
from kolbench.errors import ConfigError, DataError
from kolbench.inference.apply import pipeline
from kolbench.inference.apply.outputs import write_picture
from kolbench.inference.predictor import Predictor
from kolbench.io import colour_profiles, images, masks
from kolbench.models.trivial import Ellipse
from kolbench.video.reader import VideoReader
from tests.helpers import clips, damaged
from tests.helpers.commands import kolbench, start
from tests.helpers.tasks import run_task
from tests.io.test_colour_profiles import DISPLAY_P3, expected, profile

SIZE = (48, 64)


def run(task, given, output, *words, method="ellipse"):
    done = run_task(f"task={task}", f"experiment={method}", *words, input=str(given), output=str(output))
    return {**done.figures, "failed": done.failed}


def ellipse(size=SIZE):
    return Ellipse().segment(np.zeros((*size, 3), np.uint8))


def core():
    """Far enough inside the ellipse that 4:2:0 colours of the outside do not reach it."""
    return cv2.erode((ellipse() == 1).astype(np.uint8), np.ones((7, 7), np.uint8)) == 1


def frames_of(path):
    with VideoReader(path) as reader:
        return list(reader)


@pytest.fixture
def shots(tmp_path):
    """Two pictures in two folders, one of them a phone's, and one that is broken."""
    folder = tmp_path / "shots"
    (folder / "day 1").mkdir(parents=True)
    Image.fromarray(clips.picture(0, SIZE)).save(folder / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(clips.picture(1, SIZE)).save(folder / "day 1" / "phone.jpg", exif=exif, quality=95)
    (folder / "broken.jpg").write_bytes(b"<html>404</html>")
    return folder


def test_what_nobody_expected_of_one_input_is_named_with_its_trace_and_the_others_go_on(
    tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        Image.fromarray(clips.picture(0, SIZE)).save(folder / f"{name}.png")
    clips.make_clip(folder / "clip.mp4", 3)
    clips.make_clip(folder / "odd.mp4", 3)
    read = images.read_rgb

    def stumbles(path):
        if path.stem == "b":
            raise IndexError("tuple index out of range")
        return read(path)

    monkeypatch.setattr(images, "read_rgb", stumbles)

    def fails(path, *rest):
        if path.stem == "odd":
            raise ZeroDivisionError("division by zero")
        return VideoReader(path, *rest)

    monkeypatch.setattr(pipeline, "VideoReader", fails)
    assert run("predict", folder, tmp_path / "out") == {"pictures": 2, "frames": 3, "failed": 2}
    said = capsys.readouterr().out
    for name, kind in (("b.png", "IndexError: tuple index"), ("odd.mp4", "ZeroDivisionError: division")):
        (line,) = [line for line in said.splitlines() if line.startswith("skipped") and name in line]
        assert kind in line
        trace = Path(re.search(r"\S+kolbench-\S+\.txt", line)[0])
        assert "Traceback" in trace.read_text()
        trace.unlink()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png", "clip.mp4"]


def test_pictures_and_ads_of_another_colour_space_are_converted_and_that_is_said(tmp_path, capsys):
    icc = profile("Display P3", DISPLAY_P3)
    for name in ("a", "b"):
        Image.fromarray(np.full((*SIZE, 3), (200, 40, 40), np.uint8)).save(
            tmp_path / f"{name}.png", icc_profile=icc
        )
    # what tests before have read
    colour_profiles.notes()
    run("predict", tmp_path / "[ab].png", tmp_path / "out", "save=black")
    said = "2 images have another colour profile than sRGB (Display P3); converted to sRGB"
    assert capsys.readouterr().out.count(said) == 1
    found = images.read_rgb(tmp_path / "out" / "a.png")[ellipse() == 1]
    assert np.abs(found - expected(np.array([200, 40, 40]), DISPLAY_P3)).max() <= 2


def test_a_folder_of_pictures_keeps_its_tree_and_names_what_is_broken(shots, tmp_path, capsys):
    result = run("predict", shots, tmp_path / "out", "save=[alpha,alpha16,cutout]")
    assert result == {"pictures": 2, "frames": 0, "failed": 1}
    written = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")
    )
    kinds = ("alpha", "alpha16", "cutout")
    assert written == sorted(f"{kind}/{name}" for kind in kinds for name in ("a.png", "day 1/phone.png"))
    assert "skipped: " in (said := capsys.readouterr().out)
    assert "broken.jpg" in said
    with Image.open(tmp_path / "out" / "alpha" / "a.png") as alpha:
        assert alpha.mode == "L"
        np.testing.assert_array_equal(np.array(alpha), np.rint(ellipse() * 255))
    # the phone's picture is shown upright: 48 wide, 64 high
    with Image.open(tmp_path / "out" / "alpha" / "day 1" / "phone.png") as alpha:
        assert alpha.size == (48, 64)
    levels, white = masks.read_alpha(tmp_path / "out" / "alpha16" / "a.png")
    assert (levels.dtype, white) == (np.uint16, 65535)
    with Image.open(tmp_path / "out" / "cutout" / "a.png") as cut:
        assert cut.mode == "RGBA"
        opaque = np.array(cut)[..., 3] == 255
        np.testing.assert_array_equal(np.array(cut)[opaque, :3], clips.picture(0, SIZE)[opaque])


def test_where_a_picture_is_asked_for_the_first_frame_of_an_animation_is_used_and_that_is_said(
    tmp_path, capsys
):
    frames = [Image.fromarray(clips.picture(number, SIZE)) for number in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    run("predict", tmp_path / "a.gif", tmp_path / "out.png", "save=black")
    assert "a.gif: 3 frames, the first is used; a video keeps them all\n" in capsys.readouterr().out
    found = images.read_rgb(tmp_path / "out.png")
    np.testing.assert_array_equal(found[core()], images.read_rgb(tmp_path / "a.gif")[core()])


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.avif"])
def test_an_animation_keeps_its_frames_and_times(tmp_path, name):
    frames = [Image.fromarray(clips.picture(number, SIZE)) for number in range(4)]
    lasts = [100, 300, 50, 200]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=lasts, lossless=True)
    for target in ("out.webm", "out"):
        result = run("predict", tmp_path / name, tmp_path / target, "save=black", "format=vp9")
        assert result == {"pictures": 0, "frames": 4, "failed": 0}
    for path in (tmp_path / "out.webm", tmp_path / "out" / "a.webm"):
        found = frames_of(path)
        assert [frame.seconds for frame in found] == pytest.approx([0, 0.1, 0.4, 0.45], abs=1e-3)
        for number, frame in enumerate(found):
            wanted = clips.picture(number, SIZE)[core()].astype(int)
            assert np.abs(frame.image[core()].astype(int) - wanted).mean() < 6


def test_a_video_keeps_times_sound_and_order(tmp_path):
    clip = clips.make_clip(tmp_path / "clip.mp4", stamps_ms=clips.IRREGULAR_MS, size=SIZE, sound="aac")
    result = run("predict", clip, tmp_path / "black.mp4", "save=black", "smooth=ofd")
    assert result == {"pictures": 0, "frames": 6, "failed": 0}
    before, after = frames_of(clip), frames_of(tmp_path / "black.mp4")
    assert [f.seconds for f in after] == [f.seconds for f in before]
    for old, new in zip(before, after, strict=True):
        assert np.abs(new.image[core()].astype(int) - old.image[core()]).mean() < 6
        assert new.image[ellipse() == 0].mean() < 6
    assert sound_of(tmp_path / "black.mp4") == sound_of(clip) != []


def sound_of(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_a_folder_of_pictures_and_videos(tmp_path):
    folder = tmp_path / "in"
    clips.make_clip(folder / "v" / "clip.mov", frames=3, size=SIZE, sound="aac")
    write_picture(folder / "v" / "clip.jpg", clips.picture(0, SIZE))
    result = run("filter", folder, tmp_path / "out", "filter=colour", "filter.colour=red", "sound=false")
    assert result == {"pictures": 1, "frames": 3, "failed": 0}
    assert sorted(p.name for p in (tmp_path / "out" / "v").iterdir()) == ["clip.mp4", "clip.png"]
    image = images.read_rgb(tmp_path / "out" / "v" / "clip.png")
    assert (image[ellipse() == 0] == (255, 0, 0)).all()
    with VideoReader(tmp_path / "out" / "v" / "clip.mp4") as reader:
        assert not reader.has_sound


def test_pngs_in_place_of_a_video(tmp_path):
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=4, size=SIZE)
    run("predict", clip, tmp_path / "out", "format=png", "save=alpha16")
    names = sorted(path.name for path in (tmp_path / "out" / "clip").iterdir())
    assert names == ["000000.png", "000001.png", "000002.png", "000003.png", "timestamps.csv"]


def test_a_broken_video_leaves_nothing_and_the_others_go_on(tmp_path, capsys):
    folder = tmp_path / "in"
    whole = clips.make_clip(folder / "b.mp4", frames=20, size=SIZE)
    clips.make_clip(folder / "c.mkv", frames=20, size=SIZE)
    (folder / "a.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = run("predict", folder, tmp_path / "out")
    assert result == {"pictures": 0, "frames": 40, "failed": 1}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["b.mp4", "c.mp4"]
    assert "a.mp4" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["o.mp4", "pngs"])
def test_a_damaged_video_is_written_named_in_one_line_and_counted(tmp_path, output, capsys):
    clip = damaged.transport_stream(tmp_path / "clip.ts", 20)
    damaged.lose(clip, damaged.frame_packets(clip)[14][3])
    result = run("predict", clip, tmp_path / output, "save=black")
    assert result == {"pictures": 0, "frames": 20, "failed": 1}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "is damaged" in line]
    assert line.strip().startswith("clip.ts is damaged: 6 of 20 frames are lost or damaged, first at 0.47 s")
    if output == "o.mp4":
        before, after = frames_of(clip), frames_of(tmp_path / output)
        assert [f.seconds for f in after] == pytest.approx([f.seconds for f in before], abs=1e-4)
        inner = cv2.erode((ellipse((96, 128)) == 1).astype(np.uint8), np.ones((7, 7), np.uint8)) == 1
        # the grain is encoded twice
        assert clips.level_error(after[14].image[inner], before[13].image[inner]) < 6
        assert len(sound_of(tmp_path / output)) == len(sound_of(clip))


def test_the_ad_stands_behind_and_the_report_says_how_much_is_seen(tmp_path):
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=5, fps=10, size=SIZE, sound="aac")
    write_picture(tmp_path / "ad.png", np.full((10, 10, 3), (255, 0, 255), np.uint8))
    words = (f"ad={tmp_path / 'ad.png'}", "placement.left=0", "placement.top=0", "placement.width=1")
    run("place", clip, tmp_path / "out.mp4", *words, "placement.height=1", "placement.fit=stretch")
    before, after = frames_of(clip), frames_of(tmp_path / "out.mp4")
    outside = ellipse() == 0
    for old, new in zip(before, after, strict=True):
        assert np.abs(new.image[outside].mean(0) - (255, 0, 255)).max() < 8
        assert np.abs(new.image[core()].astype(int) - old.image[core()]).mean() < 6
    summary = json.loads((tmp_path / "out.visibility.json").read_text())["summary"]
    assert summary["mean_share"] == pytest.approx(1 - ellipse().mean(), abs=1e-5)
    assert summary["total_seconds"] == pytest.approx(0.5)
    with (tmp_path / "out.visibility.csv").open() as table:
        assert [row["seconds"] for row in csv.DictReader(table)] == [f"{n / 10:.6f}" for n in range(5)]


def test_pictures_share_one_table_of_what_is_seen(tmp_path, capsys):
    for name in ("a", "b/a"):
        write_picture(tmp_path / "in" / f"{name}.png", clips.picture(0, SIZE))
    write_picture(tmp_path / "ad.png", np.full((10, 10, 3), 255, np.uint8))
    words = [f"ad={tmp_path / 'ad.png'}", "placement.left=0", "placement.top=0", "placement.width=1"]
    words += ["placement.height=1", "placement.fit=stretch"]
    run("place", tmp_path / "in", tmp_path / "out", *words)
    with (tmp_path / "out" / "visibility.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["picture"] for row in rows] == ["a.png", "b/a.png"]
    assert float(rows[1]["share"]) == pytest.approx(1 - ellipse().mean(), abs=1e-5)
    assert [row["ad_area"] for row in rows] == ["1.000000", "1.000000"]
    assert "65% of the ad can be seen, on average over 2 images" in capsys.readouterr().out
    run("place", tmp_path / "in" / "a.png", tmp_path / "one.png", *words)
    assert sorted(path.name for path in tmp_path.glob("one*")) == ["one.png", "one.visibility.csv"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == [
        "a.png",
        "a.png",
        "visibility.csv",
    ]


def test_a_picture_that_the_ad_does_not_meet_is_named_and_the_others_go_on(tmp_path, capsys):
    write_picture(tmp_path / "ad.png", clips.picture(7, (8, 8)))
    for name, size in (("large", (48, 96)), ("small", (48, 64))):
        write_picture(tmp_path / "in" / f"{name}.png", clips.picture(0, size))
    corners = "placement.corners=[[70,10],[90,10],[90,40],[70,40]]"
    words = (f"ad={tmp_path / 'ad.png'}", "placement.units=pixel", corners)
    result = run("place", tmp_path / "in", tmp_path / "out", *words)
    assert result == {"pictures": 1, "frames": 0, "failed": 1}
    said = capsys.readouterr().out
    assert "small.png: placement.corners=" in said
    assert "lie outside the frame of 64x48 px" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["large.png", "visibility.csv"]


def test_no_report_replaces_a_result(tmp_path):
    write_picture(tmp_path / "ad.png", clips.picture(7, (8, 8)))
    write_picture(tmp_path / "in" / "c.visibility.png", clips.picture(0, SIZE))
    clips.make_clip(tmp_path / "in" / "c.mp4", frames=2, size=SIZE)
    with pytest.raises(ConfigError, match=r"c\.visibility\.png would hold both a result and the report"):
        run("place", tmp_path / "in", tmp_path / "out", f"ad={tmp_path / 'ad.png'}")
    assert not (tmp_path / "out").exists()


def test_an_ad_that_moves_begins_anew_in_every_clip(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    stills = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    ad = clips.make_clip(tmp_path / "ad.mp4", pictures=stills, fps=10)
    for name in ("a", "b"):
        clips.make_clip(tmp_path / "in" / f"{name}.mp4", frames=5, fps=10, size=SIZE)
    words = (f"ad={ad}", "placement.left=0", "placement.top=0", "placement.width=1", "placement.height=1")
    run("place", tmp_path / "in", tmp_path / "out", *words, "placement.fit=stretch")
    for name in ("a", "b"):
        shown = [
            f.image[ellipse() == 0].mean(0).argmax() for f in frames_of(tmp_path / "out" / f"{name}.mp4")
        ]
        assert shown == [0, 1, 2, 0, 1]


FILLING = ("placement.left=0", "placement.top=0", "placement.width=1", "placement.height=1")


@pytest.mark.parametrize(("name", "format_name"), [("ad.webm", None), ("ad.mov", "prores"), ("ad.gif", None)])
def test_of_a_transparent_ad_that_moves_only_the_figure_is_placed_and_counted(tmp_path, name, format_name):
    cutouts = [clips.cutout(number, (96, 128)) for number in range(5)]
    if format_name is None and name.endswith("gif"):
        first, *rest = [Image.fromarray(picture) for picture in cutouts]
        first.save(tmp_path / name, save_all=True, append_images=rest, duration=100, disposal=2)
        with Image.open(tmp_path / name) as image:
            cutouts = [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    else:
        clips.write_cutouts(tmp_path / name, cutouts, fps=10, format_name=format_name)
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=7, fps=10, size=(96, 128), seed=3)
    words = (f"ad={tmp_path / name}", *FILLING, "placement.fit=stretch", "format=png", "foreground=none")
    run("place", clip, tmp_path / "out", *words)
    kol = ellipse((96, 128))
    with (tmp_path / "out" / "clip.visibility.csv").open() as table:
        rows = list(csv.DictReader(table))
    for number, (frame, row) in enumerate(zip(frames_of(clip), rows, strict=True)):
        ad = cutouts[number % 5].astype(float)
        alpha = ad[..., 3] / 255
        found = images.read_rgb(tmp_path / "out" / "clip" / f"{number:06d}.png").astype(int)
        outside = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((9, 9))) == 0
        # VP9 leaves an alpha of 1 or 2 of 255 in a few pixels of what is empty
        assert np.abs(found - frame.image)[outside].max() <= 2
        assert (found == frame.image)[outside].mean() > 0.998
        figure = alpha[..., None] * (1 - kol[..., None])
        expected = figure * ad[..., :3] + (1 - figure) * frame.image
        assert np.abs(found - expected).mean() < 1.5
        assert float(row["ad_area"]) == pytest.approx(alpha.mean(), abs=1e-3)
        assert float(row["share"]) == pytest.approx((alpha * (1 - kol)).sum() / alpha.sum(), abs=2e-3)
    assert len({row["ad_area"] for row in rows[:5]} | {row["share"] for row in rows[:5]}) > 5


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("ad.webp", {"lossless": True}, 0.01),
        ("ad.avif", {"quality": 100, "subsampling": "4:4:4"}, 2),
        # of 256 colours
        ("ad.gif", {"disposal": 2}, 3),
    ],
)
def test_an_animated_ad_moves_as_one_of_the_same_frames(tmp_path, name, options, most):
    first, *rest = [Image.fromarray(clips.cutout(number, SIZE)) for number in range(3)]
    frames = {"save_all": True, "append_images": rest, "duration": 100}
    first.save(tmp_path / name, **frames, **options)
    first.save(tmp_path / "wanted.png", **frames, disposal=1)
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=3, fps=10, size=SIZE)
    for ad, folder in ((name, "given"), ("wanted.png", "wanted")):
        run("place", clip, tmp_path / folder, f"ad={tmp_path / ad}", "format=png")
    for number in range(3):
        given, wanted = (
            images.read_rgb(tmp_path / folder / "clip" / f"{number:06d}.png").astype(int)
            for folder in ("given", "wanted")
        )
        assert np.abs(given - wanted).mean() < most


def test_a_classic_method_and_a_threshold(tmp_path):
    image = scene.make_scene(0, 3, 96).image
    write_picture(tmp_path / "scene.png", image)
    run("predict", tmp_path / "scene.png", tmp_path / "m.png", "model.size=48", method="kmeans")
    soft = build_segmenter(model_config("kmeans", size=48)).segment(image)
    with Image.open(tmp_path / "m.png") as alpha:
        np.testing.assert_array_equal(np.array(alpha), np.rint(soft * 255))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Words that choose a U-Net at 64 px with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("untrained") / "unet.pth"
    torch.save(build_segmenter(model_config("unet")).network.state_dict(), path)
    return (f"weights={path}", "model.size=64")


def test_backends_give_the_same_alpha(untrained, tmp_path, capsys):
    write_picture(tmp_path / "scene.png", scene.make_scene(0, 3, 96).image)
    found = {}
    for backend in ("eager", "onnx"):
        target = tmp_path / f"{backend}.png"
        words = (*untrained, f"backend={backend}", "save=alpha16")
        run("predict", tmp_path / "scene.png", target, *words, method="unet")
        found[backend] = masks.read_alpha(target)[0].astype(int)
        assert "is not used" not in capsys.readouterr().out
    assert np.ptp(found["eager"]) > 100
    assert np.abs(found["eager"] - found["onnx"]).max() <= 0.001 * 65535
    words = (*untrained, "backend=onxx")
    with pytest.raises(ConfigError, match=r"backend=onxx is not a choice.*Did you mean backend=onnx\?"):
        run("predict", tmp_path / "scene.png", tmp_path / "x.png", *words, method="unet")


def test_both_views_of_a_picture(untrained, tmp_path):
    image = scene.make_scene(0, 3, 96).image[:80]
    found = {}
    for name, words in (("plain", ()), ("both", ("tta=flip",)), ("mirrored", ("tta=flip",))):
        write_picture(tmp_path / f"{name}.png", image[:, ::-1] if name == "mirrored" else image)
        words = (*untrained, *words, "save=alpha16")
        run("predict", tmp_path / f"{name}.png", tmp_path / "out" / f"{name}.png", *words, method="unet")
        found[name] = masks.read_alpha(tmp_path / "out" / f"{name}.png")[0].astype(int)
    assert np.abs(found["both"] - found["plain"]).max() > 65
    # a rounding of the resize may differ from left to right
    assert np.abs(found["mirrored"] - found["both"][:, ::-1]).max() <= 6


@pytest.mark.slow
def test_an_exported_network_needs_no_configuration(untrained, tmp_path):
    run_task("task=export", *untrained, "experiment=unet", f"output={tmp_path / 'x.onnx'}")
    write_picture(tmp_path / "scene.png", scene.make_scene(0, 3, 96).image)
    words_of_file = ("task=predict", f"weights={tmp_path / 'x.onnx'}", f"input={tmp_path / 'scene.png'}")
    run_task(*words_of_file, "save=alpha16", f"output={tmp_path / 'onnx.png'}")
    run("predict", tmp_path / "scene.png", tmp_path / "own.png", *untrained, "save=alpha16", method="unet")
    levels = [masks.read_alpha(tmp_path / f"{name}.png")[0].astype(int) for name in ("onnx", "own")]
    assert np.abs(levels[0] - levels[1]).max() <= 0.001 * 65535
    for word in ("model.size=96", "experiment=u2net"):
        with pytest.raises(ConfigError, match=rf"a whole network .* leave {word.partition('=')[0]}= away"):
            run_task(*words_of_file, word, f"output={tmp_path / 'no.png'}")
    assert not (tmp_path / "no.png").exists()


def pipe(data, *words):
    command = [sys.executable, "-m", "kolbench", "task=predict", "experiment=ellipse", *words]
    return subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)


def piped(monkeypatch, data, *words, cwd, code=0):
    """What a pipe is told, inside this process."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return kolbench("task=predict", "experiment=ellipse", "input=-", *words, cwd=cwd, code=code).stderr


@pytest.mark.slow
def test_a_pipe_gives_the_picture_and_nothing_else(tmp_path, monkeypatch):
    file = io.BytesIO()
    Image.fromarray(clips.picture(0, SIZE)).save(file, "PNG")
    done = pipe(file.getvalue(), "input=-", "output=-")
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as alpha:
        np.testing.assert_array_equal(np.array(alpha), np.rint(ellipse() * 255))
    wrong = piped(monkeypatch, file.getvalue(), f"output={tmp_path / 'x.mp4'}", cwd=tmp_path, code=2)
    assert "stdin.png is an image, but output=" in wrong
    broken = piped(monkeypatch, b"no image", f"output={tmp_path / 'x.png'}", cwd=tmp_path, code=1)
    assert "the image from stdin" in broken
    assert "Traceback" not in broken
    dry = piped(monkeypatch, b"", f"output={tmp_path / 'x.png'}", "--dry-run", cwd=tmp_path)
    assert f"stdin -> {tmp_path / 'x.png'}" in dry
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("predict", ["save=alhpa"], r"save=alhpa is not a choice.*Did you mean save=alpha\?"),
        ("predict", ["save=[]"], "save= names nothing"),
        ("predict", ["format=gif"], "format=gif is not a choice"),
        ("predict", ["format=jpg"], "format=jpg is for images, but input= holds videos only"),
        ("predict", ["foreground=soap"], "foreground=soap is not a choice"),
        ("predict", ["smooth=hysteresis", "smooth.low=0.9"], "smooth.low"),
        ("place", [], "task=place needs ad=FILE"),
        ("place", ["ad=nowhere.png"], "nowhere.png does not exist"),
        ("filter", ["filter=image"], r"filter=image needs filter\.image=FILE"),
        ("filter", ["filter=colour", "filter.colour=grene"], "grene is no colour"),
    ],
)
def test_wrong_words_are_named_before_anything_is_written(task, words, message, tmp_path):
    clips.make_clip(tmp_path / "clip.mp4", frames=2, size=SIZE)
    with pytest.raises((ConfigError, DataError), match=message):
        run(task, tmp_path / "clip.mp4", tmp_path / "out", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("name", "output", "words", "message"),
    [
        ("clip.mp4", "out.png", [], "is a video, but output=.*out.png would be an image"),
        ("a.png", "out.mp4", [], "is an image, but output=.*out.mp4 would be a video"),
        ("a.png", "out.webp", [], r"images are written as \.png or \.jpg"),
        ("a.png", "out.png", ["save=[alpha,black]"], "is one file, but save= wants alpha, black"),
        ("a.png", "a.png", [], "would overwrite the input"),
        ("a.png", "out", ["save=cutout", "format=jpg"], "format=jpg cannot hold save=cutout"),
        ("a.png", "out.png", ["format=jpg"], "format=jpg contradict each other"),
        ("a.png", "out.txt", [], r"nothing is written as \.txt; images are \.png or \.jpg"),
        ("a.png", "out", ["smooth=ofd", "smooth.tolerance=7"], r"smooth\.tolerance=7 is not a number"),
        ("a.png", "out", ["format=h264"], "format=h264 is for videos, but input= holds images only"),
        ("clip.mp4", "out.mp4", ["save=cutout"], "no alpha channel; write .webm"),
        ("clip.mp4", "", [], "task=predict needs output=PATH"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(name, output, words, message, tmp_path):
    clips.make_clip(tmp_path / "clip.mp4", frames=2, size=SIZE)
    write_picture(tmp_path / "a.png", clips.picture(0, SIZE))
    with pytest.raises(ConfigError, match=message):
        run("predict", tmp_path / name, tmp_path / output if output else "", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "clip.mp4"]


def test_methods_that_cannot_be_used_say_so(tmp_path):
    write_picture(tmp_path / "a.png", clips.picture(0, SIZE))
    with pytest.raises(ConfigError, match="needs weights=RUN_FOLDER"):
        run("predict", tmp_path / "a.png", tmp_path / "m.png", method="modnet")
    with pytest.raises(ConfigError, match="grabcut needs more than the image"):
        run("predict", tmp_path / "a.png", tmp_path / "m.png", "model.variant=box", method="grabcut")


def test_a_threshold_holds_after_smoothing(tmp_path):
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=6, size=SIZE)
    words = ("threshold=0.5", "smooth=ema", "format=png", "model.size=32", "model.clean=false")
    run("predict", clip, tmp_path / "out", *words, method="kmeans")
    levels = {
        level
        for path in (tmp_path / "out" / "clip").glob("*.png")
        for level in np.unique(images.read_rgb(path)).tolist()
    }
    assert levels == {0, 255}


@pytest.mark.slow
def test_folders_of_pngs_may_have_any_name_and_reports_never_share_one(tmp_path):
    for name in ("s.v1.mp4", "s.v2.mp4", "c.mp4", "c.mov"):
        clips.make_clip(tmp_path / "in" / name, frames=2, size=SIZE)
    write_picture(tmp_path / "ad.png", clips.picture(3))
    run("place", tmp_path / "in", tmp_path / "out", "format=png", f"ad={tmp_path / 'ad.png'}")
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == [
        *("c.mov", "c.mp4", "s.v1", "s.v2"),
    ]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.json")) == [
        *("c.mov.visibility.json", "c.mp4.visibility.json", "s.v1.visibility.json", "s.v2.visibility.json"),
    ]


def test_nothing_that_is_read_is_written(tmp_path):
    write_picture(tmp_path / "a.jpg", clips.picture(0, SIZE))
    write_picture(tmp_path / "a.png", clips.picture(1, SIZE))
    with pytest.raises(ConfigError, match=r"would overwrite the input .*a\.png"):
        run("place", tmp_path / "a.jpg", tmp_path / "a.png", f"ad={tmp_path / 'a.png'}")
    with pytest.raises(ConfigError, match=r"would overwrite the input .*a\.png"):
        run("place", "-", tmp_path / "a.png", f"ad={tmp_path / 'a.png'}")
    with pytest.raises(ConfigError, match=r"would overwrite .*a\.png, which stands beside the input"):
        run("predict", tmp_path / "a.jpg", tmp_path)
    with pytest.raises(ConfigError, match="holds the input itself"):
        run("predict", tmp_path, tmp_path)
    with pytest.raises(ConfigError, match=r"names a file, but 2 results need a folder: leave \.mp4 away"):
        run("predict", tmp_path, tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.png"]
    np.testing.assert_array_equal(images.read_rgb(tmp_path / "a.png"), clips.picture(1, SIZE))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["save=cutout", "format=h264"], "save=cutout: H.264 has no alpha channel; write .webm"),
        (["save=alpha16", "format=vp9"], "save=alpha16: a video holds 8 bits; use format=png"),
    ],
)
def test_a_form_that_cannot_hold_the_kind_is_refused_once(words, message, tmp_path, capsys):
    for name in ("a", "b"):
        clips.make_clip(tmp_path / "in" / f"{name}.mp4", frames=2, size=SIZE)
    with pytest.raises(ConfigError, match=message):
        run("predict", tmp_path / "in", tmp_path / "out", *words)
    assert "skipped" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def sweep(folder, *words, code=0):
    return kolbench("-m", "experiment=ellipse", "hydra.sweep.dir=sweep", *words, cwd=folder, code=code)


@pytest.mark.slow
def test_no_job_of_a_sweep_writes_over_another_ones_files(tmp_path):
    for name in "ab":
        write_picture(tmp_path / f"{name}.png", clips.picture(0, SIZE))
    words = ("task=predict", "threshold=0.3,0.6", "input=a.png")
    clash = sweep(tmp_path, *words, "output=o.png", code=1)
    assert "o.png was written by job 0 (" in clash.stderr
    assert "1 of the sweep's jobs failed" in clash.stderr
    first = images.read_rgb(tmp_path / "o.png")[..., 0]
    np.testing.assert_array_equal(first > 0, np.rint(255 * ellipse()) > 255 * 0.3)
    sweep(tmp_path, *words, "output=ö 1/${threshold}.png")
    assert sorted(path.name for path in (tmp_path / "ö 1").iterdir()) == ["0.3.png", "0.6.png"]
    # other names in one folder
    sweep(tmp_path, "task=predict", "input=a.png,b.png", "output=2026_11_21")
    assert sorted(path.name for path in (tmp_path / "2026_11_21").iterdir()) == ["a.png", "b.png"]
    # a table that both would write
    table = sweep(tmp_path, "task=place", "ad=a.png", "input=a.png,b.png", "output=p", code=1)
    assert "visibility.csv was written by job 0 (" in table.stderr


def test_a_dry_run_says_what_would_be_written(tmp_path, capsys):
    write_picture(tmp_path / "in" / "a.jpg", clips.picture(0, SIZE))
    run("predict", tmp_path / "in", tmp_path / "out", "dry_run=true")
    assert f"{tmp_path / 'in' / 'a.jpg'} -> {tmp_path / 'out' / 'a.png'}" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_terminated_run_takes_its_half_written_file_away(tmp_path):
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=120, size=(360, 640))
    words = ["task=predict", "experiment=grabcut", f"input={clip}", f"output={tmp_path / 'out.mp4'}"]
    running = start(*words, cwd=tmp_path)
    running.until((tmp_path / ".out.mp4.part").exists)
    running.send_signal(signal.SIGTERM)
    ended = running.wait()
    assert ended.returncode == 143
    assert "stopped by SIGTERM" in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


def test_an_error_in_a_clip_names_clip_and_frame(tmp_path, capsys, monkeypatch):
    clip = clips.make_clip(tmp_path / "clip.mp4", frames=3, size=SIZE)

    class Refusing(Ellipse):
        def segment(self, picture):
            raise ConfigError("too dark")

    monkeypatch.setattr(pipeline, "open_predictor", lambda *_: Predictor(Refusing()))
    assert run("predict", clip, tmp_path / "out.mp4")["failed"] == 1
    assert f"{clip}, frame 0: too dark" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
