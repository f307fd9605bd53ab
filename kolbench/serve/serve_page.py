"""The page as one HTML text: everything inline, allowed to speak with its own server only."""

from collections.abc import Sequence

from markupsafe import Markup

from kolbench.report import inlined
from kolbench.serve.methods import CLASSIC, Method
from kolbench.serve.uploads import (
    MOST_PIXELS,
    SHOWN_SIDE,
    THUMBNAIL_SIDE,
    example_before_after,
    example_thumbnails,
)

_HERE = "kolbench.serve"
_STYLES = ("page.css", "viewer.css", "results.css")
_SCRIPTS = (
    "server.js",
    "drawing.js",
    "backgrounds.js",
    "viewer.js",
    "ad.js",
    "camera.js",
    "intake.js",
    "tabs.js",
    "page.js",
)


def render(
    methods: Sequence[Method], limit_mb: int, threshold: float | None, device: str, stays_here: bool
) -> tuple[str, str]:
    """The HTML and its Content-Security-Policy.

    Args:
        methods: in the order in which they are shown.
        limit_mb: largest upload in MiB.
        threshold: where the slider stands at first, None = alpha as it is.
        device: in words.
        stays_here: whether only this computer can reach the server.
    """
    css = inlined.style_of(_HERE, *_STYLES)
    script = inlined.script_of(_HERE, *_SCRIPTS)
    before, after = example_before_after()
    html = inlined.page(_HERE, "page.html").render(
        # our own files
        css=Markup(css),  # noqa: S704
        script=Markup(script),  # noqa: S704
        methods=methods,
        device=device,
        stays_here=stays_here,
        limit_mb=limit_mb,
        most_megapixels=MOST_PIXELS // 1_000_000,
        examples=[inlined.data_uri(thumbnail, "jpeg") for thumbnail in example_thumbnails()],
        thumbnail_side=THUMBNAIL_SIDE,
        before=inlined.data_uri(before, "jpeg"),
        after=inlined.data_uri(after, "webp"),
        shown_side=SHOWN_SIDE,
        classic_alone=[method.name for method in methods] == [CLASSIC],
        data={
            "methods": [
                {"name": method.name, "shown": method.shown, "licence": method.licence} for method in methods
            ],
            "limit_mb": limit_mb,
            "threshold": threshold,
        },
    )
    return html, _policy(css, script)


def _policy(css: str, script: str) -> str:
    """Our own script and style sheet, requests to this server, nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{inlined.digest(script)}'",
            f"style-src '{inlined.digest(css)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
