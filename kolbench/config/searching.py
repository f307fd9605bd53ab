"""A search of knobs by Optuna: each trial is a job of a sweep, its value a score of the validation pictures.

Test pictures are scored by no trial, so that the search cannot choose by them and nobody can look.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from kolbench.config.compose import instantiate
from kolbench.config.fields import require_mapping
from kolbench.config.folder import conf_words
from kolbench.config.groups import key_of
from kolbench.errors import ConfigError
from kolbench.io.files import write_json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

UNSCORED = "test=false"
RESULTS = "search.json"
# of a trial's words, groups and keys that task=test does not read
_ONLY_FIT = ("task", "test", "init", "resume", "callbacks")
# of the best trials, so many are printed
_SHOWN = 10


@dataclass(frozen=True)
class Trial:
    """One trial.

    words: its own. value: mIoU of the validation pictures; None = it failed. folder: of its run.
    """

    number: int
    words: tuple[str, ...]
    value: float | None
    folder: str


def search(
    words: Sequence[str],
    config: DictConfig,
    launch: Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]],
    n_trials: int,
    n_jobs: int,
    sampler: DictConfig,
) -> list[Trial]:
    """Runs the trials of a search in batches, writes `search.json`, prints the best.

    Args:
        words: of the command; those with `interval`, `range`, `choice` or several values are searched.
        config: of the sweep, whose folder results go to.
        launch: runs the jobs with the words of each, counted from a number.
        n_trials: in all. n_jobs: in a batch. sampler: one of Optuna's, by `_target_`.

    Raises:
        ConfigError: no word is searched, or test pictures are to be scored.
    """
    import optuna

    fixed, searched = split(words)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen = require_mapping("hydra.sweeper.sampler", OmegaConf.to_container(sampler, resolve=True))
    study = optuna.create_study(direction="maximize", sampler=instantiate(chosen))
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    trials: list[Trial] = []
    while len(trials) < n_trials:
        asked = [study.ask(dict(searched)) for _ in range(min(n_jobs, n_trials - len(trials)))]
        own = [tuple(f"{key}={_word(value)}" for key, value in trial.params.items()) for trial in asked]
        returned = launch([[*fixed, UNSCORED, *words] for words in own], len(trials))
        for trial, chosen_words, job in zip(asked, own, returned, strict=True):
            value = _value(job.return_value)
            if value is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, value)
            place = str(job.hydra_cfg.hydra.runtime.output_dir) if job.hydra_cfg else ""
            trials.append(Trial(len(trials), chosen_words, value, place))
        write_json(folder / RESULTS, {"searched": [*searched], "trials": [asdict(trial) for trial in trials]})
    _print(trials, fixed)
    return trials


def split(words: Sequence[str]) -> tuple[list[str], "dict[str, BaseDistribution]"]:
    """The words that every trial has, and what of the others is searched, by key.

    Raises:
        ConfigError: no word is searched, or test pictures are to be scored.
    """
    fixed: dict[str, str] = {}
    searched: dict[str, BaseDistribution] = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.get_key_element()
        if override.is_sweep_override():
            searched[key] = distribution(override)
            fixed.pop(key, None)
        else:
            fixed[key] = override.input_line or ""
            searched.pop(key, None)
    if fixed.pop("test", UNSCORED).partition("=")[2].strip().lower() != "false":
        raise ConfigError(
            "a search never scores the test images: leave test= away, and score the best trial with "
            "task=test."
        )
    if not searched:
        raise ConfigError(
            "hydra/sweeper=optuna has nothing to search: give a knob values, such as "
            "'budget.lr_factor=tag(log,interval(0.1,10))', 'model.k=range(2,9)' or tta=none,flip."
        )
    return [*fixed.values()], searched


def distribution(override: Override) -> "BaseDistribution":
    """Optuna's distribution of a word of Hydra's grammar.

    `int(interval(a,b))` is whole; `tag(log,interval(a,b))` is even on a logarithmic scale; `range(a,b,step)`
    is ordered, without its end; other words are a choice without order.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = override.value()
    if isinstance(values, IntervalSweep):
        low, high = values.start, values.end
        assert low is not None
        assert high is not None
        log = "log" in values.tags
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(float(low), float(high), log=log)
    if isinstance(values, RangeSweep) and not values.shuffle:
        numbers = [*values.range()]
        if all(isinstance(number, int) for number in numbers):
            return IntDistribution(int(min(numbers)), int(max(numbers)), step=abs(int(values.step)))
        return FloatDistribution(float(min(numbers)), float(max(numbers)), step=abs(float(values.step)))
    return CategoricalDistribution([str(word) for word in override.sweep_string_iterator()])


def _word(value: object) -> str:
    """A value that Optuna gives, in Hydra's grammar; those of choices are words of it already."""
    return value if isinstance(value, str) else repr(value)


def _value(objective: object) -> float | None:
    """What a job gave; None where it failed, or gave no number."""
    if not isinstance(objective, int | float) or not math.isfinite(objective):
        return None
    return float(objective)


def _print(trials: Sequence[Trial], fixed: Iterable[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    ranked = sorted((trial for trial in trials if trial.value is not None), key=_rank, reverse=True)
    if not ranked:
        return
    table = Table(title=f"the best of {len(trials)} trials, validation images")
    for column in ("trial", "mIoU", "words"):
        table.add_column(column)
    for trial in ranked[:_SHOWN]:
        table.add_row(str(trial.number), f"{trial.value:.4f}", escape(" ".join(trial.words)))
    Console(width=max(Console().width, 120)).print(table)
    best = ranked[0]
    print(
        f"best: trial {best.number}, validation mIoU {best.value:.4f}: {' '.join(best.words)}\n"
        "No trial has scored the test images. Score them once, with the best one:\n"
        f"   {test_command(best, fixed)}",
        flush=True,
    )


def _rank(trial: Trial) -> tuple[float, int]:
    """Of equal trials the first is the best."""
    assert trial.value is not None
    return trial.value, -trial.number


def test_command(trial: Trial, fixed: Iterable[str]) -> str:
    """The command that scores a trial's run on the test pictures."""
    kept = [word for word in (*fixed, *trial.words) if key_of(word).partition(".")[0] not in _ONLY_FIT]
    kept = [word for word in kept if not key_of(word).startswith("model.training")]
    return shlex.join(
        ["python", "-m", "kolbench", *conf_words(), "task=test", f"weights={trial.folder}", *kept]
    )
