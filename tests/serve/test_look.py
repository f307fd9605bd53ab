"""Whether everybody can use the page: widths, contrast, names of controls, keyboard; in a real Chromium."""

import pytest

from tests.helpers.browser import contrasts, find, luminance, media, press, screen, too_wide, until
from tests.helpers.serving import encoded, scenery
from tests.helpers.try_it import READY, choose, click, drop, is_shown, text, with_ad

pytestmark = pytest.mark.slow

# roles of the accessibility tree that a person can do something with, or that show something
NAMED_ROLES = {
    *("button", "slider", "radio", "tab", "link", "textbox", "image", "ColorWell", "radiogroup", "tablist"),
    *("tabpanel", "dialog", "group"),
}


def states(driver):
    """The page in each of its states, one after the other."""
    yield "empty"
    click(driver, "[data-example='0']")
    until(driver, READY)
    yield "viewer"
    for kind in ("colour", "blur", "image"):
        choose(driver, "background", kind)
        yield kind
    with_ad(driver)
    yield "ad"
    choose(driver, "view", "alpha")
    yield "alpha"
    click(driver, "#tab-all")
    yield "grid"
    drop(driver, b"<html>no</html>", "cat.jpg")
    until(driver, "!document.getElementById('problem').hidden")
    yield "problem"


@pytest.mark.parametrize("width", [320, 390, 1024, 1440])
def test_no_state_is_wider_than_its_screen(browser, width):
    screen(browser, width, 844)
    for state in states(browser):
        # tabs scroll by themselves
        assert too_wide(browser, except_in=".skip, .unseen, .tabs, .viewer") == [], state
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, state
    browser.get_log("browser")  # the refused file


@pytest.mark.parametrize("width", [320, 390])
def test_the_header_is_one_line_on_a_phone(browser, width):
    screen(browser, width, 844)
    lines = browser.execute_script(
        "return [...document.querySelectorAll('.top .wide > *')].filter((e) => e.checkVisibility())"
        ".map((e) => { const range = document.createRange(); range.selectNodeContents(e);"
        " return new Set([...range.getClientRects()].map((box) => Math.round(box.bottom / 8))).size; })"
    )
    assert lines == [1, 1, 1]
    assert browser.execute_script("return document.querySelector('.top').offsetHeight") < 60
    assert text(browser, "#choose-text") == "Choose a photo"


def test_the_first_look_holds_an_example_and_ways_to_begin(browser):
    assert is_shown(browser, "#sample")
    assert "kolbench drew" in text(browser, "#sample figcaption")
    assert not is_shown(browser, "#work")
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('#source img')].map((image) => image.naturalWidth)"
    )
    assert min(drawn) >= 160
    assert len(drawn) == 7
    click(browser, "[data-example='2']")
    until(browser, READY)
    assert not is_shown(browser, "#sample")
    assert is_shown(browser, "#viewer")


def test_the_viewer_and_its_buttons_fit_a_laptop(browser):
    screen(browser, 1440, 900)
    click(browser, "[data-example='0']")
    until(browser, READY)
    bottom = browser.execute_script(
        "return Math.max(...['#viewer', '#zoom-in', '#single [data-file=cutout]', '#threshold']"
        ".map((found) => document.querySelector(found).getBoundingClientRect().bottom))"
    )
    assert bottom < 900


@pytest.mark.parametrize(("width", "columns"), [(390, 2), (768, 2), (1024, 2), (1440, 4)])
def test_the_grid_has_as_many_columns_as_fit(opened, width, columns):
    screen(opened, width, 844)
    click(opened, "#tab-all")
    lefts = opened.execute_script(
        "return [...document.querySelectorAll('.card')].map((card) => card.getBoundingClientRect().left)"
    )
    assert len(lefts) == 4
    assert len(set(lefts)) == columns


@pytest.mark.parametrize("system", ["light", "dark"])
def test_both_colour_schemes_can_be_read(browser, system):
    media(browser, system)
    background = "getComputedStyle(document.body).backgroundColor"
    assert (luminance(browser.execute_script(f"return {background}")) < 0.2) == (system == "dark")
    for state in states(browser):
        found = contrasts(browser)
        assert len(found) >= 5, state
        assert {words: ratio for words, ratio in found.items() if ratio < 4.5} == {}, state
        faded = (
            "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
            " && e.innerText?.trim() && Number(getComputedStyle(e).opacity) < 1).map((e) => e.outerHTML)"
        )
        assert browser.execute_script(faded) == [], state
    browser.get_log("browser")
    find(browser, "#theme").click()
    assert (luminance(browser.execute_script(f"return {background}")) < 0.2) == (system == "light")


def test_every_control_has_a_name_and_every_id_is_one(browser):
    for state in states(browser):
        nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        seen = [node for node in nodes if not node["ignored"] and node["role"]["value"] in NAMED_ROLES]
        assert len(seen) > 8, state
        unnamed = [node for node in seen if not node.get("name", {}).get("value")]
        # an unnamed group is the plain box of an element
        assert [n["role"]["value"] for n in unnamed if n["role"]["value"] != "group"] == [], state
        problems = browser.execute_script(
            "const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);"
            "const twice = ids.filter((id, at) => ids.indexOf(id) !== at);"
            "const lost = [...document.querySelectorAll('[for], [aria-controls], [aria-labelledby]')]"
            ".flatMap((e) => [e.getAttribute('for'), e.getAttribute('aria-controls'),"
            " e.getAttribute('aria-labelledby')]).filter((id) => id && !document.getElementById(id));"
            "return [...twice, ...lost]"
        )
        assert problems == [], state
    browser.get_log("browser")


def test_everything_is_done_by_keyboard_and_shows_its_focus(opened):
    with_ad(opened)
    opened.execute_script("window.scrollTo(0, 0); document.querySelector('.skip').focus()")
    count = opened.execute_script(
        "window.wanted = [...document.querySelectorAll('a[href], button, input, [tabindex]')]"
        ".filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0"
        " && !(e.type === 'radio' && !e.checked));"
        "window.reached = new Set([document.activeElement]); window.unseen = [];"
        "const outlined = (e) => e && (getComputedStyle(e).outlineStyle !== 'none'"
        " || getComputedStyle(e, '::after').outlineStyle !== 'none');"
        "document.addEventListener('focusin', ({ target }) => { reached.add(target);"
        " if (![target, target.nextElementSibling, target.closest('label')].some(outlined))"
        "   unseen.push(target.outerHTML); });"
        "return wanted.length"
    )
    assert count > 20
    press(opened, *["TAB"] * (count + 3))
    missed = "wanted.filter((e) => !reached.has(e)).map((e) => e.outerHTML.slice(0, 200))"
    assert opened.execute_script(f"return {missed}") == []
    assert opened.execute_script("return unseen") == []
    opened.execute_script("document.querySelector('input[name=background]:checked').focus()")
    press(opened, "ARROW_LEFT")
    assert find(opened, "input[name=background][value=image]").is_selected()
    opened.execute_script("document.getElementById('threshold').focus()")
    press(opened, "ARROW_RIGHT", "ARROW_RIGHT")
    assert find(opened, "#threshold").get_attribute("aria-valuetext") == "0.52"


def test_who_listens_is_told_when_results_are_ready(browser):
    drop(browser, encoded(scenery(40, 40)))
    until(browser, READY)
    assert find(browser, "#status").get_attribute("role") == "status"
    assert text(browser, "#status") == "3 of 3 methods are ready."
    assert find(browser, "#problem").get_attribute("role") == "alert"
