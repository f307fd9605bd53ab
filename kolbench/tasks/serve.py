"""`task=serve`: a page in the browser to try methods on pictures, with an ad behind."""

from typing import Any

from kolbench.engine.devices import choose_device, describe
from kolbench.errors import ConfigError

DEFAULT = ("grabcut",)
MORE = "'methods=[grabcut,modnet:modnet.pth,runs/modnet/RUN]' loads more: names, method:weights, run folders"


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Loads `methods` on `device`, opens the page on `host` and `port`, and ends with Ctrl-C.

    Args:
        settings: the resolved configuration: `methods`, `host`, `port`, `limit_mb`, `threshold`, `device`.

    Raises:
        KolbenchError: a method cannot be loaded, the address is taken, or the extra is not installed.
    """
    _refuse_other_ways(settings)
    try:
        from kolbench.serve import methods, page, server
        from kolbench.serve.app import TryIt
        from kolbench.serve.guard import is_loopback
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"task=serve needs {error.name}, which is not installed: pip install 'kolbench[serve]'."
        ) from None
    sources = methods.listed(settings["methods"]) or list(DEFAULT)
    host, limit_mb = settings["host"], settings["limit_mb"]
    with server.listen(host, settings["port"]) as bound:
        device = describe(choose_device(settings["device"]))
        loaded = methods.load_methods(sources, settings["device"])
        print(f"{', '.join(method.name for method in loaded)} on {device}")
        if sources == list(DEFAULT):
            print(MORE)
        html = page.render(loaded, limit_mb, settings["threshold"], device, is_loopback(host))
        server.run(TryIt(loaded, limit_mb, html).app(), bound, host)
    return {}


def _refuse_other_ways(settings: dict[str, Any]) -> None:
    typed = {word.lstrip("+").partition("=")[0] for word in settings["overrides"]}
    wrong = sorted(typed & {"weights", "experiment", "model", "input", "output"})
    if wrong:
        raise ConfigError(
            f"task=serve takes no {wrong[0]}=; its methods are named in one list, such as {MORE.split()[0]}."
        )
