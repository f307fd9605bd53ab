import os

import numpy as np
import pytest

from kolbench.config.compose import instantiate
from kolbench.data import duplicates, splits
from kolbench.data.checking import checked_hashes
from kolbench.data.sources.folder import FolderSource
from kolbench.errors import ConfigError, DataError
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
    assert "2 images with masks" in text
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
    (tmp_path / "masks").mkdir()
    (tmp_path / "images" / "a.mp4").write_bytes(b"a video")
    with pytest.raises(DataError, match=r"images holds no images; frames of videos .* task=prepare"):
        FolderSource(tmp_path)
    put(tmp_path / "images" / "a.png", picture())
    with pytest.raises(DataError, match=r"masks holds no images"):
        FolderSource(tmp_path)
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


def soft_folder(root, names):
    """As `folder`, with alphas that rise over ten columns."""
    folder(root, names)
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[:, 5:15] = np.linspace(10, 250, 10)
    levels[:, 15:] = 255
    for name in names:
        put(root / "masks" / f"{name}.png", levels)
    return levels


def test_soft_masks_are_true_alphas_unless_told_otherwise(tmp_path):
    levels = soft_folder(tmp_path, ["a", "b", "c"])
    found = {truth: FolderSource(tmp_path, truth=truth) for truth in ("auto", "alpha", "binary")}
    assert {asked: source.truth for asked, source in found.items()} == {
        "auto": "alpha",
        "alpha": "alpha",
        "binary": "binary",
    }
    # neither the masks nor the digest follow from what the truth is taken for
    assert len({source.fingerprint() for source in found.values()}) == 1
    for source in found.values():
        assert np.array_equal(source.read(0).mask, levels >= 128)
    assert found["binary"].read(0).matte is None
    for asked in ("auto", "alpha"):
        matte = found[asked].read(0).matte
        assert matte is not None
        assert matte.dtype == np.float32
        assert np.allclose(matte, levels / 255, atol=1e-7, rtol=0)
    text = "\n".join(found["auto"].describe())
    assert "soft edges in 3 of 3 masks looked at: true alphas" in text
    assert "warning" not in text
    with pytest.raises(ConfigError, match=r"data\.truth=soft"):
        FolderSource(tmp_path, truth="soft")


def test_hard_masks_are_binary_unless_told_otherwise(tmp_path):
    root = folder(tmp_path, ["a", "b"], products=("a",))
    assert FolderSource(root).truth == "binary"
    assert FolderSource(root).read(0).matte is None
    assert "masks: two levels at most in 2 looked at: taken as binary" in FolderSource(root).describe()
    told = FolderSource(root, truth="alpha")
    assert told.truth == "alpha"
    assert np.array_equal(told.read(0).matte, FolderSource(root).read(0).mask)


def test_a_product_belongs_to_the_alpha_too(tmp_path):
    levels = soft_folder(tmp_path, ["a", "b"])
    product = np.zeros((HEIGHT, WIDTH), np.uint8)
    product[4:6, 2:8] = 255
    put(tmp_path / "products" / "a.png", product)
    read = FolderSource(tmp_path).read(0)
    expected = np.where(product, 1, levels / 255)
    assert np.allclose(read.matte, expected, atol=1e-7, rtol=0)
    assert np.array_equal(read.mask, read.matte >= 0.5)


def test_a_photograph_among_soft_masks_is_still_refused(tmp_path):
    soft_folder(tmp_path, ["a", "b", "c"])
    put(tmp_path / "masks" / "b.png", np.tile(np.arange(100, 120, dtype=np.uint8) + 30, (HEIGHT, 1)))
    with pytest.raises(DataError, match="looks like a photograph"):
        FolderSource(tmp_path).read(1)
    # who says that they are mattes is believed
    assert FolderSource(tmp_path, truth="alpha").read(1).mask.all()


@pytest.mark.slow
def test_true_alphas_of_alphamatting_and_masks_of_sod(shared):
    source = FolderSource(shared / "data" / "alphamatting", masks="alpha")
    binary = FolderSource(shared / "data" / "alphamatting", masks="alpha", truth="binary")
    assert len(source) == 27
    assert source.truth == "alpha"
    for row in range(0, 27, 9):
        assert np.array_equal(source.read(row).mask, binary.read(row).mask)
        assert np.array_equal(source.read(row).mask, source.read(row).matte >= 0.5)
    sod = FolderSource(shared / "data" / "sod")
    assert (len(sod), sod.truth) == (300, "binary")


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
    assert "793 images with masks, 538 with product masks" in source.describe()[0]
    made = splits.make_splits(source, "auto", 0)
    splits.assert_disjoint(made, source.names, source.groups, by_group=True)
    line = splits.describe(made, source, "auto")
    assert line == "593 train / 100 val / 100 test images, disjoint by file list"
    hashes: dict[int, np.uint64] = {}
    hashes.update(checked_hashes(source, ""))
    assert len(hashes) == 793
    assert duplicates.cross_split_duplicates(hashes, made) == []
    # one scene photographed twice, which differs enough to pass; unrelated pictures are 10 bits apart
    (pair,) = duplicates.cross_split_duplicates(hashes, made, max_distance=8)
    assert [source.names[row] for row in pair[:2]] == ["0197", "0671"]


RED, GREEN, GREY = (255, 0, 0), (0, 255, 0), (90, 90, 90)


def label_maps(root, names):
    """As `folder`, with label maps: a red person of 6 x 6 px, with a green product of 2 x 2, on grey."""
    folder(root, names)
    colours = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    colours[2:8, 3:9] = RED
    colours[4:6, 5:7] = GREEN
    for name in names:
        put(root / "masks" / f"{name}.png", colours)
    return root


def test_label_maps_are_read_by_colour(tmp_path):
    root = label_maps(tmp_path, ["a", "b"])
    # without a word nothing would be background, and whatever says so would be right
    with pytest.raises(DataError, match=r"2 of 2 images.*\n.*nowhere black.*#5a5a5a.*data\.person_colour"):
        checked_hashes(FolderSource(root), "")
    words = ("data=folder", f"data.root={root}", "data.person_colour='#ff0000'", "data.product_colour=lime")
    source = instantiate(configured("experiment=ellipse", *words).data.source)
    read = source.read(0)
    assert (read.mask.sum(), read.product.sum()) == (36, 4)
    assert source.truth == "binary"
    assert "masks are label maps: data.person_colour is foreground" in source.describe()
    alone = FolderSource(root, person_colour="#ff0000").read(0)
    assert (alone.mask.sum(), alone.product) == (32, None)
    before = FolderSource(root, person_colour="red").fingerprint()
    (root / "labelmap.txt").write_text("person:255,0,0::\nbag:0,255,0::\nbackground:90,90,90::\n")
    by_file = FolderSource(root)
    assert np.array_equal(by_file.read(0).mask, read.mask)
    assert by_file.fingerprint() != before


def test_label_maps_without_the_person_are_refused_with_what_they_hold(tmp_path):
    root = label_maps(tmp_path, ["a", "b"])
    with pytest.raises(
        DataError, match=r"None of 2 label maps.*#5a5a5a \(85%\), #ff0000.*data\.person_colour"
    ):
        FolderSource(root, person_colour="blue")
    with pytest.raises(ConfigError, match=r"data\.truth=alpha and label maps"):
        FolderSource(root, person_colour="red", truth="alpha")
    with pytest.raises(ConfigError, match=r"data\.person_colour=reddish is neither"):
        FolderSource(root, person_colour="reddish")


def inverted(root, names, share=1.0):
    """As `folder`, with black persons on white in a share of the masks."""
    folder(root, names)
    for name in names[: round(share * len(names))]:
        put(root / "masks" / f"{name}.png", 255 - 255 * masks.read_mask(root / "masks" / f"{name}.png"))
    return root


def test_inverted_masks_are_warned_of_and_turned_round(tmp_path):
    names = [f"{number}" for number in range(10)]
    told = "\n".join(FolderSource(inverted(tmp_path / "a", names)).describe())
    assert "warning: 10 of 10 masks are foreground along most of the image's edge" in told
    assert "data.person_colour=black" in told
    assert FolderSource(tmp_path / "a", person_colour="black").read(0).mask.sum() == 36
    nearly = FolderSource(inverted(tmp_path / "b", names, 0.9)).describe()
    assert any("warning: 9 of 10 masks" in line for line in nearly)
    some = FolderSource(inverted(tmp_path / "c", names, 0.8)).describe()
    assert not any("warning" in line for line in some)


def test_inverted_alphas_are_warned_of_too(tmp_path):
    levels = soft_folder(tmp_path, ["a", "b"])
    assert not any("warning" in line for line in FolderSource(tmp_path).describe())
    for name in "ab":
        turned = levels.copy()
        turned[:] = 255
        turned[3:9, 5:15] = 255 - levels[3:9, 5:15]
        put(tmp_path / "masks" / f"{name}.png", turned)
    source = FolderSource(tmp_path)
    assert source.truth == "alpha"
    assert any("warning: 2 of 2 masks are foreground along most" in line for line in source.describe())


def test_masks_that_are_all_full_are_refused(tmp_path):
    root = folder(tmp_path, ["a", "b"])
    full = np.full((HEIGHT, WIDTH), 255, np.uint8)
    put(root / "masks" / "a.png", full)
    checked_hashes(FolderSource(root), "")
    assert "1 of 2 masks are foreground everywhere" in FolderSource(root).describe()
    put(root / "masks" / "b.png", full)
    with pytest.raises(DataError, match=r"All 2 masks are foreground everywhere"):
        checked_hashes(FolderSource(root), "")
