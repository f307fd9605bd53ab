"""Compositing, backdrops, foreground colours and plain outputs: worked by hand, as properties, and by eye."""

import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolbench.data.scenes.scene import compose, make_scene
from kolbench.errors import ConfigError
from kolbench.video.compositing.ad import AdStill, Placement, place
from kolbench.video.compositing.backdrops import grey, make_backdrop, parse_colour
from kolbench.video.compositing.composite import AdBehind, Look, behind, blurred, softened
from kolbench.video.compositing.foreground import RING, estimate_foreground, require_foreground_method
from kolbench.video.compositing.light import LightMatch
from kolbench.video.compositing.renderings import alpha8, alpha16, cutout, on_black, overlay
from kolbench.video.frame import Frame

GREEN = (0, 255, 0)


def plane(value, size=(1, 1)):
    return np.full(size, value, np.float32)


def flat(colour, size=(1, 1)):
    return np.full((*size, 3), colour, np.uint8)


@st.composite
def layers(draw):
    """Frame, alpha, layer and coverage with many exact zeros and ones, from 1x1 up."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 40))
    frame, layer = random.integers(0, 256, (2, height, width, 3), np.uint8)
    planes = random.random((2, height, width)) * 1.6 - 0.3
    alpha, coverage = np.clip(planes, 0, 1).astype(np.float32)
    return frame, alpha, layer, coverage


class TestBehind:
    def test_by_hand(self):
        # B = (100 - 0.25 * 60) / 0.75; 0.25 * 60 + 0.75 * (0.6 B + 0.4 * 200) = 126
        out = behind(flat(100), plane(0.25), flat(200), plane(0.5), 0.8, np.full((1, 1, 3), 60, np.float32))
        assert out.tolist() == [[[126, 126, 126]]]

    def test_without_foreground_colours_the_frames_own_are_taken(self):
        # 100 + 1 * (0.25 * 100 + 0.75 * 200 - 100)
        assert behind(flat(100), plane(0.25), flat(200), plane(1)).tolist() == [[[175, 175, 175]]]

    @given(layers(), st.floats(0, 1), st.sampled_from(["fast", "none"]))
    def test_what_must_not_change_does_not(self, given_layers, opacity, clean):
        frame, alpha, layer, coverage = given_layers
        out = behind(frame, alpha, layer, coverage, opacity, estimate_foreground(frame, alpha, clean))
        kept = (alpha == 1) | (coverage == 0)
        assert np.array_equal(out[kept], frame[kept])
        assert np.array_equal(behind(frame, alpha, layer, coverage, 0.0), frame)
        shown = (alpha == 0) & (coverage == 1)
        assert np.array_equal(behind(frame, alpha, layer, coverage)[shown], layer[shown])

    @given(layers(), st.floats(0, 1))
    def test_it_is_the_composition_model(self, given_layers, opacity):
        """Against the model in float64, from a true foreground and background."""
        own, alpha, layer, coverage = given_layers
        back = own[::-1].astype(np.float64)
        a, k = alpha[..., None].astype(np.float64), (coverage * np.float32(opacity))[..., None]
        frame = np.rint(a * own + (1 - a) * back).astype(np.uint8)
        expected = a * own + (1 - a) * ((1 - k) * back + k * layer)
        out = behind(frame, alpha, layer, coverage, opacity, own.astype(np.float32))
        assert np.abs(out - expected).max() <= 1.001  # the frame's own rounding, then the result's


class TestForeground:
    @pytest.mark.parametrize("clean", ["fast", "pymatting"])
    def test_the_green_halo_falls(self, clean):
        """People before a green screen: the error of soft pixels, seen on another background."""
        if clean == "pymatting":
            pytest.importorskip("pymatting")
        errors = {clean: [], "none": []}
        for index in range(4):
            scene = make_scene(7, index, 256)
            frame = compose(scene.alpha, scene.foreground, flat(GREEN, scene.alpha.shape))
            soft = (scene.alpha > 0.02) & (scene.alpha < 0.98)
            for name, found in errors.items():
                wrong = np.abs(estimate_foreground(frame, scene.alpha, name) - scene.foreground).mean(axis=2)
                found.append((scene.alpha * wrong)[soft].mean())
        assert np.mean(errors[clean]) < 0.2 * np.mean(errors["none"])

    @pytest.mark.parametrize("scale", [1, 5])
    def test_two_plain_colours_are_told_apart(self, scale):
        """Red on green with an edge as soft as hair out of focus: what is seen of the error is small."""
        ramp = np.clip((np.arange(160 * scale, dtype=np.float32) / scale - 70) / 20, 0, 1)
        alpha = np.tile(ramp, (160 * scale, 1))
        frame = compose(alpha, flat((200, 0, 0), alpha.shape), flat((0, 180, 0), alpha.shape))
        found = estimate_foreground(frame, alpha)
        wrong = np.abs(found - (200, 0, 0)).max(axis=2)
        soft = (alpha > 0.002) & (alpha < 0.998)
        left = np.abs(frame.astype(int) - (200, 0, 0)).max(axis=2)
        assert (alpha * wrong)[soft].max() < 0.15 * (alpha * left)[soft].max()
        # the ring outside continues the colours
        ring = (cv2.dilate(soft.astype(np.uint8), np.ones((2 * RING - 1, 2 * RING - 1))) > 0) & (alpha == 0)
        assert wrong[ring].max() < 0.15 * left[ring].min()

    def test_sure_pixels_keep_their_colours_and_inputs_are_not_written(self):
        scene = make_scene(7, 5, 128)
        frame, alpha = scene.image.copy(), scene.alpha.copy()
        found = estimate_foreground(frame, alpha)
        assert found.dtype == np.float32
        assert np.array_equal(found[alpha == 1], frame[alpha == 1])
        assert found.min() >= 0
        assert found.max() <= 255
        assert np.array_equal(frame, scene.image)
        assert np.array_equal(alpha, scene.alpha)

    def test_a_part_is_estimated_as_in_the_whole(self):
        scene = make_scene(7, 5, 256)
        part = (slice(40, 170), slice(60, 200))
        whole = estimate_foreground(scene.image, scene.alpha)[part]
        alone = estimate_foreground(scene.image, scene.alpha, within=part)
        assert alone.shape == whole.shape
        soft = (scene.alpha[part] > 0.02) & (scene.alpha[part] < 0.98)
        assert np.abs(alone - whole)[soft].mean() < 2

    @pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 1.0])
    def test_a_constant_alpha_leaves_a_plain_picture_as_it_is(self, level):
        frame = flat((90, 120, 30), (40, 60))
        assert np.abs(estimate_foreground(frame, plane(level, (40, 60))) - frame).max() < 1e-2

    def test_large_pictures_go_through_pymatting_on_a_smaller_copy(self):
        pytest.importorskip("pymatting")
        alpha = np.tile(np.clip((np.arange(900, dtype=np.float32) - 430) / 40, 0, 1), (700, 1))
        frame = compose(alpha, flat((200, 0, 0), alpha.shape), flat((0, 180, 0), alpha.shape))
        soft = (alpha > 0.1) & (alpha < 1)
        assert np.abs(estimate_foreground(frame, alpha, "pymatting")[soft] - (200, 0, 0)).max() < 6

    def test_unknown_or_missing_cleaners_say_what_to_do(self, monkeypatch):
        with pytest.raises(ConfigError, match=r"foreground=quick.*fast, pymatting, none"):
            require_foreground_method("quick")
        monkeypatch.setitem(sys.modules, "pymatting", None)
        with pytest.raises(ConfigError, match=r"pip install 'kolbench\[matting\]'.*foreground=fast"):
            require_foreground_method("pymatting")


class TestAdBehind:
    def make(self, **look):
        ad = np.full((20, 20, 3), (250, 10, 10), np.uint8)
        return AdBehind(AdStill(ad), Placement(0.25, 0.25, 0.5, 0.5, fit="stretch"), Look(**look))

    def test_the_person_hides_the_ad(self):
        frame = flat((10, 200, 10), (40, 40))
        alpha = plane(0, (40, 40))
        alpha[:, 20:] = 1
        image, ad_alpha = self.make()(Frame(frame, 0, 0.0), alpha)
        expected = frame.copy()
        expected[10:30, 10:20] = (250, 10, 10)
        assert np.array_equal(image, expected)
        assert ad_alpha[10:30, 10:30].min() == 1
        assert ad_alpha.sum() == 400
        assert (frame == (10, 200, 10)).all()

    def test_a_still_ad_is_placed_once_and_again_for_another_size(self):
        render = self.make(opacity=0.5)
        first = render(Frame(flat(0, (40, 40)), 0, 0.0), plane(0, (40, 40)))
        second = render(Frame(flat(0, (40, 40)), 1, 0.04), plane(0, (40, 40)))
        assert second.ad_alpha is first.ad_alpha
        assert first.ad_alpha.max() == 0.5
        assert first.image[20, 20].tolist() == [125, 5, 5]
        assert render(Frame(flat(0, (20, 60)), 2, 0.08), plane(0, (20, 60))).image.shape == (20, 60, 3)

    def test_an_ad_of_which_nothing_is_opaque_changes_nothing(self):
        ad = AdStill(np.zeros((8, 8, 4), np.uint8))
        frame = flat(77, (30, 30))
        image, ad_alpha = AdBehind(ad, Placement(), Look(light=1))(Frame(frame, 0, 0.0), plane(0.5, (30, 30)))
        assert np.array_equal(image, frame)
        assert not ad_alpha.any()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"opacity": 1.5}, r"look\.opacity=1\.5 is not a number from 0 to 1"),
            ({"blur": -0.1}, "look.blur=-0.1"),
            ({"light": "much"}, "look.light=much"),
            ({"light": float("nan")}, "look.light=nan"),
            ({"light_seconds": 0}, "look.light_seconds=0"),
        ],
    )
    def test_options_out_of_range_are_named(self, options, message):
        with pytest.raises(ConfigError, match=message):
            Look(**options)

    def test_a_blurred_ad_keeps_its_colour_and_its_light(self):
        placed = place(flat((250, 10, 10), (9, 9)), (120, 120), Placement(0.3, 0.3, 0.4, 0.4, fit="stretch"))
        soft = softened(placed, 0.02)
        seen = soft.coverage > 0.02
        assert np.abs(soft.layer[seen].astype(int) - (250, 10, 10)).max() <= 2
        assert soft.coverage.sum() == pytest.approx(placed.coverage.sum(), rel=0.01)
        # a Gaussian edge passes one half where the sharp one was
        assert soft.coverage[60, 35:37] == pytest.approx([0.5 - 0.083, 0.5 + 0.083], abs=0.02)

    @pytest.mark.parametrize("deviation", [1.5, 6.0, 15.0])
    def test_wide_blurs_on_a_smaller_copy_are_those_of_the_whole(self, deviation):
        picture = np.zeros((201, 261, 4), np.float32)
        picture[50:120, 90:103] = 1
        exact = cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
        assert np.abs(blurred(picture, deviation) - exact).max() < 0.03 * exact.max()


class TestLight:
    size = (40, 60)

    def lab(self, colour):
        return cv2.cvtColor(flat(colour), cv2.COLOR_RGB2LAB)[0, 0].astype(int)

    def match(self, light, scene, seconds, alpha=0.0):
        ad = flat(200, self.size)
        ad[:, ::2] = 120
        return light(flat(scene, self.size), plane(alpha, self.size), ad, plane(1, self.size), seconds)

    def test_strength_zero_gives_the_very_layer(self):
        ad = flat(200, self.size)
        assert LightMatch(0.0)(flat(9, self.size), plane(0, self.size), ad, plane(1, self.size), 0.0) is ad

    def test_full_strength_takes_mean_light_and_colour_of_the_scene(self):
        lit = self.match(LightMatch(1.0), (120, 80, 60), 0.0)
        mean = cv2.cvtColor(lit, cv2.COLOR_RGB2LAB).reshape(-1, 3).mean(axis=0)
        assert np.abs(mean - self.lab((120, 80, 60))).max() < 2.5
        # a plain wall must not wash out the ad: half of its contrast stays
        assert 30 < int(lit[0, 1, 0]) - int(lit[0, 0, 0]) < 50

    def test_half_strength_goes_half_the_way(self):
        lit = self.match(LightMatch(0.5), (60, 60, 60), 0.0)
        ad_light = (self.lab((200, 200, 200))[0] + self.lab((120, 120, 120))[0]) / 2
        mean = cv2.cvtColor(lit, cv2.COLOR_RGB2LAB)[..., 0].mean()
        assert mean == pytest.approx((ad_light + self.lab((60, 60, 60))[0]) / 2, abs=1.5)

    @pytest.mark.parametrize("rate", [10, 60])
    def test_it_follows_in_seconds_whatever_the_frame_rate(self, rate):
        light = LightMatch(1.0, seconds=2.0)
        dark = self.match(light, 40, 0.0).mean()
        for step in range(1, 2 * rate + 1):
            lit = self.match(light, 160, step / rate)
        bright = self.match(LightMatch(1.0), 160, 0.0).mean()
        assert (lit.mean() - dark) / (bright - dark) == pytest.approx(1 - np.exp(-1), abs=0.03)

    def test_a_hidden_ad_keeps_the_last_light_and_a_cut_forgets_it(self):
        light = LightMatch(1.0)
        first = self.match(light, 40, 0.0)
        assert np.array_equal(self.match(light, 250, 60.0, alpha=1.0), first)
        light.cut()
        assert np.array_equal(self.match(light, 160, 61.0), self.match(LightMatch(1.0), 160, 0.0))


class TestBackdrops:
    def scene(self):
        """A red disc with a soft edge on green, true alpha and true colours."""
        y, x = np.mgrid[:120, :160].astype(np.float32)
        alpha = np.clip((30 - np.hypot(x - 80, y - 60)) / 8 + 0.5, 0, 1)
        frame = compose(alpha, flat((220, 20, 20), alpha.shape), flat((20, 160, 40), alpha.shape))
        return frame, alpha

    @pytest.mark.parametrize("clean", [True, False])
    @pytest.mark.parametrize("radius", [0.005, 0.03, 0.15])
    def test_the_foreground_does_not_bleed_into_the_blurred_background(self, radius, clean):
        frame, alpha = self.scene()
        own = np.full(frame.shape, (220, 20, 20), np.float32) if clean else None
        out = make_backdrop("blur", radius=radius)(frame, alpha, own)
        assert np.array_equal(out[alpha == 1], frame[alpha == 1])
        outside = np.abs(out[alpha == 0].astype(int) - (20, 160, 40)).max()
        assert outside <= 1 if clean else outside > 1
        if clean:  # nothing to blur, so the frame again
            assert np.abs(out.astype(int) - frame).max() <= 1

    def test_the_background_is_blurred(self):
        random = np.random.default_rng(0)
        frame = random.integers(0, 256, (100, 100, 3), np.uint8)
        alpha = plane(0, (100, 100))
        alpha[:, :50] = 1
        out = make_backdrop("blur", radius=0.05)(frame, alpha, None)
        assert np.array_equal(out[:, :50], frame[:, :50])
        assert out[:, 50:].std() < 0.15 * frame[:, 50:].std()

    def test_grey_by_hand(self):
        # 0.2126 * 10 + 0.7152 * 200 + 0.0722 * 30 = 147.332
        assert grey(flat((10, 200, 30)), plane(0)).tolist() == [[[147, 147, 147]]]
        assert grey(flat((10, 200, 30)), plane(1)).tolist() == [[[10, 200, 30]]]
        # half (200, 0, 0) before (0, 100, 0): the background's part (0, 50, 0) has luma 35.76
        own = np.array([[[200, 0, 0]]], np.float32)
        assert grey(flat((100, 50, 0)), plane(0.5), own).tolist() == [[[136, 36, 36]]]

    def test_one_colour(self):
        out = make_backdrop("colour", colour="#0000ff")(
            np.full((1, 3, 3), 100, np.uint8), np.array([[0, 0.5, 1]], np.float32), None
        )
        assert out.tolist() == [[[0, 0, 255], [50, 50, 178], [100, 100, 100]]]

    def test_a_picture_covers_the_frame(self):
        """A wide picture on a square frame loses its sides; where it is transparent, the frame shows."""
        picture = np.zeros((50, 100, 4), np.uint8)
        picture[:, 25:50], picture[:, 50:75] = (255, 0, 0, 255), (0, 0, 255, 0)
        filtered = make_backdrop("image", image=picture)
        out = filtered(flat(9, (80, 80)), plane(0, (80, 80)), None)
        assert (out[:, :39] == (255, 0, 0)).all()
        assert (out[:, 41:] == 9).all()
        assert filtered(flat(9, (30, 40)), plane(1, (30, 40)), None).tolist() == flat(9, (30, 40)).tolist()

    @pytest.mark.parametrize(
        ("given_colour", "expected"),
        [
            ("#00ff00", (0, 255, 0)),
            (" #0F0 ", (0, 255, 0)),
            ("green", (0, 128, 0)),
            ("Lime", (0, 255, 0)),
            ("0,255,0", (0, 255, 0)),
            ("0, 177, 64", (0, 177, 64)),
            ([12, 0, 255], (12, 0, 255)),
        ],
    )
    def test_colours(self, given_colour, expected):
        assert parse_colour(given_colour) == expected

    @pytest.mark.parametrize(
        ("given_colour", "message"),
        [
            ("gren", "Did you mean green"),
            ("#00ff0", "#rrggbb"),
            ("#00ff00ff", "#rrggbb"),
            ("0,256,0", "0 to 255"),
            ("1,2", r"filter.colour=1,2 is no colour"),
            ([1, 2, 3, 4], "three levels"),
            ([0.5, 1, 1], "three levels"),
            (7, "filter.colour=7"),
            ("", "no colour"),
        ],
    )
    def test_what_is_no_colour_says_what_is(self, given_colour, message):
        with pytest.raises(ConfigError, match=message):
            parse_colour(given_colour)

    def test_other_faults(self):
        with pytest.raises(ConfigError, match=r"filter=gray .*mean filter=grey"):
            make_backdrop("gray")
        with pytest.raises(ConfigError, match=r"filter\.radius=0\.9"):
            make_backdrop("blur", radius=0.9)
        with pytest.raises(ConfigError, match=r"filter\.image=FILE"):
            make_backdrop("image")


class TestOutputs:
    def test_levels(self):
        alpha = np.array([[0, 0.5, 1, 1 / 255, 1 / 65535]], np.float32)
        assert alpha8(alpha).tolist() == [[0, 128, 255, 1, 0]]
        assert alpha16(alpha).tolist() == [[0, 32768, 65535, 257, 1]]
        assert (alpha8(alpha).dtype, alpha16(alpha).dtype) == (np.uint8, np.uint16)

    def test_a_cutout_holds_nothing_of_what_was_behind(self):
        frame, alpha = flat((9, 99, 199), (30, 30)), plane(0, (30, 30))
        alpha[10:20, 10:20] = 0.5
        own = np.full(frame.shape, 60.4, np.float32)
        rgba = cutout(frame, alpha, own)
        assert rgba[15, 15].tolist() == [60, 60, 60, 128]
        assert rgba[10 - RING, 10].tolist() == [60, 60, 60, 0]
        assert not rgba[: 10 - RING].any()
        assert cutout(frame, alpha)[15, 15].tolist() == [9, 99, 199, 128]
        assert (own == np.float32(60.4)).all()

    def test_on_black(self):
        own = np.full((1, 1, 3), 60, np.float32)
        assert on_black(flat(100), plane(0.5), own).tolist() == [[[30, 30, 30]]]
        assert on_black(flat(100), plane(1)).tolist() == [[[100, 100, 100]]]

    def test_an_overlay_tints_the_background_and_draws_the_edge(self):
        frame, alpha = flat(100, (60, 60)), plane(0, (60, 60))
        alpha[20:40, 20:40] = 1
        shown = overlay(frame, alpha)
        assert (shown[24:36, 24:36] == 100).all()
        tinted = shown[5, 5].astype(int)
        assert tinted[0] > 130
        assert tinted[1] < 70
        assert (shown[20, 25:35] > 200).all()
        assert (frame == 100).all()
