"""One browser and one server for all tests of the page."""

import pytest

from kolbench import load
from tests.helpers.browser import launched, until
from tests.helpers.serving import encoded, method, ramp_and_ellipse, running
from tests.helpers.try_it import PICTURE, READY, drop, visited

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="package")
def page_port():
    with running([*ramp_and_ellipse(), method("grabcut", load("grabcut"))]) as found:
        yield found


@pytest.fixture(scope="package")
def chromium(tmp_path_factory):
    yield from launched(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile"), *CAMERA)


@pytest.fixture
def browser(chromium, page_port):
    yield from visited(chromium, page_port)


@pytest.fixture
def opened(browser):
    """The page with PICTURE and all its alphas."""
    drop(browser, encoded(PICTURE), "my photo.png")
    until(browser, READY)
    return browser
