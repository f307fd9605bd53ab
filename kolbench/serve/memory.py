"""What was uploaded and predicted, held in memory for a while: the last few, below a number of bytes."""

import secrets
from collections import OrderedDict

from kolbench.types import UInt8Array

# a token, or a token and the number of a method
Key = str | tuple[str, int]


def new_token() -> str:
    """192 random bits as text that fits an address."""
    return secrets.token_urlsafe(24)


class Memory:
    """Arrays by key; what was not asked for the longest is dropped first.

    Args:
        most_bytes, most_arrays: never more than both; an array that is larger by itself is not kept.
    """

    def __init__(self, most_bytes: int, most_arrays: int) -> None:
        self._most_bytes = most_bytes
        self._most_arrays = most_arrays
        self._arrays: OrderedDict[Key, UInt8Array] = OrderedDict()
        self._bytes = 0

    def put(self, key: Key, array: UInt8Array) -> None:
        """Keeps an array, in place of one of the same key."""
        self._drop(key)
        self._arrays[key] = array
        self._bytes += array.nbytes
        while self._bytes > self._most_bytes or len(self._arrays) > self._most_arrays:
            self._drop(next(iter(self._arrays)))

    def get(self, key: Key) -> UInt8Array | None:
        """The array, which now counts as the youngest; None where it is not held (any more)."""
        if key not in self._arrays:
            return None
        self._arrays.move_to_end(key)
        return self._arrays[key]

    def _drop(self, key: Key) -> None:
        dropped = self._arrays.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.nbytes
