"""`hydra/sweeper=optuna`; Hydra takes sweepers from the package `hydra_plugins` alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """A search of knobs as `kolbench.config.searching` makes it; this file is loaded by every command.

    Args:
        n_trials, n_jobs, sampler, params: see conf/hydra/sweeper/optuna.yaml.
    """

    def __init__(
        self, n_trials: int, n_jobs: int, sampler: DictConfig, params: Mapping[str, str] | None = None
    ) -> None:
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.sampler = sampler
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what the command composed."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Runs all trials of the search."""
        from kolbench.config import searching

        assert self.config is not None
        words = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        return searching.search(words, self.config, self._launched, self.n_trials, self.n_jobs, self.sampler)

    def _launched(self, batch: Sequence[Sequence[str]], first: int) -> Any:
        if not first:
            # a wrong key is said before anything runs
            self.validate_batch_is_legal(batch)
        assert self.launcher is not None
        return self.launcher.launch(batch, initial_job_idx=first)
