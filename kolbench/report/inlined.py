"""What every page of ours is made of: escaped templates, style sheets and scripts that stand inside."""

import base64
import hashlib
from functools import partial
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

BASE, THEME = "base.css", ("dom.js", "theme.js")


def template(package: str, name: str) -> str:
    """The text of a file in the `templates` folder of a package."""
    return resources.files(package).joinpath("templates", name).read_text(encoding="utf-8")


def page(package: str, name: str) -> Template:
    """A page to fill in, with what it includes: what goes into it is escaped, and nothing may be missing."""
    environment = Environment(
        loader=FunctionLoader(partial(template, package)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def style_of(package: str, *names: str) -> str:
    """A page's style sheet, of one file or several, after what every page's style sheet begins with."""
    return template(__package__, BASE) + "".join(template(package, name) for name in names)


def script_of(package: str, *names: str) -> str:
    """A page's script, of one file or several, after what every page's script begins with."""
    return "".join(template(__package__, name) for name in THEME) + "".join(
        template(package, name) for name in names
    )


def data_uri(data: bytes, kind: str) -> str:
    """A picture's file as a page has it; kind: `png`, `jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def digest(text: str) -> str:
    """The source of a Content-Security-Policy that allows this script or style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
