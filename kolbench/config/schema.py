"""Ranges of the settings that a user types: each mistake is named by its key before anything is written."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kolbench.errors import ConfigError, require_choice

PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Rule:
    """What a value may be: `fits` decides, `wanted` says it in words."""

    wanted: str
    fits: Callable[[Any], bool]

    def or_null(self) -> "Rule":
        """The same, or null."""
        return Rule(f"{self.wanted}, or null", lambda value: value is None or self.fits(value))


def whole(low: int, high: float = math.inf) -> Rule:
    """A whole number in [low, high]."""
    bound = f"from {low} to {int(high)}" if high < math.inf else f"of at least {low}"
    return Rule(
        f"a whole number {bound}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


POSITIVE = Rule("a positive number", lambda value: _number(value) and value > 0)
SWITCH = Rule("true or false", lambda value: isinstance(value, bool))
SHARE = Rule("a number in [0, 1)", lambda v: _number(v) and 0 <= v < 1)

RULES = {
    "seed": whole(0, LARGEST_SEED),
    "threshold": SHARE.or_null(),
    "frames": whole(1),
    "port": whole(0, 65535),
    "limit_mb": whole(1, 1000),
    "gate": Rule("a number of at least 0", lambda value: _number(value) and value >= 0),
    "budget.size": whole(1),
    "budget.epochs": whole(1),
    "budget.batch": whole(1),
    "budget.lr_factor": POSITIVE,
    "budget.stage_steps": whole(1),
    "budget.stage_check_every": whole(1),
    **{f"budget.limit.{split}": whole(1).or_null() for split in ("train", "val", "test")},
    **{f"budget.scenes.{split}": whole(1) for split in ("train", "val", "test")},
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.gradient_clip_val": POSITIVE.or_null(),
    "trainer.deterministic": SWITCH,
    "trainer.stop_on_nan": SWITCH,
    "data.split_seed": whole(0, LARGEST_SEED),
    "data.region_px": whole(1),
    "data.allow_duplicates": SWITCH,
    "data.colours": SWITCH,
    "data.picture_size": whole(32, 4096),
    "data.scene_seed": whole(0, LARGEST_SEED),
    "model.backbone_weights": Rule("imagenet, a file, or null", lambda v: v is None or isinstance(v, str)),
}


def check(settings: Mapping[str, Any]) -> None:
    """Refuses the first setting that is out of range; keys that a task or method lacks are passed over.

    Raises:
        ConfigError: names the key and what it may be.
    """
    for key, rule in RULES.items():
        found, value = _at(settings, key)
        if found and not rule.fits(value):
            raise ConfigError(f"{key}={value} is not {rule.wanted}.")
    require_choice("trainer.precision", str(settings["trainer"]["precision"]), PRECISIONS)
    recipes = (settings["model"].get("training") or {}).get("recipes")
    if recipes:
        require_choice("model.recipe", str(settings["model"]["recipe"]), recipes)


def _at(settings: Mapping[str, Any], key: str) -> tuple[bool, Any]:
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False, None
        node = node[part]
    return True, node
