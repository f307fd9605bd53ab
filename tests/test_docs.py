"""README.md and docs/: their commands compose, their links lead somewhere, their figures are ours."""

import csv
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers import documents
from tests.helpers.paths import ROOT
from tests.helpers.tasks import configured

README = (ROOT / "README.md").read_text(encoding="utf-8")
# Optuna's ranges are values of no key; what a shell or a scheduler fills in is none either
NOT_COMPOSED = ("interval(", "${", "$SLURM")
SWEPT = re.compile(r"(?<!\[)\b([\w@./]+)=([^\[{'\"(,]+),[^\]}]*$")
# the methods' own names of the table -> keys of the committed result
ROWS = {
    "RSUDISNet": "rsudisnet",
    "U²-Net": "u2net",
    "GrabCut, fully automatic": "grabcut",
    "MODNet": "modnet",
    "U-Net": "unet",
    "Mask R-CNN": "maskrcnn",
    "Mean Shift": "meanshift",
    "K-Means": "kmeans",
    "baseline: mean training mask": "meanmask",
    "baseline: centred ellipse": "ellipse",
}


def commands(pages: list[Path]) -> list[str]:
    """Every command of a block of the pages that composes."""
    found = {line for page in pages for line in documents.block_commands(page.read_text(encoding="utf-8"))}
    return sorted(line for line in found if not any(part in line for part in NOT_COMPOSED))


def refused(lines: list[str]) -> str:
    """A line for each command that does not compose."""
    wrong = []
    for line in lines:
        try:
            configured(*_one_job(shlex.split(line)[3:]))
        except Exception as error:
            wrong.append(f"{line}: {error}")
    return "\n".join(wrong)


def test_every_command_of_a_block_composes():
    lines = commands(documents.documents())
    assert len(lines) >= 30
    assert not refused(lines)


@pytest.mark.slow
def test_every_command_of_the_reference_composes():
    lines = commands(sorted((ROOT / "docs" / "reference").glob("*.md")))
    assert len(lines) >= 100
    assert not refused(lines)


def _one_job(words: list[str]) -> list[str]:
    """The words of a sweep's first job; launchers and sweepers are composed by tests/test_readme.py."""
    kept = [word for word in words if word not in ("-m", "--dry-run") and not word.startswith("hydra")]
    return [SWEPT.sub(r"\1=\2", word) for word in kept]


def test_links_lead_to_files_and_places():
    lost = []
    for path in documents.pages():
        for link in documents.links(path.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            target = path if not name else path.parent / name
            if not (target.exists() and (not anchor or anchor in _anchors(target))):
                lost.append(f"{path.relative_to(ROOT)}: {link}")
    assert not lost, "\n".join(lost)


def _anchors(page: Path) -> set[str]:
    """Names of headings, as code hosts and MkDocs make them."""
    text = documents.FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop().resolve()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        found = documents.links(path.read_text(encoding="utf-8"))
        waiting += [
            path.parent / link.partition("#")[0] for link in found if "://" not in link and link[0] != "#"
        ]
    assert not {path.resolve() for path in documents.pages()} - reached


def test_the_reference_is_as_the_configuration_is():
    pages = dict(runpy.run_path(str(ROOT / ".ci" / "reference.py"))["pages"]())
    folder = ROOT / "docs" / "reference"
    assert {path.name for path in folder.iterdir()} == pages.keys()
    wrong = [name for name, text in pages.items() if (folder / name).read_text(encoding="utf-8") != text]
    assert not wrong, f"docs/reference/ is out of date ({', '.join(wrong)}): python .ci/reference.py"


def test_the_results_of_the_readme_are_the_committed_ones():
    tables = ROOT / "experiments" / "01_methods" / "results" / "report" / "tables"
    expected = {}
    for name, column in (("scores", "miou"), ("products", "product_recall")):
        with (tables / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = [f"{100 * float(row[key]):.1f}" for key in (column, "low", "high")]
                expected.setdefault(row["method"], []).append(f"{numbers[0]} [{numbers[1]}, {numbers[2]}]")
    lines = README.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    lines = [line for line in lines if re.match(r"\| .* \[\d+\.\d, \d+\.\d\] \|", line)]
    shown = [[cell.strip() for cell in line.replace("*", "").strip("|").split("|")] for line in lines]
    assert {name: cells for name, *cells in shown} == {name: expected[key] for name, key in ROWS.items()}


def test_the_two_marked_commands_are_found_and_install_what_they_run():
    marked = {
        name: re.findall(rf"<!-- {name} command -->\n```bash\n(.*)\n```\n", README)
        for name in ("main", "test")
    }
    (main,), (test,) = marked["main"], marked["test"]
    install = "pip install uv && python -m uv pip install -c requirements.lock -e "
    assert main == f"{install}. && python -m kolbench experiment=rsudisnet"
    assert test.startswith(f'{install}".[test]" && ')
    assert test.endswith(" && mypy && pytest -n 2")
    # as .ci/run looks for it
    (awk,) = re.findall(r"command=\$\((awk '.*' README\.md)\)", (ROOT / ".ci" / "run").read_text())
    found = subprocess.run(shlex.split(awk), cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == test


def test_the_method_of_the_readme_is_the_one_of_the_recipe():
    (block,) = re.findall(r"```python\n(class .*?)```", README, re.DOTALL)
    recipe = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in block.splitlines() if line not in recipe] == []


def test_every_extra_is_in_the_list():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)
    named = {name for cell in listed for name in re.findall(r"`(\w+)`", cell)}
    # the first two install nothing any more, the last one stands in the test command
    assert named == {name for name in extras if name not in ("onnx", "export", "test")}


@pytest.mark.slow
def test_the_site_is_built_strictly_and_fetches_nothing(tmp_path):
    pytest.importorskip("material", reason="needs the extra docs")
    words = [
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "-f",
        ".mkdocs.yml",
        "-d",
        str(tmp_path / "site"),
    ]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) >= 30
    asset = re.compile(
        r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>", re.IGNORECASE
    )
    fetched = {found for page in built for found in asset.findall(page.read_text(encoding="utf-8"))}
    sheets = sorted((tmp_path / "site").rglob("*.css"))
    fetched |= {
        found for sheet in sheets for found in re.findall(r"url\(\W?(?:https?:)?//[^)]*\)", sheet.read_text())
    }
    assert not fetched
    assert (tmp_path / "site" / "experiments" / "06_placing" / "results" / "hero.jpg").is_file()
