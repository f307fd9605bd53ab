"""The page to try methods, as a visitor uses it: what is dropped, chosen, seen and downloaded."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from kolbench import load
from tests.helpers.browser import find, media, screen, until
from tests.helpers.serving import scenery

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

HEIGHT, WIDTH = 160, 256
PICTURE = scenery(HEIGHT, WIDTH)
ELLIPSE = load("ellipse").segment(PICTURE) == 1
READY = "document.getElementById('status').textContent.includes('ready')"
AD_STANDS = "!document.getElementById('no-ad').hidden"

_HAND_OVER = """
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
_PIXELS = """
const [selector, done] = arguments;
requestAnimationFrame(() => requestAnimationFrame(() => {
  const canvas = document.querySelector(selector), copy = document.createElement('canvas');
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const read = context.getImageData(0, 0, copy.width, copy.height).data;
  let text = ''; for (const level of read) text += String.fromCharCode(level);
  done([canvas.height, canvas.width, btoa(text)]); }))
"""


def visited(driver: "Chrome", port: int) -> Iterator["Chrome"]:
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


def drop(
    driver: "Chrome",
    data: bytes,
    name: str = "a.png",
    on: str = "body",
    kind: str = "drop",
    form: str = "image/png",
) -> Any:
    return driver.execute_script(_HAND_OVER, base64.b64encode(data).decode(), name, form, kind, on)


def pixels(driver: "Chrome", selector: str) -> np.ndarray:
    """(h, w, 4) of a canvas, once what was asked for is drawn."""
    found = driver.execute_async_script(_PIXELS, selector)
    return np.frombuffer(base64.b64decode(found[2]), np.uint8).reshape(found[0], found[1], 4)


def result(driver: "Chrome", method: int) -> np.ndarray:
    """(h, w, 4) of the viewer's side after, in the tab of a method."""
    click(driver, f"#tab-{method}")
    return pixels(driver, "#after")


def click(driver: "Chrome", selector: str) -> None:
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def choose(driver: "Chrome", name: str, value: str) -> None:
    click(driver, f"input[name={name}][value='{value}']")


def slide(driver: "Chrome", key: str, value: float) -> None:
    driver.execute_script(
        "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
        "slider.dispatchEvent(new Event('input'))",
        key,
        value,
    )


def requests(driver: "Chrome") -> int:
    return int(driver.execute_script("return performance.getEntriesByType('resource').length"))


def text(driver: "Chrome", selector: str) -> str:
    found = driver.execute_script("return document.querySelector(arguments[0]).textContent", selector)
    return str(found).strip()


def with_ad(driver: "Chrome") -> None:
    """The drawn ad stands behind the person."""
    choose(driver, "background", "ad")
    click(driver, "#example-ad")
    until(driver, AD_STANDS)


def downloaded(driver: "Chrome", button: str, path: Path) -> np.ndarray:
    """The file that a button gives."""
    from selenium.webdriver.support.ui import WebDriverWait

    path.unlink(missing_ok=True)
    click(driver, button)
    WebDriverWait(driver, 10, 0.02).until(lambda _: path.is_file() and path.stat().st_size)
    until(driver, "!document.querySelector(arguments[0]).disabled", button)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.array(image)


def downloads_into(driver: "Chrome", folder: Path) -> None:
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": False},
    )


def is_shown(driver: "Chrome", selector: str) -> bool:
    return find(driver, selector).is_displayed()
