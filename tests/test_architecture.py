"""Imports point one way; the source says so."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

import kolbench
from tests.helpers.commands import python
from tests.helpers.paths import ROOT

PACKAGE = Path(kolbench.__file__).parent

# each layer may import itself and what stands before it
LAYERS = [
    {"errors", "types"},
    {"io"},
    {"metrics", "preprocessing"},
    {"runs", "config"},
    {"segmenter"},
    {"data"},
    {"models"},
    {"refiners", "tracking"},
    {"engine", "video"},
    {"inference", "report"},
    {"serve"},
    {"tasks"},
    {"api", "cli", "results"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
SOURCES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py", PACKAGE / "__main__.py"})


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path, top_level_only=False):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    here = part_of(path)
    for name in imported(path, top_level_only=here in ("segmenter",)):
        pieces = name.split(".")
        if pieces[0] == "kolbench" and len(pieces) > 1 and pieces[1] in LEVEL:
            assert LEVEL[pieces[1]] <= LEVEL[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_hydra_has_two_homes_and_data_knows_no_models(path):
    names = set(imported(path))
    roots = {name.split(".")[0] for name in names}
    if path.stem not in ("cli", "compose", "explain", "launching", "searching"):
        assert not roots & {"hydra", "omegaconf"}
    if part_of(path) == "data":
        assert not any(name.startswith("kolbench.models") for name in names)


def test_files_have_one_subject():
    long = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


WITHOUT_TORCH = [
    "kolbench.runs.run_folder",
    "kolbench.runs.finished",
    *(f"kolbench.report.{path.stem}" for path in SOURCES if part_of(path) == "report"),
]
# each module in a fork of one process that holds the libraries they share, as if in a process of its own
FORKS = """
import importlib, os, sys
import matplotlib.figure, numpy, pandas, PIL.Image
for module in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(module)
        print(module, *sorted({"torch", "lightning", "hydra"} & set(sys.modules)), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def brought_in():
    """Module -> what of torch, lightning and Hydra is loaded once it is imported."""
    lines = python(FORKS, *WITHOUT_TORCH).stdout.splitlines()
    return {module: loaded for module, *loaded in map(str.split, lines)}


@pytest.mark.slow
@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_run_folders_are_read_without_torch(module, brought_in):
    assert brought_in[module] == []


DOCUMENT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STEP = re.compile(r"^\| \d+ \| `(\S+)` \| `(\S+)` \|.*\| (?:`(\S+)` )?\|$", re.MULTILINE)


def way(name):
    """(file, function, through) of each step of a table of docs/architecture.md."""
    table = DOCUMENT.partition(f"<!-- way: {name} -->")[2].partition("<!--")[0].partition("\n\n")[0]
    return STEP.findall(table)


def function_at(file, name):
    body = ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = [node for node in body if getattr(node, "name", None) == part]
        assert found, f"{file} has no {name}"
        body = found[0].body
    return found[0]


def names_in(node):
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


@pytest.mark.parametrize("name", ["loss", "counts", "number"])
def test_the_ways_through_are_as_documented(name):
    steps = way(name)
    assert len(steps) >= 5
    for (file, function, through), (next_file, next_function, _) in pairwise(steps):
        here = function_at(file, function)
        function_at(next_file, next_function)
        if through.endswith(".yaml"):
            module = next_file.removesuffix(".py").replace("/", ".")
            assert f"run: kolbench.{module}.{next_function}" in (ROOT / through).read_text(encoding="utf-8")
        else:
            told = names_in(ast.parse((ROOT / through).read_text(encoding="utf-8")) if through else here)
            assert set(next_function.split(".")) & told, f"{file}: {function} names no {next_function}"


@pytest.mark.parametrize("names", ["loss", "counts number"])
def test_the_counts_of_calls_and_files_are_as_documented(names):
    ways = [way(name) for name in names.split()]
    calls = sum(len(steps) - 1 for steps in ways)
    files = {file for steps in ways for file, *_ in steps}
    assert f"<!-- counts: {names} -->\n{calls} calls, {len(files)} files." in DOCUMENT


def test_the_documented_layers_and_folders_are_those_that_are_checked():
    text = DOCUMENT.partition("<!-- layers -->\n```\n")[2].partition("```")[0]
    layers = [set(layer.split(", ")) for layer in re.split(r" \| |\n", text.strip())]
    assert layers == LAYERS
    tree = DOCUMENT.partition("kolbench/\n")[2].partition("```")[0]
    parts = {
        word.strip("/")
        for line in tree.splitlines()
        for word in re.match(r"  ((?:\S+ {1,2})+)", line)[1].split()
    }
    there = {
        path.stem if path.is_file() else path.name
        for path in PACKAGE.iterdir()
        if (path.is_dir() and (path / "__init__.py").is_file()) or path.suffix == ".py"
    }
    assert parts == there - {"__init__"}
