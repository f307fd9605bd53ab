"""`task=doctor` as it is typed: a clean set, one with planted faults, one that cannot be opened."""

import csv
import re
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kolbench.data.health.fault import KINDS
from kolbench.data.sources.folder import FolderSource
from kolbench.io import images
from kolbench.io.masks import inspect_mask, read_mask
from tests.helpers import planted
from tests.helpers.commands import kolbench
from tests.helpers.planted import HEIGHT, WIDTH, person, picture, put_mask
from tests.io.test_colour_profiles import DISPLAY_P3, profile


def faults(folder: Path) -> list[dict[str, str]]:
    with (folder / "faults.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def found(folder: Path) -> Counter[tuple[str, str]]:
    return Counter((row["kind"], row["file"]) for row in faults(folder))


def plant(root: Path) -> Counter[tuple[str, str]]:
    """A folder with a fault of each kind; (kind, file) of all of them."""
    names = planted.clean(root, 76)
    there = iter(names)
    wanted: Counter[tuple[str, str]] = Counter()

    def fault(kind: str, file: str) -> None:
        wanted[kind, file] += 1

    def mask_fault(kind: str, levels: np.ndarray) -> str:
        name = next(there)
        put_mask(root, name, levels)
        # so that the picture has its edges where the mask has them
        planted.image(root, name, picture(500 + int(name[1:]), (levels > 127).astype(np.uint8)))
        fault(kind, f"masks/{name}.png")
        return name

    # files that cannot be used
    name = next(there)
    (root / "images" / f"{name}.png").write_bytes((root / "images" / f"{name}.png").read_bytes()[:300])
    fault("unreadable", f"images/{name}.png")
    name = next(there)
    (root / "masks" / f"{name}.png").write_bytes(b"<html>not found</html>")
    fault("unreadable", f"masks/{name}.png")
    name = next(there)
    for part in ("images", "masks"):
        (root / part / f"{name}.png").write_bytes(b"")
        fault("unreadable", f"{part}/{name}.png")
    mask_fault("unreadable", np.full((HEIGHT, WIDTH), 100))
    name = next(there)
    put_mask(root, name, 255 * person(0, HEIGHT, WIDTH + 10))
    fault("sizes", f"images/{name}.png")
    # masks
    mask_fault("levels", cv2.GaussianBlur(255 * person(7), (3, 3), 0))
    fault("mixed_levels", "the whole data set")
    mask_fault("inverted", 255 * (1 - person(9)))
    mask_fault("empty", np.zeros((HEIGHT, WIDTH)))
    mask_fault("full", np.full((HEIGHT, WIDTH), 255))
    tiny = np.zeros((HEIGHT, WIDTH))
    tiny[50:54, 40:45] = 255
    mask_fault("tiny", tiny)
    two = np.zeros((HEIGHT, WIDTH))
    two[30:90, 10:30] = two[30:90, 50:70] = 255
    mask_fault("persons", two)
    speck = 255 * person(13)
    speck[3, 3] = 255
    mask_fault("specks", speck)
    name, other = next(there), next(there)
    for seed, one in ((400, name), (401, other)):
        planted.image(root, one, picture(seed, person(99)))
        put_mask(root, one, 255 * person(99))
    fault("same_mask", other)
    # copies: of a test picture exactly, of one nearly, and within training
    name = next(there)
    shutil.copy(root / "images" / "p60.png", root / "images" / f"{name}.png")
    shutil.copy(root / "masks" / "p60.png", root / "masks" / f"{name}.png")
    fault("duplicate_across", name)
    name = next(there)
    jpeg = planted.saved(images.read_rgb(root / "images" / "p61.png"), "JPEG", quality=60)
    (root / "images" / f"{name}.png").write_bytes(jpeg)
    shutil.copy(root / "masks" / "p61.png", root / "masks" / f"{name}.png")
    fault("duplicate_across", name)
    name, other = next(there), next(there)
    shutil.copy(root / "images" / f"{other}.png", root / "images" / f"{name}.png")
    shutil.copy(root / "masks" / f"{other}.png", root / "masks" / f"{name}.png")
    fault("duplicate", name)
    # unlike the others
    for kind, height, width in (("resolution", 2 * HEIGHT + 10, 2 * WIDTH), ("aspect", 250, 75)):
        name = next(there)
        planted.image(root, name, picture(200 + width, person(2, height, width)))
        put_mask(root, name, 255 * person(2, height, width))
        fault(kind, name)
    name = next(there)
    planted.image(root, name, cv2.GaussianBlur(images.read_rgb(root / "images" / f"{name}.png"), (0, 0), 25))
    fault("blurred", name)
    name = next(there)
    planted.image(root, name, np.full((HEIGHT, WIDTH, 3), 77, np.uint8))
    fault("flat", f"images/{name}.png")
    fault("blurred", name)
    # what files say beside their pixels
    name = next(there)
    path = root / "images" / f"{name}.png"
    path.write_bytes(
        planted.saved(images.read_rgb(path), "PNG", icc_profile=profile("Display P3", DISPLAY_P3))
    )
    fault("profile", f"images/{name}.png")
    name = next(there)
    path = root / "images" / f"{name}.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = np.ascontiguousarray(images.read_rgb(path)[::-1, ::-1])
    path.write_bytes(planted.saved(turned, "PNG", exif=exif.tobytes()))
    fault("orientation", f"images/{name}.png")
    # products
    name = next(there)
    outside = np.zeros((HEIGHT, WIDTH))
    outside[2:12, 40:50] = 255
    put_mask(root, name, outside, "products")
    fault("product_outside", f"products/{name}.png")
    name = next(there)
    put_mask(root, name, np.zeros((HEIGHT, WIDTH)), "products")
    fault("product_empty", f"products/{name}.png")
    name = next(there)
    put_mask(root, name, 255 * read_mask(root / "masks" / f"{name}.png"), "products")
    fault("product_whole", f"products/{name}.png")
    fault("products", "the whole data set")
    # names, lists and groups
    planted.image(root, "alone", picture(301, person(1)))
    put_mask(root, "lonely", 255 * person(1))
    fault("left_out", "images/alone.png")
    fault("left_out", "masks/lonely.png")
    (root / "images" / "p70.jpg").write_bytes((root / "images" / "p70.png").read_bytes())
    (root / "images" / "p70.png").rename(root / "images" / "p70.webp")
    fault("folder", "images/p70.jpg")
    with (root / "train.txt").open("a") as file:
        file.write("nobody\np75\nalone\n")
    fault("folder", "train.txt, line 37")
    fault("folder", "test.txt, line 20")
    fault("folder", "train.txt, line 39")
    (root / "groups.csv").write_text("stem,group\np34,video\np35,video\np62,video\np33\n")
    fault("leak", "video")
    fault("folder", "groups.csv, line 5")
    # 19 pictures are left, most of them without a group, so of one each
    fault("splits", "test")
    return wanted


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[tuple[str, str]], str]:
    """A folder with `set` and what was found in it: what was planted, and what was printed."""
    place = tmp_path_factory.mktemp("sick")
    wanted = plant(place / "set")
    before = contents(place / "set")
    words = ("task=doctor", "data=folder", "data.root=set", "output=out", "fix=true")
    done = kolbench(*words, cwd=place, code=1)
    assert contents(place / "set") == before
    return place, wanted, done.stdout


def test_all_planted_faults_are_found_and_no_others(sick):
    place, wanted, _ = sick
    assert len({kind for kind, _ in wanted}) >= 20
    assert found(place / "out") == wanted


def test_each_row_says_what_is_wrong_and_what_to_do(sick):
    place, _, printed = sick
    rows = {(row["kind"], row["file"]): row for row in faults(place / "out")}
    assert all(row[part].endswith((".", ")")) for row in rows.values() for part in ("what", "advice"))
    assert {row["severity"] for row in rows.values()} == {"refused", "warning", "note"}
    assert all(row["severity"] == KINDS[row["kind"]].severity for row in rows.values())
    web = rows["unreadable", "masks/p01.png"]
    assert web["what"] == "Cannot be read: it is a web page (HTML) with an image's name."
    assert web["advice"] == "Download the image itself."
    assert rows["sizes", "images/p04.png"]["what"] == "Is 90x120 px, but masks/p04.png is 100x120 px."
    assert rows["folder", "train.txt, line 37"]["what"] == "there is no image nobody."
    assert rows["persons", "masks/p10.png"]["what"].startswith("2 objects, each at least a quarter")
    refused = sum(row["severity"] == "refused" for row in rows.values())
    assert f"76 images: {refused} refused by training, 13 warnings, 11 notes" in printed
    assert "masks/p01.png" in printed
    told = [line for line in printed.splitlines() if line.startswith("  ")]
    assert len(told) > len(rows)
    assert max(map(len, told)) <= 80


def test_the_mended_copy_lacks_what_can_be_mended_safely(sick):
    place, _, _ = sick
    mended = FolderSource(place / "out" / "mended")
    rows = {(row["kind"], row["file"]): row["mended"] for row in faults(place / "out")}
    assert rows["unreadable", "images/p00.png"] == "left out"
    assert "p00" not in mended.names
    # 76 less the five that cannot be used
    assert len(mended) == 71
    exact, near = (row for row in faults(place / "out") if row["kind"] == "duplicate_across")
    assert exact["mended"] == f"{exact['file']} taken out of train.txt"
    assert near["mended"] == ""
    train = {mended.names[row] for row in mended.given_splits["train"]}
    assert exact["file"] not in train
    assert near["file"] in train
    [turned] = [file for kind, file in rows if kind == "orientation"]
    assert rows["orientation", turned] == "saved upright"
    for kind, file in rows:
        if kind in ("orientation", "profile"):
            row = mended.names.index(file[7:-4])
            original = FolderSource(place / "set", refuse=lambda _: None)
            again = original.names.index(file[7:-4])
            assert np.array_equal(mended.read(row).image, original.read(again).image)
    kinds = {inspect_mask(path).kind for path in (place / "out" / "mended" / "masks").iterdir()}
    assert kinds <= {"0/255", "empty"}
    kolbench("task=doctor", "data=folder", "data.root=out/mended", "output=again", cwd=place, code=1)
    left = {row["kind"] for row in faults(place / "again") if row["severity"] == "refused"}
    assert left == {"leak", "duplicate_across"}
    assert not {kind for kind, _ in found(place / "again")} & {"profile", "orientation", "levels", "left_out"}


def test_a_mended_copy_is_never_written_over_anything(sick):
    place, _, _ = sick
    words = ("task=doctor", "data=folder", "data.root=set", "fix=true")
    before = contents(place)
    again = kolbench(*words, "output=out", cwd=place, code=2)
    assert "is there already" in again.stderr
    inside = kolbench(*words, "output=set/doctor", cwd=place, code=2)
    assert "lies in data.root=set" in inside.stderr
    assert contents(place) == before


def test_the_page_shows_what_is_wrong_and_escapes_names(tmp_path):
    names = planted.clean(tmp_path / "set", 44)
    planted.pair(tmp_path / "set", "<b>bold<b>", 80)
    put_mask(tmp_path / "set", "<b>bold<b>", np.zeros((HEIGHT, WIDTH)))
    kolbench("task=doctor", "data=folder", "data.root=set", cwd=tmp_path, code=0)
    page = (tmp_path / "doctor" / "doctor.html").read_text(encoding="utf-8")
    assert "<b>bold" not in page
    assert "masks/&lt;b&gt;bold&lt;b&gt;.png" in page
    assert page.count("data:image/jpeg") == 1
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    rows = list(csv.DictReader((tmp_path / "doctor" / "pictures.csv").read_text("utf-8").splitlines()))
    assert [row["name"] for row in rows] == ["<b>bold<b>", *names]
    assert rows[1]["split"] == "train"
    assert float(rows[1]["foreground"]) == pytest.approx(person(0).mean())


def test_a_clean_set_has_no_faults(tmp_path):
    planted.clean(tmp_path / "set", 60)
    done = kolbench("task=doctor", "data=folder", "data.root=set", cwd=tmp_path, code=0)
    assert faults(tmp_path / "doctor") == []
    assert "60 images: 0 refused by training, 0 warnings, 0 notes" in done.stdout


def test_a_set_that_cannot_be_opened_is_looked_through_all_the_same(tmp_path):
    planted.clean(tmp_path / "set", 3)
    (tmp_path / "set" / "masks").rename(tmp_path / "set" / "mattes")
    (tmp_path / "set" / "images" / "p01.png").write_bytes(b"PK\x03\x04")
    kolbench("task=doctor", "data=folder", "data.root=set", "fix=true", cwd=tmp_path, code=1)
    [folder, file] = faults(tmp_path / "doctor")
    assert folder["kind"] == "folder"
    assert "no folder masks/" in folder["what"]
    assert (file["kind"], file["file"]) == ("unreadable", "images/p01.png")
    assert not (tmp_path / "doctor" / "mended").exists()


def test_a_folder_that_is_not_there_is_said_and_nothing_is_written(tmp_path):
    planted.clean(tmp_path / "set", 3)
    done = kolbench("task=doctor", "data=folder", "data.root=sett", cwd=tmp_path, code=1)
    assert "data.root=sett does not exist. Did you mean set?" in done.stderr
    assert not (tmp_path / "doctor").exists()
