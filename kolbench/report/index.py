"""Reports beside each other: their index page, and marks on those that are not the newest any more."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup, escape

from kolbench.io.files import write_text
from kolbench.report import inlined, report_file
from kolbench.report.intervals import TOO_FEW
from kolbench.report.report_file import Headline, ReportFile
from kolbench.report.words import DASH, counted, percent

PAGE, INDEX = "report.html", "index.html"
SUPERSEDED = "Superseded: the newest reports of this folder have no such test set."
_HERE = "kolbench.report"
_STYLES = ("index.css",)
_SCRIPTS = ("index.js",)
_OURS = '<meta name="generator" content="kolbench">'
_MARK = re.compile(r'<p class="superseded" role="note">.*?</p>\n', re.DOTALL)
_BODY = "<body>\n"


@dataclass(frozen=True)
class Entry:
    """A report as the index shows it. link: from the index. about: None where no report.json tells."""

    link: str
    name: str
    about: ReportFile | None
    note: str


def refresh(
    output: Path, written: Collection[Path], failed: Mapping[Path, str], found_sets: bool = True
) -> None:
    """Marks reports that are not the newest, and writes the index page where reports stand in folders.

    Only pages and indexes that kolbench wrote are touched; nothing of others is removed.

    Args:
        output: the folder that a command wrote to: a report, or a folder of a report for each test set.
        written: folders of its new reports. failed: folder -> why its report could not be made.
        found_sets: whether the command knows its test sets, so that others of this folder are superseded.
    """
    folders = _folders(output)
    for folder in folders:
        if folder in written:
            continue
        known = report_file.read(folder)
        note = failed.get(folder) or _note(folder, known, output, found_sets)
        mark(folder / PAGE, note)
        if known is not None and known.note != note:
            replace(known, note=note).write(folder)
    _write_index(output, [_entry(folder, output) for folder in folders])


def mark(path: Path, note: str) -> None:
    """Puts a sentence above all else into a page of ours, in place of an earlier one; "" takes that out.

    Pages of others are left alone.
    """
    text = _read(path)
    if text is None:
        return
    sentence = f'<p class="superseded" role="note">{escape(note)}</p>\n' if note else ""
    marked = _MARK.sub("", text, count=1).replace(_BODY, _BODY + sentence, 1)
    if marked != text:
        write_text(path, marked)


def _note(folder: Path, known: ReportFile | None, output: Path, found_sets: bool) -> str:
    """Why a report that this command has not written is not the newest; "" where nothing says so."""
    of_this_output = folder == output or (known is not None and known.of_several)
    if found_sets and of_this_output:
        return SUPERSEDED
    if known is None:
        return ""
    lasting = known.note if known.note not in (report_file.GONE, report_file.CHANGED) else ""
    return report_file.state(known, folder) or lasting


def _folders(output: Path) -> list[Path]:
    """The folder itself and those right below it that hold a page of ours."""
    below = sorted(path for path in output.glob("*") if path.is_dir()) if output.is_dir() else []
    return [folder for folder in (output, *below) if _read(folder / PAGE) is not None]


def _read(path: Path) -> str | None:
    """The text of a page that kolbench wrote; None where there is none, or it is of somebody else."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return text if _OURS in text.partition("</head>")[0] else None


def _entry(folder: Path, output: Path) -> Entry:
    known = report_file.read(folder)
    link = PAGE if folder == output else f"{folder.name}/{PAGE}"
    return Entry(link, known.name if known else folder.name, known, known.note if known else "")


def _write_index(output: Path, entries: list[Entry]) -> None:
    path = output / INDEX
    ours = not path.exists() or _read(path) is not None
    if not ours:
        return
    if not any("/" in entry.link for entry in entries):
        path.unlink(missing_ok=True)
        return
    html = render(output.absolute().name, entries)
    write_text(path, html)


def render(title: str, entries: list[Entry]) -> str:
    """The index page: the newest reports first, those that are out of date below them."""
    css, script = inlined.style_of(_HERE, *_STYLES), inlined.script_of(_HERE, *_SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{inlined.digest(script)}'; style-src '{inlined.digest(css)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    newest = sorted((entry for entry in entries if not entry.note), key=lambda entry: entry.name)
    newest.sort(key=lambda entry: entry.about.written if entry.about else "", reverse=True)
    return inlined.page(_HERE, "index.html.j2").render(
        css=Markup(css),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        policy=policy,
        title=title,
        groups=[
            ("", newest),
            ("Not the newest", [entry for entry in entries if entry.note]),
        ],
        headline=headline,
        counted=counted,
    )


def headline(about: ReportFile) -> str:
    """The best method and its score, in words."""
    found = about.headline
    if found is None:
        return "Baselines, or methods that use the ground truth, only."
    best = "Best mIoU" if about.methods > 1 else "mIoU"
    return f"{best}: {found.method}, {percent(found.miou)} %{_range(found)}"


def _range(found: Headline) -> str:
    if found.low is None or found.high is None:
        return f" ({TOO_FEW})"
    return f" (95 % CI {percent(found.low)}{DASH}{percent(found.high)})"
