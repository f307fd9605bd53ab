"""What a run rests on: roles, names, licences."""

import numpy as np

from kolbench.config.compose import model_config, save_yaml
from kolbench.config.groups import Component, DataGroup
from kolbench.data.sources.duts import DUTSSource
from kolbench.data.sources.folder import FolderSource
from kolbench.data.sources.synthetic import SyntheticSource
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.runs.record import Part, RunRecord
from kolbench.tasks import parts
from tests.helpers.catalogue import small_catalogue
from tests.helpers.data_files import folder, picture, put


def group(**values):
    return DataGroup.from_mapping({"name": "folder", "source": {"_target_": "x"}, **values})


def test_pictures_by_the_command_by_the_layout_or_by_what_lies_beside_them(tmp_path):
    root = tmp_path / "shop"
    folder(root, ["a", "b", "c"])
    source = FolderSource(root)
    assert parts.of_pictures(group(root=str(root)), source) == Part("pictures", "shop", None, "unstated")
    (root / "LICENSE").write_text("CC BY-NC 4.0")
    assert parts.of_pictures(group(root=str(root)), source) == Part("pictures", "shop", "CC BY-NC 4.0", "no")
    typed = parts.of_pictures(group(root=str(root), licence="MIT"), source)
    assert (typed.licence, typed.commercial) == ("MIT", "yes")
    drawn = parts.of_pictures(group(), SyntheticSource(0, 64, {"train": 1, "val": 1, "test": 1}))
    assert (drawn.name, drawn.commercial) == ("folder", "yes")


def test_weights_by_name_file_and_run(tmp_path):
    with small_catalogue():
        (official,) = parts.of_weights("official", "modnet")
        digest = catalogue().entries["logits-onnx"].sha256
        assert official == Part("weights", "logits-onnx", "MIT", "unstated", sha256=digest)
        (tmp_path / "x.pth").write_bytes(b"abc")
        # of the three letters, as FIPS 180 has it
        abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert parts.of_weights(tmp_path / "x.pth", "modnet", parts.INITIAL) == [
            Part("initial weights", str(tmp_path / "x.pth"), None, "unstated", sha256=abc)
        ]
        run = tmp_path / "run"
        run.mkdir()
        save_yaml({"model": {}}, run / "config.yaml")
        old = parts.of_weights(run, "modnet")
        assert [(part.commercial, part.sha256) for part in old] == [("unstated", None)]
        (run / "checkpoints").mkdir()
        (run / "checkpoints" / "best.ckpt").write_bytes(b"abc")
        rested = (
            Part("pictures", "shop", "CC BY-NC 4.0", "no"),
            Part("initial weights", "modnet", "MIT", "yes"),
        )
        RunRecord(rests_on=rested).write(run / "run.json")
        assert parts.of_weights(run, "modnet") == [
            Part("weights", str(run), "your own run", "yes", sha256=abc),
            Part("training pictures", "shop", "CC BY-NC 4.0", "no"),
            rested[1],
        ]


def test_networks_in_files_and_backbones():
    official = parts.of_method(model_config("official_modnet"))
    assert [(part.role, part.name, part.commercial) for part in official] == [
        ("weights", "modnet-onnx", "yes")
    ]
    (imagenet,) = parts.of_method(model_config("modnet", backbone_weights="imagenet"))
    assert (imagenet.role, imagenet.name, imagenet.commercial) == ("backbone", "imagenet", "unstated")
    assert parts.of_method(model_config("modnet", backbone_weights="my.pth")) == [Part("backbone", "my.pth")]
    assert parts.of_method(model_config("kmeans")) == []


def test_weights_of_a_refiner():
    official = Component("cascadepsp", {"_target_": "x", "weights": "official"})
    (found,) = parts.of_refiner(official)
    seen = ("fss1000", "duts_tr", "duts_te", "ecssd", "msra10k")
    digest = catalogue().entries["cascadepsp"].sha256
    assert found == Part("refiner's weights", "cascadepsp", "MIT", "yes", seen, digest)
    mine = Component("cascadepsp", {"_target_": "x", "weights": "mine.pth"})
    assert parts.of_refiner(mine) == [Part("refiner's weights", "mine.pth")]
    assert parts.of_refiner(Component("guided", {"_target_": "x", "radius": 0.01})) == []


def test_sets_that_pictures_are_and_weights_have_seen(tmp_path):
    root = tmp_path / "DUTS"
    put(root / "DUTS-TE" / "DUTS-TE-Image" / "a.jpg", picture())
    put(root / "DUTS-TE" / "DUTS-TE-Mask" / "a.png", np.eye(12, 20, dtype=np.uint8))
    tested = parts.of_pictures(group(root=str(root)), DUTSSource(root))
    assert (tested.role, tested.sets) == ("pictures", ("duts_te",))
    assert parts.of_pictures(group(), SyntheticSource(0, 64, {"train": 1, "val": 1, "test": 1})).sets == ()
    for name in ("u2net", "u2netp"):
        (official,) = parts.of_weights("official", name)
        assert official.sets == ("duts_tr",)
    # a run that was tested on a set has not learned from it, but what it began with may have
    run = tmp_path / "run"
    run.mkdir()
    save_yaml({"model": {}}, run / "config.yaml")
    begun = Part("initial weights", "u2net-onnx", "Apache-2.0", "yes", ("duts_tr",))
    RunRecord(rests_on=(tested, begun)).write(run / "run.json")
    _, trained, initial = parts.of_weights(run, "u2net")
    assert (trained.role, trained.sets) == ("training pictures", ())
    assert initial == begun
