"""The report's page: what is in the file, and what it does in a real Chromium."""

import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_fixtures import make_run

from kolbench.metrics import scores
from kolbench.report import curves, figures, gallery, page, runs, tables
from kolbench.report.layout import Table
from kolbench.report.numbers import numbers_of

ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\"&'"
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,900",
)
SORTED = Table(
    "by_hand",
    "By hand",
    pd.DataFrame(
        {
            "method": ["b", "a", "c", "d", "floor 10", "floor 9"],
            "score": [9.0, 10.0, np.nan, -1e-7, 0.5, 0.25],
            "interval": ["0.9 [0.8, 1.0]", "0.10 [0.0, 0.2]", None, "-1.5 [-2, -1]", "2", "11"],
            "FPS": [31.5, "unsteady", 4.0, 200.0, 1.0, 2.0],
            "size": ["64x64", "512x896", "128x128", "8x8", None, None],
        }
    ),
    ("score: made up.",),
    (("", (0, 1, 2, 3)), ("floors", (4, 5))),
)


@pytest.fixture(scope="module")
def test_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for method, quality, options in (
        ("rsudisnet", 0.9, {"threshold": 0.333}),
        ("modnet", 0.75, {}),
        ("u2net", 0.4, {}),
        ("ellipse", 0.1, {}),
        ("grabcut", 0.8, {"aid": "box"}),
    ):
        make_run(folder / method, method, quality=quality, **options)
    return runs.test_sets(runs.find(str(folder)))[0]


@pytest.fixture(scope="module")
def parts(test_set):
    return (
        [*tables.all_tables(test_set), SORTED],
        figures.all_figures(test_set),
        gallery.all_galleries(test_set),
        tables.sentences(test_set),
    )


@pytest.fixture(scope="module")
def report(test_set, parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deeper" / "report.html"
    page.write(path, page.render(test_set, *parts))
    return path


@pytest.fixture(scope="module")
def attacked(test_set, parts, tmp_path_factory):
    """The page of runs, pictures and texts whose names try to become markup."""
    labels = {run.label: f"{run.label} {ATTACK}" for run in test_set.runs}
    renamed = replace(
        test_set,
        name=ATTACK,
        runs=tuple(replace(run, label=labels[run.label]) for run in test_set.runs),
    )
    first = parts[2][0]
    shots = tuple(
        replace(shot, name=ATTACK, why=ATTACK, alphas={labels[k]: v for k, v in shot.alphas.items()})
        for shot in first.shots
    )
    bad_table = Table(
        "bad", ATTACK, pd.DataFrame({"method": [ATTACK], ATTACK: [ATTACK]}), (ATTACK,), ((ATTACK, (0,)),)
    )
    bad_gallery = gallery.Gallery(ATTACK, ATTACK, shots)
    path = tmp_path_factory.mktemp("attacked") / "report.html"
    # a real figure of the renamed runs: matplotlib has to escape their labels
    drawn = curves.threshold_curves(numbers_of(renamed))
    page.write(path, page.render(renamed, [bad_table], [drawn], [bad_gallery], [ATTACK]))
    return path


def embedded(path):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))
    return json.loads(found[1])


# --- the file


def test_the_same_runs_give_the_same_page(report, test_set, parts, tmp_path):
    page.write(tmp_path / "again.html", page.render(test_set, *parts))
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


def test_live_numbers_are_the_scores_at_101_thresholds(report, test_set):
    data = embedded(report)
    assert data["cutoffs"] == [int(255 * percent / 100 + 1e-9) for percent in range(101)]
    labels = [method["label"] for method in data["methods"]]
    # floors after methods, then those that are given the truth
    assert labels == ["modnet", "rsudisnet", "u2net", "ellipse", "grabcut"]
    by_label = {run.label: run for run in test_set.runs}
    for method in data["methods"]:
        run = by_label[method["label"]]
        own = run.test.mean_scores(run.threshold)
        assert method["own"] == [pytest.approx(own[name], abs=1e-9) for name in page.LIVE]
        for percent in (0, 7, 50, 100):
            expected = run.test.mean_scores(percent / 100)
            found = [curve[percent] for curve in method["curves"]]
            assert found == [pytest.approx(expected[name], abs=1e-9) for name in page.LIVE]


def test_a_picture_in_several_galleries_is_stored_once(report, parts):
    blobs = embedded(report)["blobs"]
    shots = [shot for found in parts[2] for shot in found.shots]
    assert len({shot.name for shot in shots}) < len(shots)
    files = {data for shot in shots for data in (shot.thumb, shot.truth, *shot.alphas.values())}
    assert len(blobs) == len(set(blobs)) == len(files)


def test_own_thresholds_show_all_their_digits(report):
    at = {method["label"]: method["at"] for method in embedded(report)["methods"]}
    assert at["rsudisnet"] == "0.333"
    assert re.fullmatch(r"0\.\d\d", at["modnet"])


def test_a_gallery_of_unknown_runs_is_refused(test_set, parts):
    strange = replace(parts[2][0].shots[0], alphas={"nobody": b""})
    with pytest.raises(KeyError, match="nobody"):
        page.render(test_set, [], [], [gallery.Gallery("x", "x", (strange,))], [])


def test_a_page_of_numbers_alone(test_set):
    text = page.render(test_set, [], [], [], [])
    assert "Nothing yet." in text
    assert "The run folders hold no pictures to show." in text
    assert 'href="#tables"' not in text
    assert "<b>12</b> test pictures" in text
    assert f"<b>{len(set(test_set.groups))}</b> groups (videos)" in text
    alone = page.render(replace(test_set, groups=test_set.pictures), [], [], [], [])
    assert "each a group of its own" in alone


def test_eleven_methods_and_twenty_shots_stay_below_ten_megabytes(test_set, parts):
    """A tenth of that, with soft edges whose lowest bits are noise, at the size of a thumbnail."""
    rng = np.random.default_rng(0)
    shots = []
    for number in range(2):
        files = []
        for _ in range(12):
            y, x = np.mgrid[:256, :144]
            levels = 255 / (1 + np.exp((np.hypot((x - 72) / 40, (y - 128) / 90) - 1) * 12))
            levels = levels.round().astype(np.uint8)
            soft = (levels > 0) & (levels < 255)
            levels[soft] = np.clip(levels[soft] + rng.integers(-2, 3, soft.sum()), 0, 255)
            encoded = io.BytesIO()
            Image.fromarray(levels).save(encoded, "PNG", optimize=True)
            files.append(encoded.getvalue())
        alphas = {f"m{i}": data for i, data in enumerate(files[1:])}
        shots.append(gallery.Shot(str(number), "", parts[2][0].shots[0].thumb, files[0], alphas))
    many = tuple(replace(test_set.runs[0], label=f"m{i}") for i in range(11))
    found = [gallery.Gallery("x", "x", tuple(shots))]
    assert len(page.render(replace(test_set, runs=many), [], [], found, [])) < 1e6


# --- the page in a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if not (shutil.which(CHROMIUM) and shutil.which(DRIVER)):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        driver.get("about:blank")
        # of the browser's own first page
        driver.get_log("performance")
        yield driver
        driver.quit()


@pytest.fixture
def browser(chromium, report):
    """The page, freshly opened; afterwards nothing may have been logged, nothing requested."""
    yield from opened(chromium, report)


def opened(driver, path):
    screen(driver, 1300, 900)
    media(driver, "light")
    driver.get(path.as_uri())
    yield driver
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} <= {path.as_uri()}


def screen(driver, width, height):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def media(driver, scheme, kind=""):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})


def find(driver, selector):
    return driver.find_element("css selector", selector)


def find_all(driver, selector):
    return driver.find_elements("css selector", selector)


def press(driver, *keys):
    from selenium.webdriver import ActionChains, Keys

    names = [getattr(Keys, key) for key in keys]
    ActionChains(driver, duration=0).send_keys(*names).perform()


def until(driver, script, *arguments):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 10, 0.02).until(lambda d: d.execute_script(f"return {script}", *arguments))


def set_slider(driver, percent):
    driver.execute_script(
        "const slider = document.getElementById('threshold'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'))",
        percent / 100,
    )


def live(driver):
    """Label -> what its row shows: threshold, four texts, four values."""
    return driver.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#live tr[data-method]')].map((row) => ["
        "row.cells[0].textContent.trim(), [row.cells[1].textContent.trim(),"
        "[...row.cells].slice(2).map((c) => c.textContent),"
        "[...row.cells].slice(2).map((c) => Number(c.dataset.value))]]))"
    )


def test_the_slider_moves_every_number_to_what_python_computes(browser, test_set):
    for run in test_set.runs:
        shown, _, values = live(browser)[run.label]
        own = run.test.mean_scores(run.threshold)
        assert float(shown) == run.threshold
        assert values == [pytest.approx(own[name], abs=1e-9) for name in page.LIVE]
    for percent in (0, 1, 20, 57, 99, 100):
        set_slider(browser, percent)
        rows = live(browser)
        for run in test_set.runs:
            expected = run.test.mean_scores(percent / 100)
            shown, texts, values = rows[run.label]
            assert shown == f"{percent / 100:.2f}"
            assert values == [round(expected[name], 9) for name in page.LIVE]
            assert texts == [f"{expected[name]:.4f}" for name in page.LIVE]


def test_the_slider_by_keyboard_and_back_to_own_thresholds(browser, test_set):
    before = live(browser)
    browser.execute_script("document.getElementById('threshold').focus()")
    press(browser, *["ARROW_RIGHT"] * 3)
    assert {row[0] for row in live(browser).values()} == {"0.53"}
    assert find(browser, ".threshold-value").text == "0.53"
    assert find(browser, "#threshold").get_attribute("aria-valuetext") == "0.53"
    press(browser, "ARROW_LEFT", "HOME")
    assert {row[0] for row in live(browser).values()} == {"0.00"}
    row = find(browser, "#live tr[data-method='1']")
    browser.execute_script("arguments[0].focus()", find(row, ".own"))
    press(browser, "ENTER")
    now = live(browser)
    assert [label for label in now if now[label] == before[label]] == ["rsudisnet"]
    browser.execute_script("document.getElementById('all-own').focus()")
    press(browser, "SPACE")
    assert live(browser) == before


def pixels(driver, shot, source):
    """(h, w, 4) of a tile's canvas, once it is drawn for the present state."""
    found = driver.execute_async_script(
        "const [shot, source, done] = arguments;"
        "const article = document.querySelector(`.shot[data-shot='${shot}']`);"
        "article.scrollIntoView();"
        "const wait = () => { if (article.dataset.drawn === undefined) return setTimeout(wait, 5);"
        "  const canvas = article.querySelector(`[data-source='${source}'] canvas`);"
        "  const read = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "  done([canvas.height, canvas.width, ...read.data]); };"
        "wait();",
        shot,
        str(source),
    )
    return np.array(found[2:], np.uint8).reshape(found[0], found[1], 4)


def show(driver, mode):
    driver.execute_script(f"document.querySelector('input[value={mode}]').click()")


def levels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def test_masks_on_canvases_are_python_s_to_the_pixel(browser, parts):
    shot = parts[2][0].shots[0]
    labels = [method["label"] for method in embedded_methods(browser)]
    picture = pixels(browser, 0, "picture")[..., :3]
    # decoders of JPEG differ by a level or two
    assert np.abs(picture - np.asarray(Image.open(io.BytesIO(shot.thumb)), int)).max() <= 4
    truth = levels(shot.truth) > 127
    for percent in (0, 20, 100):
        set_slider(browser, percent)
        for label in ("u2net", "grabcut"):
            number, alpha = labels.index(label), levels(shot.alphas[label])
            mask = alpha > scores.cutoff_level(percent / 100)
            show(browser, "alpha")
            assert (pixels(browser, 0, number) == np.dstack([alpha] * 3 + [np.full_like(alpha, 255)])).all()
            show(browser, "foreground")
            assert (pixels(browser, 0, number)[..., :3] == picture * mask[..., None]).all()
            show(browser, "faults")
            grey = picture.mean(-1, keepdims=True).repeat(3, axis=-1) * 0.6 + 80
            expected = grey.copy()
            expected[mask & ~truth] = 0.25 * grey[mask & ~truth] + 0.75 * np.array(gallery.FALSE_POSITIVE)
            expected[~mask & truth] = 0.25 * grey[~mask & truth] + 0.75 * np.array(gallery.FALSE_NEGATIVE)
            # halves may fall to either side
            assert np.abs(pixels(browser, 0, number)[..., :3] - expected).max() <= 0.5 + 1e-6
            show(browser, "picture")
            outlined = pixels(browser, 0, number)[..., :3]
            padded = np.pad(mask, 1, mode="edge")
            inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
            edge = mask & ~inner
            assert (outlined[edge] == (255, 0, 200)).all()
            assert (outlined[~edge] == picture[~edge]).all()
            union = (mask | truth).sum()
            text = find(browser, f".shot[data-shot='0'] [data-source='{number}'] .score").text
            assert text == f"IoU {(mask & truth).sum() / union if union else 1:.3f}"


def embedded_methods(driver):
    return driver.execute_script("return JSON.parse(document.getElementById('data').textContent).methods")


def test_every_level_is_read_exactly_and_an_altering_browser_is_named(chromium, report):
    for _ in opened(chromium, report):
        pixels(chromium, 0, "picture")
        assert not find(chromium, "#inexact").is_displayed()
    patch = (
        "const read = CanvasRenderingContext2D.prototype.getImageData;"
        "CanvasRenderingContext2D.prototype.getImageData = function (...a) {"
        " const found = read.apply(this, a); found.data[0] ^= 1; return found; }"
    )
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": patch})
    try:
        for _ in opened(chromium, report):
            until(chromium, "!document.getElementById('inexact').hidden")
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_method_is_taken_out_of_the_galleries(browser):
    find(browser, "#live tr[data-method='2'] input").click()
    hidden = browser.execute_script(
        "return [...document.querySelectorAll('.tile')].filter((t) => t.dataset.source === '2')"
        ".map((t) => getComputedStyle(t).display)"
    )
    assert set(hidden) == {"none"}
    assert find(browser, ".tile[data-source='1']").is_displayed()


def column(driver, number):
    """The texts of a column of the table made by hand, by block."""
    return driver.execute_script(
        "return [...document.querySelectorAll('#table-by_hand tbody')].map((body) => "
        "[...body.rows].filter((r) => r.cells.length > 1).map((r) => r.cells[arguments[0]].textContent))",
        number,
    )


@pytest.mark.parametrize(
    ("number", "first", "orders"),
    [
        # names: upwards first, numbers in them as numbers; 9 before 10
        (0, "ascending", (["a", "b", "c", "d"], ["floor 9", "floor 10"])),
        # numbers: downwards first, as numbers, missing last
        (1, "descending", (["a", "b", "d", "c"], ["floor 10", "floor 9"])),
        (2, "descending", (["b", "a", "d", "c"], ["floor 9", "floor 10"])),
        # a word among numbers is last
        (3, "descending", (["d", "b", "c", "a"], ["floor 9", "floor 10"])),
        (4, "ascending", (["d", "b", "c", "a"], ["floor 10", "floor 9"])),
    ],
)
def test_sorting_by_keyboard_keeps_blocks_apart(browser, number, first, orders):
    start = column(browser, 0)
    heading = find_all(browser, "#table-by_hand thead th")[number]
    other = {"ascending": "descending", "descending": "ascending"}[first]
    browser.execute_script("arguments[0].focus()", find(heading, "button"))
    assert heading.get_attribute("aria-sort") == "none"
    press(browser, "ENTER")
    assert heading.get_attribute("aria-sort") == first
    assert column(browser, 0) == list(orders)
    press(browser, "SPACE")
    assert heading.get_attribute("aria-sort") == other
    missing = [{0: 0, 1: 1, 2: 1, 3: 1, 4: 0}[number], 2 if number == 4 else 0]
    for block, expected, last in zip(column(browser, 0), orders, missing, strict=True):
        known = len(expected) - last
        assert block == expected[:known][::-1] + expected[known:]
    press(browser, "ENTER")
    assert heading.get_attribute("aria-sort") == "none"
    assert column(browser, 0) == start
    headings = browser.execute_script(
        "return [...document.querySelectorAll('#table-by_hand tbody')].map((b) => b.rows[0].innerText)"
    )
    assert headings[1].strip() == "floors"


def test_real_tables_sort_by_click_as_pandas_does(browser, parts):
    table = next(found for found in parts[0] if found.name == "scores")
    headings = [h.text for h in find_all(browser, "#table-scores thead th")]
    assert headings == list(table.frame.columns)
    button = find_all(browser, "#table-scores thead button")[headings.index("miou")]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    shown = browser.execute_script(
        "return [...document.querySelectorAll('#table-scores tbody')].map((body) => "
        "[...body.rows].filter((r) => r.cells.length > 1).map((r) => r.cells[0].textContent))"
    )
    expected = [
        table.frame.iloc[list(rows)].sort_values("miou", ascending=False)["method"].tolist()
        for _, rows in table.blocks
    ]
    assert shown == expected


def test_the_wipe_by_keyboard_and_by_hand(browser, parts):
    from selenium.webdriver import ActionChains

    pixels(browser, 0, "picture")
    tile = find(browser, ".shot[data-shot='0'] [data-source='1']")
    browser.execute_script("arguments[0].focus()", tile)
    press(browser, "ENTER")
    until(browser, "document.getElementById('large').open")
    assert find(browser, "#large-name").text == parts[2][0].shots[0].name
    chosen = "[...document.querySelectorAll('.sides select')].map((s) => s.selectedOptions[0].text)"
    assert browser.execute_script(f"return {chosen}") == ["rsudisnet", "u2net"]
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    assert find(browser, "#wipe").get_attribute("value") == "53"
    assert find(browser, "#wipe").get_attribute("aria-valuetext") == "53 % rsudisnet, 47 % u2net"
    clip = "getComputedStyle(document.getElementById('canvas-left')).clipPath"
    assert browser.execute_script(f"return {clip}") == "inset(0px 47% 0px 0px)"
    left = browser.execute_script("return document.querySelector('.handle').getBoundingClientRect().x")
    box = find(browser, ".stage").rect
    assert left + 1 == pytest.approx(box["x"] + 0.53 * box["width"], abs=1)
    stage = find(browser, "#wipe")
    ActionChains(browser, duration=0).move_to_element(stage).click_and_hold().move_by_offset(
        -round(box["width"] / 4), 0
    ).release().perform()
    assert int(find(browser, "#wipe").get_attribute("value")) == pytest.approx(25, abs=2)
    # both sides are what their tiles show
    for side, source in (("left", 1), ("right", 2)):
        drawn = "((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join())"
        until(
            browser,
            f"[...arguments].map((at) => {drawn}(document.querySelector(at)))"
            ".every((d, _, all) => d === all[0])",
            f"#canvas-{side}",
            f".shot[data-shot='0'] [data-source='{source}'] canvas",
        )
    press(browser, "ESCAPE")
    until(browser, "!document.getElementById('large').open")
    assert browser.switch_to.active_element == tile


def test_the_large_view_chooses_pictures_methods_and_threshold(browser, parts):
    names = [shot.name for found in parts[2] for shot in found.shots]
    pixels(browser, 0, "picture")
    find(browser, ".shot[data-shot='0'] [data-source='0']").click()
    find(browser, "#before").click()
    assert find(browser, "#large-name").text == names[-1]
    find(browser, "#after").click()
    find(browser, "#after").click()
    assert find(browser, "#large-name").text == names[1]
    browser.execute_script(
        "const left = document.getElementById('left'); left.value = 'truth';"
        "left.dispatchEvent(new Event('change'))"
    )
    until(browser, "document.getElementById('left-score').textContent === ''")
    browser.execute_script("document.getElementById('large-threshold').focus()")
    press(browser, "END")
    assert {row[0] for row in live(browser).values()} == {"1.00"}
    assert find(browser, "#threshold").get_attribute("value") == "1"
    # nothing is above level 255
    until(browser, "document.getElementById('right-score').textContent === 'IoU 0.000'")
    find(browser, "#close").click()
    assert not find(browser, "#large").is_displayed()


def test_everything_is_reached_by_tab_and_shows_its_focus(browser):
    count = browser.execute_script(
        "window.wanted = [...document.querySelectorAll('a[href], button, input, select, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility() && !(e.name === 'mode' && !e.checked));"
        "window.reached = new Set(); window.unseen = [];"
        "document.addEventListener('focusin', ({ target }) => { reached.add(target);"
        " const shown = target.name === 'mode' ? target.nextElementSibling : target;"
        " if (getComputedStyle(shown).outlineStyle === 'none') unseen.push(target.outerHTML); });"
        "return wanted.length"
    )
    assert count > 50
    for _ in range(0, count + 20, 20):
        press(browser, *["TAB"] * 20)
    missed = "wanted.filter((e) => !reached.has(e)).map((e) => e.outerHTML.slice(0, 200))"
    assert browser.execute_script(f"return {missed}") == []
    assert browser.execute_script("return unseen") == []


def test_names_that_try_to_be_markup_are_text(chromium, attacked):
    for browser in opened(chromium, attacked):
        pixels(browser, 0, "picture")
        assert browser.execute_script("return window.hacked") is None
        assert browser.title == f"{ATTACK} · kolbench report"
        text = "document.querySelector(arguments[0]).textContent.trim()"
        for selector in (
            "h1",
            ".sentences li",
            "#table-bad h3",
            "#table-bad thead th:nth-child(2)",
            "#table-bad tbody th[scope=row]",
            "#table-bad td",
            "#table-bad tbody .heading",
            "#table-bad .notes li",
            ".gallery h3",
            ".rule",
            ".shot h4",
            ".why",
        ):
            assert browser.execute_script(f"return {text}", selector) == ATTACK, selector
        assert ATTACK in browser.execute_script(f"return {text}", "#live tr[data-method] th")
        assert ATTACK in browser.execute_script(f"return {text}", ".tile[data-source='0'] .name")
        find(browser, ".tile[data-source='0']").click()
        until(browser, "document.getElementById('large-name').textContent === arguments[0]", ATTACK)
        assert ATTACK in browser.execute_script(f"return {text}", "#left option")
        assert browser.execute_script("return document.scripts.length") == 2
        assert browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0


def test_what_the_policy_forbids_does_not_happen(chromium, report):
    chromium.get(report.as_uri())
    chromium.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.hacked = 1\" id=b>b</b>');"
        "document.getElementById('b').click();"
        "const script = document.createElement('script'); script.textContent = 'window.hacked = 2';"
        "document.body.append(script);"
    )
    assert chromium.execute_script("return window.hacked") is None
    refused = chromium.get_log("browser")
    assert len(refused) == 2
    assert all("Content Security Policy" in entry["message"] for entry in refused)


@pytest.mark.parametrize("width", [360, 768, 1300])
def test_no_page_is_wider_than_its_screen(browser, width):
    screen(browser, width, 740)
    too_wide = (
        "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
        " && !e.closest('.scroll *, svg, .skip') && e.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((e) => e.outerHTML.slice(0, 150))"
    )
    assert browser.execute_script(f"return {too_wide}") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    pixels(browser, 0, "picture")
    browser.execute_script("document.querySelector('.tile[data-source=\"0\"]').click()")
    until(browser, "document.getElementById('large').open")
    assert browser.execute_script(f"return {too_wide}") == []
    box = find(browser, "#large").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_the_first_column_and_the_headings_stay_in_sight(browser):
    screen(browser, 500, 500)
    browser.execute_script("document.querySelector('#table-table2 .scroll').scrollTo(150, 400)")
    where = browser.execute_script(
        "const at = (s) => document.querySelector(`#table-table2 ${s}`).getBoundingClientRect();"
        "return [at('.scroll').left, at('tbody th[scope=row]').left, at('.scroll').top, at('thead th').top]"
    )
    assert where[1] == pytest.approx(where[0], abs=1.5)
    assert where[3] == pytest.approx(where[2], abs=1.5)


# every text with its colour and the nearest opaque colour behind it
TEXTS = """
const opaque = (colour) => !/, 0\\)$|transparent/.test(colour);
const behind = (e) => { for (; e; e = e.parentElement) {
  const colour = getComputedStyle(e).backgroundColor; if (opaque(colour)) return colour; } };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = {};
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement, style = getComputedStyle(e);
  if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('script, option, .skip')) continue;
  const colour = e.closest('svg') ? style.fill : style.color;
  found[`${colour} on ${behind(e)}`] = walker.currentNode.data.trim().slice(0, 40);
}
return found;
"""


def luminance(colour):
    channels = np.array([float(value) for value in re.findall(r"[\d.]+", colour)][:3]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrasts(driver):
    """Text -> its contrast as WCAG 2 defines it."""
    found = {}
    for pair, text in driver.execute_script(TEXTS).items():
        assert re.fullmatch(r"rgb\([\d, ]+\) on rgb\([\d, ]+\)", pair), f"{text}: {pair}"
        low, high = sorted(luminance(colour) for colour in pair.split(" on "))
        found[f"{text} ({pair})"] = (high + 0.05) / (low + 0.05)
    return found


@pytest.mark.parametrize("system", ["light", "dark"])
def test_both_colour_schemes_can_be_read(browser, system):
    background = "getComputedStyle(document.body).backgroundColor"
    media(browser, system)
    first = browser.execute_script(f"return {background}")
    assert (luminance(first) < 0.2) == (system == "dark")
    show(browser, "faults")
    for selector in ("#theme", None):
        found = contrasts(browser)
        assert len(found) >= 5
        assert {text: ratio for text, ratio in found.items() if ratio < 4.5} == {}
        if selector:
            find(browser, selector).click()
            other = browser.execute_script(f"return {background}")
            assert (luminance(other) < 0.2) == (system == "light")
    pixels(browser, 0, "picture")
    browser.execute_script("document.querySelector('.tile[data-source=\"0\"]').click()")
    assert {text: ratio for text, ratio in contrasts(browser).items() if ratio < 4.5} == {}


def test_paper_gets_all_rows_and_no_controls(browser):
    media(browser, "dark", "print")
    style = "getComputedStyle(document.querySelector(arguments[0]))"
    for selector in (".controls", ".top nav", "#theme"):
        assert browser.execute_script(f"return {style}.display", selector) == "none"
    assert browser.execute_script(f"return {style}.overflow", ".scroll") == "visible"
    assert browser.execute_script(f"return {style}.backgroundColor", "body") == "rgb(255, 255, 255)"
    assert luminance(browser.execute_script(f"return {style}.color", "body")) < 0.05
