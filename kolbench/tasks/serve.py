"""`task=serve`: a page in the browser to try methods on pictures, with an ad behind."""

from dataclasses import dataclass

from kolbench.config.compose import instantiate
from kolbench.config.groups import Component
from kolbench.config.schema import NO_TTA, TaskConfig, TaskResult
from kolbench.engine.devices import choose_device, describe
from kolbench.errors import ConfigError
from kolbench.io.hosts import is_loopback

MORE = "others: 'methods=[grabcut,u2netp:official,runs/modnet/RUN]'"


@dataclass(frozen=True)
class ServeConfig(TaskConfig):
    """What `task=serve` reads.

    methods: names, run folders, files, or `method:weights`; None = official MODNet, if it can be had, and
    GrabCut. refiner: follows each of them. host, port: where
    the page is. limit_mb: of an upload. threshold: where the page's slider stands at first. tta: of all
    methods, one of schema.TTA. device: auto, cpu, cuda, cuda:N or mps.
    """

    methods: object
    refiner: Component
    host: str
    port: int
    limit_mb: int
    threshold: float | None
    tta: str
    backend: str
    device: str


def run(config: ServeConfig) -> TaskResult:
    """Loads `methods` on `device`, opens the page on `host` and `port`, and ends with Ctrl-C.

    Raises:
        KolbenchError: a method cannot be loaded, the address is taken, or the extra is not installed.
    """
    try:
        from kolbench.serve import methods, serve_page, server
        from kolbench.serve.app import TryIt
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"task=serve needs {error.name}, which is not installed: pip install 'kolbench[serve]'."
        ) from None
    typed = methods.listed(config.methods)
    host, limit_mb = config.host, config.limit_mb
    with server.listen(host, config.port) as bound:
        device = describe(choose_device(config.device))
        refiner = instantiate(config.refiner)
        sources = typed or methods.default_sources()
        loaded = methods.load_methods(sources, config.device, refiner, config.tta, config.backend)
        added = "" if config.tta == NO_TTA else f", tta={config.tta}"
        added += "" if config.refiner.name == "none" else f", refined by {config.refiner.name}"
        print(f"{', '.join(method.shown for method in loaded)} on {device}{added}")
        if not typed:
            print(MORE)
        html = serve_page.render(loaded, limit_mb, config.threshold, device, is_loopback(host))
        server.run(TryIt(loaded, limit_mb, html).app(), bound, host)
    return TaskResult()
