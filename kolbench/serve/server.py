"""The server from the first line that it prints until Ctrl-C."""

import socket
from contextlib import suppress
from errno import EADDRINUSE

import uvicorn
from starlette.types import ASGIApp

from kolbench.errors import ConfigError
from kolbench.io.hosts import is_loopback
from kolbench.serve.guard import Guard, bracketed

# open requests above which further ones are turned away
MOST_REQUESTS = 32
# seconds that running requests are given at the end
GRACE_SECONDS = 3


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 picks a free one.

    Raises:
        ConfigError: the address is taken, forbidden, or not one of this computer's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == EADDRINUSE:
            raise ConfigError(f"port={port} is taken on {host}; port=0 picks a free one.") from None
        # create_server adds what it was doing
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ConfigError(f"host={host} port={port} cannot be listened on: {reason}.") from None


def make(app: ASGIApp, bound: socket.socket, host: str) -> uvicorn.Server:
    """The server, behind its Guard; its `run(sockets=[bound])` answers requests."""
    config = uvicorn.Config(
        Guard(app, host, bound.getsockname()[1]),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def run(app: ASGIApp, bound: socket.socket, host: str) -> None:
    """Answers requests until Ctrl-C; prints the address, and a warning where others can reach it."""
    server = make(app, bound, host)
    shown = "localhost" if host in ("0.0.0.0", "::") else bracketed(host)  # noqa: S104 - compared
    if not is_loopback(host):
        print(f"warning: host={host}: anybody in your network who knows the address can use this page.")
    print(f"http://{shown}:{bound.getsockname()[1]}/ is open; Ctrl-C ends it", flush=True)
    # uvicorn raises the signal again once it has ended
    with suppress(KeyboardInterrupt):
        server.run(sockets=[bound])
    print("ended; nothing was kept")
