"""Numbers are numbers before anything is built."""

import numpy as np
import pytest

from kolbench.config.compose import instantiate, model_config
from kolbench.errors import ConfigError


def called(
    size: int,
    share: float = 0.5,
    on: bool = True,
    most: int | None = None,
    name: str = "x",
    kind: int | str = 0,
) -> dict[str, object]:
    return {"size": size, "share": share, "on": on, "most": most, "name": name, "kind": kind}


def annotated_by_a_name_that_is_not_there(size: "Nothing") -> object:  # type: ignore[name-defined]  # noqa: F821
    return size


HERE = f"{__name__}.called"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": "abc"}, r"size=abc is not a whole number\."),
        ({"size": 2.5}, r"size=2\.5 is not a whole number\."),
        ({"size": True}, r"size=True is not a whole number\."),
        ({"size": None}, r"size=None is not a whole number\."),
        ({"size": 1, "share": "half"}, r"share=half is not a number\."),
        ({"size": 1, "on": "yes"}, r"on=yes is not true or false\."),
        ({"size": 1, "on": 1}, r"on=1 is not true or false\."),
        ({"size": 1, "most": [3]}, r"most=\[3\] is not a whole number or null\."),
    ],
)
def test_what_is_no_number_is_named(values, words):
    with pytest.raises(ConfigError, match=words):
        instantiate({"_target_": HERE, **values})


@pytest.mark.parametrize(
    "values",
    [{"size": np.int64(3), "share": 1}, {"size": 3, "most": None}, {"size": 3, "name": 5, "kind": "auto"}],
)
def test_other_numbers_and_other_annotations_pass(values):
    assert instantiate({"_target_": HERE, **values}).items() >= values.items()


def test_annotations_that_cannot_be_read_say_nothing():
    assert instantiate({"_target_": f"{__name__}.annotated_by_a_name_that_is_not_there", "size": "a"}) == "a"


def test_a_key_is_named_as_it_is_typed():
    with pytest.raises(ConfigError, match=r"^model\.size=abc is not a whole number\.$"):
        instantiate(model_config("modnet", size="abc").options)
