"""Writes docs/reference/ from the headers and comments of conf/ and from pyproject.toml.

python .ci/reference.py            writes what differs
python .ci/reference.py --check    exits with 1 where something differs
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
OUT = ROOT / "docs" / "reference"
KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]\w*):(?P<value> .*?)?(?: +# ?(?P<comment>.*))?$")
# what Hydra needs, and how a method is trained: the file says it better than a table
NOT_KEYS = ("defaults", "task", "training", "hydra", "name")
LONGEST = 60


@dataclass
class Choice:
    """A YAML of conf/: its name, what its header says, its commands, its keys."""

    name: str
    path: str
    says: str
    commands: list[str]
    keys: list[tuple[str, str, str]] = field(default_factory=list)


def main() -> None:
    """Writes, or checks, every page."""
    stale = [name for name, text in pages() if _differs(OUT / name, text)]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"docs/reference/ is not as conf/ is ({', '.join(stale)}): python .ci/reference.py")
        return
    OUT.mkdir(exist_ok=True)
    for name, text in pages():
        (OUT / name).write_text(text, encoding="utf-8")
    print(f"docs/reference/: {', '.join(stale) or 'nothing'} written anew")


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of each page."""
    yield "index.md", _index()
    yield "tasks.md", _page("Tasks", TASKS, [("task", "", "")])
    yield "experiments.md", _page("Experiments", EXPERIMENTS, [("experiment", "", "")])
    yield "models.md", _page("Options of methods", MODELS, [("model", "", "model.")])
    yield "data.md", _page("Data sets", DATA, [("data", "", "data.")])
    yield "other.md", _page("Budgets, refiners, filters and the rest", OTHER, GROUPS)


TASKS = "`task=NAME` says what is done; without it, `task=fit`."
EXPERIMENTS = "`experiment=NAME` is a method with all that belongs to it; its options: [models](models.md)."
MODELS = "Keys of `model=NAME`, typed as `model.KEY=VALUE`. How each is trained: `training` in its file."
DATA = "`data=NAME` says where images come from; the keys of `_base` go with each of them."
OTHER = "`GROUP=NAME` picks a file, `GROUP.KEY=VALUE` changes one of its keys."
GROUPS = [
    ("budget", "How long and how large", "budget."),
    ("refiner", "Redrawing alpha along the image's edges", "refiner."),
    ("filter", "Backgrounds", "filter."),
    ("smooth", "Calming alphas over time", "smooth."),
    ("callbacks", "What watches a training", "callbacks."),
    ("trainer", "Options of Lightning's Trainer", "trainer."),
    ("logger", "Where a run is logged", "logger."),
    ("paths", "Where runs go", "paths."),
    ("sweep", "Sweeps by name", ""),
    ("hydra/launcher", "Where the jobs of a sweep run", "hydra.launcher."),
    ("hydra/sweeper", "Searches", "hydra.sweeper."),
]


def _index() -> str:
    rows = [f"| [{title}]({page}) | {says} |" for page, title, says in CONTENTS]
    extras = [f"| `{name}` | {says} | {packages} |" for name, says, packages in _extras()]
    return "\n".join(
        [
            "# Reference",
            "",
            WRITTEN,
            "",
            "| page | |",
            "|---|---|",
            *rows,
            "",
            "`python -m kolbench --cfg job` with any command prints all of its keys as they are resolved.",
            "",
            "## Extras",
            "",
            '`python -m uv pip install -c requirements.lock -e ".[NAME]"` installs one.',
            "",
            "| extra | for | packages |",
            "|---|---|---|",
            *extras,
            "",
        ]
    )


WRITTEN = (
    "Written by `.ci/reference.py` from the comments of `conf/` and `pyproject.toml`; not to be edited here."
)
CONTENTS = (
    ("tasks.md", "Tasks", "what can be done, and the keys of each task"),
    ("experiments.md", "Experiments", "every method by name, with its commands"),
    ("models.md", "Options of methods", "the keys below `model.`"),
    ("data.md", "Data sets", "every layout that is read, and its keys"),
    (
        "other.md",
        "The rest",
        "budgets, refiners, filters, smoothing, callbacks, trainers, loggers, launchers",
    ),
)


def _extras() -> Iterator[tuple[str, str, str]]:
    """Name, comment and packages of each extra that installs something."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    for name, packages in extras.items():
        if not packages:
            continue
        found = re.search(rf"((?:^# .*\n)+){name} = \[", text, re.MULTILINE)
        says = " ".join(line.removeprefix("# ") for line in found[1].splitlines()) if found else ""
        names = [re.split(r"[<>=!;]", package)[0] for package in packages]
        yield name, _cell(says), ", ".join(f"`{each}`" for each in names)


def _page(title: str, says: str, groups: list[tuple[str, str, str]]) -> str:
    lines = [f"# {title}", "", says, "", WRITTEN, ""]
    for group, what, prefix in groups:
        choices = [_choice(path, prefix) for path in sorted((CONF / group).glob("*.yaml"))]
        if what:
            lines += [f"## {group}", "", f"{what}.", ""]
        mark = "###" if what else "##"
        for choice in choices:
            lines += _section(
                choice, f"{mark} {choice.name}" if choice.name != "_base" else f"{mark} Keys of all"
            )
    return "\n".join(lines)


def _section(choice: Choice, heading: str) -> list[str]:
    lines = [heading, ""]
    if choice.says:
        lines += [choice.says, ""]
    if choice.commands:
        lines += ["```bash", *choice.commands, "```", ""]
    if choice.keys:
        rows = [f"| `{key}` | {value} | {_cell(comment)} |" for key, value, comment in choice.keys]
        lines += ["| key | default | |", "|---|---|---|", *rows, ""]
    return [*lines, f"[`{choice.path}`](../../{choice.path})", ""]


def _choice(path: Path, prefix: str) -> Choice:
    lines = path.read_text(encoding="utf-8").splitlines()
    count = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    says, commands = _header(lines[:count])
    choice = Choice(path.stem, str(path.relative_to(ROOT)), says, commands)
    values = yaml.safe_load("\n".join(lines)) or {}
    choice.keys = [(prefix + key, _value(values, key), comment) for key, comment in _keys(lines[count:])]
    return choice


def _header(lines: list[str]) -> tuple[str, list[str]]:
    """The sentences of a header, and its commands; a command may go on after a backslash."""
    says: list[str] = []
    commands: list[str] = []
    for line in lines:
        text = line.removeprefix("#").strip()
        if commands and commands[-1].endswith("\\"):
            commands[-1] = commands[-1].removesuffix("\\").rstrip() + " " + text
        elif text.startswith(("python -m kolbench", "torchrun")):
            # "(a GPU)" and the like
            commands.append(re.sub(r" {2,}\((.*)\)$", r"   # \1", text))
        elif text and not text.startswith("@package"):
            says.append(text)
    return " ".join(says), commands


def _keys(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Dotted path and comment of every key that a value is typed for."""
    above: list[tuple[int, str]] = []
    remarks: list[str] = []
    for at, line in enumerate(lines):
        found = KEY.match(line)
        if found is None:
            remarks = [*remarks, line.strip(" #")] if line.strip().startswith("#") else []
            continue
        indent = len(found["indent"])
        above = [(deep, name) for deep, name in above if deep < indent]
        path = [*(name for _, name in above), found["name"]]
        comment = "; ".join([*remarks, *([found["comment"]] if found["comment"] else [])])
        remarks = []
        following = next(
            (after for after in lines[at + 1 :] if after.strip() and after.strip()[0] != "#"), ""
        )
        holds_keys = not (found["value"] or "").strip() and len(following) - len(following.lstrip()) > indent
        if holds_keys:
            above.append((indent, found["name"]))
        if path[0] not in NOT_KEYS and not holds_keys:
            yield ".".join(path), comment


def _value(values: Any, key: str) -> str:
    """A default as it is typed; what must be typed is in words."""
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    if values == "???":
        return "must be typed"
    text = yaml.safe_dump(values, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    return f"`{text if len(text) <= LONGEST else text[: LONGEST - 4] + ' ...'}`"


def _cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|")


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    main()
