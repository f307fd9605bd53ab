"""What stands behind the person, seen in Chromium and downloaded: the same within rounding."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import find, find_all, screen, until
from tests.helpers.serving import encoded
from tests.helpers.try_it import (
    ELLIPSE,
    HEIGHT,
    PICTURE,
    READY,
    WIDTH,
    choose,
    click,
    downloaded,
    downloads_into,
    drop,
    is_shown,
    pixels,
    result,
    slide,
    text,
    with_ad,
)

pytestmark = pytest.mark.slow

AD = np.zeros((60, 100, 3), np.uint8)
AD[..., 0], AD[:, 50:, 1] = 250, 200
COMPOSITE = "#single [data-file=composite]"


@pytest.fixture
def folder(opened, tmp_path):
    """Where the browser's downloads come, with the tab of the method `ellipse` open."""
    downloads_into(opened, tmp_path)
    click(opened, "#tab-1")
    return tmp_path


def composite(driver, folder):
    return downloaded(driver, COMPOSITE, folder / "my_photo_ellipse_composite.png").astype(int)


def seen(driver):
    return pixels(driver, "#after")[..., :3].astype(int)


def place(driver):
    """left, top, width and height of the ad's box in percent of the stage."""
    return driver.execute_script(
        "const style = document.getElementById('viewer').style;"
        "return ['left', 'top', 'width', 'height'].map((key) => 100 * style.getPropertyValue(`--ad-${key}`))"
    )


def test_nothing_stands_behind_at_first_and_the_checkerboard_is_light(opened):
    assert find(opened, "input[name=background][value=none]").is_selected()
    assert not find(opened, COMPOSITE).is_enabled()
    pattern = "return getComputedStyle(document.querySelector('#viewer .checkered')).backgroundImage"
    light = opened.execute_script(pattern)
    assert "rgb(255, 255, 255)" in light
    find(opened, "#theme").click()
    assert opened.execute_script(pattern) == light


def test_a_colour_of_the_strip_or_of_one_s_own(opened, folder):
    choose(opened, "background", "colour")
    click(opened, ".paint[data-colour='#1f9d55']")
    assert find(opened, ".paint[data-colour='#1f9d55']").get_attribute("aria-pressed") == "true"
    assert (seen(opened)[~ELLIPSE] == (31, 157, 85)).all()
    opened.execute_script("document.getElementById('colour').value = '#0a64c8'")
    slide(opened, "colour", "#0a64c8")
    shown = seen(opened)
    assert (shown[~ELLIPSE] == (10, 100, 200)).all()
    assert (shown[ELLIPSE] == PICTURE[ELLIPSE]).all()
    assert (composite(opened, folder) == shown).all()


@pytest.mark.parametrize("percent", [1, 3, 10])
def test_the_blur_on_the_page_is_that_of_the_file(opened, folder, percent):
    rng = np.random.default_rng(percent)
    blocks = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    drop(opened, encoded(blocks), "blocks.png")
    until(opened, READY)
    choose(opened, "background", "blur")
    slide(opened, "radius", percent)
    shown = seen(opened)
    assert (shown[ELLIPSE] == blocks[ELLIPSE]).all()
    made = downloaded(opened, COMPOSITE, folder / "blocks_ellipse_composite.png").astype(int)
    # scaled by other hands
    assert np.abs(made - shown)[~ELLIPSE].mean() < 3
    assert np.abs(blocks - shown)[~ELLIPSE].mean() > 25


def test_an_image_covers_the_frame(opened, folder):
    choose(opened, "background", "image")
    assert not find(opened, COMPOSITE).is_enabled()
    room = folder / "room.png"
    room.write_bytes(encoded(np.full((50, 300, 3), (12, 34, 56), np.uint8)))
    find(opened, "#choose-image").send_keys(str(room))
    until(opened, "document.getElementById('status').textContent.includes('image stands')")
    shown = seen(opened)
    assert (shown[~ELLIPSE] == (12, 34, 56)).all()
    assert (composite(opened, folder) == shown).all()
    click(opened, "#example-image")
    until(opened, "performance.getEntriesByName(location.href + 'examples/background').length")
    until(opened, "!document.querySelector('#single [data-file=composite]').disabled")


def test_soft_edges_show_the_person_s_own_colours_as_in_the_file(opened, folder):
    """A red person before blue: between both lies no purple on white."""
    alpha = np.linspace(0, 1, WIDTH, dtype=np.float32)
    person, wall = np.array([220, 30, 30]), np.array([20, 40, 200])
    mixed = alpha[None, :, None] * person + (1 - alpha[None, :, None]) * wall
    drop(opened, encoded(np.rint(np.repeat(mixed, HEIGHT, 0)).astype(np.uint8)), "mixed.png")
    until(opened, READY)
    choose(opened, "background", "colour")
    click(opened, ".paint[data-colour='#ffffff']")
    shown = result(opened, 0)[..., :3].astype(int)
    made = downloaded(opened, COMPOSITE, folder / "mixed_ramp_composite.png").astype(int)
    assert np.abs(made - shown).max() <= 2
    half = slice(WIDTH // 2, WIDTH // 2 + 1)
    # half red, half white; with the wall's blue it would be (188, 145, 185)
    assert np.abs(shown[:, half] - (person + 255) / 2).max() <= 12


def test_the_ad_has_its_own_aspect_and_the_file_holds_what_is_seen(opened, folder):
    ad = folder / "ad.png"
    ad.write_bytes(encoded(AD))
    choose(opened, "background", "ad")
    assert (seen(opened) == PICTURE).all()
    find(opened, "#choose-ad").send_keys(str(ad))
    until(opened, "!document.getElementById('no-ad').hidden")
    _, _, width, height = place(opened)
    assert (width * WIDTH) / (height * HEIGHT) == pytest.approx(100 / 60, abs=0.01)
    for opacity in (100, 60):
        slide(opened, "ad-width", 50)
        slide(opened, "ad-left", 12.5)
        slide(opened, "ad-top", 2.5)
        slide(opened, "ad-opacity", opacity)
        # 128 px wide from 32, so 76.8 px tall from 4
        left, top, width, height = place(opened)
        assert (left, top, width, height) == pytest.approx((12.5, 2.5, 50, 48))
        covered = np.zeros((HEIGHT, WIDTH), bool)
        covered[4:81, 32:160] = True
        behind = covered & ~ELLIPSE
        shown = seen(opened)
        assert (shown[~behind] == PICTURE[~behind]).all()
        for columns, colour in ((slice(32, 94), (250, 0, 0)), (slice(98, 160), (250, 200, 0))):
            part = np.zeros_like(behind)
            part[:, columns] = True
            share = opacity / 100
            expected = share * np.array(colour) + (1 - share) * PICTURE[behind & part]
            assert np.abs(shown[behind & part] - expected).max() <= 2
        difference = np.abs(composite(opened, folder) - shown).max(axis=2)
        assert np.quantile(difference, 0.97) <= 2
        assert (difference[ELLIPSE] == 0).all()
    find(opened, "#no-ad").click()
    assert (seen(opened) == PICTURE).all()
    assert opened.switch_to.active_element == find(opened, "#choose-ad")
    assert not is_shown(opened, "#box")


def drag(driver, selector, x, y):
    from selenium.webdriver import ActionChains

    handle = find(driver, selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    actions = ActionChains(driver, duration=0).move_to_element(handle).click_and_hold()
    actions.move_by_offset(x, y).release().perform()


def test_the_ad_is_moved_and_resized_by_hand_and_keeps_its_aspect(opened):
    screen(opened, 1200, 1200)
    with_ad(opened)
    slide(opened, "ad-left", 10)
    slide(opened, "ad-top", 10)
    slide(opened, "ad-width", 40)
    stage = find(opened, "#viewer").rect
    assert stage["width"] / stage["height"] == pytest.approx(WIDTH / HEIGHT, abs=0.01)
    # 800x600 in a frame of 256x160: as tall as wide x 256 / 160 x 600 / 800
    assert place(opened) == pytest.approx([10, 10, 40, 48])
    across, down = round(stage["width"] / 10), round(stage["height"] / 10)
    drag(opened, "#box", across, down)
    assert place(opened) == pytest.approx([20, 20, 40, 48], abs=0.3)
    drag(opened, "[data-corner=se]", across, 0)
    assert place(opened) == pytest.approx([20, 20, 50, 60], abs=0.4)
    drag(opened, "[data-corner=nw]", 2 * across, 0)
    assert place(opened) == pytest.approx([40, 44, 30, 36], abs=0.5)
    outputs = [output.text for output in find_all(opened, "#ad-sliders output")]
    assert outputs == ["40 %", "44 %", "30 %", "100 %"]
    # never beyond the frame, by hand or by slider
    drag(opened, "#box", -5 * across, 3 * down)
    assert place(opened)[:2] == pytest.approx([0, 64], abs=0.5)
    slide(opened, "ad-width", 100)
    left, top, width, height = place(opened)
    assert (left, top) == pytest.approx((0, 0), abs=0.1)
    assert (width, height) == pytest.approx((100 / 1.2, 100))
    # the wipe and the zoom are not moved by that
    assert opened.execute_script("return document.getElementById('zoom').textContent") == "100 %"


def test_the_ad_follows_the_zoom(opened):
    screen(opened, 1200, 1200)
    with_ad(opened)
    slide(opened, "ad-width", 40)
    slide(opened, "ad-left", 40)
    before = find(opened, "#box").rect
    click(opened, "#zoom-in")
    after = find(opened, "#box").rect
    assert after["width"] / before["width"] == pytest.approx(1.25, abs=0.02)
    held = place(opened)
    # the box moves as far as the hand, whatever the zoom
    drag(opened, "#box", -50, 0)
    moved = find(opened, "#box").rect
    assert moved["x"] - after["x"] == pytest.approx(-50, abs=2)
    assert place(opened)[0] < held[0]


def test_an_animated_ad_stands_still(opened, folder):
    frames = [
        Image.fromarray(np.full((40, 60, 3), colour, np.uint8)) for colour in ((200, 0, 0), (0, 0, 200))
    ]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    ad = folder / "ad.webp"
    ad.write_bytes(file.getvalue())
    choose(opened, "background", "ad")
    find(opened, "#choose-ad").send_keys(str(ad))
    until(opened, "!document.getElementById('note').hidden")
    assert text(opened, "#note").startswith("This ad is animated: its first frame is used.")
    slide(opened, "ad-left", 0)
    slide(opened, "ad-top", 0)
    assert (seen(opened)[2, 2] == (200, 0, 0)).all()
