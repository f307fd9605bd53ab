"""The catalogue as it is shipped, what it refuses, and names become methods and files."""

import copy
import hashlib
from pathlib import Path

import pytest

from kolbench.config.compose import conf_dir, load_yaml, model_config
from kolbench.errors import ConfigError
from kolbench.models.checkpoints import download, named
from kolbench.models.checkpoints.catalogue import catalogue, parsed

VALUES = load_yaml(conf_dir() / "weights.yaml")


def test_every_entry_is_whole_and_safe():
    found = catalogue()
    assert len(found.entries) == 17
    for entry in found.entries.values():
        assert all(address.startswith("https://") for address in entry.addresses)
        assert entry.file == Path(entry.file).name
        assert entry.bytes is None or entry.bytes > 4e5
    assert len({entry.sha256 for entry in found.entries.values()}) == len(found.entries)
    official = {"modnet": "modnet-onnx", "u2netp": "u2netp-onnx", "u2net": "u2net-onnx", "sinet": "sinet"}
    assert found.official == {**official, "cascadepsp": "cascadepsp"}
    assert str(found.entry("modnet-onnx")) == (
        "MODNet, the authors' portrait matting (modnet-onnx, 25.9 MB, Apache-2.0)"
    )
    assert str(found.entry("resnet18")).endswith("ImageNet is for research, commercial use unstated)")


@pytest.mark.parametrize(
    ("name", "file"), [("modnet-onnx", "modnet.onnx"), ("u2netp-onnx", "u2netp.onnx"), ("sinet", "SINet.pth")]
)
def test_the_held_files_are_those_of_the_catalogue(shared, name, file):
    path, entry = shared / "weights" / file, catalogue().entry(name)
    assert path.stat().st_size == entry.bytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("sha256", "abc", r"net\.sha256 must be 64 hexadecimal digits"),
        ("md5", "abc", r"net\.md5 must be 32 hexadecimal digits"),
        ("addresses", [], r"net\.addresses must list at least one address"),
        ("kind", "pickle", r"net\.kind=pickle is not a choice; it is one of onnx, tensors"),
        ("commercial", "maybe", r"net\.commercial=maybe is not a choice; it is one of yes, no, unstated"),
        ("licens", "MIT", r"net\.licens is not known; an entry has name, method, what"),
        ("trained_on", "ecssd", r"net\.trained_on must be a list of sets"),
        ("what", None, "lacks what"),
    ],
)
def test_a_wrong_entry_is_named(key, value, told):
    values = copy.deepcopy({**VALUES, "entries": {"net": VALUES["entries"]["modnet-onnx"]}})
    values |= {"official": {"modnet": "net"}, "default": "net"}
    if value is None:
        del values["entries"]["net"][key]
    else:
        values["entries"]["net"][key] = value
    with pytest.raises(ConfigError, match=told):
        parsed(values)


def test_an_official_name_without_an_entry_is_named():
    with pytest.raises(ConfigError, match="nothing is named as official, start or default but has no entry"):
        parsed({**VALUES, "default": "nothing"})


def test_a_name_that_does_not_exist_is_answered_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"modnet-onx is not in the catalogue .* Did you mean modnet-onnx\?"
    ):
        catalogue().entry("modnet-onx")
    with pytest.raises(ConfigError, match=r"no official weights of unet .* exist for modnet, u2netp, u2net"):
        catalogue().official_of("unet")


@pytest.mark.parametrize("method", ["modnet", "u2netp"])
def test_official_weights_bring_the_feeding_of_their_authors(method):
    entry = catalogue().official_of(method)
    config = named.network_config(entry, Path("x.onnx"))
    own = model_config(f"official_{method}", file="x.onnx")
    assert config.name == own.name == f"official_{method}"
    assert own.options.items() <= config.options.items()


def test_peers_are_fed_as_their_authors_feed_them():
    entry = catalogue().entry("birefnet-lite-onnx")
    config = named.network_config(entry, Path("b.onnx"), resample="area")
    assert config.name == "birefnet-lite-onnx"
    chosen = {key: config.options[key] for key in ("size", "activation", "mean", "file", "resample")}
    assert chosen == {
        "size": 1024,
        "activation": "sigmoid",
        "mean": [0.485, 0.456, 0.406],
        "file": "b.onnx",
        "resample": "area",
    }


def test_another_method_than_the_weights_is_refused():
    with pytest.raises(ConfigError, match="weights=modnet-onnx belongs to modnet, not to unet"):
        named.resolved(model_config("unet"), Path("modnet-onnx"), {"experiment"})


def test_a_machine_with_too_little_memory_is_told_before_the_download(monkeypatch, tmp_path):
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(named, "GIGABYTE", 1e11)
    with pytest.raises(
        ConfigError, match="birefnet-lite-onnx needs about 9 GB of memory, and this machine has 0"
    ):
        named.resolved(model_config("onnx", file="x"), Path("birefnet-lite-onnx"))


def test_tensors_are_fed_as_their_authors_feed_them_unless_typed(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "fetch", lambda entry: tmp_path / entry.file)
    found, file = named.resolved(model_config("sinet", size=128), Path("official"), {"experiment"})
    assert (found.name, found.options["size"], file) == ("sinet", 224, tmp_path / "SINet.pth")
    found, _ = named.resolved(model_config("sinet", size=128), Path("sinet"), {"model.size"})
    assert found.options["size"] == 128
    # no method is named: it is that of the weights
    found, _ = named.resolved(model_config("rsudisnet", size=128), Path("sinet"))
    assert (found.name, found.options["size"]) == ("sinet", 224)
    assert not list(tmp_path.iterdir())


def test_paths_stay_as_they_are():
    model = model_config("unet")
    assert named.resolved(model, Path("./official/x.pth")) == (model, Path("./official/x.pth"))
    assert named.resolved(model, None) == (model, None)
    assert not named.is_name("runs/official")
