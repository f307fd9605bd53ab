"""Portraits in real time: cost beside scores, joined from runs and benchmarks, and what the paper prints."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kolbench.config.compose import model_config
from kolbench.metrics import scores
from kolbench.report import layout, published
from kolbench.report.portrait import row_of
from kolbench.report.tables import all_tables
from kolbench.runs.benchmark import Benchmark, Form, MeasuredOn, Speed, Spread
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run

STAR = {
    **{"name": "rcrnet", "size": 224, "variant": "star", "decoder": None, "extra_hidden": None},
    **{"upsample": "deconv", "edge_weight": 0.3, "recipe": "paper"},
}


def measured(method, model, started, one=40.0, two=25.0, threads=(1, 2)):
    speeds = {1: Speed(1, Spread(one, 30, 50), Spread(one / 2, 1, 2)), 2: Speed(2, Spread(two, 20, 30))}
    return Benchmark(
        method=method,
        weights="random weights",
        backend="eager",
        picture=(480, 640),
        warm_up=10,
        repeats=50,
        speeds=tuple(speeds[count] for count in threads),
        machine=MeasuredOn("A CPU", 2, "2.15.0", 0.5),
        model=model,
        input=(224, 224),
        training=Form(789_266, 218_251_000, 221_000_000),
        deployed=Form(770_520, 192_500_000, 195_400_000),
        started=f"2026-11-28T{started}:00+0000",
    )


def tables_of(folder, *benchmarks):
    (comparison,) = sets_of(find(str(folder)))
    found = all_tables(replace(comparison, benchmarks=benchmarks))
    return comparison, {table.name: table for table in found}


def row_at(table, label):
    (row,) = table.frame[table.frame["method"] == label].iloc[:1].to_dict("records")
    return row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """RCRNet star by its run's settings, a refined one, SINet, and MODNet, which the paper does not have."""
    folder = tmp_path_factory.mktemp("portraits")
    make_run(folder / "star", "rcrnet", quality=0.9, files=False, model=STAR)
    make_run(
        folder / "refined",
        "rcrnet",
        quality=0.8,
        files=False,
        model=STAR,
        overrides=["refiner=guided"],
        changes={"refiner": "guided"},
    )
    make_run(folder / "sinet", "sinet", files=False, model={"name": "sinet", "size": 224})
    make_run(folder / "modnet", "modnet", files=False, model={"name": "modnet", "size": 512})
    return folder


def test_a_run_is_joined_to_the_last_benchmark_of_its_settings(folder):
    # what only training knows makes no other network; another variant or size does
    alike = {**STAR, "edge_weight": 0.1, "recipe": "official"}
    benchmarks = (
        measured("rcrnet", alike, "12:00", one=80.0, two=50.0),
        measured("rcrnet", STAR, "11:00", one=1.0, two=1.0),
        measured("rcrnet", {**STAR, "variant": "dagger"}, "13:00", one=2.0),
        measured("rcrnet", {**STAR, "size": 256}, "13:00", one=3.0),
        measured("sinet", {"name": "sinet", "size": 224}, "13:00", threads=(1,)),
    )
    comparison, found = tables_of(folder, *benchmarks)
    table = found["portrait"]
    row = row_at(table, "rcrnet")
    run = next(run for run in comparison.runs if run.label == row["method"])
    means = scores.mean_scores(run.test.counts, 0.5)
    assert (row["iou"], row["miou"]) == (means["iou"], means["miou"])
    assert (row["ms, 1 thread"], row["ms, 2 threads"], row["network ms, 1 thread"]) == (80.0, 50.0, 40.0)
    assert row["network ms, 2 threads"] == "not measured"
    assert (row["parameters in training"], row["parameters deployed"]) == (789_266, 770_520)
    assert row["MMACs of convolutions in training"] == pytest.approx(218.251)
    assert row["MMACs of convolutions deployed"] == pytest.approx(192.5)
    assert row["MMACs in all deployed"] == pytest.approx(195.4)
    assert row["input"] == "224x224"
    assert row["measured"] == "480x640, eager, 50 runs, A CPU, 2 cores, load 0.50, torch 2.15.0"
    # the table of sizes takes pictures per second from the same
    assert row_at(found["table1"], row["method"])["FPS"] == 20.0
    # a refiner costs time that the benchmark does not have
    refined = row_at(table, "rcrnet refiner=guided")
    assert refined["ms, 2 threads"] == "not measured"
    assert pd.isna(refined["parameters deployed"])
    assert row_at(found["table1"], "rcrnet refiner=guided")["FPS"] == "not measured"
    # one thread alone was measured
    sinet = row_at(table, "sinet")
    assert (sinet["ms, 1 thread"], sinet["ms, 2 threads"]) == (40.0, "not measured")
    assert row_at(found["table1"], "sinet")["FPS"] == "not measured"
    assert any(note.startswith("FPS: 1000 / median milliseconds") for note in found["table1"].notes)
    # MODNet is none of the paper's
    assert "modnet" not in set(table.frame["method"])


def test_without_benchmarks_nothing_is_measured(folder):
    _, found = tables_of(folder)
    table = found["portrait"]
    ours = table.frame.iloc[list(dict(table.blocks)[layout.METHODS])]
    assert set(ours["ms, 2 threads"]) == {"not measured"}
    assert ours[["parameters deployed", "MMACs in all deployed"]].isna().all(axis=None)
    assert "FPS: not measured; task=benchmark measures it." in found["table1"].notes


def test_published_figures_stand_beside_ours_and_in_a_block_of_their_own(folder):
    _, found = tables_of(folder)
    table = found["portrait"]
    row = row_at(table, "sinet")
    assert (row["row (paper)"], row["iou EG1800 (paper)"]) == ("SINet", 0.9481)
    assert (row["M parameters (paper)"], row["MMACs (paper)"]) == (0.087, 64)
    absent = table.frame.iloc[list(dict(table.blocks)[layout.NOT_RUN])]
    assert list(absent["row (paper)"]) == [
        *("ENet", "BiSeNetV3", "PortraitNet", "ESPNet", "ESPNetV2 2.0", "ESPNetV2 1.5", "ContextNet"),
        *("MobileNetV3", "RCRNet dagger", "RCRNet double dagger", "RCRNet diamond"),
    ]
    assert absent["iou"].isna().all()
    assert np.allclose(absent["iou P3M-500-NP (paper)"].dropna(), [0.9591, 0.9431, 0.9575, 0.9561, 0.9566])
    assert all(any(note in text for text in table.notes) for note in published.PORTRAIT_NOTES)


def test_a_report_without_portrait_networks_has_no_such_table(tmp_path):
    make_run(tmp_path / "modnet", "modnet", files=False)
    assert "portrait" not in tables_of(tmp_path)[1]


@pytest.mark.parametrize("row", published.PORTRAITS, ids=lambda row: row.row)
def test_every_row_is_a_network_of_ours(row):
    """With its settings; the paper's own are our defaults, but for ContextNet."""
    model = dict(model_config(row.method, size=224).changed(**row.settings).values)
    assert row_of(row.method, model) == row


def test_other_settings_are_not_the_papers():
    assert row_of("contextnet", {"preset": 12}) is None
    assert row_of("espnetv2", {"scale": 1.0}) is None
    assert row_of("rcrnet", {**STAR, "decoder": "rcr_b"}) is None
    assert row_of("rcrnet", STAR) == published.PORTRAITS[-1]
    # a run folder without its settings
    assert row_of("rcrnet", {}) is None
    assert row_of("modnet", {}) is None


def test_published_portraits_are_the_papers(shared):
    text = (shared / "papers" / "rcrnet.txt").read_text(encoding="utf-8")
    rows = {row.row: row for row in published.PORTRAITS}
    words = {
        **{"RCRNet*": "RCRNet star", "RCRNet†": "RCRNet dagger", "RCRNet‡": "RCRNet double dagger"},
        **{"RCRNet◊": "RCRNet diamond", "RCRNet [‡]": "RCRNet double dagger", "RCRNet [◇]": "RCRNet diamond"},
        **{"ESPNetV2 _{2.0}": "ESPNetV2 2.0", "ESPNetV2 _{1.5}": "ESPNetV2 1.5"},
    }
    first, second, third = (text.partition(f"\nTable {n}.")[2].split("\n\n", 2)[1] for n in (1, 2, 3))
    printed = {1: first, 2: second, 3: third}
    seen = set()
    for number, block in printed.items():
        for line in block.splitlines():
            name, *cells = (cell.strip() for cell in line.split("\t"))
            if not (cells and re.fullmatch(r"[\d.]+", cells[0])):
                continue
            name = re.sub(r" \[\d+\]$", "", name)
            row, values = rows[words.get(name, name)], [float(cell) for cell in cells]
            if number == 2:
                assert values == [row.mmacs, row.p3m500p, row.p3m500np]
            elif (number, row.row) == (3, "RCRNet star"):
                # the paper has two numbers for one network
                assert values == [row.mmacs, 0.770, row.eg1800]
            else:
                assert values == [row.mmacs, row.parameters, row.eg1800]
            seen.add((number, row.row))
    assert len(seen) == 10 + 6 + 5
    assert {name for number, name in seen if number != 2} == set(rows)
    assert {name for number, name in seen if number == 2} == {r.row for r in rows.values() if r.p3m500p}
