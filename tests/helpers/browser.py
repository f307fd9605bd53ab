"""A Chromium without a screen, and what tests do with the report's page in it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

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


def launched(home: Path, profile: Path, *switches: str) -> Iterator["Chrome"]:
    """A driver, ended when the generator is; skips the test where there is no browser.

    home, profile: empty folders for what it writes. switches: beside SWITCHES.
    """
    if not (shutil.which(CHROMIUM) and shutil.which(DRIVER)):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        patch.setenv("HOME", str(home))
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for switch in (*SWITCHES, *switches, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        driver.get("about:blank")
        # of the browser's own first page
        driver.get_log("performance")
        yield driver
        driver.quit()


def opened(driver: "Chrome", path: Path) -> Iterator["Chrome"]:
    screen(driver, 1300, 900)
    media(driver, "light")
    driver.get(path.as_uri())
    yield driver
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} - {path.as_uri()} == set()


def screen(driver: "Chrome", width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def too_wide(driver: "Chrome", except_in: str) -> list[str]:
    """The HTML of what is seen and reaches beyond the right edge, but for what these selectors hold."""
    return driver.execute_script(
        "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
        " && !e.closest(arguments[0]) && e.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((e) => e.outerHTML.slice(0, 150))",
        except_in,
    )


def media(driver: "Chrome", scheme: str, kind: str = "") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})


def find(driver: "Chrome | WebElement", selector: str) -> "WebElement":
    return driver.find_element("css selector", selector)


def find_all(driver: "Chrome | WebElement", selector: str) -> "list[WebElement]":
    return driver.find_elements("css selector", selector)


def press(driver: "Chrome", *keys: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    names = [getattr(Keys, key) for key in keys]
    ActionChains(driver, duration=0).send_keys(*names).perform()


def until(driver: "Chrome", script: str, *arguments: object) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 10, 0.02).until(lambda d: d.execute_script(f"return {script}", *arguments))


def settled(driver: "Chrome", holds: Callable[[], bool]) -> None:
    """Waits until something holds: on a busy machine a key is dealt with after `press` has returned."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 10, 0.02).until(lambda _: holds())


def unfold(driver: "Chrome") -> None:
    """Opens all that is folded."""
    driver.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")


def set_slider(driver: "Chrome", percent: float) -> None:
    driver.execute_script(
        "const slider = document.getElementById('threshold'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'))",
        percent / 100,
    )


def live(driver: "Chrome") -> dict[str, list[Any]]:
    """Label -> what its row shows: threshold, four texts, four values."""
    return driver.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#live tr[data-method]')].map((row) => ["
        "JSON.parse(document.getElementById('data').textContent).methods[row.dataset.method].label,"
        "[row.cells[1].textContent.trim(),"
        "[...row.cells].slice(2).map((c) => c.textContent),"
        "[...row.cells].slice(2).map((c) => Number(c.dataset.value))]]))"
    )


def pixels(driver: "Chrome", shot: int, source: int | str, within: str = "") -> np.ndarray:
    """(h, w, 4) of a tile's canvas, once it is drawn for the present state; within: begins a selector."""
    found = driver.execute_async_script(
        "const [shot, source, within, done] = arguments;"
        "const article = document.querySelector(`${within}.shot[data-shot='${shot}']`);"
        "article.scrollIntoView();"
        "const wait = () => { if (article.dataset.drawn === undefined) return setTimeout(wait, 5);"
        "  const canvas = article.querySelector(`[data-source='${source}'] canvas`);"
        "  const read = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "  done([canvas.height, canvas.width, ...read.data]); };"
        "wait();",
        shot,
        str(source),
        within,
    )
    return np.array(found[2:], np.uint8).reshape(found[0], found[1], 4)


def explored(driver: "Chrome", source: int | str) -> np.ndarray:
    """(h, w, 4) of a canvas of the threshold explorer, once it is drawn for the present state."""
    found = driver.execute_async_script(
        "const [source, done] = arguments;"
        "const tiles = document.getElementById('explorer-tiles');"
        "tiles.scrollIntoView();"
        "const wait = () => { if (tiles.dataset.drawn === undefined) return setTimeout(wait, 5);"
        "  const canvas = tiles.querySelector(`[data-source='${source}'] canvas`);"
        "  const read = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "  done([canvas.height, canvas.width, ...read.data]); };"
        "wait();",
        str(source),
    )
    return np.array(found[2:], np.uint8).reshape(found[0], found[1], 4)


def show(driver: "Chrome", mode: str, group: str = "mode") -> None:
    driver.execute_script(f"document.querySelector('input[name={group}][value={mode}]').click()")


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


def luminance(colour: str) -> float:
    channels = np.array([float(value) for value in re.findall(r"[\d.]+", colour)][:3]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrasts(driver: "Chrome") -> dict[str, float]:
    """Text -> its contrast as WCAG 2 defines it."""
    found = {}
    for pair, text in driver.execute_script(TEXTS).items():
        assert re.fullmatch(r"rgb\([\d, ]+\) on rgb\([\d, ]+\)", pair), f"{text}: {pair}"
        low, high = sorted(luminance(colour) for colour in pair.split(" on "))
        found[f"{text} ({pair})"] = (high + 0.05) / (low + 0.05)
    return found
