"""What is suggested in the place of a word that does not exist."""

import pytest

from kolbench.errors import TERMINATED, DataError, KolbenchError, nearest, told


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


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(TERMINATED)])
def test_a_signal_is_not_told_as_the_failure_of_what_cleaned_up_after_it(stop):
    def interrupted():
        try:
            raise stop
        finally:
            raise RuntimeError("cannot join thread before it is started")

    def named():
        try:
            interrupted()
        except RuntimeError as error:
            raise DataError("clip.mp4, frame 3") from error

    for work in (interrupted, named):
        with pytest.raises(Exception, match=r"cannot join|clip\.mp4") as failed:
            work()
        with pytest.raises(type(stop)):
            told(failed.value)


def test_an_error_in_a_chain_without_an_end_is_told():
    first, second = DataError("a.png is damaged"), RuntimeError("in a loader")
    first.__context__, second.__cause__ = second, first
    assert str(told(first)) == "a.png is damaged"
    assert str(told(second)).startswith("RuntimeError: in a loader")


def test_a_program_that_left_with_another_code_is_told_as_what_failed():
    try:
        raise SystemExit(2)
    except SystemExit as left:
        error = KolbenchError("the command was wrong")
        error.__context__ = left
    assert str(told(error)) == "the command was wrong"
