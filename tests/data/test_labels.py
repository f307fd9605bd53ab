import pytest

from kolbench.data.labels import kind_of, label_classes, require_kol
from kolbench.errors import ConfigError, DataError


def test_labels_are_compared_without_case_and_blanks():
    classes = label_classes(None)
    assert kind_of(" Person", classes, "") == "kol"
    assert kind_of("BAG", classes, "") == "product"
    require_kol(["car", "PEOPLE "], classes, "here")
    with pytest.raises(
        DataError, match=r"here has no category that means a KOL \(kol, person, people\).*car, hat"
    ):
        require_kol(["car", "hat"], classes, "here")


def test_labels_of_two_classes_or_of_none_are_refused():
    with pytest.raises(DataError, match=r"A stands in data.labels.kol and data.labels.product"):
        label_classes({"kol": ["a"], "product": ["A"]})
    with pytest.raises(DataError, match=r"data.labels.kol is empty"):
        label_classes({"kol": [], "product": ["a"]})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kol": 5}, r"data\.labels\.kol=5 .*data\.labels\.kol=\[.person.\]"),
        ({"kol": ["person", 5]}, r"data\.labels\.kol=.*5"),
        ({"kol": [["person"]]}, r"data\.labels\.kol="),
        ({"kol": ["person"], "product": True}, r"data\.labels\.product=True"),
        ({"kol": ["person"], "background": {"hole": 1}}, r"data\.labels\.background="),
        ({"kol": " "}, r"data\.labels\.kol="),
        (5, r"data\.labels=5"),
        ("person", r"data\.labels=person"),
    ],
)
def test_label_maps_of_a_wrong_type_name_their_key(wrong, words):
    with pytest.raises(ConfigError, match=words):
        label_classes(wrong)


def test_a_bare_word_is_one_label():
    assert label_classes({"kol": "Person", "product": None}) == {"person": "kol"}
