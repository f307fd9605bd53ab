"""Progress of work in a terminal, and without one."""

import contextlib
import io
import time

import pytest
from rich.console import Console

from kolbench.io import progress


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 80 columns is given."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    monkeypatch.setattr(progress, "in_terminal", lambda: True)
    return out


def test_work_without_steps_turns_and_leaves_nothing_behind(terminal):
    with progress.working("starting task=fit"):
        pass
    assert "starting task=fit" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_a_bar_within_what_turns_is_no_error(terminal):
    with progress.working("opening data=folder"), progress.bar("reading files", 2) as advance:
        advance(2)
    assert "reading files" in terminal.getvalue()


def test_without_a_terminal_short_work_is_not_mentioned(capsys):
    with progress.working("starting"):
        pass
    assert capsys.readouterr().out == ""


def test_a_bar_on_a_console_of_its_own_stays_there_while_prints_are_led_elsewhere(terminal):
    own, elsewhere = io.StringIO(), io.StringIO()
    console = Console(file=own, width=80, force_terminal=True)
    with progress.bar("methods evaluated", 2, console) as advance, contextlib.redirect_stdout(elsewhere):
        advance(2)
        time.sleep(0.25)
    assert "2/2" in own.getvalue()
    assert elsewhere.getvalue() == terminal.getvalue() == ""
