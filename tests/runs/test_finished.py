"""Run folders as the report finds them: which count, how they are named, what is compared with what."""

import json

import numpy as np
import pytest

from kolbench.errors import DataError
from kolbench.metrics import scores
from kolbench.report import tables
from kolbench.runs import run_folder
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run

SMALL = {"pictures": 4, "files": False}


@pytest.fixture
def runs(tmp_path):
    """Makes runs without picture files below one folder: runs(name, method, ...)."""

    def make(name, method, **choices):
        return make_run(tmp_path / "runs" / name, method, **{**SMALL, **choices})

    return make


def labels(where):
    return sorted(run.label for run in find(str(where)))


def change(folder, **values):
    path = folder / run_folder.RUN
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_of_runs_a_single_run_and_a_pattern_are_found(runs, tmp_path):
    one = runs("modnet/2026_a", "modnet")
    runs("sweeps/2026/0_unet", "unet")
    assert labels(tmp_path / "runs") == ["modnet", "unet"]
    assert labels(one) == ["modnet"]
    assert labels(tmp_path / "runs" / "sw*" / "*") == ["unet"]
    assert labels(tmp_path / "runs" / "*") == ["modnet", "unet"]


def test_several_places_may_overlap(runs, tmp_path):
    one = runs("modnet/a", "modnet")
    runs("unet/b", "unet")
    found = find([str(one), str(tmp_path / "runs"), str(tmp_path / "runs" / "unet")])
    assert sorted(run.label for run in found) == ["modnet", "unet"]


@pytest.mark.parametrize("shared", ["trainings", "untrained"])
def test_what_runs_share_is_no_run(runs, tmp_path, shared):
    runs("modnet/a", "modnet")
    runs(f"{shared}/unet-01/evaluations/02", "unet")
    assert labels(tmp_path / "runs") == ["modnet"]


def test_a_copy_inside_a_run_is_no_run(runs, tmp_path):
    outer = runs("modnet/a", "modnet")
    inner = outer / "wandb" / "files"
    inner.mkdir(parents=True)
    (inner / run_folder.RUN).write_bytes((outer / run_folder.RUN).read_bytes())
    change(inner, seed=7)
    assert labels(tmp_path / "runs") == ["modnet"]


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_only_finished_runs_count(runs, tmp_path, status):
    runs("a", "modnet")
    runs("b", "unet", changes={"status": status})
    assert labels(tmp_path / "runs") == ["modnet"]
    with pytest.raises(DataError, match="none of them is finished"):
        find(str(tmp_path / "runs" / "b"))


def test_nothing_found_says_so(tmp_path):
    with pytest.raises(DataError, match="matches nothing"):
        find(str(tmp_path / "absent"))
    with pytest.raises(DataError, match="holds no run folder"):
        find(str(tmp_path))


def test_a_damaged_record_names_the_file(runs, tmp_path):
    runs("a", "modnet")
    damaged = runs("b", "unet") / run_folder.RUN
    damaged.write_text(damaged.read_text()[:100])
    with pytest.raises(DataError, match="is damaged") as raised:
        find(str(tmp_path / "runs"))
    assert str(damaged) in str(raised.value)


def test_a_run_alone_has_its_methods_name(runs, tmp_path):
    runs("a", "modnet", seed=3, overrides=["model.context=easpp", "budget.epochs=2"])
    assert labels(tmp_path / "runs") == ["modnet"]


def test_labels_name_what_differs_and_nothing_else(runs, tmp_path):
    shared = ["budget=quick", "paths.runs=elsewhere", "logger=csv"]
    runs("a", "modnet", overrides=[*shared, "model.context=se"])
    runs("b", "modnet", overrides=[*shared, "model.context=easpp", "budget.epochs=3"])
    runs("c", "modnet", overrides=[*shared, "model.context=se", "refiner=guided"])
    runs("d", "unet", overrides=["model.filters=64"])
    assert labels(tmp_path / "runs") == [
        "modnet context=easpp budget.epochs=3",
        "modnet context=se",
        "modnet context=se refiner=guided",
        "unet",
    ]


def test_seeds_are_told_apart_and_belong_to_one_family(runs, tmp_path):
    for seed in (0, 1):
        runs(f"i{seed}", "rsudisnet", seed=seed, overrides=["model.variant=i"])
        runs(f"a{seed}", "rsudisnet", seed=seed)
    found = {run.label: run.family for run in find(str(tmp_path / "runs"))}
    assert found == {
        "rsudisnet seed=0": "rsudisnet",
        "rsudisnet seed=1": "rsudisnet",
        "rsudisnet variant=i seed=0": "rsudisnet variant=i",
        "rsudisnet variant=i seed=1": "rsudisnet variant=i",
    }


def test_the_newest_of_repeats_counts(runs, tmp_path):
    runs("z_first", "modnet", quality=0.5, started="2026-11-20T10:00:00+0000")
    newest = runs("a_last", "modnet", quality=0.5, started="2026-11-22T10:00:00+0000")
    runs("m_middle", "modnet", quality=0.5, started="2026-11-21T10:00:00+0000")
    (found,) = find(str(tmp_path / "runs"))
    assert found.folder == newest.resolve()


def test_a_failed_repeat_does_not_hide_the_finished_one(runs, tmp_path):
    finished = runs("a", "modnet", started="2026-11-20T10:00:00+0000")
    runs("b", "modnet", started="2026-11-22T10:00:00+0000", changes={"status": "failed"})
    (found,) = find(str(tmp_path / "runs"))
    assert found.folder == finished.resolve()


def test_the_same_words_with_another_training_are_numbered(runs, tmp_path):
    # the fixture's training fingerprint follows from the quality
    runs("a", "modnet", quality=0.5)
    runs("b", "modnet", quality=0.9)
    assert labels(tmp_path / "runs") == ["modnet (1)", "modnet (2)"]


def test_runs_on_the_same_pictures_are_one_set_in_a_fixed_order(runs, tmp_path):
    for name, truth_access in (
        ("zeta", "none"),
        ("kmeans", "mask"),
        ("grabcut", "box"),
        ("alpha", "none"),
        ("beta", "mask"),
    ):
        runs(name, name, truth_access=truth_access)
    (found,) = sets_of(find(str(tmp_path / "runs")))
    assert [run.label for run in found.runs] == ["alpha", "zeta", "grabcut", "beta", "kmeans"]
    assert [run.label for run in found.compared] == ["alpha", "zeta"]
    assert found.name == "fixture"
    for run in found.runs:
        assert tuple(run.test.names) == found.pictures


def compared(folder):
    (found,) = sets_of(find(str(folder)))
    return [run.label for run in found.compared], found.stand_ins


def swept(runs, name, method, threshold, *words, **choices):
    runs(name, method, threshold=threshold, overrides=[f"threshold={threshold}", *words], **choices)


def test_of_one_training_at_several_thresholds_the_one_from_validation_is_compared(runs, tmp_path):
    for threshold in (0.5, 0.7):
        swept(runs, f"u{threshold}", "unet", threshold)
    runs("u", "unet")
    runs("modnet", "modnet")
    labels, stand_ins = compared(tmp_path / "runs")
    assert labels == ["modnet", "unet"]
    assert stand_ins == {"unet": ("unet threshold=0.5", "unet threshold=0.7")}


def test_of_fixed_thresholds_the_nearest_to_a_half_is_compared_the_lower_of_two(runs, tmp_path):
    for threshold in (0.1, 0.4, 0.6):
        swept(runs, f"u{threshold}", "unet", threshold)
    labels, stand_ins = compared(tmp_path / "runs")
    assert labels == ["unet threshold=0.4"]
    assert stand_ins == {"unet threshold=0.4": ("unet threshold=0.1", "unet threshold=0.6")}


def test_other_trainings_refiners_and_options_are_other_methods(runs, tmp_path):
    swept(runs, "a", "unet", 0.4)
    swept(runs, "seed", "unet", 0.6, seed=1)
    swept(runs, "refined", "unet", 0.6, "refiner=guided")
    swept(runs, "option", "unet", 0.6, "model.postprocess=minmax")
    swept(runs, "twice", "unet", 0.6, "tta=flip", changes={"tta": "flip"})
    # the fixture's fingerprint of a training follows from the quality
    swept(runs, "trained anew", "unet", 0.6, quality=0.7)
    labels, stand_ins = compared(tmp_path / "runs")
    assert len(labels) == 6
    assert "unet tta=flip threshold=0.6 seed=0" in labels
    assert stand_ins == {}


def test_thresholds_of_helped_methods_are_not_compared_at_all(runs, tmp_path):
    for threshold in (0.3, 0.6):
        swept(runs, f"g{threshold}", "grabcut", threshold, truth_access="box")
    assert compared(tmp_path / "runs") == ([], {})


def test_other_pictures_are_another_set_the_largest_first(runs, tmp_path):
    runs("a", "modnet", data="street")
    runs("b", "unet", pictures=6)
    runs("c", "u2net", pictures=6)
    found = sets_of(find(str(tmp_path / "runs")))
    assert [(one.name, len(one.runs), len(one.pictures)) for one in found] == [
        ("fixture", 2, 6),
        ("street", 1, 4),
    ]


def test_the_same_names_with_another_truth_are_another_set_with_a_name_of_its_own(runs, tmp_path):
    runs("a", "modnet")
    runs("b", "unet", scene_seed=1)
    names = [one.name for one in sets_of(find(str(tmp_path / "runs")))]
    assert len(set(names)) == 2
    assert all(name.startswith("fixture-") for name in names)


def test_runs_of_another_protocol_are_another_set_and_those_without_the_key_are_native(runs, tmp_path):
    for name, method in (("a", "modnet"), ("b", "unet"), ("c", "u2net")):
        folder = runs(name, method)
        assert "eval_protocol" not in json.loads((folder / run_folder.RUN).read_text())
    change(tmp_path / "runs" / "b", eval_protocol="native")
    # the same pictures of 224 px with the same truth, even
    change(tmp_path / "runs" / "c", eval_protocol="portraitnet")
    found = sets_of(find(str(tmp_path / "runs")))
    assert {one.name: [run.method for run in one.runs] for one in found} == {
        "fixture": ["modnet", "unet"],
        "fixture-portraitnet": ["u2net"],
    }
    notes = [tables.all_tables(one)[0].notes for one in found]
    assert any("own size" in note for note in notes[0])
    assert any("eval_protocol=portraitnet" in note for note in notes[1])


def test_groups_are_videos_or_else_the_pictures_themselves(runs, tmp_path):
    runs("a/videos", "modnet", pictures=6)
    runs("b/single", "modnet", pictures=6, videos=False)
    (known,), (unknown,) = (sets_of(find(str(tmp_path / "runs" / part))) for part in "ab")
    assert [known.groups.count(group) for group in dict.fromkeys(known.groups)] == [3, 2, 1]
    assert unknown.groups == unknown.pictures


def test_a_run_reads_its_own_files(tmp_path):
    folder = make_run(tmp_path / "run", "modnet", seed=2, quality=0.7, epochs=3, pictures=4)
    (run,) = find(str(folder))
    assert (run.method, run.truth_access, run.seed) == ("modnet", "none", 2)
    assert run.history is not None
    assert len(run.history) == 3
    assert set(run.scored) == {"val", "test"}
    assert scores.mean_scores(run.test.counts, run.threshold) == run.record.scores
    for name in run.test.names:
        for path in (run.alpha_file(name), run.truth_file(name), run.thumb_file(name)):
            assert path.is_file()


def test_a_run_knows_its_methods_settings_by_todays_names(tmp_path):
    made = make_run(tmp_path / "run", "modnet", files=False, model={"size": 64, "input_rule": "squash"})
    (run,) = find(str(tmp_path))
    assert run.model == {"size": 64, "resize_mode": "squash"}
    for text, expected in (("method: modnet", {}), ("[]", {})):
        (made / run_folder.CONFIG).write_text(text)
        assert find(str(tmp_path))[0].model == expected
    (made / run_folder.CONFIG).unlink()
    assert find(str(tmp_path))[0].model == {}
    (made / run_folder.CONFIG).write_text("model: {size: [")
    with pytest.raises(DataError, match=r"config.yaml cannot be read .*; remove the folder"):
        _ = find(str(tmp_path))[0].model


def test_what_is_not_trained_has_no_history(runs):
    (run,) = find(str(runs("a", "grabcut", truth_access="box")))
    assert run.history is None
    assert run.record.training is None


def test_stored_alphas_and_truths_give_the_stored_histograms(tmp_path):
    """The fixture is consistent, as the report's slider and gallery rely on it."""
    import cv2

    folder = make_run(tmp_path / "run", "modnet", quality=0.6, pictures=3)
    (run,) = find(str(folder))
    for row, name in enumerate(run.test.names):
        alpha, truth = (
            cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            for path in (run.alpha_file(name), run.truth_file(name))
        )
        fg, bg = (np.bincount(alpha[truth == level], minlength=256) for level in (255, 0))
        np.testing.assert_array_equal(fg, run.test.counts.fg[row])
        np.testing.assert_array_equal(bg, run.test.counts.bg[row])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"status": "finished"}', "older kolbench: its run.json has no method, truth_access"),
        (
            '{"status": "finished", "method": "m", "aid": "friend", "threshold": 0.5, "seed": 0, "data": "d",'
            ' "started": "2026-11-21T10:00:00+0000"}',
            "its truth_access is friend",
        ),
        ('{"status": "running"}', "(running)"),
    ],
)
def test_what_is_left_out_is_told_and_stops_nothing(text, says, tmp_path):
    make_run(tmp_path / "runs" / "good", "modnet", **SMALL)
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "run.json").write_text(text)
    told = []
    (run,) = find(str(tmp_path / "runs"), told.append)
    assert run.folder.name == "good"
    (line,) = told
    assert line.startswith(f"left out: {tmp_path / 'runs' / 'bad'} (")
    assert says in line


def test_a_record_that_is_no_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataError, match=r"run.json is damaged"):
        find(str(tmp_path))


def test_brackets_in_a_folders_name_are_letters(tmp_path):
    make_run(tmp_path / "it's [my] run", "modnet", **SMALL)
    (run,) = find(str(tmp_path / "it's [my] run"))
    assert run.method == "modnet"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("data.root=../street_kol", "street_kol"),
        ("data.root='/my pics/set a'", "set-a"),
        ("data.root=..", "folder"),
        ("data=folder", "folder"),
    ],
)
def test_a_test_set_has_a_name_that_is_fit_for_a_folder(word, name, tmp_path):
    make_run(tmp_path / "run", "modnet", **SMALL, data="folder", overrides=[word])
    (found,) = sets_of(find(str(tmp_path)))
    assert found.name == name


def test_labels_are_made_in_each_test_set_apart(tmp_path):
    make_run(tmp_path / "a", "modnet", **SMALL, overrides=["data.root=one"])
    make_run(tmp_path / "b", "modnet", **SMALL, overrides=["data.root=two"], scene_seed=1)
    for found in sets_of(find(str(tmp_path))):
        assert [run.label for run in found.runs] == ["modnet"]


def test_seeds_stay_one_family_however_long_the_label(tmp_path):
    weights = f"model.backbone_weights=/data/{'deep/' * 20}w.pth"
    words = [weights, "trainer.accumulate_grad_batches=4", "budget.epochs=77"]
    make_run(tmp_path / "other", "modnet", **SMALL)
    for seed in (0, 1):
        make_run(tmp_path / f"s{seed}", "modnet", **SMALL, seed=seed, overrides=words)
    families = {run.family for run in find(str(tmp_path))}
    assert len(families) == 2


def test_histograms_that_cannot_be_read_are_named(tmp_path):
    folder = make_run(tmp_path / "run", "modnet", **SMALL)
    (run,) = find(str(folder))
    (folder / "histograms.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"run/histograms.parquet cannot be read"):
        _ = run.test
    (run,) = find(str(folder))
    (folder / "histograms.parquet").unlink()
    with pytest.raises(DataError, match=r"run/histograms.parquet cannot be read"):
        _ = run.test


def test_of_repeats_the_newest_counts_whatever_the_time_zone(tmp_path):
    make_run(tmp_path / "a", "modnet", **SMALL, started="2026-11-21T10:00:00+0000")
    make_run(tmp_path / "b", "modnet", **SMALL, started="2026-11-21T10:30:00+0100")
    (run,) = find(str(tmp_path))
    assert run.folder.name == "a"


def test_labels_stay_short(tmp_path):
    for name in "ab":
        weights = f"model.backbone_weights=/data/{'deep/' * 20}{name}.pth"
        make_run(tmp_path / name, "modnet", **SMALL, overrides=[weights])
        make_run(
            tmp_path / f"{name}2", "modnet", **SMALL, overrides=[weights, "trainer.accumulate_grad_batches=4"]
        )
    found = labels(tmp_path)
    assert len(set(found)) == 4
    assert max(map(len, found)) <= 64 + len(" (2)")
    assert any(label.endswith("…/deep/deep/a.pth") for label in found)
