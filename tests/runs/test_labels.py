"""What runs are called beside each other: networks of others by their file or a name that they were given."""

from pathlib import Path

import pytest

from kolbench.runs.labels import labels_of, own_name
from kolbench.runs.method_names import shown_label
from kolbench.runs.record import RunRecord


def run(*words, method="onnx", seed=1):
    return RunRecord(method=method, overrides=("experiment=onnx", *words), seed=seed)


def labels(*records):
    found = labels_of({Path(str(number)): record for number, record in enumerate(records)})
    return [label.label for label in found.values()]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("model.file=nets/u2netp.onnx", "model.size=320"), "u2netp.onnx"),
        (("model.file='my nets/u2netp v2.onnx'",), "u2netp v2.onnx"),
        (("model.file=u2netp.onnx", "name=mine"), "mine"),
        (("name='my net'", "model.file=u2netp.onnx"), "my net"),
        # a run of before whose command is not known
        ((), "onnx"),
    ],
)
def test_a_network_of_others_is_called_by_its_name_or_its_file(words, name):
    assert own_name(run(*words)) == name
    assert shown_label(name, "onnx") == ("External ONNX" if name == "onnx" else name)


def test_other_methods_are_called_by_their_key_whatever_they_read():
    assert own_name(run("name=mine", "model.file=x.onnx", method="official_u2netp")) == "official_u2netp"


def test_two_files_are_two_rows():
    assert labels(run("model.file=a.onnx"), run("model.file=b.onnx")) == ["a.onnx", "b.onnx"]
    # of one name in two folders
    found = labels(run("model.file=old/a.onnx"), run("model.file=new/a.onnx"))
    assert found == ["a.onnx file=old/a.onnx", "a.onnx file=new/a.onnx"]
    # of one file, what differs tells them apart, and seeds are one family
    found = labels(run("model.file=a.onnx", "model.size=320"), run("model.file=a.onnx", "model.size=512"))
    assert found == ["a.onnx size=320", "a.onnx size=512"]
    two = {Path("1"): run("model.file=a.onnx"), Path("2"): run("model.file=a.onnx", seed=2)}
    assert {label.family for label in labels_of(two).values()} == {"a.onnx"}


def test_a_name_wins_over_the_file():
    found = labels(run("model.file=a.onnx", "name=first"), run("model.file=a.onnx", "name=second"))
    assert found == ["first", "second"]


def test_a_long_name_keeps_its_two_ends():
    (label,) = labels(run(method="a_method" + "_and_on" * 20 + "_to_its_end"))
    assert label.startswith("a_method_and_on")
    assert label.endswith("_to_its_end")
    assert len(label) <= 64
