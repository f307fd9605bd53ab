"""What stands above the images of an overview, and which images these are."""

import numpy as np
import pytest

from kolbench.metrics.counts import Counts, ImageCounts
from kolbench.tasks.overview import heading_of, spread


def test_the_chosen_images_are_spread_over_the_ranks():
    values = np.array([0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.8, 0.6])
    # the worst, the best, and rank 3.5 of 0 to 7 between them, which rounds to the even 4
    assert spread(values, 3) == [1, 7, 0]
    assert spread(np.array([0.4, 0.2]), 6) == [1, 0]


def halves(count):
    """Counts of images of which a method finds half of the foreground and nothing else."""
    levels = np.zeros((3, count, 256), np.int64)
    levels[0, :, [0, 255]] = 50
    levels[1, :, 0] = 100
    counts = Counts(*levels)
    return ImageCounts("test", names=[str(number) for number in range(count)], parts=[counts])


@pytest.mark.parametrize(
    ("count", "shown", "words"),
    [
        (1, 1, "The test image. IoU of the foreground, alpha cut at threshold 0.50."),
        (2, 2, "Both test images, from worst to best. IoU"),
        (5, 5, "All 5 test images, from worst to best. IoU"),
        (9, 6, "6 of 9 test images at evenly spaced ranks, from worst to best. IoU"),
    ],
)
def test_a_heading_says_what_is_shown_and_how_it_was_scored(count, shown, words):
    test = halves(count)
    heading = heading_of("u2netp", "budget quick", shown, test, 0.5)
    assert (heading.title, heading.beside) == ("U²-Net-p", "u2netp · budget quick")
    assert heading.lines[0].startswith(words)
    assert ("mean of all" in heading.lines[0]) == (count > 2)
    if count > 2:
        assert heading.lines[0].endswith(f"mean of all {count}: 0.500.")
    assert heading_of("x.onnx", "budget quick", shown, test, 0.5).beside == "budget quick"
