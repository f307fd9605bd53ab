"""The report's page as a file: what it holds, and that it needs nothing else."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kolbench.metrics import scores
from kolbench.report import gallery, page, rank_diagram
from kolbench.report.numbers import Numbers
from kolbench.report.sentences import sentences as sentences_of
from kolbench.report.tables import all_tables
from tests.helpers.run_folders import page_runs


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return page_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def parts(comparison):
    tables, sentences = all_tables(comparison), sentences_of(comparison)
    # one is enough here; each is looked at in test_figures
    ranks = rank_diagram.ranks(Numbers(comparison))
    return tables, [ranks], gallery.all_galleries(comparison), sentences


@pytest.fixture(scope="module")
def report(comparison, parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deeper" / "report.html"
    page.write(path, page.render(comparison, *parts))
    return path


def embedded(path):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))
    return json.loads(found[1])


@pytest.mark.slow
def test_the_same_runs_give_the_same_page(report, comparison, parts, tmp_path):
    page.write(tmp_path / "again.html", page.render(comparison, *parts))
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()
    assert [path.name for path in report.parent.iterdir()] == ["report.html"]


def test_the_page_names_no_other_file_and_forbids_all_requests(report):
    text = report.read_text("utf-8")
    refers = re.findall(r'(?:src|href|action|data|poster|srcset)="([^"]*)"', text)
    assert all(target.startswith(("#", "data:")) for target in refers)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|WebSocket|localStorage|eval\(", text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.replace("&#39;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind in ("script-src", "style-src", "style-src-elem"):
        assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules[kind])


def test_live_numbers_are_the_scores_at_101_thresholds(report, comparison):
    data = embedded(report)
    assert data["cutoffs"] == [int(255 * percent / 100 + 1e-9) for percent in range(101)]
    labels = [method["label"] for method in data["methods"]]
    # baselines after methods, then those that are given the truth
    assert labels == ["modnet", "rsudisnet", "u2net", "ellipse", "grabcut"]
    by_label = {run.label: run for run in comparison.runs}
    for method in data["methods"]:
        run = by_label[method["label"]]
        own = scores.mean_scores(run.test.counts, run.threshold)
        assert method["own"] == [pytest.approx(own[name], abs=1e-9) for name in page.LIVE]
        for percent in (0, 7, 50, 100):
            expected = scores.mean_scores(run.test.counts, percent / 100)
            found = [curve[percent] for curve in method["curves"]]
            assert found == [pytest.approx(expected[name], abs=1e-9) for name in page.LIVE]


def test_a_picture_in_several_galleries_is_stored_once(report, parts):
    blobs = embedded(report)["blobs"]
    shots = [shot for found in parts[2] for shot in found.shots]
    assert len({shot.name for shot in shots}) < len(shots)
    files = {data for shot in shots for data in (shot.thumb, shot.truth, *shot.alphas.values())}
    assert len(blobs) == len(set(blobs)) == len(files)


def test_own_thresholds_show_all_their_digits(report):
    at = {method["label"]: method["at"] for method in embedded(report)["methods"]}
    assert at["rsudisnet"] == "0.333"
    assert re.fullmatch(r"0\.\d\d", at["modnet"])


def test_a_gallery_of_unknown_runs_is_refused(comparison, parts):
    strange = replace(parts[2][0].shots[0], alphas={"nobody": b""})
    with pytest.raises(KeyError, match="nobody"):
        page.render(comparison, [], [], [gallery.Gallery("x", "x", (strange,))], [])


def test_a_page_of_numbers_alone(comparison):
    text = page.render(comparison, [], [], [], [])
    assert "Key findings" not in text
    assert "The run folders hold no pictures to show." in text
    assert 'href="#details"' not in text
    assert f"12 images from {len(set(comparison.groups))} independent groups" in text
    alone = page.render(replace(comparison, groups=comparison.pictures), [], [], [], [])
    assert "12 images treated as independent" in alone


def test_eleven_methods_and_twenty_shots_stay_below_ten_megabytes(comparison, parts):
    """A tenth of that, with soft edges whose lowest bits are noise, at the size of a thumbnail."""
    rng = np.random.default_rng(0)
    shots = []
    for number in range(2):
        files = []
        for _ in range(12):
            y, x = np.mgrid[:256, :144]
            levels = 255 / (1 + np.exp((np.hypot((x - 72) / 40, (y - 128) / 90) - 1) * 12))
            levels = levels.round().astype(np.uint8)
            soft = (levels > 0) & (levels < 255)
            levels[soft] = np.clip(levels[soft] + rng.integers(-2, 3, soft.sum()), 0, 255)
            encoded = io.BytesIO()
            Image.fromarray(levels).save(encoded, "PNG", optimize=True)
            files.append(encoded.getvalue())
        alphas = {f"m{i}": data for i, data in enumerate(files[1:])}
        shots.append(gallery.Shot(str(number), "", parts[2][0].shots[0].thumb, files[0], alphas))
    many = tuple(replace(comparison.runs[0], label=f"m{i}") for i in range(11))
    found = [gallery.Gallery("x", "x", tuple(shots))]
    assert len(page.render(replace(comparison, runs=many), [], [], found, [])) < 1e6
