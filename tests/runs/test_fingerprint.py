"""Fingerprints follow what decides weights, and nothing else."""

import importlib.metadata
import itertools
import os
import shutil
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import kolbench
from kolbench.data.sources import synthetic
from kolbench.runs import code, fingerprint

TRAINING = (
    *("kolbench.engine.training", "kolbench.engine.module", "kolbench.data.datamodule"),
    *("kolbench.models.rsudisnet.RSUDISNet", "kolbench.data.sources.synthetic.SyntheticSource"),
)
EVALUATION = ("kolbench.engine.evaluation", "kolbench.engine.callbacks.scores", "kolbench.models.trivial")


def settings(**changes):
    config = {
        "model": {
            "name": "m",
            "recipe": "official",
            "variant": "a",
            "training": {"recipes": {"official": {"lr": 1}}},
        },
        "budget": {"size": 128, "epochs": 6, "batch": 4, "lr_factor": 1.0, "name": "quick"},
        "data": {
            "split": "auto",
            "cache": "auto",
            "workers": "auto",
            "root": "a",
            "source": {},
            "allow_duplicates": False,
        },
        "trainer": {"precision": "32-true"},
        "seed": 0,
        "threshold": None,
    }
    for path, value in changes.items():
        node: Any = config
        *parents, last = path.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    return fingerprint.training_settings(config, "cpu", {"source": "x", "splits": "y"})


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0.3},
        {"data__cache": "disk"},
        {"data__workers": 3},
        {"data__root": "elsewhere"},
        {"data__images": "photos", "data__masks": "alpha", "data__products": "held"},
        {"data__truth": "auto"},
        {"budget__name": "mine"},
        {"budget__stop_on_nan": False},
        {"eval_protocol": "portraitnet"},
    ],
)
def test_what_cannot_change_a_weight_does_not_change_the_fingerprint(change):
    assert fingerprint.digest(settings(**change), "code") == fingerprint.digest(settings(), "code")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"model__variant": "i"},
        {"model__training__recipes__official__lr": 2},
        {"model__training__channels_last": "always"},
        {"budget__epochs": 7},
        {"budget__lr_factor": 2.0},
        {"data__split": "paper"},
        {"trainer__precision": "16-mixed"},
        {"callbacks": {"ema": {"decay": 0.9}}},
    ],
)
def test_what_changes_the_weights_changes_the_fingerprint(change):
    assert fingerprint.digest(settings(**change), "code") != fingerprint.digest(settings(), "code")


def test_backbone_weights_count_by_content_not_by_path(tmp_path):
    paths = [tmp_path / name for name in ("a.pth", "b.pth", "c.pth")]
    for path, content in zip(paths, (b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    first, same, other = (
        fingerprint.digest(settings(model__backbone_weights=str(path)), "code") for path in paths
    )
    assert first == same
    assert first != other
    assert first != fingerprint.digest(settings(model__backbone_weights="imagenet"), "code")


@pytest.mark.parametrize("name", ["torch", "torchvision", "lightning"])
def test_the_versions_of_the_libraries_count(name, monkeypatch):
    version = importlib.metadata.version
    before = fingerprint.digest(settings(), "code")
    monkeypatch.setattr(importlib.metadata, "version", lambda n: "0.0" if n == name else version(n))
    assert fingerprint.digest(settings(), "code") != before


def test_targets_are_found_at_any_depth():
    plain = {"_target_": "a.B", "parts": [{"_target_": "c.d.E", "f": None}], "g": {"h": {"_target_": "i.J"}}}
    assert fingerprint.targets(plain, {"x": 1}, {"_target_": "k.L"}) == {"a.B", "c.d.E", "i.J", "k.L"}


def of_source(tmp_path, text):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
    path.write_text(text)
    return code.content(path)


SOURCE = '''
"""A module."""
import warnings
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from somewhere import Something

class Loss:
    """A loss."""

    scale: float = 2.0
    """What the loss is multiplied by."""

    def __call__(self, value, name):
        """Scales."""
        if value is None:
            raise ValueError(f"No value of {name}")
        print("loss", value)
        warnings.warn("A loss is used", stacklevel=2)
        assert value.ndim == 4, "four axes"
        return value["alpha"] * self.scale + SCALES[f"{name}_1"]

def said(name):
    return f"The scale of the loss is {name}"

SCALES = {"a key of four words": 1, "x_1": 3}
NAMES = "first second third".split()
DEFINITION = "the loss, scaled by two and summed"
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another."""'),
        ('"""A module."""\n', "# a comment\n"),
        ('        """Scales."""\n', ""),
        ('"""What the loss is multiplied by."""', '"""A factor."""'),
        ("    from somewhere import Something", "    from elsewhere import Other"),
        ('f"No value of {name}"', '"None"'),
        ('print("loss", value)', 'print(f"loss {value:.3f}", flush=True)'),
        ('"A loss is used", stacklevel=2', '"x"'),
        (', "four axes"', ""),
        ("The scale of the loss is {name}", "What the loss is scaled by: {name!r}"),
        ("the loss, scaled by two and summed", "the sum of losses times two"),
        ("return value", "return (  # why\n            value)"),
    ],
)
def test_what_people_read_does_not_count(tmp_path, old, new):
    assert old in SOURCE
    assert of_source(tmp_path, SOURCE.replace(old, new)) == of_source(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scale: float = 2.0", "scale: float = 2.5"),
        ("] * self.scale", "] / self.scale"),
        ('value["alpha"]', 'value["mask"]'),
        ("ndim == 4", "ndim == 3"),
        ("raise ValueError", "raise KeyError"),
        ("value is None", "value is False"),
        ('f"{name}_1"', 'f"{name}_2"'),
        ("a key of four words", "a key of four letters"),
        ("first second third", "first third second"),
        ("def said", "def told"),
    ],
)
def test_what_code_does_counts(tmp_path, old, new):
    assert old in SOURCE
    assert of_source(tmp_path, SOURCE.replace(old, new)) != of_source(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("mIoU, averaged over images", True),
        ("it's too short:", True),
        ("first second", False),
        ("conv1 bn1 relu1 pool1", False),
        ("runs/my method/best.ckpt", False),
        ("x y z", False),
        ("%d of %d", False),
    ],
)
def test_prose_has_three_words(text, prose):
    assert code._is_prose(text) == prose


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The package's own sources, in a folder where a test may change them."""
    root = tmp_path_factory.mktemp("copy") / "kolbench"
    shutil.copytree(
        Path(kolbench.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__", "conf")
    )
    return root


@pytest.fixture
def package(copied, monkeypatch):
    monkeypatch.setattr(code, "PACKAGE", copied)
    return copied


# times of files, each another
LATER = itertools.count(2 * 10**18, 10**9)


@contextmanager
def changed(path, change):
    """A file of the copy after `change`, a function of its text."""
    before, ticks = path.read_text(), path.stat().st_mtime_ns
    path.write_text(change(before))
    # a change within one tick of the file system's clock is one, too
    os.utime(path, ns=(ticks, next(LATER)))
    try:
        yield
    finally:
        path.write_text(before)
        os.utime(path, ns=(ticks, ticks))


def with_a_line(text):
    return f"{text}\nADDED = 1\n"


def with_other_words(text):
    return text.replace('"""', '"""Other words. ', 1) + "\n# a comment\n"


@pytest.mark.parametrize(
    "file",
    [
        *("models/rsudisnet.py", "models/losses/rsudisnet.py", "models/components/gt_encoder.py"),
        *("engine/module.py", "engine/training.py", "data/dataset.py", "data/sources/synthetic.py"),
        *("data/scenes/scene.py", "metrics/histogram.py", "segmenter.py", "preprocessing.py"),
    ],
)
def test_trainings_follow_the_code_of_these(package, file):
    before = fingerprint.code_hash(TRAINING)
    with changed(package / file, with_other_words):
        assert fingerprint.code_hash(TRAINING) == before
    with changed(package / file, with_a_line):
        assert fingerprint.code_hash(TRAINING) != before
    assert fingerprint.code_hash(TRAINING) == before


SCORES_OR_DRAWS = [
    *("engine/callbacks/snapshots.py", "engine/callbacks/progress_bar.py", "engine/callbacks/history.py"),
    *("engine/evaluation.py", "engine/parallel.py", "engine/cost.py", "engine/cache.py"),
    *("engine/callbacks/instance_scores.py", "metrics/instance_ap.py"),
    *("io/progress.py", "io/files.py", "errors.py", "runs/run_folder.py", "runs/fingerprint.py"),
    *("tracking/__init__.py", "report/tables.py", "report/figures.py", "tasks/recorder.py", "tasks/fit.py"),
    *("data/sources/davis.py", "data/sources/tiktok.py", "data/sources/labelme.py", "data/sources/folder.py"),
    *("models/modnet.py", "models/u2net.py", "models/losses/modnet.py", "refiners/guided.py"),
    *("inference/predictor.py", "video/stream.py", "serve/app.py", "cli.py", "config/compose.py"),
]


def test_trainings_do_not_follow_what_scores_or_draws_or_is_not_chosen(package):
    reached = {
        str(path.relative_to(package)) for path in code.closure(TRAINING, fingerprint.NEVER_DECIDES).values()
    }
    assert all((package / file).is_file() for file in SCORES_OR_DRAWS)
    assert reached.isdisjoint(SCORES_OR_DRAWS)
    before = fingerprint.code_hash(TRAINING)
    with ExitStack() as stack:
        for file in SCORES_OR_DRAWS:
            stack.enter_context(changed(package / file, with_a_line))
        assert fingerprint.code_hash(TRAINING) == before


def test_another_protocol_scores_anew_and_trains_nothing(package):
    def hashes():
        training = fingerprint.code_hash(TRAINING, fingerprint.ONLY_SCORES)
        return training, fingerprint.code_hash(["kolbench.data.protocols", *EVALUATION])

    training, evaluation = hashes()
    with changed(package / "data/protocols.py", with_a_line):
        assert hashes()[0] == training
        assert hashes()[1] != evaluation


def test_what_never_decides_is_there(package):
    left_out = (*fingerprint.NEVER_DECIDES, *fingerprint.ONLY_SCORES)
    missing = [name for name in left_out if code._file_of(name) is None]
    assert missing == []


@pytest.mark.parametrize(
    "file", ["engine/evaluation.py", "engine/callbacks/scores.py", "metrics/histogram.py"]
)
def test_evaluations_follow_the_code_that_scores(package, file):
    before = fingerprint.code_hash(EVALUATION)
    with changed(package / file, with_other_words):
        assert fingerprint.code_hash(EVALUATION) == before
    with changed(package / file, with_a_line):
        assert fingerprint.code_hash(EVALUATION) != before


def test_scenes_follow_the_code_that_draws_them(package, monkeypatch):
    def fingerprint_of_scenes():
        synthetic._drawing_code.cache_clear()
        return synthetic.SyntheticSource(0, 64, {"train": 1, "val": 1, "test": 1}).fingerprint()

    before = fingerprint_of_scenes()
    with changed(package / "models" / "rsudisnet.py", with_a_line):
        assert fingerprint_of_scenes() == before
    with changed(package / "data" / "scenes" / "hair.py", with_other_words):
        assert fingerprint_of_scenes() == before
    with changed(package / "data" / "scenes" / "hair.py", with_a_line):
        assert fingerprint_of_scenes() != before
    monkeypatch.undo()
    synthetic._drawing_code.cache_clear()


@pytest.fixture
def users(tmp_path, monkeypatch):
    """Modules of a user: a method, what it imports in three ways, and one that nothing imports."""
    texts = {
        "own_method.py": "import torch\nimport own_parts.blocks\nfrom own_loss import loss\n",
        "own_loss.py": "def loss():\n    from kolbench.models.losses import dice\n    return dice\n",
        "own_parts/__init__.py": "",
        "own_parts/blocks.py": "from . import layers\nfrom .deep.more import X\n",
        "own_parts/layers.py": "Y = 1\n",
        "own_parts/deep/more.py": "from ..layers import Y\nX = Y\n",
        "own_unused.py": "Z = 1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_modules_of_users_count_with_all_that_they_import(users):
    found = code.closure(["own_method.Method"])
    assert {name for name in found if name.startswith("own_")} == {
        *(
            "own_method",
            "own_loss",
            "own_parts",
            "own_parts.blocks",
            "own_parts.layers",
            "own_parts.deep.more",
        ),
    }
    assert "kolbench.models.losses.dice" in found
    assert not {name for name in found if name.partition(".")[0] in ("torch", "numpy", "math")}


@pytest.mark.parametrize(
    "file",
    [
        "own_method.py",
        "own_loss.py",
        "own_parts/__init__.py",
        "own_parts/layers.py",
        "own_parts/deep/more.py",
    ],
)
def test_a_changed_module_of_a_user_changes_the_hash(users, file):
    before = fingerprint.code_hash(["own_method.Method"])
    with changed(users / file, lambda text: f"# a comment\n{text}"):
        assert fingerprint.code_hash(["own_method.Method"]) == before
    with changed(users / file, with_a_line):
        assert fingerprint.code_hash(["own_method.Method"]) != before
    with changed(users / "own_unused.py", with_a_line):
        assert fingerprint.code_hash(["own_method.Method"]) == before


def test_modules_of_users_are_found_without_running_them(users):
    (users / "own_method.py").write_text("raise SystemExit('this ran')\n")
    (users / "own_parts" / "__init__.py").write_text("raise SystemExit('this ran')\n")
    assert set(code.closure(["own_method.Method", "own_parts.layers"])) == {
        *("own_method", "own_parts", "own_parts.layers")
    }
    assert not {"own_method", "own_parts"} & set(sys.modules)


@pytest.mark.parametrize(
    "name", ["torch.optim.Adam", "torchvision.models", "math", "json.decoder", "no_such.thing"]
)
def test_installed_packages_and_names_of_nothing_do_not_count(name):
    assert code.closure([name]) == {}


def test_compiled_modules_of_users_count_by_their_bytes(users):
    (users / "own_built.abi3.so").write_bytes(b"\x7fELF one")
    first = fingerprint.code_hash(["own_built"])
    (users / "own_built.abi3.so").write_bytes(b"\x7fELF second")
    assert fingerprint.code_hash(["own_built"]) != first
