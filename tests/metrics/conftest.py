"""What tests of scores share."""

from collections.abc import Iterator

import pytest

from kolbench.metrics import scores


@pytest.fixture(scope="module")
def all_families() -> Iterator[None]:
    """As if the command had asked for every family of scores."""
    scores.load(scores.FAMILIES)
    yield
    scores.load([])
