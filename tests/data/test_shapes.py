import numpy as np
import pytest

from kolbench.data.shapes import box_corners, ellipse, fill_polygon, require_drawn_size
from kolbench.errors import DataError
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


def test_boxes_turn_clockwise_as_seen():
    # about its upper left corner: what pointed right points down, what pointed down points left
    corners = box_corners(10, 20, 4, 2, 90, (10, 20))
    assert np.allclose(corners, [[10, 20], [10, 24], [8, 24], [8, 20]])
    assert np.allclose(box_corners(1, 2, 3, 4, 0, (9, 9)), [[1, 2], [4, 2], [4, 6], [1, 6]])


def test_ellipses_have_the_area_and_the_reach_of_their_half_axes():
    outline = ellipse((10, 20), (6, 2), 30)
    x, y = (outline - (10, 20)).T
    # pi a b, by the formula for polygons
    area = abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
    assert np.isclose(area, np.pi * 12, rtol=1e-3)
    farthest = outline[np.hypot(x, y).argmax()] - (10, 20)
    assert np.isclose(abs(np.degrees(np.arctan2(farthest[1], farthest[0])) % 180), 30, atol=0.01)


def test_labels_of_another_size_are_refused_and_turned_ones_told():
    require_drawn_size("x", (2, 3), (2, 3), "Do it.")
    with pytest.raises(
        DataError, match=r"^x was drawn on 3x2 px, but its image is 2x3 px\. .*EXIF.* Do it\.$"
    ):
        require_drawn_size("x", (2, 3), (3, 2), "Do it.")
    with pytest.raises(DataError, match=r"^x was drawn on 3x2 px, but its image is 5x4 px\. Do it\.$"):
        require_drawn_size("x", (2, 3), (4, 5), "Do it.")
