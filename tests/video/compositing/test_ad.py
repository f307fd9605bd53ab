"""Where an ad lands in a frame, its edges, and which picture of a moving ad shows when."""

import cv2
import numpy as np
import pytest

from kolbench.errors import ConfigError, DataError
from kolbench.video.compositing.ad import AdStill, AdVideo, Placement, place
from kolbench.video.frame import Frame

QUAD = ((30.0, 20.0), (170.0, 45.0), (150.0, 140.0), (45.0, 110.0))


def plain(height, width, colour=(250, 10, 10)):
    return np.full((height, width, 3), colour, np.uint8)


def covered_box(coverage):
    """Rows and columns (first, one past the last) of what is covered; all of it must be covered fully."""
    rows, columns = np.flatnonzero(coverage.any(1)), np.flatnonzero(coverage.any(0))
    box = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    assert (coverage[box[0] : box[1], box[2] : box[3]] == 1).all()
    return tuple(int(edge) for edge in box)


def homography(source, target):
    """The projective map of four points to four, by the eight linear equations themselves."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows, float), values), 1).reshape(3, 3)


def polygon_area(points):
    x, y = np.array(points).T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


class TestBox:
    def test_the_default_box(self):
        placed = place(plain(100, 100), (200, 400), Placement(fit="stretch"))
        assert covered_box(placed.coverage) == (20, 120, 20, 180)
        assert placed.layer.dtype == np.uint8
        assert placed.coverage.dtype == np.float32
        assert (placed.layer[20:120, 20:180] == (250, 10, 10)).all()

    @pytest.mark.parametrize(
        ("ad", "box"),
        [
            ((50, 100), (60, 110, 50, 150)),  # as wide as the box, half as tall: 25 rows above and below
            ((100, 50), (35, 135, 75, 125)),
            ((300, 300), (35, 135, 50, 150)),
            ((40, 400), (80, 90, 50, 150)),
            ((1, 1000), (85, 86, 50, 150)),
        ],
    )
    def test_contain_shows_the_whole_ad_in_the_middle(self, ad, box):
        placed = place(plain(*ad), (200, 200), Placement(0.25, 0.175, 0.5, 0.5, fit="contain"))
        found = covered_box(placed.coverage)
        assert np.abs(np.subtract(found, box)).max() <= 1

    def test_cover_fills_the_box_and_cuts_off_the_sides(self):
        ad = plain(50, 200, (0, 0, 0))
        ad[:, 75:100], ad[:, 100:125] = (255, 0, 0), (0, 0, 255)
        placed = place(ad, (200, 200), Placement(0.25, 0.25, 0.5, 0.5, fit="cover"))
        assert covered_box(placed.coverage) == (50, 150, 50, 150)
        # 50 of 200 columns are shown: the two colours, twice as large
        assert (placed.layer[50:150, 50:98] == (255, 0, 0)).all()
        assert (placed.layer[50:150, 102:150] == (0, 0, 255)).all()

    def test_at_its_own_size_an_ad_keeps_every_pixel(self):
        ad = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
        placed = place(ad, (60, 80), Placement(0.25, 0.25, 0.5, 0.5))
        assert np.array_equal(placed.layer[15:45, 20:60], ad)

    @pytest.mark.parametrize("corners", [None, ((0.1, 0.1), (0.3, 0.12), (0.28, 0.4), (0.11, 0.38))])
    def test_shrinking_averages(self, corners):
        """A chessboard far too fine for its place becomes grey, not a pattern."""
        ad = np.repeat((np.indices((1200, 1600)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
        placed = place(ad, (200, 200), Placement(corners=corners))
        assert np.abs(placed.layer[placed.coverage == 1].astype(int) - 127).max() <= 2


class TestCorners:
    @pytest.mark.parametrize("units", ["pixel", "fraction"])
    @pytest.mark.parametrize("size", [(90, 120), (900, 1200)])
    def test_points_of_the_ad_land_where_the_perspective_puts_them(self, units, size):
        height, width = size
        corners = QUAD if units == "pixel" else tuple((x / 200, y / 160) for x, y in QUAD)
        to_frame = homography([(0, 0), (width, 0), (width, height), (0, height)], QUAD)
        for share in ((0.12, 0.15), (0.9, 0.1), (0.5, 0.5), (0.85, 0.9), (0.1, 0.8)):
            ad = plain(height, width, (0, 0, 0))
            column, row = int(share[0] * width), int(share[1] * height)
            cv2.circle(ad, (column, row), width // 24, (255, 255, 255), -1, cv2.LINE_AA)
            placed = place(ad, (160, 200), Placement(corners=corners, units=units, fit="stretch"))
            light = placed.layer[..., 0] * placed.coverage
            rows, columns = np.indices(light.shape) + 0.5
            found = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
            u, v, w = to_frame @ (column + 0.5, row + 0.5, 1)
            assert np.hypot(*(found - (u / w, v / w))) < 0.5

    def test_the_coverage_is_that_of_each_pixel(self):
        coverage = place(
            plain(30, 40), (160, 200), Placement(corners=QUAD, units="pixel", fit="stretch")
        ).coverage
        fine = np.zeros((160 * 16, 200 * 16), np.uint8)
        # fillPoly paints the pixels on the line as well, hence half a pixel
        cv2.fillPoly(fine, [np.rint(np.array(QUAD) * 16 - 0.5).astype(np.int32)], 1)
        exact = fine.reshape(160, 16, 200, 16).mean(axis=(1, 3))
        assert coverage.sum() == pytest.approx(polygon_area(QUAD), rel=0.002)
        assert np.abs(coverage - exact).max() < 0.13
        assert np.abs(coverage - exact).mean() < 0.001
        assert coverage[70, 100] == 1
        assert coverage[5, 5] == 0

    def test_contain_and_cover_go_by_the_mean_side_lengths(self):
        """In a trapezoid of aspect about 2, a square ad is contained in the middle half, in perspective."""
        corners = ((20, 20), (180, 40), (180, 100), (20, 120))
        contained = place(plain(50, 50), (140, 200), Placement(corners=corners, units="pixel"))
        whole = place(plain(50, 50), (140, 200), Placement(corners=corners, units="pixel", fit="cover"))
        assert whole.coverage.sum() == pytest.approx(polygon_area(corners), rel=0.002)
        long, tall = np.hypot(160, 20), 80
        to_frame = homography([(0, 0), (long, 0), (long, tall), (0, tall)], corners)
        inner = [(long / 2 - 40, 0), (long / 2 + 40, 0), (long / 2 + 40, tall), (long / 2 - 40, tall)]
        landed = [(to_frame @ (x, y, 1))[:2] / (to_frame @ (x, y, 1))[2] for x, y in inner]
        assert contained.coverage.sum() == pytest.approx(polygon_area(landed), rel=0.02)
        columns = np.flatnonzero((contained.coverage > 0.5).any(0))
        assert abs(columns[0] - landed[0][0]) <= 1
        assert abs(columns[-1] + 1 - landed[1][0]) <= 1

    def test_corners_may_reach_out_of_the_frame(self):
        corners = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
        placed = place(plain(10, 10), (80, 100), Placement(corners=corners, fit="stretch"))
        assert covered_box(placed.coverage) == (0, 40, 0, 50)
        assert (placed.layer[:40, :50] == (250, 10, 10)).all()


class TestAlpha:
    @pytest.mark.parametrize("corners", [None, QUAD])
    def test_hidden_colours_do_not_show(self, corners):
        """A green disc on transparent red: the coverage is the disc's, and nowhere does it turn red."""
        ad = np.zeros((300, 300, 4), np.uint8)
        ad[..., 0] = 255
        cv2.circle(ad, (150, 150), 100, (0, 200, 0, 255), -1)
        placed = place(ad, (160, 200), Placement(corners=corners, units="pixel", fit="stretch"))
        seen = placed.coverage > 0.02
        assert np.abs(placed.layer[seen].astype(int) - (0, 200, 0)).max() <= 2
        area = polygon_area(QUAD) if corners else 80 * 80
        if corners is None:
            assert placed.coverage.sum() == pytest.approx(area * np.pi / 9, rel=0.02)

    def test_half_transparent_stays_half_transparent(self):
        ad = np.full((8, 8, 4), (40, 80, 120, 128), np.uint8)
        placed = place(ad, (40, 40), Placement(0, 0, 1, 1))
        assert placed.coverage == pytest.approx(128 / 255)
        assert (placed.layer == (40, 80, 120)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"left": 1.2}, r"placement\.left=1\.2 is not a number from 0 to 1"),
        ({"left": 0.8}, r"placement\.width=0\.4 .*placement\.left=0\.8.*at most 0\.2"),
        ({"height": 0}, r"placement\.height=0 must be above 0"),
        ({"top": "high"}, r"placement\.top=high"),
        ({"fit": "crop"}, r"placement\.fit=crop"),
        ({"units": "px"}, r"placement\.units=px"),
        ({"corners": [[0, 0], [1, 0], [1, 1]]}, r"placement\.corners=.*four pairs"),
        ({"corners": [[0, 0], [1, 0], [1], [0, 1]]}, "four pairs"),
        ({"corners": [[0, 0], [1, 0], [1, "a"], [0, 1]]}, "four pairs"),
        ({"corners": [[0, 0], [1, 0], [0, 1], [1, 1]]}, "no convex quadrangle"),
        ({"corners": [[0, 0], [1, 0], [0.2, 0.2], [0, 1]]}, "no convex quadrangle"),
        ({"corners": [[0, 0], [0.5, 0], [1, 0], [0, 1]]}, "no convex quadrangle"),
        ({"corners": [[0, 0], [0, 1], [1, 1], [1, 0]]}, "anticlockwise"),
        ({"corners": [[1, 0], [1.5, 0], [1.5, 1], [1, 1]]}, "outside the frame, which goes from 0 to 1"),
        ({"corners": [[0, -1], [1, -1], [1, -0.5], [0, -0.1]]}, "outside the frame"),
        ({"corners": [[10, 10], [90, 10], [90, 90], [10, 90]]}, r"placement\.units=pixel"),
    ],
)
def test_a_wrong_place_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Placement(**options)


def test_a_place_that_does_not_fit_the_frame_is_named():
    outside = Placement(corners=[[300, 0], [400, 0], [400, 90], [300, 90]], units="pixel")
    with pytest.raises(ConfigError, match="outside the frame of 200x100 px"):
        place(plain(5, 5), (100, 200), outside)
    tiny = Placement(corners=[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]], units="pixel")
    with pytest.raises(ConfigError, match=r"less than a pixel .*placement\.units=fraction"):
        place(plain(5, 5), (100, 200), tiny)


class Clip:
    """A clip whose frames hold their number; counts what was opened, decoded and closed."""

    def __init__(self, times):
        self.times = times
        self.opened = self.decoded = self.closed = 0

    def __call__(self):
        self.opened += 1
        try:
            for number, seconds in enumerate(self.times):
                self.decoded += 1
                yield Frame(plain(2, 2, (number, 0, 0)), number, seconds)
        finally:
            self.closed += 1


def shown(ad, times):
    return [int(ad.at(seconds)[0, 0, 0]) for seconds in times]


class TestAdVideo:
    def test_the_frame_on_display_is_shown_whatever_the_rates(self):
        ad = AdVideo(Clip([0, 0.033, 0.067, 0.4, 0.433, 1.2]), length=1.3)
        assert shown(ad, [0, 0.03, 0.033, 0.2, 0.399, 0.4, 0.44, 1.19, 1.2, 1.29]) == [
            0,
            0,
            1,
            2,
            2,
            3,
            4,
            4,
            5,
            5,
        ]

    def test_it_begins_again_when_it_ends(self):
        clip = Clip([0, 0.1, 0.2])
        ad = AdVideo(clip, length=0.3)
        assert shown(ad, [step / 10 for step in range(9)]) == [0, 1, 2] * 3
        assert shown(ad, [300.1, 300.2]) == [1, 2]
        assert clip.opened == 4  # rounds that nobody sees are not decoded

    def test_without_a_length_the_last_frame_shows_as_long_as_the_one_before(self):
        assert shown(AdVideo(Clip([0, 0.5, 0.7])), [0.69, 0.7, 0.89, 0.9, 1.4]) == [1, 2, 2, 0, 1]
        assert shown(AdVideo(Clip([0])), [0, 0.03, 5, 1000]) == [0, 0, 0, 0]

    def test_it_reads_in_order_and_one_frame_ahead(self):
        clip = Clip([step / 10 for step in range(1000)])
        ad = AdVideo(clip)
        assert clip.decoded == 2
        first = ad.at(0.35)
        assert clip.decoded == 5
        assert ad.at(0.39) is first
        assert clip.closed == 0
        ad.close()
        assert clip.closed == 1

    def test_time_may_go_back(self):
        ad = AdVideo(Clip([0, 0.1, 0.2]), length=0.3)
        assert shown(ad, [0.95, 0.15, 0.0]) == [0, 1, 0]

    def test_a_clip_without_frames_is_an_error(self):
        with pytest.raises(DataError, match="no frame"):
            AdVideo(Clip([]))

    def test_transparency_of_a_clip_is_kept(self):
        pictures = [np.full((2, 2, 4), (9, 9, 9, level), np.uint8) for level in (0, 128, 255)]
        ad = AdVideo(lambda: (Frame(p, n, n / 10) for n, p in enumerate(pictures)), length=0.3)
        assert [ad.at(n / 10) is pictures[n % 3] for n in range(7)] == [True] * 7


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
@pytest.mark.parametrize("corners", [None, ((0.1, 0.1), (0.5, 0.2), (0.5, 0.7), (0.1, 0.8))])
def test_an_alpha_channel_that_hides_nothing_changes_no_pixel(fit, corners):
    ad = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    opaque = np.dstack([ad, np.full((90, 70), 255, np.uint8)])
    placement = Placement(corners=corners, fit=fit)
    expected, found = (place(picture, (60, 80), placement) for picture in (ad, opaque))
    np.testing.assert_array_equal(found.layer, expected.layer)
    np.testing.assert_array_equal(found.coverage, expected.coverage)


def test_a_still_is_always_the_same():
    picture = plain(2, 2)
    ad = AdStill(picture)
    assert ad.at(0.0) is picture
    assert ad.at(99.0) is picture
    ad.close()
