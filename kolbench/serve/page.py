"""The page as one HTML text: everything inline, allowed to speak with its own server only."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from kolbench.serve.methods import Method
from kolbench.serve.pictures import MOST_PIXELS, THUMBNAIL_SIDE, example_thumbnails

# where the page's letters, colours and controls come from
_HOUSE_STYLE = ("kolbench.report", "report.css")


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
    css = _template(*_HOUSE_STYLE) + _template(__package__, "page.css")
    script = _template(__package__, "page.js")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(_template(__package__, "page.html"))
    html = template.render(
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


def _template(package: str, name: str) -> str:
    return resources.files(package).joinpath("templates", name).read_text(encoding="utf-8")


def _policy(css: str, script: str) -> str:
    """Our own script and style sheet, requests to this server, nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(css)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"sha256-{_base64(hashlib.sha256(text.encode()).digest())}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
