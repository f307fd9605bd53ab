"""What files say beside their pixels."""

import numpy as np
import pytest
from PIL import Image

from kolbench.data.health.file_facts import facts
from kolbench.errors import DataError
from tests.helpers.planted import saved
from tests.io.test_colour_profiles import DISPLAY_P3, profile

PIXELS = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(("orientation", "size"), [(1, (4, 6)), (3, (4, 6)), (6, (6, 4)), (8, (6, 4))])
def test_sizes_are_upright(tmp_path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "a.jpg").write_bytes(saved(PIXELS, "JPEG", exif=exif.tobytes()))
    assert facts(tmp_path / "a.jpg") == (*size, orientation, "")


def test_profiles_other_than_srgb_are_named(tmp_path):
    wide = profile("Display P3", DISPLAY_P3)
    (tmp_path / "a.png").write_bytes(saved(PIXELS, "PNG", icc_profile=wide))
    assert facts(tmp_path / "a.png").profile == "Display P3"
    (tmp_path / "b.png").write_bytes(saved(PIXELS, "PNG"))
    assert facts(tmp_path / "b.png").profile == ""
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"c\.png cannot be read"):
        facts(tmp_path / "c.png")
