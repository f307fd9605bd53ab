"""Reports beside each other: the index page, and marks on what is not the newest."""

import re
from dataclasses import replace

import pytest

from kolbench.report import index, page, report_file
from kolbench.report.report_file import Headline, ReportFile
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.browser import contrasts, find_all, launched, media, opened, screen, too_wide
from tests.helpers.run_folders import make_run

PLAIN = {"files": False, "pictures": 30}
ATTACK = "</a><script>window.hacked = 1</script>"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "good", "modnet", quality=0.9, **PLAIN)
    make_run(folder / "bad", "u2netp", quality=0.3, **PLAIN)
    make_run(folder / "box", "grabcut", truth_access="box", quality=0.99, **PLAIN)
    (found,) = sets_of(find(str(folder)))
    return found


@pytest.fixture(scope="module")
def html(comparison):
    return page.render(comparison, [], [], [], [])


@pytest.fixture
def put(comparison, html):
    """Writes a report into a folder, as the task does."""

    def written(folder, written="2026-11-29 16:40", several=True, name="shop"):
        page.write(folder / index.PAGE, html)
        about = report_file.of_comparison(comparison, folder, written, several)
        replace(about, name=name).write(folder)

    return written


def notes(folder):
    """Of each page at or below a folder: the sentence of its mark, or ""."""
    found = {}
    for path in sorted(folder.rglob(index.PAGE)):
        marks = re.findall(r'<body>\n<p class="superseded" role="note">(.*?)</p>\n', path.read_text("utf-8"))
        assert len(marks) <= 1
        found[path.parent.relative_to(folder).as_posix()] = marks[0] if marks else ""
    return found


def test_what_a_report_is_of_is_written_and_read(comparison, tmp_path):
    made = report_file.of_comparison(comparison, tmp_path, "2026-11-29 16:40", of_several=True)
    made.write(tmp_path)
    assert report_file.read(tmp_path) == made
    assert (made.methods, made.images) == (2, 30)
    # the best of the automatic methods: the box helps
    best = next(run for run in comparison.runs if run.method == "modnet")
    assert made.headline is not None
    assert made.headline.method == "MODNet"
    assert made.headline.miou == pytest.approx(best.scores["miou"], abs=1e-12)
    assert made.headline.low is not None
    assert made.headline.high is not None
    assert made.headline.low < made.headline.miou < made.headline.high
    assert sorted((tmp_path / source.folder).resolve() for source in made.runs) == sorted(
        run.folder for run in comparison.runs
    )
    (tmp_path / report_file.FILE).write_text("{")
    assert report_file.read(tmp_path) is None


def test_runs_that_changed_and_runs_that_are_gone(tmp_path):
    run = make_run(tmp_path / "runs" / "a", "modnet", **PLAIN)
    (comparison,) = sets_of(find(str(tmp_path / "runs")))
    made = report_file.of_comparison(comparison, tmp_path / "out", "", of_several=False)
    assert report_file.state(made, tmp_path / "out") == ""
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text + "\n")
    assert report_file.state(made, tmp_path / "out") == report_file.CHANGED
    (run / "run.json").unlink()
    assert report_file.state(made, tmp_path / "out") == report_file.GONE


def test_several_sets_get_an_index_and_one_alone_gets_none(put, tmp_path):
    put(tmp_path, several=False)
    index.refresh(tmp_path, [tmp_path], {})
    assert not (tmp_path / index.INDEX).exists()
    for name in ("a", "b"):
        put(tmp_path / name, name=name)
    index.refresh(tmp_path, [tmp_path / "a", tmp_path / "b"], {})
    text = (tmp_path / index.INDEX).read_text("utf-8")
    assert re.findall(r'href="(?!data)([^"]*)"', text) == ["a/report.html", "b/report.html", "report.html"]
    assert "Best mIoU: MODNet, " in text
    assert "2 methods ·" in text
    assert "30 test images ·" in text
    # the one that stood there alone is not the newest any more
    assert notes(tmp_path) == {".": index.SUPERSEDED, "a": "", "b": ""}
    assert text.index("Not the newest") < text.index('href="report.html"')


def test_a_set_that_is_gone_is_marked_and_comes_back(put, tmp_path):
    for name in ("a", "b"):
        put(tmp_path / name)
    index.refresh(tmp_path, [tmp_path / "a"], {})
    index.refresh(tmp_path, [tmp_path / "a"], {})
    assert notes(tmp_path) == {"a": "", "b": index.SUPERSEDED}
    known = report_file.read(tmp_path / "b")
    assert known is not None
    assert known.note == index.SUPERSEDED
    put(tmp_path / "b")
    index.refresh(tmp_path, [tmp_path / "a", tmp_path / "b"], {})
    assert notes(tmp_path) == {"a": "", "b": ""}
    assert "Not the newest" not in (tmp_path / index.INDEX).read_text("utf-8")


def test_a_report_that_failed_is_marked_with_the_reason(put, tmp_path):
    for name in ("a", "b"):
        put(tmp_path / name)
    index.refresh(tmp_path, [tmp_path / "a"], {tmp_path / "b": f"Out of date: {ATTACK}"})
    assert notes(tmp_path)["b"].startswith("Out of date: &lt;/a&gt;&lt;script&gt;")
    assert "<script>window" not in (tmp_path / index.INDEX).read_text("utf-8")


def test_another_commands_report_is_marked_only_where_its_runs_changed(put, html, tmp_path):
    """Of a command that named this very folder: no set of the one that wrote beside it."""
    put(tmp_path / "a")
    put(tmp_path / "mine", several=False)
    run = make_run(tmp_path / "runs" / "a", "modnet", **PLAIN)
    (comparison,) = sets_of(find(str(tmp_path / "runs")))
    page.write(tmp_path / "other" / index.PAGE, html)
    about = report_file.of_comparison(comparison, tmp_path / "other", "2026-11-29 16:40", False)
    about.write(tmp_path / "other")
    record = (run / "run.json").read_text()
    for text, note in ((record + "\n", report_file.CHANGED), (record, "")):
        (run / "run.json").write_text(text)
        index.refresh(tmp_path, [tmp_path / "a"], {})
        assert notes(tmp_path) == {"a": "", "mine": "", "other": note}


def test_a_command_that_found_no_runs_marks_what_is_gone_and_nothing_else(put, tmp_path):
    put(tmp_path / "a")
    put(tmp_path / "b")
    known = report_file.read(tmp_path / "b")
    assert known is not None
    replace(known, runs=(report_file.Source("../nowhere", "0"),)).write(tmp_path / "b")
    index.refresh(tmp_path, (), {}, found_sets=False)
    assert notes(tmp_path) == {"a": "", "b": report_file.GONE}


def test_files_of_others_are_left_alone(put, tmp_path):
    put(tmp_path / "a")
    (tmp_path / index.INDEX).write_text("<html><head></head><body>\nmine</body></html>")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / index.PAGE).write_text("<html><head></head><body>\nmine</body></html>")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / index.PAGE).write_bytes(b"\xff\xfe")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    index.refresh(tmp_path, [tmp_path / "a"], {})
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    # a page of an earlier version is listed, without what is not known
    (tmp_path / index.INDEX).unlink()
    (tmp_path / "a" / report_file.FILE).unlink()
    index.refresh(tmp_path, (), {}, found_sets=False)
    assert "Written by an earlier version" in (tmp_path / index.INDEX).read_text("utf-8")


def test_headlines_in_words():
    found = Headline("MODNet", 0.9584, 0.8743, 0.9802)
    assert index.headline(ReportFile(methods=2, headline=found)) == (
        "Best mIoU: MODNet, 95.8 % (95 % CI 87.4\N{EN DASH}98.0)"
    )
    # nothing is best alone
    alone = index.headline(ReportFile(methods=1, headline=Headline("MODNet", 0.9584)))
    assert alone == "mIoU: MODNet, 95.8 % (too few groups for an interval)"
    assert index.headline(ReportFile(methods=1)).startswith("Baselines")


def entries():
    about = ReportFile("x", "2026-11-29 16:40", 5, 1240, Headline("U²-Net-p", 0.979, 0.975, 0.983))
    stale = replace(about, note=index.SUPERSEDED)
    return [
        index.Entry("a b/report.html", "kol", replace(about, written="2026-11-01 10:00"), ""),
        index.Entry("javascript:x/report.html", ATTACK, about, ""),
        index.Entry("old/report.html", "a_rather_long_name_of_a_test_set" * 3, stale, stale.note),
        index.Entry("older/report.html", "older", None, ""),
    ]


def test_the_newest_stands_first_and_names_are_escaped():
    text = index.render("reports", entries())
    links = re.findall(r'href="(?!data)([^"]*)"', text)
    assert links == [
        *("javascript%3Ax/report.html", "a%20b/report.html", "older/report.html", "old/report.html")
    ]
    assert "<script>window" not in text
    assert "1,240 test images" in text


@pytest.mark.slow
def test_the_index_in_a_browser(tmp_path):
    path = tmp_path / "index.html"
    path.write_text(index.render("reports", entries()), encoding="utf-8")
    for driver in launched(tmp_path / "home", tmp_path / "profile"):
        for browser in opened(driver, path):
            for width in (1440, 390):
                screen(browser, width, 900)
                assert too_wide(browser, ".none") == []
            for scheme in ("light", "dark"):
                media(browser, scheme)
                assert min(contrasts(browser).values(), default=21) >= 4.5
            assert len(find_all(browser, ".reports li")) == 4
            assert browser.execute_script("return window.hacked") is None
