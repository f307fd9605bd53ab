"""Locks between processes, on one machine and on several."""

import os
import signal
import time

import pytest

from kolbench.io import locks
from tests.helpers.forked import Forked, program

HOLDER = """
import sys, time
from pathlib import Path
from kolbench.io.locks import alone
with alone(Path(sys.argv[1]), "waiting"):
    Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[3]))
"""


def holder(path, seconds):
    """A process that holds the lock by now."""
    sign = path.with_suffix(".held")
    started = Forked(
        program, HOLDER, str(path), str(sign), str(seconds), cwd=path.parent, environment=os.environ
    )
    started.until(sign.exists)
    return started


@pytest.mark.slow
def test_a_second_process_says_that_it_waits_and_waits(tmp_path, capsys):
    other = holder(tmp_path / "x", 1.5)
    with locks.alone(tmp_path / "x", "waiting for it"):
        other.wait()
    assert capsys.readouterr().out == "waiting for it\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_lock_of_a_killed_process_of_this_machine_counts_no_more_at_once(tmp_path):
    other = holder(tmp_path / "x", 600)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "x").exists()
    started = time.monotonic()
    with locks.alone(tmp_path / "x", "waiting"):
        assert time.monotonic() - started < locks.LEASE_S / 10


def test_a_lock_of_another_machine_counts_until_its_signs_of_life_are_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "LEASE_S", 1.0)
    monkeypatch.setattr(locks, "POLL_S", 0.05)
    with locks.alone(tmp_path / "own", "waiting"):
        lines = (tmp_path / "own").read_text().splitlines()
    elsewhere = ["host=elsewhere" if line.startswith("host=") else line for line in lines]
    (tmp_path / "x").write_text("\n".join(elsewhere) + "\n")
    started = time.monotonic()
    with locks.alone(tmp_path / "x", "waiting for it"):
        assert time.monotonic() - started >= 1
    assert capsys.readouterr().out == "waiting for it\n"


@pytest.mark.parametrize("other", [None, "token=another\n"], ids=["removed", "taken over"])
def test_who_holds_a_lock_is_told_at_once_that_it_is_lost(other, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "POLL_S", 0.01)
    with locks.alone(tmp_path / "x", "waiting") as held:
        assert held()
        (tmp_path / "x").unlink()
        if other:
            (tmp_path / "x").write_text(other)
        assert not held()
    # that of the other stays
    assert (tmp_path / "x").exists() == (other is not None)


def test_a_lock_that_was_lost_stays_lost(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "LEASE_S", 0.15)
    monkeypatch.setattr(locks, "POLL_S", 0.01)
    with locks.alone(tmp_path / "x", "waiting") as held:
        mine = (tmp_path / "x").read_text()
        (tmp_path / "x").unlink()
        until = time.monotonic() + 10
        while not (said := capsys.readouterr().err) and time.monotonic() < until:
            time.sleep(0.02)
        (tmp_path / "x").write_text(mine)
        assert not held()
    assert "is held by this process no longer" in said
