"""Key findings: nothing is called better that is not significantly better, and limits are said."""

import re
from dataclasses import replace

import pytest

from kolbench.report.numbers import numbers_of
from kolbench.report.sentences import images_in_words, key_findings, sentences
from kolbench.runs.benchmark import Benchmark, MeasuredOn, Speed, Spread
from kolbench.runs.method_names import shown_name
from tests.helpers.run_folders import make_run, mixed_runs
from tests.helpers.run_folders import only_comparison as read


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Good and bad methods, two seeds, a baseline, helped methods; 30 images in 12 videos."""
    folder = tmp_path_factory.mktemp("mixed")
    mixed_runs(folder)
    return folder


def test_better_is_said_only_where_the_verdict_holds(mixed):
    comparison = read(mixed)
    verdicts = {(found.a, found.b): found.verdict for found in numbers_of(comparison).differences}

    def better(a, b):
        return verdicts.get((a, b)) == "a better" or verdicts.get((b, a)) == "b better"

    said = sentences(comparison)
    claims = [
        re.match(r"([\w-]+) is significantly better than ([\w-]+)(:| with every seed)", text) for text in said
    ]
    pairs = {(claim[1], claim[2]) for claim in claims if claim}
    runs = {"modnet": ["modnet"], "unet": ["unet"], "rsudisnet": ["rsudisnet seed=0", "rsudisnet seed=1"]}
    expected = {
        (shown_name(a), shown_name(b))
        for a in runs
        for b in runs
        if a != b and all(better(one, other) for one in runs[a] for other in runs[b])
    }
    assert pairs == expected
    assert ("RSUDISNet", "MODNet") in pairs
    ties = {
        frozenset(re.findall(r"^No significant difference between ([\w-]+) and ([\w-]+):", text)[0])
        for text in said
        if text.startswith("No significant")
    }
    assert ties == {frozenset(("MODNet", "U-Net"))}
    assert not pairs & {tuple(pair) for pair in ties}


def test_best_cheapest_and_recommended_have_their_evidence(mixed):
    said = "\n".join(sentences(read(mixed)))
    assert re.search(r"^Best mIoU: RSUDISNet, \d\d\.\d % \(mean of 2 seeds", said, re.MULTILINE)
    assert "significantly better than every other method." in said
    # operations are the price: no speed is measured
    assert "Cheapest: U-Net, 0.12 GMACs an image." in said
    assert (
        "Recommended: RSUDISNet, significantly better than every other method on 30 images from 12 "
        "independent groups" in said
    )
    assert "Not ranked: K-Means (oracle: uses the ground truth) and GrabCut (uses ground-truth box)." in said
    assert "were trained once: intervals are over test images" in said
    assert "Seeds alone change RSUDISNet by" in said


def test_the_terminal_gets_five_lines_at_most(mixed):
    comparison = read(mixed)
    few, all_of_them = key_findings(comparison), sentences(comparison)
    assert len(few) == 4
    assert few[0] == all_of_them[0]
    baselines = "All foreground, Centred ellipse and Mean mask"
    assert few[1] == f"RSUDISNet is significantly better than every baseline: {baselines}."
    assert set(few) - set(all_of_them) <= {few[1]}


def test_the_cheaper_of_two_is_recommended_where_it_is_surely_not_far_behind(tmp_path):
    make_run(tmp_path / "a", "unet", quality=0.95, pictures=120, files=False)
    make_run(tmp_path / "b", "u2net", quality=0.951, pictures=120, files=False)
    said = sentences(read(tmp_path))
    assert said[0].startswith("Best mIoU: U²-Net, ")
    assert said[0].endswith("not significantly better than U-Net.")
    tie = next(text for text in said if text.startswith("No significant difference"))
    high = re.search(r"mIoU points \(95 % CI \[.\d+\.\d, \+(\d+\.\d)\], p = ", tie)[1]
    choice = next(text for text in said if text.startswith("Recommended: "))
    assert choice.startswith(f"Recommended: U-Net, at most {high} mIoU points behind U²-Net, at 0.12 GMACs")


def test_five_groups_allow_no_interval_and_no_claim_and_that_is_said(tmp_path):
    make_run(tmp_path / "a", "unet", quality=0.9, files=False)
    make_run(tmp_path / "b", "u2net", quality=0.3, files=False)
    said = sentences(read(tmp_path))
    assert re.match(
        r"Best mIoU: U-Net, \d\d\.\d % \(too few groups for an interval; "
        r"group by group: test_video_000 \d\d\.\d, "
        r".*test_video_004 \d\d\.\d\); not significantly better than U²-Net\.$",
        said[0],
    )
    assert (
        "With 5 independent groups no difference between two methods can be significant: score more videos."
        in said
    )
    assert not any(" is significantly better" in text and "baseline" not in text for text in said)


def test_two_methods_of_one_name_are_told_apart_in_every_sentence(tmp_path):
    make_run(tmp_path / "a", "modnet", quality=0.9, files=False)
    make_run(tmp_path / "b", "official_modnet", quality=0.5, files=False)
    first = sentences(read(tmp_path))[0]
    assert first.startswith("Best mIoU: MODNet (modnet), ")
    assert first.endswith("not significantly better than MODNet (official_modnet).")


def test_costs_that_do_not_compare_are_no_reason(tmp_path):
    model = {"name": "unet"}
    make_run(tmp_path / "a", "unet", quality=0.9, pictures=40, files=False, model=model)
    make_run(tmp_path / "b", "kmeans", quality=0.4, pictures=40, files=False)
    said = sentences(read(tmp_path))
    assert "Costs cannot be compared: GMACs are not known of all methods, and speed was not measured." in said
    speed = Speed(2, Spread(20, 19, 21))
    one = Benchmark("unet", "w", "eager", (48, 64), 1, 3, (speed,), MeasuredOn(), model)
    measured = sentences(replace(read(tmp_path), benchmarks=(one,)))
    assert any(text.endswith("of all methods; measured speeds are in the tables.") for text in measured)
    assert not any("Cheapest" in text for text in said)
    (choice,) = (text for text in said if text.startswith("Recommended: "))
    where = "40 images from 16 independent groups"
    assert choice == f"Recommended: U-Net, significantly better than every other method on {where}."


def test_a_price_that_is_hardly_lower_does_not_decide(tmp_path):
    for name, gmacs in (("aa", 1.0), ("bb", 1.05)):
        cost = {"macs": round(gmacs * 1e9), "memory": 1, "checkpoint": 1, "picture": [48, 64]}
        make_run(tmp_path / name, name, quality=0.9, pictures=30, files=False, changes={"cost": cost})
    said = sentences(read(tmp_path))
    best = next(re.match(r"Best mIoU: (\w+),", text)[1] for text in said if text.startswith("Best"))
    assert any(text.startswith("All methods cost about the same") for text in said)
    assert any(text.startswith(f"Recommended: {best}, for the best mIoU") for text in said)


def test_what_is_no_better_than_the_baselines_is_not_recommended(tmp_path):
    make_run(tmp_path / "a", "modnet", quality=0.3, files=False)
    make_run(tmp_path / "b", "unet", quality=0.3, files=False)
    said = sentences(read(tmp_path))
    assert any(
        re.match(r".*MODNet.* are not significantly better than the baseline .*Mean mask", text)
        for text in said
    )
    assert any(
        re.match(r"Recommended: none, as the best, .*, is not significantly better than every baseline", text)
        for text in said
    )


def test_one_method_alone_is_not_the_best_of_anything(tmp_path):
    make_run(tmp_path / "a", "modnet", quality=0.9, pictures=30, files=False)
    said = sentences(read(tmp_path))
    assert re.match(r"MODNet: \d\d\.\d % \(95 % CI \d\d\.\d.\d\d\.\d\)\.$", said[0])
    assert not any(word in text for text in said for word in ("Best", "best", "Recommended", "Cheapest"))


def test_only_helped_methods_are_not_ranked(tmp_path):
    make_run(tmp_path / "a", "grabcut", truth_access="box", files=False)
    assert sentences(read(tmp_path)) == ["Not ranked: GrabCut (uses ground-truth box)."]


def test_only_baselines_leave_nothing_to_compare(tmp_path):
    make_run(tmp_path / "a", "ellipse", files=False)
    assert sentences(read(tmp_path)) == ["Only baselines were run: there is no method to compare."]


def test_different_budgets_are_said(tmp_path):
    make_run(tmp_path / "a", "modnet", budget="standard", files=False)
    make_run(tmp_path / "b", "unet", files=False)
    assert any(text.startswith("Budgets differ (quick and standard)") for text in sentences(read(tmp_path)))


def test_what_counts_as_independent_is_named(mixed):
    comparison = read(mixed)
    assert images_in_words(comparison) == "30 images from 12 independent groups"
    assert (
        images_in_words(replace(comparison, groups=comparison.pictures)) == "30 images treated as independent"
    )
