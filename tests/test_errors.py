"""What is suggested in the place of a word that does not exist."""

import pytest

from kolbench.errors import nearest


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("modnett", ["modnet", "unet"], "modnet"),
        ("model.varient", ["model.variant", "model.size"], "model.variant"),
        ("budget.siz", ["budget.size", "budget"], "budget.size"),
        # what both share by nature makes them no more alike
        ("x.png", ["y.png", "z.png"], None),
        ("photo.jpg", ["phoot.jpg", "other.jpg"], "phoot.jpg"),
        ("budget.foo", ["budget", "budget.epochs"], None),
        ("runs/a/x.ckpt", ["runs/a/best.ckpt"], None),
        ("zebra", ["ellipse", "unet"], None),
    ],
)
def test_nothing_is_suggested_that_is_far_from_what_was_typed(word, choices, expected):
    assert nearest(word, choices) == expected
