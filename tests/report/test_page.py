"""The report's page as a file: what it holds, and that it needs nothing else."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from kolbench.metrics import scores
from kolbench.report import gallery, page, page_data, rank_diagram
from kolbench.report.gallery import Gallery
from kolbench.report.numbers import Numbers, numbers_of
from kolbench.report.sentences import sentences as sentences_of
from kolbench.report.shots import Shot, jpeg, png, text_bytes
from kolbench.report.tables import all_tables
from kolbench.report.words import percent_range
from kolbench.runs import finished
from tests.helpers.hand_made_runs import GOOD, HALF, columns, comparison_of, write_run
from tests.helpers.run_folders import make_run, page_runs


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return page_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def parts(comparison):
    tables, sentences = all_tables(comparison), sentences_of(comparison)
    # one is enough here; each is looked at in test_figures
    ranks = rank_diagram.ranks(Numbers(comparison))
    return tables, [ranks], gallery.gallery_of(comparison), sentences


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
    # best first; baselines after methods, then those that use ground truth
    assert labels == ["rsudisnet", "modnet", "u2net", "ellipse", "grabcut"]
    by_label = {run.label: run for run in comparison.runs}
    for method in data["methods"]:
        run = by_label[method["label"]]
        own = scores.mean_scores(run.test.counts, run.threshold)
        assert method["own"] == [pytest.approx(own[name], abs=1e-9) for name in page_data.LIVE]
        for percent in (0, 7, 50, 100):
            expected = scores.mean_scores(run.test.counts, percent / 100)
            found = [curve[percent] for curve in method["curves"]]
            assert found == [pytest.approx(expected[name], abs=1e-9) for name in page_data.LIVE]


def test_an_image_is_stored_once_however_often_it_is_shown(report, parts):
    data, found = embedded(report), parts[2]
    assert {shot.name for shot in found.held} & {shot.name for shot in (*found.rows, *found.more)}
    assert [shot["name"] for shot in data["shots"]] == [shot.name for shot in found.shots]
    files = {file for shot in found.shots for file in shot.files}
    assert len(data["blobs"]) == len(set(data["blobs"])) == len(files)


def test_the_iou_of_images_is_that_of_the_scored_size_at_every_threshold(report, comparison):
    data = embedded(report)
    rows = {name: row for row, name in enumerate(comparison.pictures)}
    runs = {run.label: run for run in comparison.runs}
    for shot in data["shots"][:3]:
        for number, found in shot["iou"].items():
            run = runs[data["methods"][int(number)]["label"]]
            own = scores.image_scores(run.test.counts, run.threshold)["iou"][rows[shot["name"]]]
            assert found["own"] == round(100 * own, 1)
            for percent in (0, 33, 100):
                at = scores.image_scores(run.test.counts, percent / 100)["iou"][rows[shot["name"]]]
                assert found["at"][percent] == round(100 * at, 1)
    text = report.read_text("utf-8")
    first = data["shots"][0]
    assert f'IoU {first["iou"]["0"]["own"]:.1f} %: larger"' in text


def test_own_thresholds_show_all_their_digits(report):
    at = {method["label"]: method["at"] for method in embedded(report)["methods"]}
    assert at["rsudisnet"] == "0.333"
    assert re.fullmatch(r"0\.\d\d", at["modnet"])


def test_a_gallery_of_unknown_runs_is_refused(comparison, parts):
    strange = replace(parts[2].rows[0], alphas={"nobody": b""})
    with pytest.raises(KeyError, match="nobody"):
        page.render(comparison, [], [], Gallery(("nobody",), (strange,)), [])


def test_a_page_of_numbers_alone(comparison):
    text = page.render(comparison, [], [], None, [])
    assert "Key findings" not in text
    assert 'id="qualitative"' not in text
    # recall of products and scores at thresholds need no image
    assert 'id="held"' in text
    assert 'id="live"' in text
    assert "<canvas" not in text[: text.index("<dialog")]
    assert not re.search(r"data:image/(?!png)", text)
    assert text.count("data:image/png") == 1, "the levels by which the browser is looked at"
    assert 'href="#details"' not in text
    assert f"12 images from {len(set(comparison.groups))} independent groups" in text
    alone = page.render(replace(comparison, groups=comparison.pictures), [], [], None, [])
    assert "12 images treated as independent" in alone


def test_few_held_products_have_no_ranking_and_many_have(comparison, parts, tmp_path):
    assert "Only 8 images with a product: no ranking." in page.render(comparison, [], [], parts[2], [])
    make_run(tmp_path / "a", "modnet", pictures=15, videos=False)
    many = finished.test_sets(finished.find(str(tmp_path)))[0]
    text = page.render(many, [], [], None, [])
    assert "on 10 test images with a product" in text
    row = re.search(r'<th scope="row">MODNet.*?</tr>', text[text.index('id="recall"') :])[0]
    recall = numbers_of(many).of["modnet"].images["product_recall"]
    interval = numbers_of(many).intervals({"modnet": recall})["modnet"]
    assert f'<td class="number">{100 * interval.value:.1f}</td>' in row
    assert percent_range(interval) in row
    assert row.endswith('<td class="number">10</td></tr>')


def test_hard_masks_are_named_and_have_no_row(tmp_path):
    write_run(tmp_path / "hard", "grabcut", [GOOD, HALF])
    write_run(tmp_path / "soft", "modnet", [columns(0, 3, level=99), HALF])
    both = comparison_of(tmp_path)
    text = page.render(both, [], [], None, [])
    assert "Hard masks, which no threshold changes: GrabCut." in text
    table = text[text.index('<table id="live">') :]
    assert "MODNet" in table[: table.index("</table>")]
    assert "GrabCut" not in table[: table.index("</table>")]
    hard = page.render(replace(both, runs=both.runs[:1]), [], [], None, [])
    assert "All methods give hard masks" in hard
    assert 'id="threshold"' not in hard


def test_the_page_says_that_faces_are_covered_and_whose_are_not(comparison, parts):
    said = "Faces: the upper part of every person in the ground truth or in a prediction is covered."
    assert said in page.render(comparison, [], [], replace(parts[2], faces="hide"), [])
    assert "Faces:" not in page.render(comparison, [], [], parts[2], [])


def test_eight_methods_and_eight_images_stay_below_eight_megabytes(tmp_path):
    """A quarter of the images at their largest, with soft edges whose lowest bits are noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:768, :512]
    files = []
    for number in range(8):
        levels = 255 / (1 + np.exp((np.hypot((x - 256) / 140, (y - 384 + 9 * number) / 300) - 1) * 30))
        levels = levels.round().astype(np.uint8)
        soft = (levels > 0) & (levels < 255)
        levels[soft] = np.clip(levels[soft] + rng.integers(-2, 3, soft.sum()), 0, 255)
        files.append(png(levels))
    image = cv2.resize(rng.integers(0, 256, (96, 64, 3), np.uint8), (512, 768))
    alphas = {f"m{number}": data for number, data in enumerate(files)}
    shots = [Shot(str(number), jpeg(image) + bytes([number]), files[0], alphas) for number in range(2)]
    assert text_bytes(shots) < gallery.MOST_BYTES / 4
    # and what is larger is made smaller: see test_gallery
    assert gallery.MOST_BYTES == 8_000_000
