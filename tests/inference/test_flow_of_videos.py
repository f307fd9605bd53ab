"""Methods that read flow are given it in videos as in scoring, a frame late, and anew behind a cut."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kolbench.data.clip_flow import ClipFlow
from kolbench.data.flow import FlowOptions, ShotFlow
from kolbench.engine.evaluation import evaluate
from kolbench.inference.apply.pipeline import _in_shots
from kolbench.inference.predictor import Predictor
from kolbench.io.masks import read_alpha
from kolbench.models.matnet import MATNetSegmenter
from kolbench.models.mirrored import with_tta
from kolbench.segmenter import Segmenter
from kolbench.tasks.evaluation import open_data
from kolbench.types import Prediction
from kolbench.video.frame import Frame
from tests.data.test_flow import HEIGHT, WIDTH, Clips, frame
from tests.helpers import clips
from tests.helpers.data_files import put
from tests.helpers.pdnet import fill_by_name
from tests.helpers.tasks import configured, run_task


class Green(Segmenter):
    """Alpha is the green of the flow picture; without one it is 1."""

    input_keys = ("image", "flow")
    flow_options = FlowOptions()

    def predict(self, *inputs: Tensor) -> Prediction:
        return Prediction(inputs[1][:, 1:2] if len(inputs) > 1 else torch.ones_like(inputs[0][:, :1]))


def at_size(picture: np.ndarray) -> np.ndarray:
    """The green of a flow picture; these frames are smaller than the size at which flow is found."""
    assert picture.shape[:2] == (HEIGHT, WIDTH)
    return picture[..., 1].astype(int)


def alphas(frames: list[np.ndarray], cuts: tuple[int, ...] = (), tta: str = "none") -> list[np.ndarray]:
    predictor = Predictor(with_tta(Green().eval(), tta)).for_clip()
    video = [(Frame(image, number, number / 25), number in cuts) for number, image in enumerate(frames)]
    found = list(predictor.each(_in_shots(iter(video), predictor)))
    assert [shown.pts for (shown, _), _, _ in found] == list(range(len(frames)))
    return [np.rint(255 * np.asarray(alpha)).astype(int) for _, _, alpha in found]


def expected(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Of one shot."""
    shot = ShotFlow(FlowOptions())
    pictures = [shot.push(image) for image in frames][1:]
    return [at_size(picture) for picture in (*pictures, shot.end()) if picture is not None]


@pytest.mark.parametrize("shots", [[4], [1], [3, 2], [1, 1, 2]])
def test_each_frame_has_the_flow_to_the_next_of_its_shot(shots):
    frames = [frame(5 * number) for number in range(sum(shots))]
    begins = [sum(shots[:number]) for number in range(len(shots))]
    found = alphas(frames, tuple(begins[1:]))
    parts = [frames[begin : begin + count] for begin, count in zip(begins, shots, strict=True)]
    wanted = [picture for part in parts for picture in expected(part)]
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other)


def test_scoring_gives_the_same(tmp_path):
    source = Clips()
    kept = ClipFlow(source, FlowOptions(), tmp_path)
    kept.prepare([0])
    # frames 0 to 3 of clip a, frame 1 of them without a truth
    found = alphas([frame(3 * number) for number in range(4)])
    size = (HEIGHT, WIDTH)
    wanted = [kept.of(0, size), kept.of_unscored("a/1", size), kept.of(1, size), kept.of(2, size)]
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other[1].numpy())


def test_of_two_views_both_have_it():
    frames = [frame(0), frame(4)]
    for once, twice in zip(alphas(frames), alphas(frames, tta="flip"), strict=True):
        assert np.array_equal(once, twice)


def test_a_picture_of_no_video_does_not_move():
    assert (Green().eval().segment(frame(0)) == 1).all()


METHOD = (
    "experiment=matnet",
    "model.size=64",
    "model.backbone=mobilenet_v2",
    "model.backbone_weights=null",
)
CPU = torch.device("cpu")


@pytest.fixture
def matnet() -> MATNetSegmenter:
    """With weights by which flow counts."""
    segmenter = MATNetSegmenter(64, backbone="mobilenet_v2")
    fill_by_name(segmenter.network, 0.75)
    return segmenter.eval()


def test_a_video_has_the_alphas_of_scoring(matnet, tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    pictures = [clips.picture(number, (72, 96)) for number in range(4)]
    for clip, split in (("a", "train"), ("b", "val"), ("c", "test")):
        for number, image in enumerate(pictures if clip == "c" else pictures[:1]):
            put(tmp_path / "data" / clip / "images" / f"{number}.png", image)
            mask = 255 * (image[..., 0] > 200).astype(np.uint8)
            put(tmp_path / "data" / clip / "masks" / f"{number}.png", mask)
        (tmp_path / "data" / f"{split}.txt").write_text(clip)
    words = (*METHOD, "budget=quick", "data=davis", f"data.root={tmp_path / 'data'}")
    data = open_data(configured(*words), CPU)
    evaluate(matnet, {"test": data.evaluation_dataloaders()["test"]}, CPU, tmp_path / "run")

    torch.save(matnet.network.state_dict(), tmp_path / "matnet.pth")
    video = clips.make_clip(tmp_path / "clip.mov", codec="png", pictures=pictures)
    paths = {"weights": str(tmp_path / "matnet.pth"), "input": str(video), "output": str(tmp_path / "out")}
    run_task("task=predict", *METHOD, "save=alpha", "format=png", **paths)

    written = sorted((tmp_path / "out").rglob("*.png"))
    assert len(written) == len(pictures)
    for number, (path, image) in enumerate(zip(written, pictures, strict=True)):
        levels = read_alpha(path)[0]
        assert np.array_equal(levels, read_alpha(tmp_path / "run" / "alphas" / "c" / f"{number}.png")[0])
        # and flow has a part in it
        assert np.abs(levels - np.rint(255 * matnet.segment(image))).max() > 5
