"""Commands of README.md and docs/ run as they are written, at `budget=smoke`, on data made for them.

Those that stand in blocks alone are composed by tests/test_docs.py; what places and filters runs here too.
"""

import re
import shlex
import shutil

import av
import numpy as np
import onnx
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from kolbench.config.compose import build_segmenter, conf_dir, model_config, register
from kolbench.data.scenes.scene import make_scene
from kolbench.engine.trainer import check_options
from kolbench.io import images
from tests.helpers import clips, documents
from tests.helpers.catalogue import small_catalogue
from tests.helpers.commands import kolbench
from tests.helpers.paths import ROOT
from tests.helpers.run_folders import make_run
from tests.helpers.tasks import configured

README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = ("budget=smoke", "budget.size=64", "budget.limit={train: 2, val: 1, test: 1}")
SWEPT = ("experiment", "threshold=", "data.fold=", "corrupt=")
# every corruption at every severity is run in tests of its own; of one test picture there is one shard
FEWER = {
    "corrupt=none,jpeg,blur,noise,dark": "corrupt=none,dark",
    "severity=1,3,5": "severity=3",
    "shard=1/4,2/4,3/4,4/4": "shard=1/1",
}
# what differs in a number alone is run at the first and the last; the words of the others are checked
NUMBERS = re.compile(r"(threshold|data\.fold)=([\d.]+),(.*,)?([\d.]+)")
# what a training from official weights starts from here: the released files are not at hand everywhere
STARTS = {"experiment=finetune_modnet": "FILE", "experiment=u2netp": "U2NETP"}
# task -> what it leaves, and how many of it
WITHOUT_RUNS = {
    "task=prepare": ("FRAMES/**/*.png", 20),
    "task=report": ("report/report.html", 1),
    "task=score": ("RUNS/**/counted.json", 0),
    "task=compare": ("runs", 0),
    "task=dashboard": ("dashboard/*.json", 2),
    "task=predict": ("OUT.*", 1),
    "task=place": ("OUT.*", 5),
    "task=filter": ("OUT.*", 1),
    "task=export": ("x.*", 2),
    "task=weights": ("runs", 0),
    "task=doctor": ("doctor/doctor.html", 1),
    "task=merge": ("runs/ellipse/*/overview.png", 1),
}
IN_BLOCKS = ("task=place", "task=filter")
PLACEHOLDERS = (
    *("SHARDS", "DIR", "FILE", "VIDEOS", "MATTES", "NETWORK", "SUITE", "RUNS", "BEFORE", "AFTER"),
    *("RUN", "CLIP.mp4", "AD.png", "PHOTO.jpg"),
)
# a server runs until it is stopped; the others run smaller in the tests of their tasks
ELSEWHERE = ("task=serve", "task=quickstart", "task=paper", "task=curve", "task=benchmark")
# composed here; tests/test_sweeps.py and tests/config/test_searching.py run their like
LAUNCHED = ("hydra/launcher=", "hydra/sweeper=")
# composed here; tests/tasks/test_fit_together.py runs their like
TOGETHER = ("trainer=ddp", "trainer=cpu_ddp", "trainer=mps")
TARGETS = {"joblib": "JoblibLauncher", "slurm": "SlurmLauncher", "optuna": "kolbench_optuna_sweeper"}
PAGES = [path.read_text(encoding="utf-8") for path in documents.documents()]
FOUND = [command for page in PAGES for command in documents.inline_commands(page)]
FOUND += [line for page in PAGES for line in documents.block_commands(page) if line.split()[3] in IN_BLOCKS]
COMMANDS = [
    command
    for command in dict.fromkeys(FOUND)
    if not any(word in command for word in (*ELSEWHERE, *LAUNCHED, *TOGETHER))
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the README's placeholders stand for."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("images", "masks", "products"):
        (folder / "DIR" / name).mkdir(parents=True)
    (folder / "MATTES").mkdir()
    for index in range(8):
        # Mean Shift takes as long as there are pixels, squared
        scene = make_scene(1, index, 32)
        mask = (scene.alpha >= 0.5).astype(np.uint8)
        for name, picture in (
            ("images", scene.image),
            ("masks", mask * 255),
            ("products", scene.product * 255),
        ):
            images.write_png(folder / "DIR" / name / f"{index}.png", picture)
    for name, method in (("FILE", "modnet"), ("U2NETP", "u2netp")):
        model = model_config(method).without_backbone()
        torch.save(build_segmenter(model).network.state_dict(), folder / name)
    for index in range(8):
        images.write_png(folder / "MATTES" / f"{index}.png", np.full((32, 32), index * 30, np.uint8))
    save_network(folder / "NETWORK")
    (folder / "SUITE").mkdir()
    (folder / "SUITE" / "suite.yaml").write_text("runs:\n  oval: [experiment=ellipse]\n")
    for name, quality in (("BEFORE", 0.6), ("AFTER", 0.8)):
        words = [f"model.context={name}"]
        make_run(folder / "RUNS" / name, "modnet", quality=quality, pictures=30, overrides=words)
        (folder / name).symlink_to(folder / "RUNS" / name)
    kolbench("experiment=unet", *SMALL, "data.picture_size=64", "hydra.run.dir=RUN", cwd=folder)
    shard = ("task=test", "experiment=ellipse", *SMALL, "data.picture_size=64", "shard=1/1")
    kolbench(*shard, "hydra.run.dir=SHARDS/1", cwd=folder)
    clips.make_clip(folder / "CLIP.mp4", frames=5, sound="aac")
    images.write_png(folder / "AD.png", clips.picture(3))
    images.write_jpeg(folder / "PHOTO.jpg", clips.picture(3))
    (folder / "VIDEOS").mkdir()
    with av.open(folder / "VIDEOS" / "clip.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        for level in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level * 8, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder


def save_network(path):
    """Alpha = the mean of the three channels, as an ONNX file."""
    shape = (1, 3, "height", "width")
    given = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)
    found = onnx.helper.make_tensor_value_info("alpha", onnx.TensorProto.FLOAT, None)
    node = onnx.helper.make_node("ReduceMean", ["image"], ["alpha"], axes=[1])
    graph = onnx.helper.make_graph([node], "mean", [given], [found])
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def test_the_pages_have_commands():
    assert len(COMMANDS) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_command_of_the_readme(line, place, tmp_path, monkeypatch):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    words = [NUMBERS.sub(r"\1=\2,\4", FEWER.get(word, word)) for word in shlex.split(line)[3:]]
    for placeholder in PLACEHOLDERS:
        words = [re.sub(rf"={placeholder}$", f"={place / placeholder}", word) for word in words]
    task = next((word for word in words if word.startswith("task=")), "")
    extra = [] if "--cfg" in words or task in WITHOUT_RUNS else [*SMALL]
    if extra and "data=folder" not in words:
        # the command above has the same three methods, and its trainings of them are found again
        three = words == ["-m", "experiment=modnet,u2net,rsudisnet"]
        extra += ["data=folder", f"data.root={place / 'DIR'}"] if three else ["data.picture_size=64"]
    extra += [f"init={place / STARTS[word]}" for word in words if word in STARTS]
    if "sweep=thresholds" in words:
        # tests/test_cli.py composes all eight
        extra.append("hydra.sweeper.params.threshold='0.3,0.6'")
    if task not in WITHOUT_RUNS:
        # a training that an earlier command made is found again
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "trainings").symlink_to(place / "runs" / "trainings")
    # what is downloaded comes from this machine
    with small_catalogue():
        kolbench(*words, *extra, cwd=tmp_path)
    if task in WITHOUT_RUNS:
        assert len(list(tmp_path.rglob(WITHOUT_RUNS[task][0]))) == WITHOUT_RUNS[task][1]
    elif "--cfg" not in words:
        swept = [word.partition("=")[2].count(",") + 1 for word in words if word.startswith(SWEPT)]
        jobs = 2 if "sweep=thresholds" in words else max(swept, default=1)
        records = [path for path in (tmp_path / "runs").rglob("run.json") if "wandb" not in path.parts]
        finished = [path for path in records if '"finished"' in path.read_text()]
        assert len(finished) == jobs


@pytest.mark.parametrize(
    "line", [line for line in sorted(set(FOUND)) if any(word in line for word in TOGETHER)]
)
def test_command_of_the_readme_for_several_devices(line):
    config = configured(*shlex.split(line)[3:])
    check_options(config.trainer)
    assert config.trainer.get("strategy", "auto") in ("auto", "ddp")
    expected = re.search(r"trainer\.devices=(\d)", line)
    assert config.trainer.get("devices", 1) == int(expected[1] if expected else 1)


@pytest.mark.parametrize(
    "line", [line for line in sorted(set(FOUND)) if any(word in line for word in LAUNCHED)]
)
def test_command_of_the_readme_for_a_launcher_or_a_sweeper(line):
    if "hydra/launcher=joblib" in line:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    words = [word for word in shlex.split(line)[3:] if word != "-m" and "interval(" not in word]
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        one = [word.partition(",")[0] for word in words]
        hydra = compose("config", overrides=one, return_hydra_config=True).hydra
    for key, _, value in (word.partition("=") for word in words):
        if key in ("hydra/launcher", "hydra/sweeper"):
            assert TARGETS[value] in hydra[key.partition("/")[2]]._target_
        elif key.startswith("hydra."):
            assert str(OmegaConf.select(hydra, key.partition(".")[2])) == value


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if NUMBERS.search(line)])
def test_every_number_of_a_sweep_of_the_readme_is_allowed(line, tmp_path):
    words = [word.replace("=DIR", f"={tmp_path}") for word in shlex.split(line)[4:]]
    (swept,) = (word for word in words if NUMBERS.fullmatch(word))
    key, _, numbers = swept.partition("=")
    for number in numbers.split(","):
        one = configured(*(f"{key}={number}" if word == swept else word for word in words))
        assert float(number) in (one.threshold, one.data.values["fold"])


@pytest.mark.slow
def test_the_python_block(place, tmp_path, monkeypatch, capsys):
    for name in ("images", "masks"):
        (tmp_path / "OTHER" / name).mkdir(parents=True)
        for path in sorted((place / "DIR" / name).iterdir())[:3]:
            shutil.copy(path, tmp_path / "OTHER" / name)
    (block,) = re.findall(r"```python\n(import kolbench\n.*?)```", README, re.DOTALL)
    smaller = (
        '"budget.epochs": 1, "budget.epoch_pictures": 4, "budget.size": 64, "budget.batch": 2, '
        f'"init": {str(place / "FILE")!r}'
    )
    stands_for = {
        '"photo.jpg"': repr(str(place / "PHOTO.jpg")),
        '"DIR"': repr(str(place / "DIR")),
        '"budget.epochs": 2': smaller,
    }
    for written, meant in stands_for.items():
        assert written in block
        block = block.replace(written, meant)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    found = {}
    with small_catalogue():
        exec(block, found)
    run, elsewhere = found["run"], found["elsewhere"]
    assert str(run.folder) in capsys.readouterr().out
    assert found["alpha"].shape == images.read_rgb(place / "PHOTO.jpg").shape[:2]
    # all pictures are scored there, at the threshold of the run
    assert (elsewhere.record.task, elsewhere.record.pictures) == ("test", {"test": 3})
    assert elsewhere.threshold == run.threshold
