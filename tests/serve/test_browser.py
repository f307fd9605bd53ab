"""The page of task=serve in a real Chromium: an image in, results of every method, files out."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import find, find_all, media, until
from tests.helpers.serving import Ramp, encoded, method, ramp_and_ellipse, running, scenery, send
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
    requests,
    result,
    slide,
    text,
    visited,
    with_ad,
)

pytestmark = pytest.mark.slow

LEVELS = np.arange(256)
NO_THRESHOLD = "\N{EN DASH}"


def size(width, height):
    return f"{width} \N{MULTIPLICATION SIGN} {height} px"


# --- an image in


def test_a_dropped_image_is_cut_out_by_every_method(opened):
    assert (pixels(opened, "#before")[..., :3] == PICTURE).all()
    tabs = [[line.text for line in find_all(tab, "span")] for tab in find_all(opened, "[role=tab]")]
    assert [tab[:2] for tab in tabs] == [
        ["ramp", "ramp:ramp.pth"],
        ["Centred ellipse", "ellipse"],
        ["GrabCut", "grabcut"],
        ["Compare all", "3 methods"],
    ]
    assert all(float(tab[2].removesuffix(" s")) < 20 for tab in tabs[:3])
    found = result(opened, 0)
    assert (found[..., 3] == LEVELS).all()
    slide(opened, "threshold", 0.5)
    found = result(opened, 0)
    assert (found[:, 128:, :3] == PICTURE[:, 128:]).all()
    assert (found[:, :128] == 0).all()
    found = result(opened, 1)
    assert (found[..., 3] == ELLIPSE * 255).all()
    assert (found[ELLIPSE, :3] == PICTURE[ELLIPSE]).all()
    assert text(opened, "#after-tag") == "Centred ellipse"
    assert 0 < (result(opened, 2)[..., 3] > 127).mean() < 1


def test_the_threshold_redraws_without_asking_the_server(opened):
    before = requests(opened)
    assert find(opened, "input[name=edge][value=soft]").is_selected()
    for threshold in (0, 0.5, 0.99):
        slide(opened, "threshold", threshold)
        shown = np.where(255 * threshold < LEVELS, 255, 0)
        assert (pixels(opened, "#after")[..., 3] == shown).all()
        assert text(opened, "#threshold-value") == f"{threshold:.2f}"
        choose(opened, "view", "alpha")
        grey = pixels(opened, "#after")
        assert (grey[..., :3] == shown[None, :, None]).all()
        assert (grey[..., 3] == 255).all()
        choose(opened, "view", "result")
    assert find(opened, "input[name=edge][value=hard]").is_selected()
    choose(opened, "edge", "soft")
    assert (pixels(opened, "#after")[..., 3] == LEVELS).all()
    assert text(opened, "#threshold-value") == NO_THRESHOLD
    assert requests(opened) == before


def test_pasting_and_dropping_say_where_a_file_goes(opened):
    drop(opened, encoded(scenery(30, 70)), kind="paste")
    until(opened, "document.getElementById('size').textContent === arguments[0]", size(70, 30))
    until(opened, READY)
    choose(opened, "background", "ad")
    assert drop(opened, b"", kind="dragover", on="#viewer")
    assert "dropping-ad" in str(find(opened, "html").get_attribute("class")).split()
    drop(opened, encoded(scenery(10, 20)), on="#viewer")
    until(opened, "!document.getElementById('no-ad').hidden")
    assert text(opened, "#size") == size(70, 30)
    assert "dropping" not in str(find(opened, "html").get_attribute("class"))


def test_the_last_image_counts_when_two_come_quickly(browser):
    drop(browser, encoded(PICTURE))
    drop(browser, encoded(scenery(90, 90)))
    until(browser, READY)
    assert text(browser, "#size") == size(90, 90)
    assert result(browser, 2).shape == (90, 90, 4)


def test_an_example_scene_by_one_click(browser):
    find(browser, "[data-example='1']").click()
    until(browser, READY)
    assert text(browser, "#size") == size(768, 768)
    assert not is_shown(browser, "#problem")


def test_a_photo_from_the_camera(browser):
    find(browser, "#camera").click()
    until(browser, "document.getElementById('video').videoWidth > 0")
    find(browser, "#shoot").click()
    until(browser, READY)
    assert not is_shown(browser, "#shooting")
    assert pixels(browser, "#before")[..., :3].std() > 5
    assert browser.execute_script("return document.getElementById('video').srcObject") is None


def test_phones_open_their_own_camera(browser):
    assert is_shown(browser, "#camera")
    features = [{"name": "pointer", "value": "coarse"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.refresh()
    # Chromium's emulation may not know this feature; then the page cannot either
    if browser.execute_script("return matchMedia('(pointer: coarse)').matches"):
        assert not is_shown(browser, "#camera")
        assert is_shown(browser, "#capture-label")
    assert find(browser, "#capture").get_attribute("capture") == "environment"
    media(browser, "light")


def test_of_an_animated_image_the_first_frame_is_used_and_that_is_said(browser):
    frames = [Image.fromarray(np.full((40, 60, 3), level, np.uint8)) for level in (40, 200)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    drop(browser, file.getvalue(), "moving.gif", form="image/gif")
    until(browser, READY)
    assert "is animated: its first frame is used" in text(browser, "#note")
    assert (pixels(browser, "#before")[..., :3] == 40).all()
    drop(browser, encoded(PICTURE))
    until(browser, f"document.getElementById('size').textContent === '{size(WIDTH, HEIGHT)}' && {READY}")
    assert not is_shown(browser, "#note")
    choose(browser, "background", "ad")
    drop(browser, file.getvalue(), "moving.gif", on="#viewer", form="image/gif")
    until(browser, "!document.getElementById('no-ad').hidden")
    assert "This ad is animated" in text(browser, "#note")


# --- all methods beside each other


def test_the_grid_compares_all_and_opens_one(opened, tmp_path):
    downloads_into(opened, tmp_path)
    click(opened, "#tab-all")
    assert not is_shown(opened, "#viewer")
    names = [name.text for name in find_all(opened, ".card .name")]
    assert names == ["Image", "ramp", "Centred ellipse", "GrabCut"]
    assert (pixels(opened, "#original")[..., :3] == PICTURE).all()
    assert (pixels(opened, ".card[data-method='0'] canvas")[..., 3] == LEVELS).all()
    assert (pixels(opened, ".card[data-method='1'] canvas")[..., 3] == ELLIPSE * 255).all()
    button = ".card[data-method='1'] [data-file=cutout]"
    made = downloaded(opened, button, tmp_path / "my_photo_ellipse_cutout.png")
    assert (made[..., 3] == ELLIPSE * 255).all()
    find(opened, ".card[data-method='1'] .card-frame").click()
    assert find(opened, "#tab-1").get_attribute("aria-selected") == "true"
    assert opened.switch_to.active_element == find(opened, "#viewer")
    assert (pixels(opened, "#after")[..., 3] == ELLIPSE * 255).all()


def test_one_method_alone_has_nothing_to_compare(chromium):
    with running([method("ramp", Ramp())]) as port:
        for driver in visited(chromium, port):
            assert len(find_all(driver, "[role=tab]")) == 1


# --- files out


def test_files_hold_what_is_seen(opened, tmp_path):
    downloads_into(opened, tmp_path)
    click(opened, "#tab-1")
    assert not find(opened, "#single [data-file=composite]").is_enabled()
    cutout = downloaded(opened, "#single [data-file=cutout]", tmp_path / "my_photo_ellipse_cutout.png")
    assert (cutout[..., 3] == ELLIPSE * 255).all()
    click(opened, "#tab-0")
    slide(opened, "threshold", 0.25)
    alpha = downloaded(opened, "#single [data-file=alpha]", tmp_path / "my_photo_ramp_alpha.png")
    assert (alpha == np.where(LEVELS > 63, 255, 0)).all()


# --- what goes wrong


def test_what_goes_wrong_is_said(chromium, page_port):
    chromium.get(f"http://127.0.0.1:{page_port}/")
    drop(chromium, b"<html>no</html>", "cat.jpg")
    until(chromium, "!document.getElementById('problem').hidden")
    assert text(chromium, "#problem").startswith("The image cannot be read: it is a web page (HTML)")
    assert not is_shown(chromium, "#work")
    sent = requests(chromium)
    drop(chromium, bytes((1 << 20) + 1))
    until(chromium, "document.getElementById('problem').textContent.includes('more than 1 MiB')")
    assert requests(chromium) == sent
    chromium.get_log("browser")
    with running([method("ramp", Ramp())]) as other:
        chromium.get(f"http://127.0.0.1:{other}/")
        drop(chromium, encoded(PICTURE))
        until(chromium, READY)
    find(chromium, "#single [data-file=alpha]").click()
    until(chromium, "document.getElementById('problem').textContent.includes('does not answer')")
    assert pixels(chromium, "#after").shape == (HEIGHT, WIDTH, 4)
    chromium.get_log("browser")


def test_a_threshold_may_be_given_by_the_command(chromium):
    with running(ramp_and_ellipse(), threshold=0.25) as port:
        for driver in visited(chromium, port):
            drop(driver, encoded(PICTURE))
            until(driver, READY)
            assert text(driver, "#threshold-value") == "0.25"
            assert (pixels(driver, "#after")[..., 3] == np.where(LEVELS > 63, 255, 0)).all()


def test_names_that_try_to_be_markup_are_text(chromium):
    attack = "</script><img src=x onerror='window.hacked = 1'>\"&'"
    with running([method(attack, Ramp(), attack)]) as port:
        for driver in visited(chromium, port):
            drop(driver, encoded(PICTURE), f"{attack}.png")
            until(driver, READY)
            assert text(driver, "#tab-0 .name") == attack
            assert text(driver, "#tab-0 .key") == f"{attack}:{attack}"
            assert text(driver, "#after-tag") == attack
            assert driver.execute_script("return window.hacked") is None


def test_what_the_policy_forbids_does_not_happen(chromium, page_port):
    chromium.get(f"http://127.0.0.1:{page_port}/")
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


def test_a_new_image_keeps_what_was_chosen(opened):
    with_ad(opened)
    click(opened, "#tab-1")
    drop(opened, encoded(scenery(90, 90)))
    until(opened, f"document.getElementById('size').textContent === '{size(90, 90)}' && {READY}")
    assert find(opened, "input[name=background][value=ad]").is_selected()
    assert find(opened, "#tab-1").get_attribute("aria-selected") == "true"
    assert is_shown(opened, "#box")
