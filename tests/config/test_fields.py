from dataclasses import dataclass
from pathlib import Path

import pytest

from kolbench.config.fields import POSITIVE, SHARE, SWITCH, Key, Values, at_least, build, key, one_of, whole
from kolbench.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    low: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int
    share: float | None
    file: Path | None
    inner: Inner
    anything: object
    switch: bool = False
    text: str = "none"


GIVEN: Values = {
    "count": 3,
    "share": 1,
    "file": "~/a.png",
    "inner": {"low": 2, "names": ["a", 7]},
    "anything": [1, {"b": 2}],
}


def test_values_become_what_the_fields_ask_for():
    made = build(Outer, GIVEN)
    assert made == Outer(3, 1.0, Path("~/a.png").expanduser(), Inner(2.0, ("a", "7")), [1, {"b": 2}])
    assert isinstance(made.share, float)


def test_null_and_lone_values():
    made = build(
        Outer, {**GIVEN, "share": None, "file": None, "inner": {"low": 0.5, "names": "lone"}, "text": 5}
    )
    assert (made.share, made.file, made.inner.names, made.text) == (None, None, ("lone",), "5")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"count": 3.5}, r"^count=3\.5 is not a whole number\.$"),
        ({"count": True}, r"^count=True is not a whole number\.$"),
        ({"share": "much"}, r"^share=much is not a number\.$"),
        ({"switch": "yes"}, r"^switch=yes is not true or false\.$"),
        ({"inner": 5}, r"^inner=5: it has keys of its own; type inner\.NAME= instead\.$"),
        ({"inner": {"names": []}}, r"^inner\.low has no value: add inner\.low=\.\.\. to the command\.$"),
        ({"inner": {"low": 1, "name": []}}, r"^there is no key inner\.name\. Did you mean inner\.names\?$"),
    ],
)
def test_what_does_not_fit_is_named_by_its_key(change, told):
    with pytest.raises(ConfigError, match=told):
        build(Outer, {**GIVEN, **change})


@dataclass(frozen=True)
class Own:
    depth: int = key(whole(1, 9))
    kind: str = key(one_of("a", "b"))


def test_fields_outside_this_package_carry_their_own_range():
    assert build(Own, {"depth": 9, "kind": "b"}) == Own(9, "b")
    with pytest.raises(ConfigError, match=r"depth=10 is not a whole number from 1 to 9"):
        build(Own, {"depth": 10, "kind": "b"})
    with pytest.raises(ConfigError, match=r"kind=c is not one of a, b"):
        build(Own, {"depth": 1, "kind": "c"})


@pytest.mark.parametrize(
    ("rule", "fits", "fits_not"),
    [
        (whole(0), (0, 10**9), (-1, 1.0, True, "1", None)),
        (whole(2, 3), (2, 3), (1, 4)),
        (POSITIVE, (1e-9, 5), (0, -1, float("inf"), float("nan"), True)),
        (SHARE, (0, 0.999), (1, -0.1, "0.5")),
        (SHARE.or_null(), (None, 0.5), (1, "x")),
        (SWITCH, (True, False), (0, 1, "true", None)),
        (at_least(0.5), (0.5, 7), (0.4, None)),
        (Key().rule, (None, 1, "x"), ()),
    ],
)
def test_ranges(rule, fits, fits_not):
    assert all(rule.fits(value) for value in fits)
    assert not any(rule.fits(value) for value in fits_not)
