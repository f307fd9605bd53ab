"""docs/doctor.md names every kind of fault with its severity."""

from kolbench.data.health.fault import KINDS
from tests.helpers.paths import ROOT


def test_every_kind_is_documented_with_its_severity():
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    documented = {row[1].strip(): row[2].strip() for row in rows if row[1].strip() != "kind"}
    assert documented == {kind.title: kind.severity for kind in KINDS.values()}
