"""Reads label files of other tools (JSON, XML) safely, and names the tool where it is another one."""

import json
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from kolbench.data import listing
from kolbench.errors import DataError


def read_json(path: Path, what: str) -> object:
    """Reads a JSON file in UTF-8.

    Args:
        path: of the file. what: what it ought to be, such as `Labelme file`.

    Raises:
        DataError: it cannot be read, is in another encoding, or no JSON.
    """
    text = listing.read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{path} is no {what}: it is nested too deeply.") from None
    except ValueError as error:
        raise DataError(f"{path} is no {what}: {_text_format(text, str(error))}.") from None


def _text_format(text: str, detail: str) -> str:
    head = text[:512].lstrip()
    if not head:
        return "it is empty"
    if head.startswith("<"):
        return (
            "it is XML. CVAT's 'LabelMe' export is XML of another tool; export 'CVAT for images' from CVAT "
            "and use data=cvat"
        )
    return f"it is damaged JSON ({detail})"


def json_format(loaded: object) -> str:
    """Names the tool that wrote some JSON, and the data set that reads it, by its keys."""
    if isinstance(loaded, dict) and isinstance(loaded.get("shapes"), list):
        return "it is Labelme JSON; use data=labelme"
    if isinstance(loaded, dict) and "annotations" in loaded and "images" in loaded:
        return "it is COCO JSON; use data=coco"
    if isinstance(loaded, list) and loaded and isinstance(loaded[0], dict):
        if "annotations" in loaded[0] or "completions" in loaded[0]:
            return "it is Label Studio JSON; use data=labelstudio"
        if "annotator" in loaded[0] or "annotation_id" in loaded[0]:
            return "it is Label Studio's JSON-MIN; export it as JSON"
    return "it is JSON of no tool that is known here"


def read_xml(path: Path, what: str) -> Element:
    """Reads an XML file in UTF-8 without a document type: no entity is declared, fetched or multiplied.

    Args:
        path: of the file. what: what it ought to be.

    Raises:
        DataError: it cannot be read, declares another encoding or a document type, or is no XML.
    """
    text = listing.read_text(path)
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = lambda *_: _refuse_doctype(path)
    parser.XmlDeclHandler = lambda version, encoding, standalone: _require_utf8(path, encoding)
    try:
        parser.Parse(text.strip().encode(), True)
    except expat.ExpatError as error:
        raise DataError(f"{path} is no {what}: it is damaged XML ({error}).") from None
    return builder.close()


def _refuse_doctype(path: Path) -> None:
    raise DataError(
        f"{path} declares a document type (<!DOCTYPE ...>), which could hold entities that multiply or lead "
        "to other files; no labelling tool writes one. Remove the declaration if you trust the file."
    )


def _require_utf8(path: Path, encoding: str | None) -> None:
    if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise DataError(f"{path} says that it is {encoding} text, not UTF-8; save it as UTF-8.")
