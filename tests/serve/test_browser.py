"""The page of task=serve in a real Chromium: a picture in, cut-outs, an ad behind, files out."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from kolbench import load
from tests.helpers.browser import (
    contrasts,
    find,
    find_all,
    launched,
    luminance,
    media,
    press,
    screen,
    too_wide,
    until,
)
from tests.helpers.serving import Ramp, encoded, method, ramp_and_ellipse, running, scenery, send

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 160, 256
PICTURE = scenery(HEIGHT, WIDTH)
ELLIPSE = load("ellipse").segment(PICTURE) == 1
AD = np.zeros((60, 100, 3), np.uint8)
AD[..., 0], AD[:, 50:, 1] = 250, 200
NO_THRESHOLD = "\N{EN DASH}"
PRECOMPUTED = "document.getElementById('status').textContent.includes('ready')"


@pytest.fixture(scope="module")
def port():
    with running([*ramp_and_ellipse(), method("grabcut", load("grabcut"))]) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    yield from launched(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile"))


def visited(driver, port):
    """The page, freshly opened; afterwards nothing may have been logged, and nothing asked of others."""
    address = f"http://127.0.0.1:{port}/"
    screen(driver, 1200, 900)
    media(driver, "light")
    for kind in ("browser", "performance"):  # of an earlier page
        driver.get_log(kind)
    driver.get(address)
    yield driver
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    own = (address, "data:", f"blob:{address}")
    assert {url for url in urls if not url.startswith(own)} == set()


@pytest.fixture
def browser(chromium, port):
    yield from visited(chromium, port)


@pytest.fixture
def opened(browser):
    """The page with PICTURE and all its cut-outs."""
    drop(browser, encoded(PICTURE), "my photo.png")
    until(browser, PRECOMPUTED)
    return browser


HAND_OVER = """
const [data, name, type, kind, selector] = arguments;
const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
const files = new DataTransfer();
files.items.add(new File([bytes], name, { type }));
const target = document.querySelector(selector);
const event = kind === "paste"
  ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true })
  : new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
target.dispatchEvent(event);
return event.defaultPrevented;
"""


def drop(driver, data, name="a.png", on="body", kind="drop", form="image/png"):
    return driver.execute_script(HAND_OVER, base64.b64encode(data).decode(), name, form, kind, on)


def pixels(driver, selector):
    """(h, w, 4) of a canvas, once what was asked for is drawn."""
    found = driver.execute_async_script(
        "const [selector, done] = arguments;"
        "requestAnimationFrame(() => requestAnimationFrame(() => {"
        "  const canvas = document.querySelector(selector), copy = document.createElement('canvas');"
        "  [copy.width, copy.height] = [canvas.width, canvas.height];"
        "  const context = copy.getContext('2d', { willReadFrequently: true });"
        "  context.drawImage(canvas, 0, 0);"
        "  const read = context.getImageData(0, 0, copy.width, copy.height).data;"
        "  let text = ''; for (const level of read) text += String.fromCharCode(level);"
        "  done([canvas.height, canvas.width, btoa(text)]); }))",
        selector,
    )
    return np.frombuffer(base64.b64decode(found[2]), np.uint8).reshape(found[0], found[1], 4)


def size(width, height):
    return f"{width} \N{MULTIPLICATION SIGN} {height} px"


def card(number):
    return f".choice[data-method='{number}'] canvas"


def choose(driver, name, value):
    driver.execute_script(f"document.querySelector('input[name={name}][value=\"{value}\"]').click()")


def slide(driver, key, value):
    driver.execute_script(
        "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
        "slider.dispatchEvent(new Event('input'))",
        key,
        value,
    )


def requests(driver):
    return driver.execute_script("return performance.getEntriesByType('resource').length")


def text(driver, selector):
    return driver.execute_script("return document.querySelector(arguments[0]).textContent", selector).strip()


def place(driver):
    """left, top, width and height of the box in percent of the stage."""
    return driver.execute_script(
        "const box = document.getElementById('box');"
        "return ['left', 'top', 'width', 'height'].map((key) => parseFloat(box.style[key]))"
    )


def test_a_dropped_picture_is_cut_out_by_every_method(opened):
    assert (pixels(opened, "#original")[..., :3] == PICTURE).all()
    assert text(opened, "#size") == size(WIDTH, HEIGHT)
    assert [name.text for name in find_all(opened, ".card .name")] == [
        "picture",
        "ramp",
        "ellipse",
        "grabcut",
    ]
    states = [state.text for state in find_all(opened, ".choice .state")]
    assert all(float(state.removesuffix(" s")) < 20 for state in states)
    assert text(opened, ".choice .source") == "ramp.pth"
    ramp = np.tile(np.arange(256, dtype=np.uint8), (HEIGHT, 1))
    found = pixels(opened, card(0))
    assert (found[..., 3] == ramp).all()
    # canvases keep colours multiplied by alpha, with 8 bits
    solid = ramp > 200
    assert np.abs(found[solid, :3].astype(int) - PICTURE[solid]).max() <= 1
    found = pixels(opened, card(1))
    assert (found[..., 3] == ELLIPSE * 255).all()
    assert (found[ELLIPSE, :3] == PICTURE[ELLIPSE]).all()
    assert 0 < (pixels(opened, card(2))[..., 3] > 127).mean() < 1


def test_the_threshold_redraws_without_asking_the_server(opened):
    before = requests(opened)
    levels = np.arange(256)
    for threshold in (0, 0.5, 0.99):
        slide(opened, "threshold", threshold)
        shown = np.where(levels > 255 * threshold, 255, 0)
        assert (pixels(opened, card(0))[..., 3] == shown).all()
        assert text(opened, "#threshold-value") == f"{threshold:.2f}"
        choose(opened, "view", "alpha")
        grey = pixels(opened, card(0))
        assert (grey[..., :3] == shown[None, :, None]).all()
        assert (grey[..., 3] == 255).all()
        choose(opened, "view", "cutout")
    assert find(opened, "input[name=edge][value=hard]").is_selected()
    choose(opened, "edge", "soft")
    assert (pixels(opened, card(0))[..., 3] == levels).all()
    assert text(opened, "#threshold-value") == NO_THRESHOLD
    assert requests(opened) == before


def test_an_ad_stands_behind_and_the_files_hold_what_is_seen(opened, tmp_path):
    opened.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False},
    )
    choose(opened, "method", 1)
    assert (pixels(opened, "#composite")[..., :3] == PICTURE).all()
    assert not find(opened, "[data-file=composite]").is_enabled()
    ad = tmp_path / "ad.png"
    ad.write_bytes(encoded(AD))
    find(opened, "#choose-ad").send_keys(str(ad))
    until(opened, "!document.getElementById('no-ad').hidden")
    for key, value in (("left", 12.5), ("top", 25), ("width", 75), ("height", 50)):
        slide(opened, key, value)
    choose(opened, "fit", "stretch")
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered[40:120, 32:224] = True
    behind = covered & ~ELLIPSE
    shown = pixels(opened, "#composite")[..., :3]
    assert (shown[~behind] == PICTURE[~behind]).all()
    for columns, colour in ((slice(32, 120), (250, 0, 0)), (slice(136, 224), (250, 200, 0))):
        part = np.zeros_like(behind)
        part[:, columns] = True
        assert np.abs(shown[behind & part].astype(int) - colour).max() <= 1
    for fit in ("stretch", "contain", "cover"):
        choose(opened, "fit", fit)
        slide(opened, "opacity", 60)
        shown = pixels(opened, "#composite")[..., :3].astype(int)
        made = downloaded(opened, "composite", tmp_path / "my_photo_ellipse_composite.png").astype(int)
        difference = np.abs(made - shown).max(axis=2)
        # scaled by other hands: edges of the ad may differ
        assert np.quantile(difference, 0.97) <= 2
        assert (difference[ELLIPSE] == 0).all()
    cutout = downloaded(opened, "cutout", tmp_path / "my_photo_ellipse_cutout.png")
    assert (cutout[..., 3] == ELLIPSE * 255).all()
    choose(opened, "method", 0)
    slide(opened, "threshold", 0.25)
    assert "By ramp, hard at 0.25." in text(opened, "#what")
    alpha = downloaded(opened, "alpha", tmp_path / "my_photo_ramp_alpha.png")
    assert (alpha == np.where(np.arange(256) > 63, 255, 0)).all()
    find(opened, "#no-ad").click()
    assert (pixels(opened, "#composite")[..., :3] == PICTURE).all()
    assert opened.switch_to.active_element == find(opened, "#choose-ad")


def downloaded(driver, kind, path):
    """The file that a button gives."""
    from selenium.webdriver.support.ui import WebDriverWait

    path.unlink(missing_ok=True)
    driver.execute_script(f"document.querySelector('[data-file={kind}]').click()")
    WebDriverWait(driver, 10, 0.02).until(lambda _: path.is_file() and path.stat().st_size)
    until(driver, f"!document.querySelector('[data-file={kind}]').disabled")
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.array(image)


def test_the_box_is_moved_and_drawn_by_hand(opened):
    from selenium.webdriver import ActionChains

    find(opened, "#example-ad").click()
    until(opened, "!document.getElementById('no-ad').hidden")
    screen(opened, 1200, 1800)
    stage = find(opened, "#stage").rect
    assert stage["width"] / stage["height"] == pytest.approx(WIDTH / HEIGHT, abs=0.01)
    assert place(opened) == [5, 10, 40, 50]
    across, down = round(stage["width"] / 10), round(stage["height"] / 10)
    before = pixels(opened, "#composite")

    def drag(selector, x, y):
        handle = find(opened, selector)
        opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
        actions = ActionChains(opened, duration=0).move_to_element(handle).click_and_hold()
        actions.move_by_offset(x, y).release().perform()

    drag("#box", across, down)
    assert place(opened) == pytest.approx([15, 20, 40, 50], abs=0.3)
    drag("[data-corner=se]", across, -down)
    assert place(opened) == pytest.approx([15, 20, 50, 40], abs=0.3)
    drag("[data-corner=nw]", across, down)
    assert place(opened) == pytest.approx([25, 30, 40, 30], abs=0.4)
    assert [output.text for output in find_all(opened, ".sliders output")] == [
        "25 %",
        "30 %",
        "40 %",
        "30 %",
        "100 %",
    ]
    assert (pixels(opened, "#composite") != before).any()
    drag("#box", -4 * across, 5 * down)
    assert place(opened) == pytest.approx([0, 70, 40, 30], abs=0.4)
    # a corner cannot go beyond the opposite one, nor a slider beyond the frame
    drag("[data-corner=ne]", -4 * across, 4 * down)
    assert place(opened)[2:] == pytest.approx([2, 2], abs=0.1)
    slide(opened, "left", 100)
    slide(opened, "width", 100)
    assert place(opened)[0] + place(opened)[2] == pytest.approx(100)


def test_pasting_and_dropping_say_where_a_file_goes(opened):
    drop(opened, encoded(scenery(30, 70)), kind="paste")
    until(opened, "document.getElementById('size').textContent === arguments[0]", size(70, 30))
    until(opened, PRECOMPUTED)
    assert drop(opened, b"", kind="dragover", on="#stage")
    classes = find(opened, "html").get_attribute("class")
    assert classes is not None
    assert classes.split()[-1] == "dropping-ad"
    drop(opened, encoded(AD), on="#stage")
    until(opened, "!document.getElementById('no-ad').hidden")
    assert text(opened, "#size") == size(70, 30)
    assert "dropping" not in find(opened, "html").get_attribute("class")


def test_the_last_picture_counts_when_two_come_quickly(browser):
    drop(browser, encoded(PICTURE))
    drop(browser, encoded(scenery(90, 90)))
    until(browser, PRECOMPUTED)
    assert text(browser, "#size") == size(90, 90)
    assert pixels(browser, card(2)).shape == (90, 90, 4)


def test_an_example_scene_by_one_click(browser):
    find(browser, "[data-example='1']").click()
    until(browser, PRECOMPUTED)
    assert text(browser, "#size") == size(768, 768)
    assert not find(browser, "#problem").is_displayed()


def test_what_goes_wrong_is_said(chromium, port):
    chromium.get(f"http://127.0.0.1:{port}/")
    drop(chromium, b"<html>no</html>", "cat.jpg")
    until(chromium, "!document.getElementById('problem').hidden")
    assert text(chromium, "#problem").startswith("The picture cannot be read: it is a web page (HTML)")
    assert not find(chromium, "#cutouts").is_displayed()
    sent = requests(chromium)
    drop(chromium, bytes((1 << 20) + 1))
    until(chromium, "document.getElementById('problem').textContent.includes('more than 1 MiB')")
    assert requests(chromium) == sent
    chromium.get_log("browser")
    with running([method("ramp", Ramp())]) as other:
        chromium.get(f"http://127.0.0.1:{other}/")
        drop(chromium, encoded(PICTURE))
        until(chromium, PRECOMPUTED)
    find(chromium, "[data-file=alpha]").click()
    until(chromium, "document.getElementById('problem').textContent.includes('does not answer')")
    assert pixels(chromium, card(0)).shape == (HEIGHT, WIDTH, 4)
    chromium.get_log("browser")


def test_a_threshold_may_be_given_by_the_command(chromium):
    with running(ramp_and_ellipse(), threshold=0.25) as port:
        for driver in visited(chromium, port):
            drop(driver, encoded(PICTURE))
            until(driver, PRECOMPUTED)
            assert text(driver, "#threshold-value") == "0.25"
            assert (pixels(driver, card(0))[..., 3] == np.where(np.arange(256) > 63, 255, 0)).all()


def test_names_that_try_to_be_markup_are_text(chromium):
    attack = "</script><img src=x onerror='window.hacked = 1'>\"&'"
    with running([method(attack, Ramp(), attack)]) as port:
        for driver in visited(chromium, port):
            drop(driver, encoded(PICTURE), f"{attack}.png")
            until(driver, PRECOMPUTED)
            assert text(driver, ".choice .name") == text(driver, ".choice .source") == attack
            assert attack in text(driver, "#what")
            assert driver.execute_script("return window.hacked") is None


def test_everything_is_done_by_keyboard_and_shows_its_focus(opened):
    find(opened, "#example-ad").click()
    until(opened, "!document.getElementById('no-ad').hidden")
    opened.execute_script("window.scrollTo(0, 0); document.querySelector('.skip').focus()")
    count = opened.execute_script(
        "window.wanted = [...document.querySelectorAll('a[href], button, input')]"
        ".filter((e) => e.checkVisibility() && !e.disabled && !(e.type === 'radio' && !e.checked));"
        "window.reached = new Set([document.activeElement]); window.unseen = [];"
        "const outlined = (e) => e && getComputedStyle(e).outlineStyle !== 'none';"
        "document.addEventListener('focusin', ({ target }) => { reached.add(target);"
        " if (![target, target.nextElementSibling, target.closest('label')].some(outlined))"
        "   unseen.push(target.outerHTML); });"
        "return wanted.length"
    )
    assert count > 15
    press(opened, *["TAB"] * (count + 3))
    missed = "wanted.filter((e) => !reached.has(e)).map((e) => e.outerHTML.slice(0, 200))"
    assert opened.execute_script(f"return {missed}") == []
    assert opened.execute_script("return unseen") == []
    opened.execute_script("document.querySelector('input[name=method]:checked').focus()")
    press(opened, "ARROW_DOWN")
    assert text(opened, "#what").startswith("By ellipse, soft.")
    opened.execute_script("document.getElementById('threshold').focus()")
    press(opened, "ARROW_RIGHT", "ARROW_RIGHT")
    assert find(opened, "#threshold").get_attribute("aria-valuetext") == "0.52"


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_no_page_is_wider_than_its_screen(browser, width):
    screen(browser, width, 740)
    for step in (
        "document.querySelector('[data-example=\"0\"]').click()",
        "document.getElementById('example-ad').click()",
    ):
        assert too_wide(browser, except_in=".skip, .unseen") == []
        browser.execute_script(step)
        until(browser, PRECOMPUTED)
    until(browser, "!document.getElementById('no-ad').hidden")
    assert too_wide(browser, except_in=".skip, .unseen") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    columns = browser.execute_script(
        "return new Set([...document.querySelectorAll('.card')]"
        ".map((card) => card.getBoundingClientRect().left)).size"
    )
    assert columns == {360: 2, 768: 3, 1200: 4}[width]


@pytest.mark.parametrize("system", ["light", "dark"])
def test_both_colour_schemes_can_be_read(opened, system):
    background = "getComputedStyle(document.body).backgroundColor"
    media(opened, system)
    assert (luminance(opened.execute_script(f"return {background}")) < 0.2) == (system == "dark")
    for _ in range(2):
        found = contrasts(opened)
        assert len(found) >= 5
        assert {words: ratio for words, ratio in found.items() if ratio < 4.5} == {}
        find(opened, "#theme").click()
    find(opened, "#theme").click()
    other = opened.execute_script(f"return {background}")
    assert (luminance(other) < 0.2) == (system == "light")


def test_what_the_policy_forbids_does_not_happen(chromium, port):
    chromium.get(f"http://127.0.0.1:{port}/")
    chromium.get_log("browser")
    with running([method("ramp", Ramp())]) as other:
        assert send(other, "GET", "/").status == 200
        refused = chromium.execute_async_script(
            "const done = arguments[1];"
            "const script = document.createElement('script'); script.textContent = 'window.hacked = 1';"
            "document.body.append(script);"
            "fetch(arguments[0]).then(() => done('came through'), () => done('refused'))",
            f"http://127.0.0.1:{other}/",
        )
    assert refused == "refused"
    assert chromium.execute_script("return window.hacked") is None
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    assert any("script-src" in message for message in messages)
    assert any("connect-src" in message for message in messages)
