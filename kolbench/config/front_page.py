"""What the command line answers before any work: help, lists of choices, the version, and first words that
are no command. Nothing but the standard library is loaded for it.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from kolbench.config.folder import conf_dir, typed_conf_dirs
from kolbench.errors import nearest

HELP = ("--help", "-h")
LIST = "list"
EXAMPLES = {
    "python -m kolbench task=quickstart": "a first look, in two minutes",
    "python -m kolbench experiment=rsudisnet budget=smoke": "does a training run here?",
    "python -m kolbench experiment=modnet data=folder data.root=DIR": "train and score on your images",
    "python -m kolbench -m experiment=kmeans,grabcut,unet": "several methods, one table",
    "python -m kolbench task=predict weights=RUN input=PHOTO.jpg output=OUT": "cut out with what was trained",
}
READ_ON = """\
--help GROUP, GROUP=list       the choices of a group, such as --help data
experiment=unet --cfg job      every key of a command, with its value
README.md, docs/               what is compared, how scores are defined
CONTRIBUTING.md                how to add a method or a data set of your own"""
# of Hydra's parser, which takes abbreviations of the long ones
FLAGS = (
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun"),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--experimental-rerun"),
    *("--info", "--dry-run"),
)
SHORT_FLAGS = ("-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i")
# flags that take the next word, where it is not joined to them by =
_TAKES_A_WORD = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun", "--info", "-i"),
)
SENTENCE_END = re.compile(r"(?<=[^.][.?]) ")
WIDEST = 100
EXIT_USAGE = 2


@dataclass(frozen=True)
class Answer:
    """Text for stdout, or for stderr where the command is wrong, and the exit code."""

    text: str
    code: int = 0


def answer(words: Sequence[str]) -> Answer | None:
    """What is said to a command line that asks for no work; None where it asks for some.

    Args:
        words: what stands after `python -m kolbench`.
    """
    if "--version" in words:
        from kolbench import __version__

        return Answer(f"kolbench {__version__}")
    if not words:
        return Answer(front_page(*_paper()))
    if any(word in HELP for word in words):
        return _help([word for word in _without_flags(words) if word not in HELP])
    listed = [word.removesuffix(f"={LIST}") for word in words if word.endswith(f"={LIST}")]
    if listed and listed[0] in groups() and LIST not in choices(listed[0]):
        return Answer(choices_page(listed[0], *_paper()))
    return _refusal(words)


def _help(asked: Sequence[str]) -> Answer | None:
    """The front page, or the choices of groups; Hydra's page shows the keys of a command with words."""
    if any("=" in word for word in asked):
        return None
    if not asked:
        return Answer(front_page(*_paper()))
    unknown = [word for word in asked if word not in groups()]
    if unknown:
        hint = nearest(unknown[0], groups())
        meant = f" Did you mean --help {hint}?" if hint else ""
        return _wrong(f"there is no group {unknown[0]}; groups are {', '.join(groups())}.{meant}")
    return Answer("\n\n".join(choices_page(group, *_paper()) for group in asked))


def _without_flags(words: Sequence[str]) -> Iterator[str]:
    """The words that are no flags and belong to none, with those that ask for help."""
    taken = False
    for word in words:
        if not taken and (word in HELP or not word.startswith("-")):
            yield word
        taken = word in _TAKES_A_WORD


def _refusal(words: Sequence[str]) -> Answer | None:
    """What was meant by a first word such as `report`, or by a flag that does not exist."""
    plain = list(_without_flags(words))
    first = plain[0] if plain else ""
    if first in ("help", LIST):
        return Answer(front_page(*_paper()))
    if first and "=" not in first and first.isidentifier():
        return _bare_word(first, words)
    unknown = next((word for word in words if word.startswith("-") and not _is_flag(word)), None)
    return None if unknown is None else _unknown_flag(unknown)


def _bare_word(first: str, words: Sequence[str]) -> Answer:
    for group in ("task", "experiment"):
        if first in choices(group):
            meant = (f"{group}={word}" if word == first else word for word in words)
            return _wrong(f"did you mean: python -m kolbench {' '.join(meant)}")
    named = {name: group for group in ("experiment", "task") for name in choices(group)}
    hint = nearest(first, named, likeness=0.7)
    meant_one = f" Did you mean {named[hint]}={hint}?" if hint else ""
    return _wrong(f"the command cannot be understood: {first} is no KEY=VALUE.{meant_one} --help shows how.")


def _is_flag(word: str) -> bool:
    name = word.partition("=")[0]
    if name.startswith("--"):
        return any(flag.startswith(name) for flag in FLAGS)
    # Hydra takes values that begin with a minus for none of its own
    return any(name.startswith(flag) for flag in SHORT_FLAGS)


def _unknown_flag(word: str) -> Answer:
    key, sign, value = word.lstrip("-").partition("=")
    if key.partition(".")[0] in (*groups(), "weights", "seed", "threshold", "output", "input", "runs"):
        return _wrong(
            f"there is no flag {word}: keys have no dashes. Did you mean {key}={value if sign else '...'}?"
        )
    hint = nearest(word.partition("=")[0], FLAGS, likeness=0.8)
    return _wrong(f"there is no flag {word}.{f' Did you mean {hint}?' if hint else ''} --help shows how.")


def _wrong(text: str) -> Answer:
    return Answer(f"kolbench: {text}", EXIT_USAGE)


def groups() -> list[str]:
    """The groups that have choices."""
    return sorted(path.name for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra")


def choices(group: str) -> dict[str, str]:
    """Choice of a group -> its line, which is the first comment of its YAML; --config-dir's folder counts."""
    found = {}
    for folder in (conf_dir(), *typed_conf_dirs()):
        for path in sorted((folder / group).glob("[!_]*.yaml")):
            found[path.stem] = first_line_of(path)
    return found


def first_line_of(path: Path) -> str:
    """The first sentence of the comment that a YAML file begins with; "" where it has none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    begun = lines[1:] if lines and lines[0].startswith("# @package") else lines
    # three blanks begin a command
    comment = takewhile(lambda line: line.startswith("# ") and not line.startswith("#   "), begun)
    return SENTENCE_END.split(" ".join(line[2:].strip() for line in comment))[0]


def front_page(width: int = 80, bold: bool = False) -> str:
    """The page of `--help`: at most `width` columns, its headings `bold` for terminals."""
    from kolbench import __version__

    parts = [
        f"{_heading('kolbench', bold)} {__version__}: segmentation of persons and the products they hold. "
        "Methods are trained, scored and compared on the same images.",
        _section("usage", ["  python -m kolbench KEY=VALUE ..."], bold),
        _section("tasks, task=NAME", _table(choices("task"), width), bold),
        _section("experiments, experiment=NAME", _table(choices("experiment"), width), bold),
        _section("examples", _examples(width), bold),
        _section("more", textwrap.indent(READ_ON, "  ").splitlines(), bold),
        *_wrapped(f"  groups: {', '.join(groups())}", width),
    ]
    return "\n".join(["\n".join(_wrapped(parts[0], width, "")), "", *parts[1:]])


def choices_page(group: str, width: int = 80, bold: bool = False) -> str:
    """The choices of a group, a line each."""
    return _section(f"{group}=NAME", _table(choices(group), width), bold).rstrip("\n")


def _section(title: str, lines: Sequence[str], bold: bool) -> str:
    return "\n".join([_heading(title, bold), *lines, ""])


def _heading(text: str, bold: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if bold else text


def _table(entries: Mapping[str, str], width: int) -> list[str]:
    """A line for each entry; what does not fit goes on below its text."""
    column = max(map(len, entries), default=0) + 4
    lines = []
    for name, text in entries.items():
        lines += _wrapped(f"  {name}".ljust(column) + text, width, " " * column)
    return lines


def _examples(width: int) -> list[str]:
    column = max(map(len, EXAMPLES)) + 6
    if column + max(map(len, EXAMPLES.values())) <= width:
        return [f"  {command}".ljust(column - 2) + says for command, says in EXAMPLES.items()]
    return [line for command, says in EXAMPLES.items() for line in (f"  {command}", f"      {says}")]


def _wrapped(text: str, width: int, indent: str = "    ") -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _paper() -> tuple[int, bool]:
    """Columns of the terminal, within what reads well, and whether it takes bold letters."""
    return min(shutil.get_terminal_size().columns, WIDEST), sys.stdout.isatty()
