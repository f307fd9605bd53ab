"""What a mended copy takes out of its training pictures."""

import numpy as np

from kolbench.data.health.examination import Examined
from kolbench.data.health.measures import measure
from kolbench.data.health.mending import exact_copies
from kolbench.data.splits import Splits
from kolbench.types import Sample

PLAIN = measure(Sample(np.zeros((4, 4, 3), np.uint8), np.eye(4, dtype=np.uint8)))


def test_copies_are_taken_out_where_there_is_a_list_to_take_them_out_of():
    seen = [Examined(measures=PLAIN, image=image) for image in (b"a", b"b", b"a", b"c")] + [Examined("bad")]
    assert exact_copies(Splits([0, 1], [2], [3, 4]), seen) == {0}
    # no list is written where validation and test are one
    assert exact_copies(Splits([0, 1], [2, 3], [2, 3], one_held_out=True), seen) == set()
