import numpy as np

from kolbench.data.shapes import fill_polygon
from tests.helpers.data_files import HEIGHT, WIDTH


def test_polygons_cover_what_an_independent_point_test_says():
    rng = np.random.default_rng(3)
    for _ in range(20):
        corners = rng.uniform(-3, 24, (int(rng.integers(3, 9)), 2))
        expected = np.zeros((HEIGHT, WIDTH), bool)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                expected[y, x] = crossings((x + 0.5, y + 0.5), corners) % 2
        assert np.array_equal(fill_polygon(corners, HEIGHT, WIDTH), expected)


def crossings(point: tuple[float, float], corners: np.ndarray) -> int:
    """Edges that a ray downwards from the point crosses."""
    count = 0
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if (x0 > point[0]) != (x1 > point[0]):
            count += y0 + (point[0] - x0) * (y1 - y0) / (x1 - x0) > point[1]
    return count


def test_polygons_that_share_an_edge_neither_overlap_nor_leave_a_gap():
    left = fill_polygon(np.array([[0, 0], [7.5, 0], [4.2, 12], [0, 12]]), HEIGHT, WIDTH)
    right = fill_polygon(np.array([[7.5, 0], [20, 0], [20, 12], [4.2, 12]]), HEIGHT, WIDTH)
    assert not (left & right).any()
    assert (left | right).all()
