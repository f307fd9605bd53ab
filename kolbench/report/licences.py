"""The table of licences: what of others each run rests on, and whether that may be used commercially."""

from collections.abc import Sequence

from kolbench.report.layout import Cell, Row, Table, table
from kolbench.report.numbers import Numbers
from kolbench.report.words import listed
from kolbench.runs.method_names import shown_label
from kolbench.runs.record import Part

# from the strictest; a run is as strict as the strictest part that it rests on
WORDS = {"no": "not for commercial use", "unstated": "unstated", "yes": "yes"}
# the role of the data set that a run is scored on
PICTURES = "pictures"
NOT_RECORDED = "not recorded"
TITLE = "Licences"


def licences(numbers: Numbers) -> Table:
    """`licences`: a row for each run; none where no run recorded what it rests on."""
    if not any(run.run.record.rests_on for run in numbers.runs):
        return table("licences", TITLE, [], [])
    rows: list[Row] = [(run.heading, _cells(run.label, run.run.record.rests_on)) for run in numbers.runs]
    notes = [
        "commercial use: whether the licences of all weights and images that a run rests on allow it; the "
        "strictest counts. This is no legal advice.",
        "unstated: no licence says so; ask the authors. not recorded: the run is of an earlier version.",
    ]
    return table("licences", TITLE, rows, notes)


def strictest(parts: Sequence[Part]) -> str:
    """Commercial use of all parts together, in words."""
    if not parts:
        return NOT_RECORDED
    return next(words for key, words in WORDS.items() if any(part.commercial == key for part in parts))


def seen(numbers: Numbers) -> list[str]:
    """Notes on runs that rest on weights which were trained on the very test images."""
    return [
        f"{shown_label(run.label, run.run.method)} has seen these test images: its {part.name} was trained "
        f"on {listed(sets)}. Its scores are not comparable with those of the other methods."
        for run in numbers.runs
        for part in run.run.record.rests_on
        if (sets := _seen_by(part, run.run.record.rests_on))
    ]


def _seen_by(part: Part, parts: Sequence[Part]) -> list[str]:
    """The sets of a run's test pictures that weights were trained on, as papers write them."""
    if part.role == PICTURES:
        return []
    tested = {name for other in parts if other.role == PICTURES for name in other.sets}
    return [name.upper().replace("_", "-") for name in part.sets if name in tested]


def _said(part: Part, parts: Sequence[Part]) -> str:
    sets = _seen_by(part, parts)
    trained = f", trained on the test images of {listed(sets)}" if sets else ""
    role = "images" if part.role == PICTURES else part.role
    return f"{role}: {part.name} ({part.licence or 'licence not stated'}{trained})"


def _cells(label: str, parts: Sequence[Part]) -> dict[str, Cell]:
    return {
        "method": label,
        "commercial use": strictest(parts),
        "rests on": "; ".join(_said(part, parts) for part in parts) or None,
    }
