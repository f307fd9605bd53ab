"""What the report says of the test pictures: hand-worked numbers, and figures of what is known alone."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from kolbench.errors import DataError
from kolbench.metrics.traits import Traits
from kolbench.report import test_set as section
from kolbench.report.numbers import Numbers
from kolbench.runs import run_folder, traits
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import HEIGHT, WIDTH, add_clips, make_run, scene

SVG = "{http://www.w3.org/2000/svg}"


def numbers_of(folder):
    (comparison,) = sets_of(find(str(folder)))
    return Numbers(comparison)


def known(run, values=None):
    """Gives a run the entropies of its pictures: 8, 9, 10 and so on."""
    names = find(str(run))[0].test.names
    entropies = {name: 8.0 + number for number, name in enumerate(names)} if values is None else values
    plain = Traits(0, 100, 0.2, 1, 50, float("nan"), 0)
    found = {name: replace(plain, glcm_entropy=value) for name, value in entropies.items()}
    traits.write(run / run_folder.TRAITS, found)


@pytest.fixture
def plain(tmp_path):
    make_run(tmp_path / "old", "sinet", pictures=10, files=False)
    return tmp_path


def row_of(folder):
    (row,) = section.pictures(numbers_of(folder)).frame.to_dict("records")
    return row


def test_pictures_are_described(plain):
    row = row_of(plain)
    scenes = [scene("test", number) for number in range(10)]
    shares = [truth.mean() for _, truth, _, _ in scenes]
    assert (row["pictures"], row["groups"]) == (10, 4)
    assert row["median size"] == row["smallest"] == row["largest"] == f"{WIDTH}x{HEIGHT}"
    assert row["foreground share"] == pytest.approx(np.mean(shares))
    assert (row["least foreground"], row["most foreground"]) == pytest.approx((min(shares), max(shares)))
    assert row["with a product mask"] == sum(product.any() for _, _, product, _ in scenes)
    assert "clips" not in row
    assert row.get("GLCM entropy") is None


def test_entropies_come_from_a_run_that_has_them_all(plain):
    first = make_run(plain / "first", "modnet", pictures=10, files=False)
    known(first, {"other": 1.0})
    assert row_of(plain).get("GLCM entropy") is None
    known(make_run(plain / "second", "unet", pictures=10, files=False))
    row = row_of(plain)
    assert row["GLCM entropy"] == 12.5
    assert row["its deviation"] == pytest.approx(np.sqrt(110 / 12))


def test_clips_are_counted_by_length_and_scenario(plain):
    run = make_run(plain / "modnet", "modnet", pictures=10, files=False)
    add_clips(run, [0.5] * 4)
    row = row_of(plain)
    # of 3, 2, 3 and 2 frames
    names = ("clips", "frames of a clip", "of the shortest", "of the longest")
    assert [row[name] for name in names] == [4, 2.5, 2, 3]
    figure = section.test_set(numbers_of(plain))
    assert figure is not None
    texts = [node.text for node in ET.fromstring(figure.svg).iter(f"{SVG}text")]
    assert "frames of a clip" in texts
    assert {"bottle", "indoor", "dim"} <= set(texts)
    assert "GLCM entropy of an image (bits)" not in texts
    # frames 0, 4 and 8 are dim, of the clips with frames 0 to 2, 3 and 4, and 8 and 9
    bars = section._clips_by_tag(numbers_of(plain))
    assert (bars["dim"], list(bars.values())) == (3, sorted(bars.values(), reverse=True))


@pytest.mark.parametrize(
    ("lengths", "edges"),
    [([2, 3, 3], [1.5, 2.5, 3.5]), ([7], [6.5, 7.5]), ([1, 48], [*np.arange(0.5, 49, 2)])],
)
def test_bars_of_lengths_hold_whole_numbers(lengths, edges):
    assert section.length_edges(np.array(lengths)).tolist() == edges


def test_without_anything_known_there_is_no_figure(plain):
    assert section.test_set(numbers_of(plain)) is None
    known(plain / "old")
    figure = section.test_set(numbers_of(plain))
    assert figure is not None
    assert figure.caption == "The line is the mean entropy."
    assert figure.title == "How complex the test images are"


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / run_folder.TRAITS).write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"traits\.parquet cannot be read .*run it again"):
        traits.read(tmp_path)
