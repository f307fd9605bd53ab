import os

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data import duplicates, splits
from kolbench.data.checking import check_all, perceptual_hash
from kolbench.data.sources.folder import FolderSource
from kolbench.errors import DataError
from kolbench.io import images, masks
from tests.helpers.data_files import HEIGHT, WIDTH, folder, picture, put
from tests.helpers.tasks import configured


def test_folder_pairs_by_stem_at_any_depth_and_in_any_format(tmp_path):
    root = folder(tmp_path, ["b", "VIDEO/a", "图 片"], products=("b",))
    images.write_jpeg(root / "images" / "c.JPG", picture(9))
    put(root / "masks" / "c.png", np.ones((HEIGHT, WIDTH), np.uint8))
    source = FolderSource(root)
    assert source.names == ["VIDEO/a", "b", "c", "图 片"]
    assert source.groups == ["VIDEO", None, None, None]
    assert source.tags == ["", "", "", ""]
    assert source.given_splits is None
    read = source.read(1)
    assert np.array_equal(read.image, picture(0))
    assert read.mask.sum() == 36
    assert read.product is not None
    assert read.product.sum() == 4
    assert source.read(0).product is None
    assert source.read(2).mask.all()


def test_a_product_outside_its_mask_is_added_to_it(tmp_path):
    root = folder(tmp_path, ["a"])
    product = np.zeros((HEIGHT, WIDTH), np.uint8)
    product[7:9, 8:11] = 1
    put(root / "products" / "a.png", product)
    read = FolderSource(root).read(0)
    # 36 + 6 less the one pixel that both cover
    assert read.mask.sum() == 41
    assert not (read.product > read.mask).any()


def test_unmatched_files_are_reported_and_left_out(tmp_path):
    root = folder(tmp_path, ["a", "b"], products=("z",))
    for number in range(25):
        put(root / "images" / f"lonely{number:02d}.png", picture())
    put(root / "masks" / "A2.png", np.zeros((4, 4), np.uint8))
    put(root / "images" / "a2.png", picture())
    source = FolderSource(root)
    assert source.names == ["a", "b"]
    text = "\n".join(source.describe())
    assert "2 pictures with masks" in text
    assert "26 images without a partner are left out: a2, lonely00" in text
    assert "and 6 more" in text
    assert "a2 and A2 differ in upper and lower case only" in text
    assert "1 products without a partner are left out: z" in text
    assert "0/255 (2)" in text


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        FolderSource(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"has no folder masks/.*It holds images"):
        FolderSource(tmp_path)
    put(tmp_path / "images" / "a.png", picture())
    put(tmp_path / "masks" / "a_mask.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=r"first: a\).*first: a_mask\)"):
        FolderSource(tmp_path)
    put(tmp_path / "masks" / "a.png", np.zeros((4, 4), np.uint8))
    images.write_jpeg(tmp_path / "images" / "a.jpg", picture())
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png have the same name"):
        FolderSource(tmp_path)


def test_folders_by_their_own_names(tmp_path):
    root = folder(tmp_path / "usual", ["a", "b"], products=("a",))
    usual = FolderSource(root)
    for old, new in (("images", "photos"), ("masks", "gt/alpha"), ("products", "held")):
        (tmp_path / "own" / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(tmp_path / "own" / new)
    words = ("data.images=photos", "data.masks=gt/alpha", "data.products=held")
    config = configured("experiment=ellipse", "data=folder", f"data.root={tmp_path / 'own'}", *words)
    own = instantiate(config.data.source)
    assert own.names == ["a", "b"]
    assert own.read(0).mask.sum() == 36
    assert own.read(0).product.sum() == 4
    # a name of a folder is no content
    assert folder(root, ["a", "b"], products=("a",)) == root
    assert own.fingerprint() == usual.fingerprint()
    with pytest.raises(
        DataError, match=r"no folder alpha/.*data\.images= and data\.masks=\. It holds gt, held"
    ):
        FolderSource(tmp_path / "own", "photos", "alpha")


def test_fingerprint_sees_contents_and_names_but_no_times_or_places(tmp_path):
    root = folder(tmp_path / "one", ["a", "b"], products=("a",))
    before = FolderSource(root).fingerprint()
    assert FolderSource(folder(tmp_path / "two", ["a", "b"], products=("a",))).fingerprint() == before
    os.utime(root / "masks" / "a.png", (0, 0))
    assert FolderSource(root).fingerprint() == before
    seen = {before}
    mask = masks.read_mask(root / "masks" / "a.png") * 255
    mask[0, 0] = 255
    for change in (
        lambda: put(root / "masks" / "a.png", mask),
        lambda: put(root / "images" / "b.png", picture(77)),
        lambda: put(root / "products" / "a.png", mask),
        lambda: (root / "products" / "a.png").unlink(),
        lambda: [(root / part / "b.png").rename(root / part / "c.png") for part in ("images", "masks")],
    ):
        change()
        seen.add(FolderSource(root).fingerprint())
    assert len(seen) == 6


@pytest.mark.slow
def test_street_kol(shared):
    source = FolderSource(shared / "data" / "street_kol")
    assert len(source) == 793
    assert "793 pictures with masks, 538 with product masks" in source.describe()[0]
    made = splits.make_splits(source, "auto", 0)
    splits.assert_disjoint(made, source.names, source.groups, by_group=True)
    line = splits.describe(made, source, "auto")
    assert line == "593 train / 100 val / 100 test pictures, disjoint by file list"
    hashes: dict[int, np.uint64] = {}
    check_all(source, lambda index, image: hashes.update({index: perceptual_hash(image)}))
    assert len(hashes) == 793
    assert duplicates.cross_split_duplicates(hashes, made) == []
    # one scene photographed twice, which differs enough to pass; unrelated pictures are 10 bits apart
    (pair,) = duplicates.cross_split_duplicates(hashes, made, max_distance=8)
    assert [source.names[row] for row in pair[:2]] == ["0197", "0671"]
