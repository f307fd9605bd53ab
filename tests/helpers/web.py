"""A web server on this machine that gives files as a release page does, and breaks as networks do."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What is served, and what was asked.

    address: of the server. files: path -> content. cut: path -> bytes after which the connection breaks,
    once. moved: path -> where it is now. ranges: whether parts are given. slow: seconds before an answer.
    asked: (path, Range header) of every request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    slow: float = 0.0
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def served() -> Iterator[Web]:
    """The server, on a free port of 127.0.0.1."""
    web = Web()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(web)) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


def _handler(web: Web) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            web.asked.append((self.path, asked))
            time.sleep(web.slow)
            if self.path in web.moved:
                self.send_response(302)
                self.send_header("Location", web.moved[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self.path not in web.files:
                self.send_error(404)
            else:
                self._give(web.files[self.path], asked if web.ranges else None)

        def _give(self, content: bytes, asked: str | None) -> None:
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if start >= len(content) > 0:
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = web.cut.pop(self.path, len(content))
            self.wfile.write(content[start:end])
            if end < len(content):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    return Handler
