"""Methods are called as their authors call them."""

import pytest

from kolbench.runs.method_names import shown_label, shown_name, told_apart
from tests.helpers.paths import ROOT


@pytest.mark.parametrize("key", sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")))
def test_every_method_of_conf_has_a_name_of_its_authors(key):
    assert shown_name(key) != key


def test_a_method_of_others_is_called_by_its_key():
    assert shown_name("my_network") == "my_network"
    assert shown_label("my_network seed=1", "my_network") == "my_network seed=1"


@pytest.mark.parametrize(
    ("label", "method", "shown"),
    [
        ("u2netp", "u2netp", "U²-Net-p"),
        ("u2netp seed=1", "u2netp", "U²-Net-p seed=1"),
        ("u2netp:official", "u2netp", "U²-Net-p:official"),
        # a longer key that begins with a shorter one, and a name that somebody gave
        ("u2netp", "u2net", "u2netp"),
        ("my best run", "modnet", "my best run"),
    ],
)
def test_a_label_keeps_what_tells_runs_apart(label, method, shown):
    assert shown_label(label, method) == shown


def test_methods_of_one_name_are_told_apart_by_their_labels():
    methods = {"u2netp": "u2netp", "official_u2netp": "official_u2netp", "unet seed=1": "unet"}
    assert told_apart(methods) == {
        "u2netp": "U²-Net-p (u2netp)",
        "official_u2netp": "U²-Net-p (official_u2netp)",
        "unet seed=1": "U-Net seed=1",
    }
