"""The large view before and after: wipe, zoom, pan, pinch and keys, in a real Chromium."""

import pytest

from tests.helpers.browser import find, press, screen
from tests.helpers.try_it import click, text

pytestmark = pytest.mark.slow


def view(driver):
    """The wipe in percent, the zoom, and where the image's corner stands in percent of the stage."""
    return driver.execute_script(
        "const style = document.getElementById('viewer').style;"
        "return ['--wipe', '--zoom', '--x', '--y'].map((key) => parseFloat(style.getPropertyValue(key)))"
    )


def at(driver, x, y):
    """Pixels of the screen, of a point in shares of the viewer."""
    left, top, width, height = driver.execute_script(
        "document.getElementById('viewer').scrollIntoView({ block: 'center' });"
        "const box = document.getElementById('viewer').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]"
    )
    return left + x * width, top + y * height


def mouse(driver, kind, x, y, **more):
    x, y = at(driver, x, y)
    options = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseWheel" else {}
    event = {"type": kind, "x": x, "y": y, **options, **more}
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def drag(driver, start, end):
    mouse(driver, "mousePressed", *start)
    mouse(driver, "mouseMoved", *end)
    mouse(driver, "mouseReleased", *end)


def test_the_wipe_follows_mouse_and_keys(opened):
    assert view(opened) == [50, 1, 0, 0]
    visible = "return getComputedStyle(document.querySelector('#viewer .pane.before')).clipPath"
    assert opened.execute_script(visible) == "inset(0px 50% 0px 0px)"
    drag(opened, (0.5, 0.5), (0.2, 0.6))
    assert view(opened)[0] == pytest.approx(20, abs=1)
    drag(opened, (0.9, 0.3), (0.7, 0.3))
    assert view(opened)[0] == pytest.approx(70, abs=1)
    opened.execute_script("document.getElementById('wipe').focus()")
    press(opened, "ARROW_LEFT", "ARROW_LEFT")
    assert view(opened)[0] == pytest.approx(68, abs=1)
    press(opened, "HOME")
    assert view(opened)[0] == 0
    assert find(opened, "#wipe").get_attribute("aria-valuetext") == "0 % before, 100 % after"
    assert view(opened)[1:] == [1, 0, 0]


def test_the_wheel_zooms_at_the_pointer_and_scrolls_where_it_is_fitted(opened):
    mouse(opened, "mouseWheel", 0.25, 0.75, deltaX=0, deltaY=-120)
    _, zoom, x, y = view(opened)
    assert zoom > 1.2
    # the point under the pointer stays there
    assert x == pytest.approx(25 * (1 - zoom), abs=0.6)
    assert y == pytest.approx(75 * (1 - zoom), abs=0.6)
    for _ in range(20):
        mouse(opened, "mouseWheel", 0.25, 0.75, deltaX=0, deltaY=-120)
    assert view(opened)[1] == 8
    for _ in range(20):
        mouse(opened, "mouseWheel", 0.9, 0.1, deltaX=0, deltaY=120)
    assert view(opened) == [50, 1, 0, 0]


def test_what_is_zoomed_is_panned_by_hand_and_the_grip_still_wipes(opened):
    for _ in range(4):
        click(opened, "#zoom-in")
    assert text(opened, "#zoom") == "244 %"
    _, zoom, x, y = view(opened)
    drag(opened, (0.8, 0.5), (0.9, 0.6))
    moved = view(opened)
    assert moved[0] == 50
    assert moved[2:] == pytest.approx([x + 10, y + 10], abs=1)
    drag(opened, (0.5, 0.5), (0.3, 0.5))
    assert view(opened)[0] == pytest.approx(30, abs=1)
    assert view(opened)[2:] == moved[2:]
    # never beyond the image's edge
    for _ in range(3):
        drag(opened, (0.4, 0.1), (0.99, 0.99))
    assert view(opened)[2:] == [0, 0]
    for _ in range(3):
        drag(opened, (0.9, 0.9), (0.4, 0.01))
    assert view(opened)[2:] == pytest.approx([100 * (1 - zoom)] * 2, abs=0.1)
    click(opened, "#zoom-fit")
    assert view(opened)[1:] == [1, 0, 0]
    assert not find(opened, "#zoom-fit").is_enabled()


def test_two_fingers_zoom(opened):
    def touch(kind, *points):
        fingers = [dict(zip("xy", at(opened, *point), strict=True), id=n) for n, point in enumerate(points)]
        opened.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (0.4, 0.5))
    touch("touchStart", (0.4, 0.5), (0.6, 0.5))
    touch("touchMove", (0.3, 0.5), (0.7, 0.5))
    touch("touchMove", (0.2, 0.5), (0.8, 0.5))
    touch("touchEnd")
    wipe, zoom, x, _ = view(opened)
    assert zoom == pytest.approx(3, abs=0.2)
    assert x == pytest.approx(50 * (1 - zoom), abs=2)
    assert wipe == 50


def test_keys_zoom_and_pan(opened):
    opened.execute_script("document.getElementById('viewer').focus()")
    press(opened, "ADD", "ADD", "ADD")
    assert view(opened)[1] == pytest.approx(1.25**3)
    before = view(opened)
    press(opened, "ARROW_RIGHT", "ARROW_UP")
    assert view(opened)[2:] == pytest.approx([before[2] - 10, before[3] + 10])
    assert view(opened)[0] == 50
    press(opened, "SUBTRACT")
    assert view(opened)[1] == pytest.approx(1.25**2)
    press(opened, "NUMPAD0")
    assert view(opened)[1:] == [1, 0, 0]


def test_a_double_click_zooms_in_and_out(opened):
    for expected in (3, 1):
        for count in (1, 2):
            mouse(opened, "mousePressed", 0.25, 0.25, clickCount=count)
            mouse(opened, "mouseReleased", 0.25, 0.25, clickCount=count)
        assert view(opened)[1] == expected


def test_tabs_are_chosen_by_keys(opened):
    opened.execute_script("document.getElementById('tab-0').focus()")
    press(opened, "ARROW_RIGHT")
    assert opened.switch_to.active_element == find(opened, "#tab-1")
    assert text(opened, "#after-tag") == "Centred ellipse"
    press(opened, "END")
    assert find(opened, "#all").is_displayed()
    assert not find(opened, "#single").is_displayed()
    press(opened, "ARROW_RIGHT")
    assert find(opened, "#tab-0").get_attribute("aria-selected") == "true"
    assert find(opened, "#single").get_attribute("aria-labelledby") == "tab-0"


def test_the_example_before_a_photo_is_chosen_can_be_wiped(browser):
    screen(browser, 1200, 900)
    shown = "return getComputedStyle(document.querySelector('.sample .before')).clipPath"
    browser.execute_script("document.getElementById('sample-wipe').focus()")
    press(browser, "HOME")
    assert browser.execute_script(shown) == "inset(0px 100% 0px 0px)"
    press(browser, "END")
    assert browser.execute_script(shown) == "inset(0px 0% 0px 0px)"
    loaded = "return [...document.querySelectorAll('.sample img')].every((image) => image.naturalWidth > 300)"
    assert browser.execute_script(loaded)
