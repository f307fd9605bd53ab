"""The report's page in a real Chromium: what it shows, and what it does when it is used."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kolbench.io.colours import FALSE_FOREGROUND, MISSED_FOREGROUND
from kolbench.metrics import scores
from kolbench.report import curves, footage, page, page_data
from kolbench.report.gallery import Gallery
from kolbench.report.layout import Table
from kolbench.report.numbers import numbers_of
from kolbench.report.shots import Reason
from kolbench.report.words import score_name
from tests.helpers.browser import (
    contrasts,
    explored,
    find,
    find_all,
    launched,
    live,
    luminance,
    media,
    opened,
    pixels,
    press,
    screen,
    set_slider,
    settled,
    show,
    too_wide,
    unfold,
    until,
)
from tests.helpers.run_folders import add_clips, page_parts, page_runs

pytestmark = pytest.mark.slow

ATTACK = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\"&'"
SORTED = Table(
    "by_hand",
    "By hand",
    pd.DataFrame(
        {
            "method": ["b", "a", "c", "d", "baseline 10", "baseline 9"],
            "score": [9.0, 10.0, np.nan, -1e-7, 0.5, 0.25],
            "interval": ["0.9 [0.8, 1.0]", "0.10 [0.0, 0.2]", None, "-1.5 [-2, -1]", "2", "11"],
            "FPS": [31.5, "not measured", 4.0, 200.0, 1.0, 2.0],
            "size": ["64x64", "512x896", "128x128", "8x8", None, None],
        }
    ),
    ("score: made up.",),
    (("", (0, 1, 2, 3)), ("baselines", (4, 5))),
)


# of the five clips of page_runs: 3, 2, 3, 2 and 2 frames; the clip of two frames with 0.1 is the hardest
J_OF_CLIPS = {
    "rsudisnet": [0.9, [0.1, 0.3], [0.8, 0.5, 0.7], 0.6, 0.7],
    "modnet": [0.9, [0.2, 0.3], [0.7, 0.9, 0.75], 0.6, [0.5, np.nan]],
}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    found = page_runs(folder)
    for method, j in J_OF_CLIPS.items():
        add_clips(folder / method, j)
    return found


@pytest.fixture(scope="module")
def parts(comparison):
    return page_parts(comparison, SORTED)


@pytest.fixture(scope="module")
def report(comparison, parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deeper" / "report.html"
    tables, figures, images, sentences = parts
    clips = footage.footage_of(comparison)
    page.write(path, page.render(comparison, tables, figures, images, sentences, clips))
    return path


@pytest.fixture(scope="module")
def attacked(comparison, parts, tmp_path_factory):
    """The page of runs, pictures and texts whose names try to become markup."""
    labels = {run.label: f"{run.label} {ATTACK}" for run in comparison.runs}
    renamed = replace(
        comparison,
        name=ATTACK,
        runs=tuple(
            replace(run, label=name, family=name) for run in comparison.runs for name in [labels[run.label]]
        ),
    )
    first = parts[2].rows[0]
    alphas = {labels[k]: v for k, v in first.alphas.items()}
    bad = replace(first, name=ATTACK, reasons=(Reason(ATTACK, ATTACK),), alphas=alphas)
    bad_table = Table(
        "bad", ATTACK, pd.DataFrame({"method": [ATTACK], ATTACK: [ATTACK]}), (ATTACK,), ((ATTACK, (0,)),)
    )
    gallery = Gallery(tuple(alphas), (bad,), (), (bad,), 12, (ATTACK,))
    path = tmp_path_factory.mktemp("attacked") / "report.html"
    # a real figure of the renamed runs: matplotlib has to escape their labels
    drawn = curves.threshold_curves(numbers_of(renamed))
    clip = footage.ShownClip(ATTACK, (bad,), (0,), {label: np.array([0.5]) for label in alphas})
    clips = footage.Footage(ATTACK, (clip,))
    page.write(path, page.render(renamed, [bad_table], [drawn], gallery, [ATTACK], clips))
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    yield from launched(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile"))


@pytest.fixture
def browser(chromium, report):
    """The page, freshly opened; afterwards nothing may have been logged, nothing requested."""
    yield from opened(chromium, report)


def test_the_slider_moves_every_number_to_what_python_computes(browser, comparison):
    for run in comparison.runs:
        shown, _, values = live(browser)[run.label]
        own = scores.mean_scores(run.test.counts, run.threshold)
        assert float(shown) == run.threshold
        assert values == [pytest.approx(own[name], abs=1e-9) for name in page_data.LIVE]
    for percent in (0, 1, 20, 57, 99, 100):
        set_slider(browser, percent)
        rows = live(browser)
        for run in comparison.runs:
            expected = scores.mean_scores(run.test.counts, percent / 100)
            shown, texts, values = rows[run.label]
            assert shown == f"{percent / 100:.2f}"
            assert values == [round(expected[name], 9) for name in page_data.LIVE]
            assert texts == [f"{100 * expected[name]:.1f}" for name in page_data.LIVE]


def test_the_slider_by_keyboard_and_back_to_own_thresholds(browser, comparison):
    before = live(browser)
    browser.execute_script("document.getElementById('threshold').focus()")
    press(browser, *["ARROW_RIGHT"] * 3)
    assert {row[0] for row in live(browser).values()} == {"0.53"}
    assert find(browser, ".threshold-value").text == "0.53"
    assert find(browser, "#threshold").get_attribute("aria-valuetext") == "0.53"
    press(browser, "ARROW_LEFT", "HOME")
    assert {row[0] for row in live(browser).values()} == {"0.00"}
    row = find(browser, "#live tr[data-method='0']")
    browser.execute_script("arguments[0].focus()", find(row, ".own"))
    press(browser, "ENTER")
    settled(browser, lambda: live(browser)["rsudisnet"] == before["rsudisnet"])
    now = live(browser)
    assert [label for label in now if now[label] == before[label]] == ["rsudisnet"]
    browser.execute_script("document.getElementById('all-own').focus()")
    press(browser, "SPACE")
    settled(browser, lambda: live(browser) == before)


def levels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def test_masks_on_canvases_are_python_s_to_the_pixel(browser, parts, comparison):
    shot = parts[2].rows[0]
    labels = [method["label"] for method in embedded_methods(browser)]
    image = pixels(browser, 0, "image")[..., :3]
    # decoders of JPEG differ by a level or two
    assert np.abs(image - np.asarray(Image.open(io.BytesIO(shot.image)), int)).max() <= 4
    truth = levels(shot.truth) > 127
    for label in ("u2net", "grabcut"):
        run = next(run for run in comparison.runs if run.label == label)
        number, alpha = labels.index(label), levels(shot.alphas[label])
        for threshold in (run.threshold, 0.2, 1.0):
            at_own = threshold == run.threshold
            if not at_own:
                set_slider(browser, round(100 * threshold))
            mask = alpha > scores.cutoff_level(threshold)

            def seen(mode, own=at_own, source=number):
                show(browser, mode, "mode" if own else "explorer-mode")
                return pixels(browser, 0, source) if own else explored(browser, source)

            assert (seen("alpha") == np.dstack([alpha] * 3 + [np.full_like(alpha, 255)])).all()
            assert (seen("foreground")[..., :3] == image * mask[..., None]).all()
            grey = image.mean(-1, keepdims=True).repeat(3, axis=-1) * 0.6 + 80
            expected = np.where((mask & truth)[..., None], image, grey)
            expected[mask & ~truth] = 0.25 * grey[mask & ~truth] + 0.75 * np.array(FALSE_FOREGROUND)
            expected[~mask & truth] = 0.25 * grey[~mask & truth] + 0.75 * np.array(MISSED_FOREGROUND)
            # halves may fall to either side
            assert np.abs(seen("errors")[..., :3] - expected).max() <= 0.5 + 1e-6
            outlined = seen("outline")[..., :3]
            assert (outlined[inner_edge(mask)] == (255, 0, 200)).all()
            assert (outlined[~inner_edge(mask)] == image[~inner_edge(mask)]).all()
            # the score is that of all pixels that are scored, whatever the page is drawn from
            row = comparison.pictures.index(shot.name)
            iou = scores.image_scores(run.test.counts, threshold)["iou"][row]
            where = "#qualitative .shot[data-shot='0']" if at_own else "#explorer-tiles"
            text = find(browser, f"{where} [data-source='{number}'] .score").text
            assert text.removeprefix("IoU ").replace("\xa0", " ") == f"{100 * iou:.1f} %"


def inner_edge(mask):
    padded = np.pad(mask, 1, mode="edge")
    return mask & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def test_a_held_product_is_outlined_in_its_rows_and_in_the_large_view(browser, parts, comparison):
    shot = parts[2].held[0]
    number = [each.name for each in parts[2].shots].index(shot.name)
    edge = inner_edge(levels(shot.product) > 127)
    assert edge.any()
    colour = page_data.COLOURS["product"]
    outlined = pixels(browser, number, "image", "#held ")[..., :3]
    assert ((outlined == colour).all(-1) == edge).all()
    row = comparison.pictures.index(shot.name)
    recall = numbers_of(comparison).of["rsudisnet"].images["product_recall"][row]
    assert (
        find(browser, f"#held [data-shot='{number}'] [data-source='0'] .score").text.replace("\xa0", " ")
        == f"{100 * recall:.1f} %"
    )
    browser.execute_script(f"document.querySelector('#held [data-shot=\"{number}\"] .tile').click()")
    until(browser, "document.getElementById('large').open")
    assert find(browser, "#large-product").is_selected()
    assert ((drawn_large(browser, "left")[..., :3] == colour).all(-1) == edge).all()
    find(browser, "#large-product").click()
    settled(browser, lambda: not (drawn_large(browser, "left")[..., :3] == colour).all(-1).any())


def drawn_large(driver, side):
    found = driver.execute_script(
        "const canvas = document.getElementById(`canvas-${arguments[0]}`);"
        "const read = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "return [canvas.height, canvas.width, ...read.data]",
        side,
    )
    return np.array(found[2:], np.uint8).reshape(found[0], found[1], 4)


def test_a_cut_out_stands_on_a_checkerboard(browser, parts):
    pixels(browser, 0, "image")
    browser.execute_script('document.querySelector(\'.shot[data-shot="0"] [data-source="truth"]\').click()')
    until(browser, "document.getElementById('large').open")
    browser.execute_script("document.querySelector('#large input[value=board]').click()")
    truth = levels(parts[2].rows[0].truth)
    y, x = np.indices(truth.shape) // 12
    board = np.where((x + y) % 2, 204, 255)
    settled(browser, lambda: (drawn_large(browser, "left")[truth == 0][..., 0] == board[truth == 0]).all())
    image = pixels(browser, 0, "image")[..., :3]
    assert (drawn_large(browser, "left")[truth == 255][..., :3] == image[truth == 255]).all()


def embedded_methods(driver):
    return driver.execute_script("return JSON.parse(document.getElementById('data').textContent).methods")


def test_every_level_is_read_exactly_and_an_altering_browser_is_named(chromium, report):
    for _ in opened(chromium, report):
        pixels(chromium, 0, "image")
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


def test_a_method_is_taken_out_of_the_columns(browser):
    browser.execute_script("document.querySelector('.columns').open = true")
    find(browser, ".columns input[value='2']").click()
    hidden = browser.execute_script(
        "return [...document.querySelectorAll('.rows [data-source=\"2\"]')]"
        ".map((t) => getComputedStyle(t).display)"
    )
    assert set(hidden) == {"none"}
    assert find(browser, ".tile[data-source='1']").is_displayed()
    # the rest take its place: image, ground truth and four of five methods
    grid = "getComputedStyle(document.querySelector('#qualitative .shot .tiles')).gridTemplateColumns"
    assert len(browser.execute_script(f"return {grid}").split(" ")) == 6


def test_the_names_of_the_columns_stay_in_sight(browser):
    pixels(browser, 3, "image")
    top = "document.querySelector('#qualitative .headings').getBoundingClientRect().top"
    assert browser.execute_script(f"return {top}") == pytest.approx(0, abs=1)
    names = [span.text.split("\n")[0] for span in find_all(browser, "#qualitative .headings span")]
    assert names[:2] == ["Image", "Ground truth"]
    # best first, then what uses ground truth, then one baseline
    assert names[2:] == ["RSUDISNet", "MODNet", "U²-Net", "GrabCut", "Centred ellipse"]


def test_the_other_images_are_shown_when_asked_for(browser, parts):
    assert len(parts[2].more) > 0
    number = len(parts[2].rows)
    assert not find(browser, f"#qualitative .shot[data-shot='{number}']").is_displayed()
    find(browser, "#qualitative .more summary").click()
    assert pixels(browser, number, "image", "#qualitative ").any()
    seen = browser.execute_script(
        "return [...document.querySelectorAll('#qualitative .about b')].map((b) => b.textContent)"
    )
    assert seen == [shot.name for shot in (*parts[2].rows, *parts[2].more)]


def test_the_explorer_shows_another_image(browser, parts):
    choose(browser, "explorer-image", parts[2].rows[2].name)
    shown_image = explored(browser, "image")[..., :3].astype(int)
    assert np.abs(shown_image - np.asarray(Image.open(io.BytesIO(parts[2].rows[2].image)), int)).max() <= 4


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
        (0, "ascending", (["a", "b", "c", "d"], ["baseline 9", "baseline 10"])),
        # numbers: downwards first, as numbers, missing last
        (1, "descending", (["a", "b", "d", "c"], ["baseline 10", "baseline 9"])),
        (2, "descending", (["b", "a", "d", "c"], ["baseline 9", "baseline 10"])),
        # a word among numbers is last
        (3, "descending", (["d", "b", "c", "a"], ["baseline 9", "baseline 10"])),
        (4, "ascending", (["d", "b", "c", "a"], ["baseline 10", "baseline 9"])),
    ],
)
def test_sorting_by_keyboard_keeps_blocks_apart(browser, number, first, orders):
    unfold(browser)
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
    assert headings[1].strip() == "baselines"


def test_real_tables_sort_by_click_as_pandas_does(browser, parts):
    table = next(found for found in parts[0] if found.name == "scores")
    unfold(browser)
    headings = [h.text for h in find_all(browser, "#table-scores thead th")]
    assert headings == [score_name(column) for column in table.frame.columns]
    button = find_all(browser, "#table-scores thead button")[headings.index("mIoU")]
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

    pixels(browser, 0, "image")
    tile = find(browser, ".shot[data-shot='0'] [data-source='0']")
    browser.execute_script("arguments[0].focus()", tile)
    press(browser, "ENTER")
    until(browser, "document.getElementById('large').open")
    assert find(browser, "#large-name").text == parts[2].rows[0].name
    chosen = "[...document.querySelectorAll('.sides select')].map((s) => s.selectedOptions[0].text)"
    assert browser.execute_script(f"return {chosen}") == ["RSUDISNet", "MODNet"]
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_RIGHT")
    assert find(browser, "#wipe").get_attribute("value") == "53"
    assert find(browser, "#wipe").get_attribute("aria-valuetext") == "53 % RSUDISNet, 47 % MODNet"
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
    for side, source in (("left", 0), ("right", 1)):
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
    names = [shot.name for shot in parts[2].shots]
    pixels(browser, 0, "image")
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
    before = live(browser)
    browser.execute_script("document.getElementById('large-threshold').focus()")
    press(browser, "END")
    # nothing is above level 255
    until(browser, "document.getElementById('right-score').textContent === 'IoU 0.0 %'")
    # the explorer has a threshold of its own, and the next image begins with the methods' own ones
    assert live(browser) == before
    assert find(browser, "#large-threshold").get_attribute("aria-valuetext") == "1.00"
    find(browser, "#large-own").click()
    until(browser, "document.getElementById('right-score').textContent !== 'IoU 0.0 %'")
    assert find(browser, "#large-threshold").get_attribute("aria-valuetext") == "each method's own"
    find(browser, "#close").click()
    assert not find(browser, "#large").is_displayed()


def clip_pixels(driver, side, position):
    """(h, w, 3) of a canvas of the clip, once that frame is drawn."""
    until(driver, "document.getElementById('clips').dataset.drawn === arguments[0]", str(position))
    found = driver.execute_script(
        "const canvas = document.getElementById(`canvas-clip-${arguments[0]}`);"
        "const read = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "return [canvas.height, canvas.width, ...read.data]",
        side,
    )
    return np.array(found[2:], np.uint8).reshape(found[0], found[1], 4)[..., :3]


def choose(driver, select, text):
    driver.execute_script(
        "const choice = document.getElementById(arguments[0]);"
        "choice.value = [...choice.options].find((o) => o.text === arguments[1]).value;"
        "choice.dispatchEvent(new Event('change'))",
        select,
        text,
    )


def marks(driver):
    """Class -> path of what the chart shows."""
    return driver.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#clip-chart path')]"
        ".map((p) => [p.getAttribute('class'), p.getAttribute('d')]))"
    )


def test_the_arrow_keys_go_through_a_clip_and_name_j(browser):
    until(browser, "document.getElementById('clips').dataset.drawn === '0'")
    # the hardest clip stands first
    assert find(browser, "#clip option").text == "test_video_001"
    choose(browser, "clip", "test_video_002")
    slider = find(browser, "#clip-frame")
    browser.execute_script("arguments[0].focus()", slider)
    press(browser, "ARROW_RIGHT")
    until(browser, "document.getElementById('clips').dataset.drawn === '1'")
    assert find(browser, "#clip-position").text == "1 / 2: test_0006"
    told = "frame 1, the last is 2; RSUDISNet J 0.500, MODNet J 0.900"
    assert slider.get_attribute("aria-valuetext") == told
    assert [find(browser, f"#clip-score-{side}").text for side in ("left", "right")] == ["J 0.500", "J 0.900"]
    assert "at frame 1: RSUDISNet J 0.500" in find(browser, "#clip-chart").get_attribute("aria-label")
    # 1000 x 100, upwards: the middle of three frames, and J of each frame
    shown = marks(browser)
    assert shown["line left"] == "M0.0 20.0L500.0 50.0L1000.0 30.0"
    assert shown["line right"] == "M0.0 30.0L500.0 10.0L1000.0 25.0"
    assert shown["now"] == "M500.0 0V100"
    assert shown["dot left"] == "M500.0 50.0h0.001"
    press(browser, "HOME")
    until(browser, "document.getElementById('clips').dataset.drawn === '0'")
    browser.execute_script("document.getElementById('clip-gap').focus()")
    press(browser, "ENTER")
    until(browser, "document.getElementById('clips').dataset.drawn === '1'")
    assert browser.switch_to.active_element == slider


def test_the_frames_of_a_clip_show_truth_and_masks(browser, comparison):
    clips = footage.footage_of(comparison)
    assert clips is not None
    clip = next(c for c in clips.clips if c.name == "test_video_002")
    choose(browser, "clip", "test_video_002")
    choose(browser, "clip-left", "RSUDISNet")
    choose(browser, "clip-right", "MODNet")
    shot = clip.shots[0]
    truth, alpha = levels(shot.truth) > 127, levels(shot.alphas["modnet"])
    framed = clip_pixels(browser, "frame", 0)
    assert ((framed == (255, 0, 200)).all(-1) == inner_edge(truth)).all()
    browser.execute_script("document.querySelector('#clips input[value=alpha]').click()")
    assert (clip_pixels(browser, "right", 0) == alpha[..., None]).all()
    assert not find(browser, "#clip-errors").is_displayed()
    # the threshold of the page is the clip's as well
    set_slider(browser, 100)
    browser.execute_script("document.querySelector('#clips input[value=foreground]').click()")
    assert (clip_pixels(browser, "right", 0) == 0).all()


def test_a_frame_without_j_breaks_the_line_and_is_called_unknown(browser):
    choose(browser, "clip", "test_video_004")
    browser.execute_script("document.getElementById('clip-frame').focus()")
    press(browser, "END")
    until(browser, "document.getElementById('clips').dataset.drawn === '1'")
    assert find(browser, "#clip-score-right").text == "J unknown"
    assert marks(browser)["line right"] == "M0.0 50.0"
    assert "dot right" not in marks(browser)
    assert marks(browser)["dot left"] == "M1000.0 30.0h0.001"


def test_everything_is_reached_by_tab_and_shows_its_focus(browser):
    count = browser.execute_script(
        "window.wanted = [...document.querySelectorAll('a[href], button, input, select, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility() && !(e.type === 'radio' && !e.checked));"
        "window.reached = new Set(); window.unseen = [];"
        "document.addEventListener('focusin', ({ target }) => { reached.add(target);"
        " const shown = target.type === 'radio' ? target.nextElementSibling : target;"
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
        pixels(browser, 0, "image")
        assert browser.execute_script("return window.hacked") is None
        assert browser.title == f"{ATTACK} · kolbench report"
        text = "document.querySelector(arguments[0]).textContent.trim()"
        unfold(browser)
        assert browser.execute_script(f"return {text}", "h1").endswith(ATTACK)
        for selector in (
            ".sentences li",
            "#table-bad h3",
            "#table-bad thead th:nth-child(2)",
            "#table-bad tbody th[scope=row]",
            "#table-bad td",
            "#table-bad tbody .heading",
            "#table-bad .notes li",
            ".about b",
            ".tag",
            "#explorer-image option",
            "#clips .lead",
            "#clip option",
        ):
            assert browser.execute_script(f"return {text}", selector) == ATTACK, selector
        for selector in (
            *("#board th[scope=row]", "#matrix th[scope=row]", ".headline"),
            *("#live tr[data-method] th", ".tile[data-source='0'] .name", "#recall tbody th"),
            *("#qualitative .headings [data-source]", ".columns label", "#qualitative > .fine"),
        ):
            assert ATTACK in browser.execute_script(f"return {text}", selector), selector
        label = "document.querySelector('.tile[data-source=\"0\"]').getAttribute('aria-label')"
        assert browser.execute_script(f"return {label}").count(ATTACK) == 2
        assert ATTACK in browser.execute_script(f"return {text}", "#clip-left option")
        assert ATTACK in browser.execute_script(f"return {text}", "#clip-name-left")
        browser.execute_script("document.querySelector('.tile[data-source=\"0\"]').click()")
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
    unfold(browser)
    assert too_wide(browser, except_in=".scroll *, .rows .tiles *, nav *, svg, .skip") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    pixels(browser, 0, "image")
    browser.execute_script("document.querySelector('.tile[data-source=\"0\"]').click()")
    until(browser, "document.getElementById('large').open")
    assert too_wide(browser, except_in=".scroll *, .rows .tiles *, nav *, svg, .skip") == []
    box = find(browser, "#large").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_the_first_column_and_the_headings_stay_in_sight(browser):
    screen(browser, 500, 500)
    unfold(browser)
    browser.execute_script("document.querySelector('#table-table2 .scroll').scrollTo(150, 400)")
    where = browser.execute_script(
        "const at = (s) => document.querySelector(`#table-table2 ${s}`).getBoundingClientRect();"
        "return [at('.scroll').left, at('tbody th[scope=row]').left, at('.scroll').top, at('thead th').top]"
    )
    assert where[1] == pytest.approx(where[0], abs=1.5)
    assert where[3] == pytest.approx(where[2], abs=1.5)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_both_colour_schemes_can_be_read(browser, system):
    background = "getComputedStyle(document.body).backgroundColor"
    media(browser, system)
    first = browser.execute_script(f"return {background}")
    assert (luminance(first) < 0.2) == (system == "dark")
    unfold(browser)
    show(browser, "outline")
    for selector in ("#theme", None):
        found = contrasts(browser)
        assert len(found) >= 5
        assert {text: ratio for text, ratio in found.items() if ratio < 4.5} == {}
        if selector:
            find(browser, selector).click()
            other = browser.execute_script(f"return {background}")
            assert (luminance(other) < 0.2) == (system == "light")
    pixels(browser, 0, "image")
    browser.execute_script("document.querySelector('.tile[data-source=\"0\"]').click()")
    assert {text: ratio for text, ratio in contrasts(browser).items() if ratio < 4.5} == {}


def test_paper_gets_all_rows_and_no_controls(browser):
    media(browser, "dark", "print")
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    style = "getComputedStyle(document.querySelector(arguments[0]))"
    for selector in (".controls", ".top nav", "#theme"):
        assert browser.execute_script(f"return {style}.display", selector) == "none"
    assert browser.execute_script(f"return {style}.overflow", ".scroll") == "visible"
    assert browser.execute_script(f"return {style}.backgroundColor", "body") == "rgb(255, 255, 255)"
    assert luminance(browser.execute_script(f"return {style}.color", "body")) < 0.05
