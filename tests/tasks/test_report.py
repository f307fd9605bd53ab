"""The tasks that read run folders, through the command line: report, compare, paper, dashboard."""

import base64
import io
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kolbench.metrics import scores
from kolbench.report.intervals import Interval
from kolbench.report.statistics import Difference
from kolbench.runs import run_folder
from kolbench.runs.benchmark import BENCHMARK, Benchmark, MeasuredOn, Speed, Spread
from kolbench.tasks import paper, suite
from kolbench.tasks.compare import sentence, verdict
from kolbench.tracking import dashboard
from tests.helpers import commands
from tests.helpers.commands import run_here
from tests.helpers.paths import ROOT
from tests.helpers.run_folders import add_clips, make_run
from tests.helpers.tasks import configured

# nothing of what the developer set, and no server
OFFLINE = {name: None for name in os.environ if name.startswith("WANDB")} | {"WANDB_MODE": "offline"}

# a run of which few figures can be drawn
PLAIN = {"tags": False, "pictures": 6, "changes": {"cost": None}}


def kolbench(*words, cwd, code=0):
    done = commands.kolbench(*words, cwd=cwd, code=code, environment=OFFLINE)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for method, quality in (("rsudisnet", 0.9), ("modnet", 0.75), ("u2net", 0.3), ("ellipse", 0.1)):
        make_run(folder / method, method, quality=quality, pictures=30)
    make_run(folder / "grabcut-box", "grabcut", truth_access="box", quality=0.8, pictures=30)
    return folder


@pytest.mark.slow
def test_a_report_has_a_page_tables_figures_and_galleries(runs, tmp_path):
    done = kolbench("task=report", f"runs={runs}", "output=out", cwd=tmp_path)
    assert "5 runs on 30 test images" in done.stdout
    assert "report in out/report.html" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "RSUDISNet" in page
    scores = pd.read_csv(tmp_path / "out" / "tables" / "scores.csv")
    for name in ("rsudisnet", "u2net"):
        record = json.loads((runs / name / "run.json").read_text())
        row = scores[scores.astype(str).apply(lambda line, n=name: n in set(line), axis=1)]
        assert np.isclose(row.select_dtypes("number"), record["scores"]["miou"]).any()
    for part, suffixes in (("tables", {".csv", ".md", ".tex"}), ("figures", {".svg", ".png"})):
        files = list((tmp_path / "out" / part).iterdir())
        assert {path.suffix for path in files} == suffixes
        assert all(path.stat().st_size for path in files)
    assert list((tmp_path / "out" / "galleries").glob("*.png"))
    # nothing ran in a run folder of its own
    assert not (tmp_path / "runs").exists()


def images_in(page):
    return set(re.findall(r"data:image/\w+;base64,[\w+/=]+", page.read_text()))


@pytest.mark.slow
def test_reports_beside_experiments_show_no_image_unless_asked(tmp_path):
    make_run(tmp_path / "runs" / "unet", "unet", **PLAIN)
    kept = "experiments/01_methods/results/report"
    done = kolbench("task=report", "runs=runs", f"output={kept}", cwd=tmp_path)
    assert done.stdout.count("no images: results of experiments are kept with the code") == 1
    assert len(images_in(tmp_path / kept / "report.html")) == 1, "the levels by which a browser is looked at"
    drawn = {path.name for path in (tmp_path / kept).rglob("*.svg")}
    assert drawn
    assert "learning.svg" not in drawn
    assert not list((tmp_path / kept / "galleries").glob("*"))
    done = kolbench("task=report", "runs=runs", f"output={kept}", "pictures=true", cwd=tmp_path)
    assert "no images" not in done.stdout
    assert len(images_in(tmp_path / kept / "report.html")) > 6
    assert (tmp_path / kept / "figures" / "learning.svg").exists()
    kolbench("task=report", "runs=runs", "output=report", "pictures=false", cwd=tmp_path)
    assert len(images_in(tmp_path / "report" / "report.html")) == 1


@pytest.mark.slow
def test_hidden_faces_are_in_no_file_of_the_report(tmp_path):
    run = make_run(tmp_path / "runs" / "unet", "unet", products=False, **PLAIN)
    add_clips(run, [0.5, 0.6, 0.4])
    kolbench("task=report", "runs=runs", "output=report", "faces=hide", cwd=tmp_path)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "is covered. Passers-by that are in neither are not found, and of people who touch" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    shots = [*data["shots"], *(frame for clip in data["clips"] for frame in clip["frames"])]
    assert len(shots) == 12
    for shot in shots:
        image, truth = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(data["blobs"][shot[part]].partition(",")[2]))))
            for part in ("image", "truth")
        )
        rows, columns = np.nonzero(truth)
        head = image[rows.min() : rows.min() + round(0.2 * np.ptp(rows)), columns.min() : columns.max()]
        inside = (
            truth[rows.min() : rows.min() + round(0.2 * np.ptp(rows)), columns.min() : columns.max()] > 127
        )
        # flat but for what JPEG adds; skin is 92 levels brighter
        assert np.abs(head[inside].astype(int) - 128).max() < 30
    done = kolbench("task=report", "runs=runs", "faces=none", cwd=tmp_path, code=2)
    assert "faces=none is not one of blur, hide, show" in done.stderr


@pytest.mark.slow
def test_a_report_that_cannot_be_made_leaves_the_earlier_one_whole(tmp_path):
    for method in ("kmeans", "meanshift"):
        make_run(tmp_path / "runs" / method, method, **PLAIN)
    kolbench("task=report", "runs=runs", "output=out", cwd=tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    lost = next((tmp_path / "runs" / "meanshift" / "alphas").glob("*.png"))
    lost.write_bytes(b"no image")
    done = kolbench("task=report", "runs=runs", "output=out", cwd=tmp_path, code=1)
    assert lost.name in done.stderr
    # whole, and not as if it were the newest
    page = tmp_path / "out" / "report.html"
    marked = page.read_text()
    (mark,) = re.findall(r'<p class="superseded" role="note">.*?</p>\n', marked)
    assert "no newer report could be made" in mark
    assert lost.name in mark
    assert marked.replace(mark, "") == before.pop(page).decode()
    about = before.pop(tmp_path / "out" / "report.json")
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after.pop(page)
    known = json.loads(after.pop(tmp_path / "out" / "report.json"))
    assert {**known, "note": ""} == json.loads(about)
    assert before == after
    # and one that can be made leaves nothing of the earlier one
    shutil.rmtree(tmp_path / "runs" / "meanshift")
    (tmp_path / "out" / "figures" / "of_mine.txt").write_text("kept")
    kolbench("task=report", "runs=runs", "output=out", cwd=tmp_path)
    assert not (tmp_path / "out" / "tables" / "differences.csv").exists()
    assert (tmp_path / "out" / "figures" / "of_mine.txt").exists()
    assert 'class="superseded"' not in page.read_text()
    # runs that are gone: the report of them is not the newest
    shutil.rmtree(tmp_path / "runs" / "kmeans")
    kolbench("task=report", "runs=runs", "output=out", cwd=tmp_path, code=1)
    assert "runs that it was made from are gone" in page.read_text()


@pytest.mark.slow
def test_two_test_sets_are_two_reports(tmp_path):
    make_run(tmp_path / "runs" / "other", "kmeans", data="elsewhere", scene_seed=1, **PLAIN)
    make_run(tmp_path / "runs" / "first", "kmeans", **PLAIN)
    done = kolbench("task=report", f"runs={tmp_path / 'runs'}", "output=out", cwd=tmp_path)
    assert done.stdout.count("report in") == 2
    assert len(list((tmp_path / "out").glob("*/report.html"))) == 2
    assert "all reports in out/index.html" in done.stdout
    index = (tmp_path / "out" / "index.html").read_text()
    assert re.findall(r'href="([^"]*/report.html)"', index) == [
        "elsewhere/report.html",
        "fixture/report.html",
    ]
    # one of the sets is gone, another cannot be made: the old pages say so, the others are made
    for folder in ("other", "first"):
        shutil.move(tmp_path / "runs" / folder, tmp_path / f"of_{folder}")
    make_run(tmp_path / "runs" / "third", "kmeans", data="third", scene_seed=2, **PLAIN)
    shutil.move(tmp_path / "of_first", tmp_path / "runs" / "first")
    lost = next((tmp_path / "runs" / "first" / "alphas").glob("*.png"))
    lost.write_bytes(b"no image")
    done = kolbench("task=report", f"runs={tmp_path / 'runs'}", "output=out", cwd=tmp_path, code=1)
    assert lost.name in done.stderr
    marks = {
        path.parent.name: re.findall(r'<p class="superseded" role="note">(.*?)</p>', path.read_text())
        for path in (tmp_path / "out").glob("*/report.html")
    }
    assert marks["third"] == []
    assert marks["elsewhere"] == ["Superseded: the newest reports of this folder have no such test set."]
    assert "no newer report could be made" in marks["fixture"][0]


@pytest.mark.slow
def test_benchmarks_below_the_runs_give_speeds(tmp_path):
    model = {"name": "enet", "size": 64}
    make_run(tmp_path / "runs" / "enet" / "one", "enet", model=model, **PLAIN)
    speed = Speed(2, Spread(40.0, 38.0, 45.0), Spread(30.0, 28.0, 35.0))
    known = Benchmark("enet", "random weights", "eager", (48, 64), 1, 10, (speed,), MeasuredOn(), model)
    (tmp_path / "runs" / "enet" / "two").mkdir()
    known.write(tmp_path / "runs" / "enet" / "two" / BENCHMARK)
    kolbench("task=report", "runs=[runs/enet/one,runs/*/two]", "output=out", cwd=tmp_path)
    sizes, portraits = (pd.read_csv(tmp_path / "out" / "tables" / f"{n}.csv") for n in ("table1", "portrait"))
    assert float(sizes["FPS"][0]) == 25.0
    assert list(portraits.loc[0, ["network ms, 2 threads", "ms, 2 threads", "ms, 1 thread"]]) == [
        *(30.0, 40.0, "not measured")
    ]
    (tmp_path / "runs" / "enet" / "two" / BENCHMARK).write_text("{")
    done = kolbench("task=report", "runs=runs", "output=other", cwd=tmp_path, code=1)
    assert BENCHMARK in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "task=report needs runs="),
        (("runs=nowhere/*",), 1, "nowhere/* matches nothing"),
        (("runs=.",), 1, "none of them is finished"),
    ],
)
def test_what_cannot_be_reported_is_said(words, code, says, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text('{"status": "failed", "method": "modnet", "seed": 0}')
    done = kolbench("task=report", *words, cwd=tmp_path, code=code)
    assert says in done.stderr


@pytest.mark.parametrize(
    ("interval", "p", "gate", "expected"),
    [
        ((0.02, 0.01, 0.03), 0.001, 0.005, "better"),
        ((-0.02, -0.03, -0.01), 0.001, 0.005, "worse"),
        ((0.001, -0.004, 0.005), 0.6, 0.005, "same"),
        # beyond chance, but too little to matter and not surely so
        ((0.004, 0.001, 0.007), 0.01, 0.005, "inconclusive"),
        ((0.02, -0.01, 0.05), 0.2, 0.005, "inconclusive"),
        # four videos cannot give a p below 2 / 16
        ((0.02, 0.01, 0.03), 0.125, 0.005, "inconclusive"),
        ((0.0, 0.0, 0.0), 1.0, 0.0, "same"),
        ((0.02, float("nan"), float("nan")), 1.0, 0.005, "inconclusive"),
    ],
)
def test_verdicts_by_hand(interval, p, gate, expected):
    assert verdict(Difference("b", "a", Interval(*interval), p, p, ""), gate) == expected


@pytest.mark.parametrize(
    ("interval", "p", "words"),
    [
        ((0.02, 0.01, 0.03), 0.001, "better: b is significantly better than a"),
        ((-0.02, -0.03, -0.01), 0.001, "worse: b is significantly worse than a"),
        ((0.001, -0.004, 0.005), 0.6, "same: the whole 95 % CI lies within the gate"),
        # significant, so nobody may read that there is no significant difference
        ((0.004, 0.001, 0.007), 0.01, "no verdict: the difference is significant, but smaller than the gate"),
        ((0.02, -0.01, 0.05), 0.2, "no significant difference between a and b"),
        ((0.02, 0.01, 0.03), 0.125, "no significant difference between a and b"),
        ((0.02, float("nan"), float("nan")), 1.0, "no significant difference between a and b"),
    ],
)
def test_verdicts_in_words(interval, p, words):
    found = Difference("b", "a", Interval(*interval), p, p, "")
    assert sentence(verdict(found, 0.005), found) == words


@pytest.mark.slow
def test_compare_exits_by_its_verdict(runs, tmp_path):
    good, bad = f"{runs}/rsudisnet", f"{runs}/u2net"
    done = kolbench("task=compare", f"a={bad}", f"b={good}", cwd=tmp_path)
    assert "better: b is significantly better than a" in done.stdout
    assert "inconclusive" not in done.stdout
    done = kolbench("task=compare", f"a={good}", f"b={bad}", cwd=tmp_path, code=1)
    assert "worse: b is significantly worse than a" in done.stdout
    records = [json.loads((runs / name / "run.json").read_text()) for name in ("rsudisnet", "u2net")]
    difference = records[1]["scores"]["miou"] - records[0]["scores"]["miou"]
    assert f"b - a: {difference:+.4f} mIoU" in done.stdout
    done = kolbench("task=compare", f"a={good}", f"b={good}", cwd=tmp_path)
    assert "same: both have the same score on every image" in done.stdout
    done = kolbench("task=compare", f"a={bad}", f"b={good}", "gate=0.99", cwd=tmp_path)
    assert "same" in done.stdout


@pytest.mark.slow
def test_compare_refuses_other_pictures_and_several_runs(runs, tmp_path):
    make_run(tmp_path / "other", "modnet", scene_seed=1)
    words = ("task=compare", f"a={runs}/modnet")
    done = kolbench(*words, f"b={tmp_path}/other", cwd=tmp_path, code=2)
    assert "not scored on the same test images" in done.stderr
    done = kolbench(*words, f"b={runs}", cwd=tmp_path, code=2)
    assert f"b={runs} holds 5 finished runs" in done.stderr
    done = kolbench(*words, f"b={runs}/grabcut-box", cwd=tmp_path, code=2)
    assert "uses more ground truth than the other" in done.stderr
    done = kolbench(*words, "b=nowhere", cwd=tmp_path, code=2)
    assert "b: nowhere matches nothing" in done.stderr
    assert "task=compare needs b=" in kolbench(*words, cwd=tmp_path, code=2).stderr


@pytest.mark.slow
def test_the_gap_between_two_protocols(tmp_path, monkeypatch, capsys):
    command = "task=paper experiment=unet"
    assert f"`python -m kolbench {command}`" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    small = ("budget=smoke", "budget.size=32", "data.picture_size=32", "output=out")
    monkeypatch.chdir(tmp_path)
    # processes of their own are tested with task=suite, which starts them alike
    monkeypatch.setattr(suite, "execute", run_here)
    paper.run(configured(*command.split(), *small))
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "gap.json").read_text())
    reported, honest = found["paper"], found["honest"]
    assert reported["best_threshold_on_test"]["value"] >= reported["threshold_from_validation"]["value"]
    expected = reported["best_threshold_on_test"]["value"] - honest["threshold_from_validation"]["value"]
    assert found["gap"] == pytest.approx(expected)
    assert f"gap: {expected:+.4f} mIoU." in told
    rows = [line for line in told.splitlines() if re.match(r" (paper|leakage-free) ", line)]
    # what a protocol reports stands first
    assert ["best on test" in row for row in rows] == [True, False]
    assert max(map(len, rows)) <= 80
    test = run_folder.read_histograms(tmp_path / honest["run"] / "histograms.parquet")["test"]
    at = honest["threshold_from_validation"]["at"]
    assert honest["threshold_from_validation"]["value"] == pytest.approx(
        scores.mean_scores(test.counts, at)["miou"]
    )
    assert "data.split=paper" in reported["command"]
    paper.run(configured(*command.split(), *small))
    assert capsys.readouterr().out.count("finished already") == 2


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A real run with a real offline wandb."""
    folder = tmp_path_factory.mktemp("logged")
    words = ("budget.size=64", "data.picture_size=64")
    kolbench("experiment=u2netp", "budget=smoke", *words, "logger=wandb", cwd=folder)
    return next((folder / "runs" / "u2netp").iterdir())


@pytest.mark.slow
def test_the_report_is_rebuilt_from_an_offline_wandb_run_alone(logged, tmp_path):
    kolbench("task=report", f"runs={logged}", "output=first", cwd=tmp_path)
    shutil.copytree(logged / "wandb", tmp_path / "alone")
    kolbench("task=report", "runs=alone", "output=second", cwd=tmp_path)
    tables = sorted(path.name for path in (tmp_path / "first" / "tables").iterdir())
    assert tables
    for part in ("tables", "figures", "galleries"):
        for path in (tmp_path / "first" / part).iterdir():
            assert path.read_bytes() == (tmp_path / "second" / part / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_a_dashboard_shows_what_runs_log(logged, tmp_path):
    from tests.tracking.test_tracking import history, records

    run_file = next(logged.glob("wandb/offline-run-*/*.wandb"))
    # a table or a picture is a value of several parts
    keys = {key.removesuffix("/_type") for row in history(run_file) for key in row}
    summaries = [record.summary for record in records(run_file) if record.HasField("summary")]
    keys |= {item.key or "/".join(item.nested_key) for part in summaries for item in part.update}
    for panels in dashboard.SECTIONS.values():
        for panel in panels:
            wanted = panel.keys[:1] if panel.kind == "curve" else panel.keys
            assert set(wanted) <= keys, f"{panel.title}: {set(wanted) - keys} is logged by no run"


@pytest.mark.slow
def test_a_dashboard_without_a_server_is_saved_and_said(tmp_path):
    done = kolbench("task=dashboard", "project=team/kolbench", cwd=tmp_path)
    assert "wandb is offline (WANDB_MODE=offline)" in done.stdout
    spec = json.loads((tmp_path / "dashboard" / "workspace.json").read_text())
    assert (spec["entity"], spec["project"]) == ("team", "kolbench")
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    named = {section["name"]: section for section in sections}
    for name, panels in dashboard.SECTIONS.items():
        assert len(named[name]["panels"]) == len(panels)
    layout = json.loads((tmp_path / "dashboard" / "layout.json").read_text())
    assert [section["name"] for section in layout["sections"]] == list(dashboard.SECTIONS)
    assert "project=" in kolbench("task=dashboard", cwd=tmp_path, code=2).stderr
