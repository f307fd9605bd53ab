"""What stands at the end of a run."""

import shlex

from kolbench.tasks.next_steps import IN_SUITE, is_job, next_steps, shown_path
from tests.helpers.tasks import composed


def test_paths_are_shown_as_one_types_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "runs" / "a") == "runs/a"
    assert shown_path(tmp_path.parent / "b") == str(tmp_path.parent / "b")


def test_the_report_command_can_be_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["kolbench"])
    look, report = next_steps(tmp_path / "my run" / "overview.png", tmp_path / "my run", ["quick"])
    assert look == "look at my run/overview.png"
    words = shlex.split(report.removeprefix("report: python -m kolbench "))
    assert words == ["task=report", "runs=my run"]
    assert composed("task=report", "runs='my run'")["runs"] == "my run"


def test_only_smoke_runs_are_told_that_their_scores_mean_nothing(tmp_path):
    def warned(*budgets):
        return any("mean nothing" in line for line in next_steps(tmp_path, tmp_path, budgets))

    assert warned("smoke", "smoke")
    assert not warned("smoke", "quick")


def test_jobs_of_sweeps_and_suites_leave_the_end_to_them(monkeypatch):
    monkeypatch.delenv(IN_SUITE, raising=False)
    assert is_job("2026-11-29")
    assert not is_job(None)
    monkeypatch.setenv(IN_SUITE, "1")
    assert is_job(None)
