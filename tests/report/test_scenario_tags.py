"""Scenario tags by rule: bounds, pictures that no rule fits, and where the report takes them."""

import math
from dataclasses import asdict, replace

import pandas as pd
import pytest

from kolbench.metrics.traits import Traits
from kolbench.report.breakdowns import scenarios
from kolbench.report.comparisons import scenarios as figure
from kolbench.report.numbers import Numbers
from kolbench.report.scenario_tags import NONE, RULES, tags_of
from kolbench.runs import run_folder, traits
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run

PLAIN = Traits(12, 120, 0.2, 1, 40, 0.1, 0)
# one picture for each rule, just on its side
FITTING = {
    "several_people": {"people": 2},
    "dark": {"luma": 79.9},
    "low_contrast": {"edge_contrast": 24.9},
    "cluttered": {"glcm_entropy": 12.76},
    "held_large": {"product": 0.151},
    "held_small": {"product": 0.029},
    "cut_by_frame": {"cut": 0.021},
}


def table_of(*changes):
    return pd.DataFrame([asdict(PLAIN) | change for change in changes])


def test_each_rule_fits_its_picture_alone():
    assert list(FITTING) == list(RULES)
    found = tags_of(table_of(*FITTING.values(), {}))
    assert {tag: rows.tolist() for tag, rows in found.items()} == {
        **{tag: [row] for row, tag in enumerate(FITTING)},
        NONE: [len(FITTING)],
    }
    assert list(found) == sorted(found)


def test_on_a_bound_no_rule_fits_and_what_is_not_known_fits_none():
    bounds = [{rule.trait: rule.bound} for rule in RULES.values()]
    nothing = {"product": math.nan, "edge_contrast": math.nan}
    found = tags_of(table_of(*bounds, nothing))
    assert {tag: len(rows) for tag, rows in found.items()} == {NONE: len(bounds) + 1}


def test_corrupted_pictures_say_nothing_of_those_as_they_are(tmp_path):
    after = {"corrupt": "dark", "severity": 5}
    run = make_run(tmp_path / "modnet", "modnet", pictures=6, tags=False, files=False, changes=after)
    (found,) = find(str(run))
    traits.write(run / run_folder.TRAITS, {name: replace(PLAIN, luma=20) for name in found.test.names})
    (comparison,) = sets_of(find(str(tmp_path)))
    assert Numbers(comparison).tags == {}


@pytest.mark.parametrize("tagged", [False, True])
def test_the_report_takes_rules_where_nobody_has_tagged(tmp_path, tagged):
    run = make_run(tmp_path / "modnet", "modnet", pictures=6, tags=tagged, files=False)
    (found,) = find(str(run))
    names = found.test.names
    levels = {name: 20 if number < 2 else 120 for number, name in enumerate(names)}
    traits.write(run / run_folder.TRAITS, {name: replace(PLAIN, luma=luma) for name, luma in levels.items()})
    (comparison,) = sets_of(find(str(tmp_path)))
    numbers = Numbers(comparison)
    table = scenarios(numbers)
    assert ("dark (2)" in table.frame) == (f"{NONE} (4)" in table.frame) == (not tagged)
    assert any("tags are by rule. several_people: two or more persons" in note for note in table.notes) == (
        not tagged
    )
    drawn = figure(numbers)
    assert drawn is not None
    assert ("Tags are by rule" in drawn.caption) == (not tagged)
    if not tagged:
        row = table.frame.iloc[0]
        values = numbers.runs[0].images["miou"]
        assert row["dark (2)"] == pytest.approx(values[:2].mean())
