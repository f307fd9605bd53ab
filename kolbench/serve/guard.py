"""Who may speak with the server: requests of its own page and of scripts, under the names that it has."""

import ipaddress
import re
import socket
import sys
import tempfile
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kolbench.io.hosts import is_loopback

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[^:\[\]]+)(?::(\d{1,5}))?")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def bracketed(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets, small letters."""
    return f"[{host}]" if ":" in host else host.lower()


def is_ours(header: str, host: str, port: int) -> bool:
    """Whether a Host header names this server.

    A page of somebody else whose name was made to lead here (DNS rebinding) sends its own name. A server that
    is bound to all addresses is also known by any address, since rebinding needs a name, and by this
    computer's name.

    Args:
        header: of the request. host, port: that the server is bound to.
    """
    found = _HOST.fullmatch(header.lower())
    if found is None or int(found[2] or 80) != port:
        return False
    name = found[1]
    if name in LOOPBACK or name == bracketed(host):
        return True
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return False
    return _is_address(name.strip("[]")) or name == socket.gethostname().lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Refuses what a foreign page could have sent, adds the headers that shut it out, and hides stack traces.

    Args:
        app: answers what is let through. host, port: that the server is bound to.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        try:
            await self._app(scope, receive, send_guarded)
        except Exception as error:
            _note(error)  # the answer has been sent

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if not is_ours(host, self._host, self._port):
            address = (
                f"http://{'localhost' if is_loopback(self._host) else bracketed(self._host)}:{self._port}"
            )
            return problem(421, f"This server does not answer to the name {host[:100]!r}; open {address}.")
        origin = headers.get("origin")
        foreign = origin is not None and origin.lower() != f"http://{host.lower()}"
        if method != "GET" and (foreign or headers.get("sec-fetch-site", "same-origin") != "same-origin"):
            return problem(403, "Another page sent this; only the server's own page may.")
        return None


def problem(status: int, sentence: str) -> JSONResponse:
    """An error as the page expects it: {"error": sentence}."""
    return JSONResponse({"error": sentence}, status)


def _note(error: Exception) -> None:
    """Tells the terminal of a fault of ours in one line; the stack trace goes to a file, for a report."""
    with tempfile.NamedTemporaryFile("w", prefix="kolbench-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    print(f"kolbench: {type(error).__name__}: {error}; {file.name} holds the details.", file=sys.stderr)
