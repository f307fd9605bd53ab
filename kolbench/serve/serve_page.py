"""The page as one HTML text: everything inline, allowed to speak with its own server only."""

import base64
from collections.abc import Sequence

from markupsafe import Markup

from kolbench.report import inlined
from kolbench.serve.methods import Method
from kolbench.serve.uploads import MOST_PIXELS, THUMBNAIL_SIDE, example_thumbnails

_HERE = "kolbench.serve"
# where the page's letters, colours and controls come from
_HOUSE_STYLES = ("base.css", "summary.css", "tables.css", "masks.css", "large.css")


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
    house = "".join(inlined.template("kolbench.report", name) for name in _HOUSE_STYLES)
    css = house + inlined.template(_HERE, "page.css")
    script = inlined.script_of(_HERE, "page.js")
    html = inlined.page(_HERE, "page.html").render(
        # our own files
        css=Markup(css),  # noqa: S704
        script=Markup(script),  # noqa: S704
        methods=methods,
        device=device,
        stays_here=stays_here,
        limit_mb=limit_mb,
        most_megapixels=MOST_PIXELS // 1_000_000,
        examples=[f"data:image/jpeg;base64,{_base64(thumbnail)}" for thumbnail in example_thumbnails()],
        thumbnail_side=THUMBNAIL_SIDE,
        only_default=[method.name for method in methods] == ["grabcut"],
        data={"methods": [method.name for method in methods], "limit_mb": limit_mb, "threshold": threshold},
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


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
