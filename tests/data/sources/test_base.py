"""The contract that every layout keeps, and that no layout's code depends on another's."""

import ast
from pathlib import Path

import numpy as np
import pytest

import kolbench
from kolbench.data.sources.base import Source, SplitPlan
from kolbench.errors import DataError
from kolbench.types import Sample
from tests.helpers.sources import NamesOnly

PACKAGE = Path(kolbench.__file__).parent
SOURCES = "kolbench.data.sources"
LAYOUTS = {
    f"{SOURCES}.{path.stem}"
    for path in (PACKAGE / "data" / "sources").glob("*.py")
    if path.stem not in ("__init__", "base")
}
BUILDS_ON = {f"{SOURCES}.kol": {f"{SOURCES}.folder", f"{SOURCES}.labelme"}}


def test_what_a_layout_does_not_say_is_unknown():
    source = NamesOnly(["a", "b"])
    assert len(source) == 2
    assert source.groups == [None, None]
    assert source.tags == ["", ""]
    assert source.given_splits is None
    assert source.plan == SplitPlan((0.8, 0.1, 0.1), "the RSUDISNet paper", None)
    assert source.needs_checking
    assert not source.knows_colours
    assert source.known_hashes is None


def test_a_layout_without_all_methods_cannot_be_made():
    class Reads(Source):
        def read(self, index: int) -> Sample:
            return Sample(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8))

    with pytest.raises(TypeError, match=r"describe'?, '?fingerprint"):
        Reads([])  # type: ignore[abstract]  # what the test is about


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"names": ["a", "b", "a"]}, "NamesOnly: 2 images have the name a; names must be unique"),
        (
            {"names": ["a", "\udcffb"]},
            r"NamesOnly: 1 of 2 file names are no text in UTF-8, such as .*udcffb",
        ),
        ({"groups": ["v"]}, "2 names but 1 groups"),
        ({"tags": ["v", "", ""]}, "2 names but 3 tags"),
        ({"given_splits": {"train": [0], "val": [1, 2]}}, "the split val has the index 2, but there are 2"),
        ({"given_splits": {"test": [-1]}}, "the split test has the index -1"),
    ],
)
def test_what_contradicts_itself_is_refused(known, words):
    with pytest.raises(DataError, match=words):
        NamesOnly(**{"names": ["a", "b"], **known})


def file_of(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def imports(module: str) -> set[str]:
    """Modules of kolbench that a module's file imports, wherever in it."""
    file = file_of(module)
    assert file is not None
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith("kolbench.") and file_of(name)}


def closure(*modules: str) -> set[str]:
    pending, seen = list(modules), set[str]()
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += imports(module)
    return seen


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layouts_code_is_in_no_other_layouts_fingerprint(layout):
    assert closure(layout) & LAYOUTS == {layout} | BUILDS_ON.get(layout, set())


def test_training_depends_on_no_layout_but_the_chosen_one():
    reached = closure("kolbench.data.datamodule", "kolbench.engine.training")
    assert f"{SOURCES}.base" in reached
    assert not reached & LAYOUTS
