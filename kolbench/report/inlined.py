"""What every page of ours is made of: escaped templates, style sheets and scripts that stand inside."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

THEME = "theme.js"


def template(package: str, name: str) -> str:
    """The text of a file in the `templates` folder of a package."""
    return resources.files(package).joinpath("templates", name).read_text(encoding="utf-8")


def page(package: str, name: str) -> Template:
    """A page to fill in: whatever is put into it is escaped, and nothing may be missing."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template(package, name))


def script_of(package: str, *names: str) -> str:
    """A page's script, of one file or several, after what every page's script begins with."""
    return template(__package__, THEME) + "".join(template(package, name) for name in names)


def digest(text: str) -> str:
    """The source of a Content-Security-Policy that allows this script or style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
