"""`docs/scores.md` lists every score with its definition.

`KOLBENCH_WRITE_PARITY=1 pytest tests/metrics/test_documented.py` writes its table anew.
"""

import os

from kolbench.metrics import scores
from kolbench.metrics.score import Score
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "scores.md"
BEGIN, END = "<!-- scores -->\n", "<!-- end -->\n"


def table() -> str:
    rows = [f"| `{score.name}` | {asked_by(score)} | {said_of(score)} |" for score in scores.all_scores()]
    return "\n".join(["| score | metrics= | definition |", "|---|---|---|", *rows, ""])


def asked_by(score: Score) -> str:
    return "" if score.by_default else score.family


def said_of(score: Score) -> str:
    definition = score.definition.replace("|", "\\|")
    return definition if score.higher_is_better else f"{definition}; lower is better"


def test_the_page_has_every_definition() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    listed, _, after = rest.partition(END)
    if os.environ.get("KOLBENCH_WRITE_PARITY"):
        PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
        listed = table()
    assert before
    assert listed == table()
