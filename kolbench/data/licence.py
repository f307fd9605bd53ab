"""The licence of a data set, from what lies beside it: recorded with every run, never judged by a lawyer."""

import re
from fnmatch import fnmatch
from pathlib import Path

YES, NO, UNSTATED = "yes", "no", "unstated"
_LONGEST = 120
_MOST_CHARACTERS = 65_536
_FILES = ("licen[cs]e*", "copying*")
_READMES = ("readme*",)
# words that forbid commercial use; they are looked for first
_FORBIDS = (
    r"non[- ]?commercial|non[- ]?profit|commercial use (?:is )?(?:not|prohibited|forbidden)|"
    r"not for (?:any |a )?commercial|\bnc\b|no commercial|"
    r"(?:research|academic|educational)(?: and \w+)?(?: use| purposes?)? only|only for (?:\w+ )?research|"
    r"for (?:\w+ )?research (?:use|purposes)"
)
_ALLOWS = r"\b(?:(?-i:MIT)|apache|bsd|cc0|cc[ -]by|unlicense)\b|public domain|commercial use (?:is )?allowed"


def beside(root: Path) -> str | None:
    """The licence that a LICENSE (its first line) or a README (its first line about one) in `root` names.

    Returns:
        At most 120 characters; None where neither is there or says anything.
    """
    for path in _matching(root, _FILES):
        for line in _lines(path):
            return _short(line)
    for path in _matching(root, _READMES):
        lines = _lines(path)
        for number, line in enumerate(lines):
            if re.search(r"licen[cs]e(?! plate)", line, re.IGNORECASE):
                # a heading of that name is followed by the licence
                is_heading = re.fullmatch(r"licen[cs]es?:?", line, re.IGNORECASE) and number + 1 < len(lines)
                return _short(lines[number + 1] if is_heading else line)
    return None


def commercial(words: str | None) -> str:
    """`yes`, `no` or `unstated`: whether a licence allows commercial use, as far as its name tells."""
    if words is None:
        return UNSTATED
    if re.search(_FORBIDS, words, re.IGNORECASE):
        return NO
    return YES if re.search(_ALLOWS, words, re.IGNORECASE) else UNSTATED


def _matching(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    if not root.is_dir():
        return []
    return [
        path
        for path in sorted(root.iterdir())
        if path.is_file() and any(fnmatch(path.name.lower(), pattern) for pattern in patterns)
    ]


def _lines(path: Path) -> list[str]:
    """Lines with anything on them, without the signs of headings and lists."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST_CHARACTERS)
    except OSError:
        return []
    stripped = (line.strip().strip("#*=->_ \t").strip() for line in text.splitlines())
    return [line for line in stripped if line]


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3].rstrip()}..."
