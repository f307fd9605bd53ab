"""`benchmark.json`: written and read back, and which settings cost something."""

import json
from dataclasses import replace

import pytest

from kolbench.errors import DataError
from kolbench.runs import benchmark
from kolbench.runs.benchmark import Benchmark, Form, MeasuredOn, Speed, Spread

MEASURED = Benchmark(
    method="rcrnet",
    weights="random weights",
    backend="eager",
    picture=(480, 640),
    warm_up=10,
    repeats=50,
    speeds=(
        Speed(1, Spread(20.5, 19.0, 31.25), Spread(12.0, 11.5, 14.0)),
        Speed(2, Spread(14.0, 13.0, 15.0)),
    ),
    machine=MeasuredOn("A CPU", 2, "2.15.0", 0.25),
    model={"name": "rcrnet", "variant": "star", "size": 224, "extra_hidden": None},
    input=(224, 224),
    training=Form(789_266, 218_000_000, 221_000_000),
    deployed=Form(770_520, 192_000_000, 195_000_000),
    notes=("folded is not used: why.",),
    started="2026-11-28T10:00:00+0100",
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / benchmark.BENCHMARK
    MEASURED.write(path)
    assert json.loads(path.read_text())["version"] == benchmark.VERSION
    assert benchmark.read(path) == MEASURED
    assert MEASURED.speed(2) is MEASURED.speeds[1]
    assert MEASURED.speed(3) is None
    classic = replace(MEASURED, method="kmeans", input=None, training=None, deployed=None, notes=())
    classic.write(path)
    assert benchmark.read(path) == classic


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda values: values.update(version=4), r"has version 4; this kolbench knows up to 3: update it\."),
        (lambda values: values.pop("version"), r"is damaged \(it holds no version\); remove it\."),
        (
            lambda values: values.update(repeats="many"),
            r"is damaged \(repeats is 'many', not of the type int",
        ),
        (lambda values: values.pop("speeds"), r"is damaged .*speeds.*; remove it\."),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, change, told):
    path = tmp_path / benchmark.BENCHMARK
    MEASURED.write(path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=told):
        benchmark.read(path)


@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_half_a_file_is_told(tmp_path, text):
    path = tmp_path / benchmark.BENCHMARK
    path.write_text(text)
    with pytest.raises(DataError, match="remove it"):
        benchmark.read(path)


def test_all_below_some_folders_oldest_first(tmp_path):
    moments = {"b/new": "2026-11-28T12:00:00+0100", "b/deep/old": "2026-11-28T11:30:00+0200", "c": ""}
    for place, started in moments.items():
        (tmp_path / place).mkdir(parents=True)
        replace(MEASURED, method=place, started=started).write(tmp_path / place / benchmark.BENCHMARK)
    # 11:30 two hours ahead of Greenwich is before 12:00 one hour ahead; a folder named twice counts once
    found = benchmark.below([tmp_path / "b", tmp_path / "b" / "deep", tmp_path / "c"])
    assert [each.method for each in found] == ["c", "b/deep/old", "b/new"]


def test_what_only_training_knows_costs_nothing():
    model = {"name": "rcrnet", "size": 224, "variant": "dagger", "edge_weight": 0.3, "recipe": "paper"}
    assert benchmark.cost_settings(model) == {"name": "rcrnet", "size": 224, "variant": "dagger"}


def test_the_last_benchmark_of_the_same_network():
    model = {"name": "rcrnet", "size": 224, "variant": "star", "temperature": 1.0}
    first, last = (
        replace(MEASURED, model={**model, "temperature": t}, started=f"2026-11-28T1{t:.0f}:00:00+0000")
        for t in (1.0, 2.0)
    )
    known = [last, first, replace(last, method="enet"), replace(last, model={**model, "size": 128})]
    assert benchmark.latest_of(known, "rcrnet", model) is last
    assert benchmark.latest_of(known, "rcrnet", {**model, "variant": "dagger"}) is None
    # a key of a later version was off before; switched on it costs
    assert benchmark.latest_of(known, "rcrnet", {**model, "prior": False, "decoder": None}) is last
    assert benchmark.latest_of(known, "rcrnet", {**model, "prior": True}) is None
    assert benchmark.latest_of(known, "rcrnet", {**model, "extra_hidden": 0}) is None
    # both views cost twice as much
    assert benchmark.latest_of(known, "rcrnet", model, "flip") is None
    assert benchmark.latest_of([twice := replace(first, tta="flip"), last], "rcrnet", model, "flip") is twice
    # a folder that does not know its settings; a file that has none
    assert benchmark.latest_of([replace(last, model={})], "rcrnet", {}) is None


def test_the_form_of_an_old_file_has_its_name_of_today(tmp_path):
    """Version 1 said eager of the folded network, and 10 and 90 %."""
    path = tmp_path / benchmark.BENCHMARK
    spread = {"median_ms": 20.0, "p10_ms": 19.0, "p90_ms": 31.0}
    kept = {"method": "enet", "weights": "w", "picture": [48, 64], "warm_up": 10, "repeats": 50, "version": 1}
    old = {**kept, "backend": "eager", "speeds": [{"threads": 2, "segment": spread}], "machine": {"cpu": "A"}}
    path.write_text(json.dumps(old))
    found = benchmark.read(path)
    assert found.backend == "channels_last"
    assert found.speed(2) == Speed(2, Spread(20.0, p10_ms=19.0, p90_ms=31.0))
    assert found.speed(2, "eager") is None


def test_memory_of_an_old_file_is_of_something_else(tmp_path):
    """Version 2 counted what opening a form took; all else in it holds."""
    path = tmp_path / benchmark.BENCHMARK
    known = replace(MEASURED, memory={"eager": 1 << 20})
    known.write(path)
    assert benchmark.read(path) == known
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    assert benchmark.read(path) == MEASURED


def test_speeds_of_several_forms():
    slow, quick = (Speed(2, Spread(ms), backend=form) for ms, form in ((30.0, "eager"), (9.0, "onnx")))
    quoted = Speed(2, Spread(20.0), backend="channels_last")
    found = replace(MEASURED, backend="channels_last", speeds=(slow, quoted, quick))
    assert found.speed(2) is quoted
    assert found.speed(2, "eager") is slow
    assert found.fastest(2) is quick
    assert found.fastest(1) is None
