"""The page's server in a thread, real methods for it, and requests as a script would send them."""

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kolbench import load
from kolbench.segmenter import Segmenter
from kolbench.serve import serve_page, server
from kolbench.serve.app import TryIt
from kolbench.serve.methods import Method
from kolbench.types import Prediction


class Ramp(Segmenter):
    """Alpha rises from 0 at the left to 1 at the right."""

    def predict(self, *inputs: Tensor) -> Prediction:
        image = inputs[0]
        ramp = torch.linspace(0, 1, image.shape[-1], device=image.device)
        return Prediction(ramp.expand(len(image), 1, *image.shape[-2:]).clone())


def method(name: str, segmenter: Segmenter, source: str = "") -> Method:
    return Method(name, source, segmenter.eval())


def ramp_and_ellipse() -> list[Method]:
    return [method("ramp", Ramp(), "ramp.pth"), method("ellipse", load("ellipse"))]


@contextmanager
def running(methods: Sequence[Method], limit_mb: int = 1, threshold: float | None = None) -> Iterator[int]:
    """The port of a server that ends with the block."""
    html = serve_page.render(methods, limit_mb, threshold, "cpu", stays_here=True)
    with server.listen("127.0.0.1", 0) as bound:
        made = server.make(TryIt(methods, limit_mb, html).app(), bound, "127.0.0.1")
        thread = threading.Thread(target=made.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            while not made.started:
                time.sleep(0.005)
            yield bound.getsockname()[1]
        finally:
            made.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal, which holds nothing of how the server is made."""
        told = self.json()
        assert list(told) == ["error"]
        sentence: str = told["error"]
        assert sentence.endswith((".", "?", ")"))
        for inside in ("Traceback", "object at", ".py", "site-packages"):
            assert inside not in sentence
        return sentence

    def picture(self) -> np.ndarray:
        assert self.status == 200, self.body
        return np.asarray(Image.open(io.BytesIO(self.body)))


def send(port: int, verb: str, path: str, body: object = None, **headers: str) -> Answer:
    """headers: with _ in place of -; the body is bytes, or plain values that are sent as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(verb, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
        found = connection.getresponse()
        return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
    finally:
        connection.close()


def encoded(array: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, form, **options)
    return file.getvalue()


def scenery(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 without a flat place."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) % 256], 2).astype(
        np.uint8
    )


def uploaded(port: int, data: bytes, path: str = "/pictures") -> Any:
    answer = send(port, "POST", path, data)
    assert answer.status == 201, answer.body
    return answer.json()
