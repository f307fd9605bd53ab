"""`docs/scores.md` lists every score of images and of clips with its definition, once.

`KOLBENCH_WRITE_PARITY=1 pytest tests/metrics/test_documented.py` writes its tables anew.
"""

import os
from collections.abc import Callable

import pytest

from kolbench.metrics import scores
from kolbench.metrics.score import Score
from kolbench.metrics.video.clip_scores import DEFINITIONS
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "scores.md"
# equal to another score by definition: a second row would only repeat it
REPEATED = ("product_iou",)
END = "<!-- end -->\n"


def table() -> str:
    listed = [score for score in scores.all_scores() if score.name not in REPEATED]
    rows = [f"| `{score.name}` | {asked_by(score)} | {said_of(score)} |" for score in listed]
    return "\n".join(["| score | metrics= | definition |", "|---|---|---|", *rows, ""])


def asked_by(score: Score) -> str:
    return "" if score.by_default else score.family


def said_of(score: Score) -> str:
    definition = score.definition.replace("|", "\\|")
    return definition if score.higher_is_better else f"{definition}; lower is better"


def clip_table() -> str:
    rows = [f"| `{name}` | {said.replace('|', chr(92) + '|')} |" for name, said in DEFINITIONS.items()]
    return "\n".join(["| score | definition |", "|---|---|", *rows, ""])


@pytest.mark.parametrize(("begin", "made"), [("<!-- scores -->\n", table), ("<!-- clips -->\n", clip_table)])
def test_the_page_has_every_definition(begin: str, made: Callable[[], str]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    listed, _, after = rest.partition(END)
    if os.environ.get("KOLBENCH_WRITE_PARITY"):
        PAGE.write_text(f"{before}{begin}{made()}{END}{after}", encoding="utf-8")
        listed = made()
    assert before
    assert listed == made()
