"""Imports point one way; the source says so."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kolbench

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
    {"api", "cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))


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
    if path.stem not in ("cli", "compose"):
        assert not roots & {"hydra", "omegaconf"}
    if part_of(path) == "data":
        assert not any(name.startswith("kolbench.models") for name in names)


def test_files_have_one_subject():
    long = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


@pytest.mark.parametrize(
    "module",
    [
        "kolbench.runs.run_folder",
        "kolbench.runs.finished",
        *(f"kolbench.report.{path.stem}" for path in SOURCES if part_of(path) == "report"),
    ],
)
def test_run_folders_are_read_without_torch(module):
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'lightning', 'hydra'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
