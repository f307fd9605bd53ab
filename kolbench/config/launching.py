"""Work for Hydra's launchers: one piece after the other, in processes of this machine, or on a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from kolbench.config import compose
from kolbench.config.explain import explain_plugin
from kolbench.errors import ConfigError, KolbenchError, first_line


@dataclass(frozen=True)
class _Numbered:
    """What a launcher calls, in whichever process, in the place of a command's own job."""

    work: Callable[[int], object]

    def __call__(self, config: DictConfig) -> object:
        return self.work(int(HydraConfig.get().job.num))


def launch(work: Callable[[int], object], count: int, folder: Path) -> None:
    """Calls `work` with 0 to `count` - 1 by the launcher that `hydra/launcher=` names, and waits for all.

    Args:
        work: can be pickled; it leaves its results on the disk. count: at least 1.
        folder: where launchers leave what they write.

    Raises:
        ConfigError: the launcher is not installed.
        KolbenchError: the launcher gave up; what had ended by then has left its results.
    """
    with _hydra() as hydra:
        overrides = [
            *(HydraConfig.get().overrides.hydra if HydraConfig.initialized() else ()),
            f"hydra.sweep.dir={compose.literal(folder)}",
            "hydra.sweep.subdir=.",
        ]
        # what is launched composes a command of its own, so here the groups are whatever they are by default
        config = hydra.compose_config("config", overrides, run_mode=RunMode.RUN, with_log_configuration=False)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        try:
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=context, task_function=_Numbered(work), config=config
            )
            returned: list[JobReturn] = list(launcher.launch([[] for _ in range(count)], initial_job_idx=0))
        except Exception as error:
            if plugin := explain_plugin(error):
                raise ConfigError(plugin) from error
            raise KolbenchError(f"the launcher gave up: {first_line(error)}") from error
    for job in returned:
        # raises what the work raised
        _ = job.return_value


@contextmanager
def _hydra() -> Iterator[Hydra]:
    """The command line's, or one of our own where a program runs a task."""
    running = GlobalHydra.instance().hydra
    if running is not None:
        yield running
        return
    compose.register()
    with initialize_config_dir(str(compose.conf_dir()), version_base="1.3"):
        made = GlobalHydra.instance().hydra
        assert made is not None
        yield made
