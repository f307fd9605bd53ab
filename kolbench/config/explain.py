"""What is wrong with a command, in words that name the nearest valid key or choice."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from kolbench.config.folder import conf_dir, typed_conf_dirs
from kolbench.errors import nearest

# groups and keys that every command has, as of conf/config.yaml
ROOT_KEYS = frozenset(
    ("task", "data", "model", "refiner", "trainer", "callbacks", "budget", "logger", "paths", "name")
)


def explain(error: BaseException) -> str:
    """What is wrong with the command, in one or two sentences that name the nearest valid key or choice."""
    chain = list(_causes(error))
    missing = next((e for e in chain if isinstance(e, MissingConfigException)), None)
    if missing is not None and missing.options is not None:
        return _wrong_choice(str(missing.missing_cfg_file), missing.options)
    unknown = next(
        (e for e in chain if isinstance(e, ConfigKeyError | OmegaConfBaseException) and e.key), None
    )
    if unknown is not None and "is not in struct" in str(unknown):
        return wrong_key(str(unknown.full_key))
    text = str(error).strip()
    if "Interpolation key 'model.name' not found" in text:
        return "the YAML of the chosen model has no name: add name: and the word that tables show."
    if "Config group override must be a string" in text:
        return "a group cannot be null; its own choice for nothing is often called none, as in smooth=none."
    group = re.search(r"Could not override '([^']+)'", text)
    if group:
        return wrong_key(group.group(1).split("@")[0])
    unparsed = next((e for e in chain if isinstance(e, OverrideParseException)), None)
    if unparsed is not None:
        return _quoting(unparsed.override)
    details = [str(e).strip().splitlines()[0] for e in chain if str(e).strip()]
    key = f" (key {unknown.full_key})" if unknown is not None and unknown.full_key else ""
    return "the command cannot be understood: " + "; ".join(dict.fromkeys(details)) + key


# a launcher's choice, or the module of a launcher or sweeper -> the extra that installs it
_PLUGINS = {
    "joblib": "joblib",
    "submitit_local": "slurm",
    "submitit_slurm": "slurm",
    "hydra_submitit_launcher": "slurm",
    "ray": "ray",
    "optuna": "hpo",
}


def explain_plugin(error: BaseException) -> str:
    """Which extra a launcher or sweeper needs that is not installed; "" where something else is wrong."""
    absent = re.search(
        rf"(Unknown plugin|not instantiate plugin|No module named).*\b({'|'.join(_PLUGINS)})\b", str(error)
    )
    return _not_installed(absent[2]) if absent else ""


def _not_installed(plugin: str) -> str:
    extra = _PLUGINS[plugin]
    lock = "" if extra == "ray" else "-c requirements.lock "
    return f'{plugin} is not installed: pip install {lock}-e ".[{extra}]".'


def _quoting(word: str) -> str:
    """How to write a word that Hydra's grammar does not take."""
    key, sign, value = word.partition("=")
    if not sign:
        return f"the command cannot be understood: {word} is no KEY=VALUE."
    plain = value.replace('"', "")
    is_list = plain.startswith("[")
    value = f'["{plain.removeprefix("[").removesuffix("]")}"]' if is_list else f'"{plain}"'
    return (
        f"the command cannot be understood: {word}. A value, or an item of a list, that holds spaces, "
        f"commas, brackets, quotes or letters beyond a to z needs two pairs of quotes: '{key}={value}'"
    )


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _wrong_choice(config_file: str, options: Iterable[str]) -> str:
    group, _, choice = config_file.rpartition("/")
    if group == "hydra/launcher" and choice in _PLUGINS:
        return _not_installed(choice)
    names = sorted(name for name in options if not name.startswith("_"))
    hint = nearest(choice, names)
    meant = f" Did you mean {group}={hint}?" if hint else ""
    return f"{group}={choice} does not exist; {group} is one of {', '.join(names)}.{meant}"


def wrong_key(full_key: str) -> str:
    """A key that does not exist, with the nearest one or the task that has it."""
    keys = known_keys()
    if full_key in keys:
        group, _, name = full_key.partition(".")
        if not name:
            return _of_another_task(full_key)
        chosen = "experiment" if group == "model" else group
        return f"the chosen {group} has no key {name}; another choice of {group} has it ({chosen}=NAME)."
    hint = _meant_key(full_key, keys)
    meant = f" Did you mean {hint}?" if hint else ""
    return f"there is no key {full_key}.{meant} (python -m kolbench --cfg job lists all keys)"


def _meant_key(typed: str, keys: Collection[str]) -> str | None:
    """The key that was meant: `size` is `model.size`, and no group but one of a like name is guessed."""
    by_leaf = {key.rpartition(".")[2]: key for key in sorted(keys, key=len, reverse=True)}
    group, dot, leaf = typed.rpartition(".")
    if not dot and by_leaf.get(leaf, "").partition(".")[0] in ("budget", "data", "model"):
        return by_leaf[leaf]
    hint = nearest(typed, keys)
    if hint is not None and (not dot or nearest(group.partition(".")[0], [hint.partition(".")[0]])):
        return hint
    alike = nearest(leaf, by_leaf, likeness=0.75)
    return by_leaf[alike] if alike else None


def _of_another_task(name: str) -> str:
    key = "--dry-run" if name == "dry_run" else f"{name}="
    tasks = [f"task={task}" for task, keys in keys_of_tasks().items() if name in keys]
    verb = "has" if len(tasks) < 2 else "have"
    return f"this task has no {key}; {', '.join(tasks) or 'another task='} {verb} it."


def _folders() -> list[Path]:
    """Our folder of YAML files, and the one that `--config-dir` names."""
    return [conf_dir(), *typed_conf_dirs()]


def keys_of_tasks() -> dict[str, set[str]]:
    """Task -> the keys at the root that its YAML sets, and the groups it adds."""
    found = {}
    for path in (path for folder in _folders() for path in sorted((folder / "task").glob("[!_]*.yaml"))):
        loaded = _read(path)
        added = {str(word).rpartition("@")[2] for entry in loaded.get("defaults", []) for word in entry}
        found[path.stem] = {key for key in _flatten(loaded) if key.partition(".")[0] != "task"} | added
    return found


def known_keys() -> list[str]:
    """Every key of any task, method and group, and the names of the groups."""
    groups = [path.name for path in conf_dir().iterdir() if path.is_dir()]
    keys = ROOT_KEYS.union(groups, *keys_of_tasks().values())
    for group in groups:
        for choice in (path for folder in _folders() for path in (folder / group).glob("*.yaml")):
            if group not in ("experiment", "sweep", "task"):
                keys |= {f"{group}.{key}" for key in _flatten(_read(choice))}
    return sorted(keys)


def _read(path: Path) -> Mapping[str, Any]:
    """A YAML's keys; by libyaml's parser, as OmegaConf's takes ten times as long for all of them."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe loader
    return loaded if isinstance(loaded, Mapping) else {}


def _flatten(node: Mapping[str, Any]) -> Iterable[str]:
    for key, child in node.items():
        if key in ("defaults", "_target_", "_partial_"):
            continue
        yield str(key)
        if isinstance(child, Mapping):
            yield from (f"{key}.{name}" for name in _flatten(child))
