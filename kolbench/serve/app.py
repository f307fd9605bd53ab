"""The page's server: pictures in, alphas and composites out; one prediction at a time, nothing on disk."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kolbench.errors import ConfigError, KolbenchError, require_choice
from kolbench.io import images
from kolbench.serve import files, uploads
from kolbench.serve.guard import problem
from kolbench.serve.memory import Memory, new_token
from kolbench.serve.methods import Method
from kolbench.serve.uploads import Upload
from kolbench.types import JsonObject, UInt8Array
from kolbench.video.compositing.renderings import alpha8

T = TypeVar("T")

UPLOAD_SECONDS = 120
REQUEST_BYTES = 10_000
HELD_BYTES = 1 << 30
HELD_ARRAYS = 64
_GONE = "The server no longer holds this image; choose it again."


class TryIt:
    """What the page asks for.

    Pictures and ads are sent as the bytes of a file and known by a token from then on; no request names a
    path. Levels of alpha, (H, W) uint8, are kept so that downloads need no second prediction.

    Args:
        methods: at least one, in the order of the page.
        limit_mb: largest upload in MiB.
        page: the HTML and its Content-Security-Policy.
    """

    def __init__(self, methods: Sequence[Method], limit_mb: int, page: tuple[str, str]) -> None:
        self._methods = methods
        self._limit_mb = limit_mb
        self._page = page
        self._memory = Memory(HELD_BYTES, HELD_ARRAYS)
        self._turn = asyncio.Lock()
        self._decoder = ThreadPoolExecutor(1, "kolbench-decoder")
        self._worker = ThreadPoolExecutor(1, "kolbench-worker")

    def app(self) -> Starlette:
        """The application, to stand behind a Guard."""
        return Starlette(
            routes=[
                Route("/", self.page, methods=["GET"]),
                Route("/pictures", self.upload, methods=["POST"]),
                Route("/ads", self.upload_ad, methods=["POST"]),
                Route("/examples/{number:int}", self.example, methods=["POST"]),
                Route("/examples/ad", self.example_ad, methods=["POST"]),
                Route("/examples/background", self.example_background, methods=["POST"]),
                Route("/pictures/{token}", self.preview, methods=["GET"]),
                Route("/pictures/{token}/alphas/{method:int}", self.alpha, methods=["POST"]),
                Route("/pictures/{token}/foregrounds/{method:int}", self.foreground, methods=["POST"]),
                Route("/pictures/{token}/files/{kind}", self.file, methods=["POST"]),
            ],
            exception_handlers={
                KolbenchError: _refused,
                HTTPException: _refused,
                ClientDisconnect: _left,
                Exception: _failed,
            },
        )

    async def page(self, request: Request) -> Response:
        """GET /: the page."""
        html, policy = self._page
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def upload(self, request: Request) -> Response:
        """POST /pictures, the body a picture file -> 201 {token, width, height, animated}."""
        return await self._taken(request, uploads.decode, "The image")

    async def upload_ad(self, request: Request) -> Response:
        """POST /ads: the same for an ad, whose transparency is kept."""
        return await self._taken(request, uploads.decode_ad, "The ad")

    async def example(self, request: Request) -> Response:
        """POST /examples/NUMBER: as if a drawn scene had been uploaded."""
        number = request.path_params["number"]
        if number >= len(uploads.EXAMPLES):
            raise HTTPException(404, f"There are {len(uploads.EXAMPLES)} examples, counted from 0.")
        return self._kept(Upload(await self._decoded(uploads.example_picture, number)))

    async def example_ad(self, request: Request) -> Response:
        """POST /examples/ad: as if a drawn ad had been uploaded."""
        return self._kept(Upload(await self._decoded(uploads.example_ad)))

    async def example_background(self, request: Request) -> Response:
        """POST /examples/background: as if a drawn room without a person had been uploaded."""
        return self._kept(Upload(await self._decoded(uploads.example_background)))

    async def preview(self, request: Request) -> Response:
        """GET /pictures/TOKEN: a PNG, upright, the longest side at most PREVIEW_SIDE px; of ads as well."""
        image = self._held(request.path_params["token"])
        return _png(await self._decoded(lambda: images.png_bytes(uploads.preview(image))))

    async def alpha(self, request: Request) -> Response:
        """POST /pictures/TOKEN/alphas/METHOD -> levels of the preview's pixels, a byte each, row by row.

        Server-Timing says how long the prediction took.
        """
        token, method = request.path_params["token"], request.path_params["method"]
        levels, seconds = await self._levels(request, token, method)
        small = await self._decoded(uploads.preview, levels)
        timing = {"Server-Timing": f"predict;dur={1000 * seconds:.1f}"}
        return Response(small.tobytes(), media_type="application/octet-stream", headers=timing)

    async def foreground(self, request: Request) -> Response:
        """POST /pictures/TOKEN/foregrounds/METHOD -> the preview's RGB, the person's own at soft edges.

        Three bytes a pixel, row by row: on one computer that is faster than a PNG.
        """
        token = request.path_params["token"]
        levels, _ = await self._levels(request, token, request.path_params["method"])
        image = self._held(token)
        colours = await self._in_turn(request, lambda: files.foreground_preview(image, levels))
        return Response(colours.tobytes(), media_type="application/octet-stream")

    async def file(self, request: Request) -> Response:
        """POST /pictures/TOKEN/files/KIND, the body JSON -> a PNG of the picture's own size.

        The body's `method` is its number; `threshold` in [0, 1] makes alpha 0 or 1, null leaves it soft.
        KIND is alpha, cutout (RGBA, cleaned edges) or composite, which takes `background`, one of
        files.BACKGROUNDS (ad by default); `ad` or `image`, the token of what stands behind; and what
        files.composite_file reads.
        """
        token = request.path_params["token"]
        kind = require_choice("kind", request.path_params["kind"], files.KINDS)
        wishes = _wishes(await _body(request, REQUEST_BYTES, "The request is too long."))
        image = self._held(token)
        levels, _ = await self._levels(request, token, wishes.get("method"))
        alpha = files.alpha_of(levels, wishes.get("threshold"))
        if kind == "composite":
            background = require_choice("background", wishes.get("background", files.AD), files.BACKGROUNDS)
            layer = self._held(wishes.get(background)) if background in files.UPLOADED else None
            making = partial(files.composite_file, image, alpha, background, layer, wishes)
        else:
            making = partial(files.alpha_file if kind == "alpha" else files.cutout_file, image, alpha)
        return _png(await self._in_turn(request, making))

    async def _taken(self, request: Request, decode: Callable[[bytes, str], Upload], name: str) -> Response:
        sentence = f"{name} has more than {self._limit_mb} MiB, which is the limit here (limit_mb=)."
        data = await _body(request, self._limit_mb << 20, sentence)
        return self._kept(await self._decoded(decode, data, name))

    def _kept(self, upload: Upload) -> Response:
        token = new_token()
        self._memory.put(token, upload.image)
        height, width = upload.image.shape[:2]
        told = {"token": token, "width": width, "height": height, "animated": upload.animated}
        return JSONResponse(told, 201)

    def _held(self, token: Any) -> UInt8Array:
        image = self._memory.get(token) if isinstance(token, str) else None
        if image is None:
            raise HTTPException(404, _GONE)
        return image

    async def _levels(self, request: Request, token: str, number: Any) -> tuple[UInt8Array, float]:
        """A method's levels and the seconds of the prediction, 0 where they were held."""
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(self._methods):
            raise ConfigError(f"method={number} is no number of a method; they go from 0.")
        image = self._held(token)
        held = self._memory.get((token, number))
        if held is not None:
            return held, 0.0
        method = self._methods[number]

        def predict() -> tuple[UInt8Array, float]:
            started = time.perf_counter()
            alpha = method.alpha(image)
            return alpha8(alpha), time.perf_counter() - started

        levels, seconds = await self._in_turn(request, predict)
        self._memory.put((token, number), levels)
        return levels, seconds

    async def _in_turn(self, request: Request, work: Callable[[], T]) -> T:
        """What `work` gives, after all that came before; it is not begun for a visitor who has left."""
        async with self._turn:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _decoded(self, work: Callable[..., T], *arguments: Any) -> T:
        """What short work gives; it does not wait for predictions."""
        return await asyncio.get_running_loop().run_in_executor(self._decoder, work, *arguments)


async def _body(request: Request, most: int, sentence: str) -> bytes:
    """The request's body; no more of it than allowed is ever held."""
    told = request.headers.get("content-length", "0")
    if not told.isdigit() or int(told) > most:
        raise HTTPException(413, sentence)
    parts, size = [], 0
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise HTTPException(413, sentence)
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"The upload took more than {UPLOAD_SECONDS} s.") from None
    return b"".join(parts)


def _wishes(body: bytes) -> JsonObject:
    try:
        wishes = json.loads(body)
    except (ValueError, RecursionError):
        wishes = None
    if not isinstance(wishes, dict):
        raise ConfigError('The request must be JSON, such as {"method": 0, "threshold": null}.')
    return wishes


def _png(data: bytes) -> Response:
    return Response(data, media_type="image/png")


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return problem(400, str(error))
    path = request.url.path[:100]
    if error.detail == HTTPStatus.NOT_FOUND.phrase:
        return problem(404, f"There is nothing at {path}.")
    if error.detail == HTTPStatus.METHOD_NOT_ALLOWED.phrase:
        return problem(405, f"{path} does not take {request.method}.")
    return problem(error.status_code, error.detail)


async def _left(request: Request, error: Exception) -> Response:
    return problem(400, "The connection was closed.")


async def _failed(request: Request, error: Exception) -> Response:
    return problem(500, f"The server failed at this ({type(error).__name__}); its terminal says more.")
