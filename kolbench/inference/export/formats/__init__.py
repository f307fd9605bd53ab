"""The file formats of exported networks: each is one file of this folder, found by being here."""

import importlib
import pkgutil
import sys
from functools import cache

from kolbench.errors import ConfigError, nearest
from kolbench.inference.export.export_format import ExportFormat

__all__ = ["ExportFormat", "built_in", "format_of", "format_that_wrote"]


@cache
def built_in() -> dict[str, ExportFormat]:
    """Name -> format of this package."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    return {module.FORMAT.name: module.FORMAT for module in modules}


def format_of(name: str) -> ExportFormat:
    """The format of a name, or of a dotted path such as `my_module.FORMAT`.

    Raises:
        ConfigError: there is none.
    """
    if name in built_in():
        return built_in()[name]
    module, _, attribute = name.rpartition(".")
    if module:
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise ConfigError(f"format={name}: the module {module} cannot be imported ({error}).") from error
        if isinstance(found, ExportFormat):
            return found
        raise ConfigError(f"format={name} is no ExportFormat of the module {module}.")
    hint = nearest(name, built_in())
    meant = f" Did you mean format={hint}?" if hint else ""
    raise ConfigError(
        f"format={name} is not a choice; it is one of {', '.join(built_in())}, or my_module.FORMAT.{meant}"
    )


def format_that_wrote(name: str) -> ExportFormat:
    """The format that a sidecar names; a file never makes this program import a module.

    Raises:
        ConfigError: its module is not imported yet.
    """
    module = name.rpartition(".")[0]
    if name not in built_in() and module not in sys.modules:
        raise ConfigError(
            f"The file was written by format={name}, which is no format of kolbench's own, and a file never "
            f"makes kolbench import a module. In Python: import {module or 'its module'}, then "
            "kolbench.load(FILE)."
        )
    return format_of(name)
