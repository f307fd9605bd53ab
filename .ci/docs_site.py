"""A hook of MkDocs: the README is the site's home, and files that pages link to are part of the site.

Links are written as they work on disk; here they are turned to where the files lie in the site.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
HOME = "README.md"
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
TARGET = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
COMMENT = re.compile(r"^<!--.*?-->$", re.MULTILINE)
CELL = re.compile(r"`[^`\n]*`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the README, and every file that a page links to, however far."""
    waiting = [HOME, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    while waiting:
        path = waiting.pop()
        if files.get_file_from_path(in_site(path)) is None:
            files.append(File.generated(config, in_site(path), abs_src_path=str(ROOT / path)))
        elif path != HOME and not path.startswith("docs/"):
            continue
        if path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            linked = {resolved(path, target) for target in targets(text)}
            waiting += sorted(link for link in linked if not link.startswith("docs/") and link != HOME)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links of the site; without comments, and with the pipes of code in tables as this Markdown has them."""
    path = HOME if page.file.src_uri == "index.md" else page.file.src_uri
    path = path if (ROOT / path).is_file() else f"docs/{path}"
    here = posixpath.dirname(in_site(path))

    def turned(found: re.Match[str]) -> str:
        if not is_file(found[0]):
            return found[0]
        _, mark, anchor = found[0].partition("#")
        return posixpath.relpath(in_site(resolved(path, found[0])), here or ".") + mark + anchor

    parts = CODE.split(COMMENT.sub("", markdown))
    parts[::2] = [TARGET.sub(turned, part) for part in parts[::2]]
    return "\n".join(
        CELL.sub(lambda code: code[0].replace("\\|", "|"), line) if line.startswith("|") else line
        for line in "".join(parts).split("\n")
    )


def in_site(path: str) -> str:
    """Where a file of the repository lies in the site's source."""
    return "index.md" if path == HOME else path.removeprefix("docs/")


def targets(markdown: str) -> list[str]:
    """What a page links to in this repository."""
    texts = CODE.split(markdown)[::2]
    return [target for text in texts for target in TARGET.findall(text) if is_file(target)]


def is_file(target: str) -> bool:
    """Whether it names a file rather than an address or a place in the same page."""
    return "://" not in target and not target.startswith(("#", "mailto:"))


def resolved(path: str, target: str) -> str:
    """The file of the repository that a page at `path` links to.

    Raises:
        PluginError: there is none.
    """
    link = posixpath.normpath(posixpath.join(posixpath.dirname(path), target.partition("#")[0]))
    if (ROOT / link).is_dir():
        link += "/README.md"
    if not (ROOT / link).is_file():
        raise PluginError(f"{path} links to {target}, which is no file")
    return link
