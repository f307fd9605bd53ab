import pytest

from kolbench.data.label_files import json_format, read_json, read_xml
from kolbench.errors import DataError

BOMB = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;"><!ENTITY z "&y;&y;&y;&y;&y;&y;&y;&y;">]>
<annotations>&z;</annotations>"""
OTHER_FILE = """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotations>&x;</annotations>"""


def put(tmp_path, content: str | bytes, name: str = "a.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", [BOMB, OTHER_FILE])
def test_xml_that_declares_entities_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"a\.txt declares a document type"):
        read_xml(put(tmp_path, content), "CVAT file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<a><b></a>", r"a\.txt is no CVAT file: it is damaged XML \(mismatched tag"),
        ("", "damaged XML"),
        ("<a>&x;</a>", "damaged XML"),
        ("<?xml version='1.0' encoding='GBK'?><a/>", "says that it is GBK text, not UTF-8"),
        ("<a>é</a>".encode("latin-1"), "not UTF-8 text but one of 8 bits, such as Windows-1252 or GBK"),
        ("<a/>".encode("utf-16"), "not UTF-8 text but UTF-16"),
        ("<a/>".encode("utf-16-le"), "not UTF-8 text but UTF-16"),
        ("<a/>".encode("utf-32"), "not UTF-8 text but UTF-32"),
    ],
)
def test_wrong_xml_is_named(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_xml(put(tmp_path, content), "CVAT file")


def test_xml_is_read_with_a_byte_order_mark_and_any_depth(tmp_path):
    root = read_xml(put(tmp_path, '\ufeff\n<?xml version="1.0" encoding="utf-8"?><a n="é"><b/>t</a>'), "x")
    assert (root.tag, root.get("n"), [child.tag for child in root]) == ("a", "é", ["b"])
    assert read_xml(put(tmp_path, "<a>" * 100_000 + "</a>" * 100_000), "x").tag == "a"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("{", "damaged JSON"),
        ("", "it is empty"),
        ("<a/>", "it is XML"),
        ('{"a": "é"}'.encode("cp1252"), "not UTF-8 text"),
    ],
)
def test_wrong_json_is_named(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        read_json(put(tmp_path, content), "COCO file")


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        ({"shapes": []}, "data=labelme"),
        ({"images": [], "annotations": []}, "data=coco"),
        ([{"annotations": []}], "data=labelstudio"),
        ([{"annotation_id": 3}], "JSON-MIN"),
        ([], "no tool that is known"),
        (5, "no tool that is known"),
    ],
)
def test_json_of_other_tools_names_the_data_set_that_reads_it(loaded, words):
    assert words in json_format(loaded)
