"""How runs are made again: commands, hashes, times; and that the page tells nothing of anybody's home."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from kolbench.cli import quoted
from kolbench.report import page
from kolbench.report.reproduction import COLUMNS, command_of, duration, reproductions, without_home
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers import browser as web
from tests.helpers.run_folders import make_run

WORDS = ("model.context='a b'", "paths.runs='quickstart/runs'", "data.root=/home/ada/my faces/x")
SHA = "7c22235f0925deba15d4d63e53afcb654c47055bbcd98f56e393ab2584007ed8"
NETWORK = {"role": "weights", "name": "modnet", "licence": "Apache-2.0", "commercial": "yes", "sha256": SHA}
BEGUN = {"role": "initial weights", "name": "/home/ada/a.pth", "commercial": "unstated"}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    copied = make_run(folder / "a", "modnet", files=False, overrides=WORDS, changes={"rests_on": [NETWORK]})
    (copied / "config.yaml").unlink()
    trained = make_run(folder / "b", "unet", files=False, threshold=0.333, changes={"rests_on": [BEGUN]})
    (trained / "config.yaml").write_text(
        "data:\n  root: /home/ada/faces\n  note: </code><script>bad()</script>\n"
    )
    (found,) = sets_of(find(str(folder)))
    return found


def facts(run):
    return {fact.name: fact for fact in run.facts}


def test_a_command_gives_its_words_to_a_shell(comparison):
    modnet, unet = reproductions(comparison)
    typed = shlex.split(modnet.command)
    assert typed[:3] == ["python", "-m", "kolbench"]
    assert "model.context='a b'" in typed
    # without the quotes that Hydra does not need
    assert "paths.runs=quickstart/runs" in typed
    assert "data.root=~/my faces/x" in typed
    assert (modnet.name, modnet.key, unet.name, unet.key) == ("MODNet", "modnet", "U-Net", "unet")


def test_a_rerun_is_of_the_run_folder_and_needs_no_more_quotes(comparison, monkeypatch):
    run = comparison.runs[0]
    monkeypatch.chdir(run.folder.parent)
    (modnet, _) = reproductions(comparison)
    assert modnet.again == "python -m kolbench task=rerun from=a"
    monkeypatch.chdir("/")
    assert str(run.folder).lstrip("/") in reproductions(comparison)[0].again
    # what the command line does with a path that Hydra does not take
    assert quoted("from=my runs/a (2)") == 'from="my runs/a (2)"'


def test_what_is_recorded_is_told(comparison):
    modnet, unet = reproductions(comparison)
    assert dict(zip(COLUMNS, unet.row, strict=True)) == {
        "Threshold": "0.333",
        "Seed": "0",
        "Training": "75 s",
        "Scoring": "25 s",
        "Device": "cpu (2 threads)",
        "Commit": "0123456789ab",
    }
    assert facts(modnet)["Weights"].digest == SHA
    assert facts(modnet)["Weights"].value == "modnet (Apache-2.0)"
    assert facts(unet)["Initial weights"].value == "~/a.pth (licence not stated)"
    assert facts(unet)["Training"].value.startswith("made by this run, weights of epoch 5")
    assert len(facts(unet)["Training"].digest) == 16
    assert facts(unet)["Threshold"].value == "0.333, from the command"
    assert facts(unet)["Time"].value == "Training 75 s, scoring 25 s"
    assert "torch 2.15.0" in facts(unet)["Versions"].value
    assert unet.config is not None
    assert "root: ~/faces" in unet.config


def test_what_is_not_recorded_is_said(comparison):
    run = comparison.runs[0]
    old = replace(
        run.record,
        **{
            "device": "",
            "seconds": None,
            "commit": None,
            "versions": {},
            "machine": None,
            "fingerprint": None,
        },
        rests_on=(),
        training=None,
    )
    (found,) = reproductions(replace(comparison, runs=(replace(run, record=old),)))
    assert found.row[2:] == ("none", *["not recorded"] * 3)
    for name in ("Commit", "Versions", "Device"):
        assert facts(found)[name].value == "not recorded"
    assert "not recorded" in facts(found)["Data"].value
    assert reproductions(comparison)[0].config is None


def test_a_training_that_was_found_again_took_no_time_of_the_run(comparison):
    run = comparison.runs[1]
    again = replace(run.record, training=replace(run.record.training, reused=True), commit="57c3ce4-dirty")
    (found,) = reproductions(replace(comparison, runs=(replace(run, record=again),)))
    assert found.row[2:4] == ("75 s", "100 s")
    assert facts(found)["Training"].value.startswith("found again, made by an earlier run")
    assert facts(found)["Commit"].value == "57c3ce4, with changes that are not committed"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (31.2, "31 s"), (119, "119 s"), (150, "2 min"), (7300, "2.0 h")],
)
def test_times_in_units_of_people(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/ada/faces", "~/faces"),
        ("data.root='/Users/Ada L/x'", "data.root='~ L/x'"),
        ("{root: /home/ada, b: 1}", "{root: ~, b: 1}"),
        ("/data/home/ada/faces", "/data/home/ada/faces"),
        (str(Path.home() / "x"), "~/x"),
        (f"{Path.home()}s/x", f"{Path.home()}s/x" if str(Path.home()) == "/root" else "~/x"),
    ],
)
def test_home_folders_are_not_told(text, told):
    assert without_home(text) == told


def test_words_stay_as_they_are_where_their_quotes_count():
    assert command_of(["a='1/2 x'"]) == "python -m kolbench 'a='\"'\"'1/2 x'\"'\"''"
    assert command_of(["a='12'"]) == "python -m kolbench 'a='\"'\"'12'\"'\"''"
    assert command_of(["a='../runs/x-1'"]) == "python -m kolbench a=../runs/x-1"


def test_the_page_escapes_a_configuration(comparison):
    text = page.render(comparison, [], [], [], [])
    assert "&lt;/code&gt;&lt;script&gt;bad()" in text
    assert "<script>bad()" not in text
    assert "/home/ada" not in text
    assert text.count('class="run"') == 2


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    yield from web.launched(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile"))


@pytest.fixture
def browser(chromium, comparison, tmp_path):
    """The page, freshly opened; nothing may have been logged, nothing requested."""
    path = tmp_path / "report.html"
    page.write(path, page.render(comparison, [], [], [], []))
    yield from web.opened(chromium, path)


@pytest.mark.slow
def test_a_button_copies_by_the_clipboard_or_by_selection(browser, comparison):
    wanted = reproductions(comparison)[0].command
    browser.execute_script(
        "window.taken = []; navigator.clipboard.writeText = async (text) => { taken.push(text); };"
        "document.addEventListener('copy', () => taken.push(getSelection().toString().trim()));"
        "document.querySelector('.run').open = true"
    )
    button = web.find(browser, ".run .copy")
    button.click()
    web.settled(browser, lambda: button.text == "Copied")
    assert web.find(browser, ".copied").get_attribute("textContent") == "copied"
    assert browser.execute_script("return taken") == [wanted]
    web.settled(browser, lambda: button.text == "Copy")
    browser.execute_script("navigator.clipboard.writeText = async () => { throw new Error('no'); }")
    button.click()
    web.settled(browser, lambda: button.text == "Copied")
    assert browser.execute_script("return taken") == [wanted, wanted]
    # a browser that refuses both leaves the text selected
    browser.execute_script("document.execCommand = () => false")
    web.settled(browser, lambda: button.text == "Copy")
    button.click()
    web.settled(browser, lambda: button.text == "Selected")
    assert browser.execute_script("return getSelection().toString().trim()") == wanted


@pytest.mark.slow
def test_the_sections_fit_a_phone_and_are_legible_in_both_schemes(browser):
    assert browser.execute_script("return document.getElementById('data-card').open") is True
    browser.execute_script(
        "for (const part of document.querySelectorAll('#reproduce details, #cards details')) part.open = true"
    )
    for width in (1440, 1024, 390):
        web.screen(browser, width, 900)
        assert web.too_wide(browser, "main > section:not(#reproduce, #cards), nav, .skip, dialog") == []
    for scheme in ("light", "dark"):
        web.media(browser, scheme)
        assert {text: ratio for text, ratio in web.contrasts(browser).items() if ratio < 4.5} == {}
