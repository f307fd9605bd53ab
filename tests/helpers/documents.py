"""Commands and links of README.md and docs/, as they stand there."""

import re
from pathlib import Path

from tests.helpers.paths import ROOT

INLINE = re.compile(r"`(python -m kolbench(?: [^`]+)?)`")
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents() -> list[Path]:
    """README.md and every page of docs/ that is written by hand."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def pages() -> list[Path]:
    """All pages of the site: these, the reference, CONTRIBUTING.md, CHANGELOG.md and the experiments."""
    own = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    reference = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [*documents(), *reference, *own, *sorted((ROOT / "experiments").rglob("README.md"))]


def inline_commands(text: str) -> list[str]:
    """Commands in the middle of a text or in a table, with their spaces made single."""
    return [" ".join(found.split()) for found in INLINE.findall(FENCED.sub("", text))]


def block_commands(text: str) -> list[str]:
    """Commands of blocks, a line each, without the remark behind them."""
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    parts = [part for line in lines for part in re.split(r" && ", re.sub(r" +# .*", "", line))]
    return [" ".join(part.split()) for part in parts if part.startswith("python -m kolbench")]


def links(text: str) -> list[str]:
    """What it links to, code left out."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", FENCED.sub("", text)))
