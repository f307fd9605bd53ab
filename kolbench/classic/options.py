"""Checks of numbers that a user sets; each key is named as it is typed."""

from kolbench.errors import ConfigError


def require_between(key: str, value: float, low: float, high: float) -> None:
    """Refuses what is no number in [low, high].

    Raises:
        ConfigError: names `key` and the range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and low <= value <= high):
        raise ConfigError(f"{key}={value} is not a number from {low:g} to {high:g}.")


def require_whole(key: str, value: int, low: int, high: int) -> None:
    """Refuses what is no whole number in [low, high].

    Raises:
        ConfigError: names `key` and the range.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and low <= value <= high):
        raise ConfigError(f"{key}={value} is not a whole number from {low} to {high}.")
