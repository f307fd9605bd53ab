"""Names of earlier versions that still work: keys of the command line and of saved configurations."""

import sys
from collections.abc import Mapping

# old key -> new key; printed once where it is typed
OLD_KEYS: Mapping[str, str] = {
    "budget.stage_steps": "budget.pretraining_steps",
    "budget.stage_check_every": "budget.pretraining_check_every",
    "trainer.stop_on_nan": "budget.stop_on_nan",
}
# dotted paths in saved configurations and in YAML files of users
OLD_TARGETS: Mapping[str, str] = {}


def current_word(word: str) -> str:
    """An override with its key by today's name; says so on stderr where it had an old one."""
    signs = word[: len(word) - len(word.lstrip("+~"))]
    key, sign, value = word[len(signs) :].partition("=")
    if not sign or key not in OLD_KEYS:
        return word
    print(f"kolbench: {key}= is called {OLD_KEYS[key]}= now", file=sys.stderr)
    return f"{signs}{OLD_KEYS[key]}={value}"


def current_model(values: Mapping[str, object]) -> dict[str, object]:
    """A `model` group that an earlier version wrote, with today's names of its keys."""
    own = {
        old.removeprefix("model."): new.removeprefix("model.")
        for old, new in OLD_KEYS.items()
        if old.startswith("model.")
    }
    return {own.get(key, key): value for key, value in values.items()}


def current_target(name: str) -> str:
    """The dotted path of a class or function by today's name."""
    return OLD_TARGETS.get(name, name)
