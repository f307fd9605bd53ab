"""Inputs and outputs of predict, place and filter: nothing lost, nothing shared, nothing overwritten."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kolbench.errors import ConfigError, DataError
from kolbench.inference.apply.inputs import Item, items_of, left_out, targets_of
from tests.helpers import clips

SUFFIXES = {"picture": ".png", "video": ".mp4"}


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def outputs(given, output):
    items = items_of(str(given), output)
    found = targets_of(items, output, SUFFIXES)
    return {item.source.name: target.relative_to(output).as_posix() for item, target in found.items()}


def test_a_folder_is_mirrored_and_other_files_are_left_out(tmp_path):
    tree(tmp_path / "in", "b.JPG", "one/a.png", "one/two/c.mp4", "notes.txt", ".hidden.jpg")
    assert outputs(tmp_path / "in", tmp_path / "out") == {
        "b.JPG": "b.png",
        "a.png": "one/a.png",
        "c.mp4": "one/two/c.mp4",
    }


def test_a_pattern_keeps_what_lies_below_its_fixed_part(tmp_path):
    tree(tmp_path, "in/x/a.jpg", "in/y/a.jpg", "in/y/b.png")
    found = targets_of(
        items_of(str(tmp_path / "in" / "*" / "a.jpg"), tmp_path / "out"), tmp_path / "out", SUFFIXES
    )
    assert [t.relative_to(tmp_path / "out").as_posix() for t in found.values()] == ["x/a.png", "y/a.png"]
    deep = items_of(str(tmp_path / "in" / "**" / "*.*"), tmp_path / "out")
    assert [item.place.as_posix() for item in deep] == ["x/a.jpg", "y/a.jpg", "y/b.png"]


def test_one_file_goes_to_a_file_or_into_a_folder(tmp_path):
    tree(tmp_path, "a.jpg")
    items = items_of(str(tmp_path / "a.jpg"), tmp_path / "m.png")
    assert list(targets_of(items, tmp_path / "m.png", SUFFIXES).values()) == [tmp_path / "m.png"]
    assert list(targets_of(items, tmp_path / "m", SUFFIXES).values()) == [tmp_path / "m" / "a.png"]
    (tmp_path / "odd.png").mkdir()
    assert list(targets_of(items, tmp_path / "odd.png", SUFFIXES).values()) == [tmp_path / "odd.png/a.png"]


def test_equal_stems_keep_their_suffixes(tmp_path):
    tree(tmp_path / "in", "a.jpg", "a.png", "b.jpg", "a.jpg.webp")
    assert outputs(tmp_path / "in", tmp_path / "out") == {
        "a.jpg": "a.jpg.png",
        "a.png": "a.png.png",
        "b.jpg": "b.png",
        "a.jpg.webp": "a.jpg.webp.png",
    }


names = st.lists(
    st.sampled_from(
        [
            *("a.jpg", "A.jpg", "a.png", "A.PNG", "a.jpg.png", "a.jpg.jpg", "d/a.jpg", "D/a.jpg", "a.mp4"),
            *("a.mov", "\u00e9.jpg", "e\u0301.jpg", "a.jpg_2.png", "a.jpg_2.jpg", "A.jpg_2.jpg"),
        ]
    ),
    unique=True,
    min_size=1,
)


@given(names)
@settings(max_examples=300, deadline=None)
def test_no_two_inputs_ever_share_an_output(found):
    items = [Item(Path("in") / name, Path(name)) for name in found]
    targets = targets_of(items, Path("no/such/out"), SUFFIXES)
    assert list(targets) == items
    folded = {target.as_posix().replace("e\u0301", "\u00e9").casefold() for target in targets.values()}
    assert len(folded) == len(items)


def test_results_of_an_earlier_run_are_no_inputs(tmp_path):
    tree(tmp_path, "a.jpg", "out/a.png")
    assert [item.source.name for item in items_of(str(tmp_path), tmp_path / "out")] == ["a.jpg"]


def test_inputs_are_never_overwritten(tmp_path):
    tree(tmp_path, "a.png", "b.png")
    with pytest.raises(ConfigError, match=r"would overwrite the input .*a\.png"):
        targets_of(items_of(str(tmp_path / "*.png"), tmp_path / "no"), tmp_path, SUFFIXES)
    with pytest.raises(ConfigError, match=r"a\.png is a file, but 2 results need a folder"):
        targets_of(items_of(str(tmp_path), tmp_path / "no"), tmp_path / "a.png", SUFFIXES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sh0ts", r"sh0ts does not exist\. Did you mean .*shots\?"),
        ("shots/b.jpg", r"b\.jpg does not exist\. Did you mean .*a\.jpg\?"),
        ("nowhere/deep/a.jpg", r"the folder of input=.*nowhere/deep does not exist"),
        ("empty", r"empty holds no image and no video"),
        ("shots/*.mp4", r"shots/\*\.mp4 holds no image and no video"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, name, message):
    tree(tmp_path, "shots/a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        items_of(str(tmp_path / name), tmp_path / "out")


def test_files_without_a_known_suffix_are_judged_by_their_content(tmp_path, capsys):
    clips.make_clip(tmp_path / "clip.mp4", 3).rename(tmp_path / "clip")
    clips.make_clip(tmp_path / "disc.mp4", 3).rename(tmp_path / "disc.vob")
    for name in ("photo", "photo.bin"):
        Image.new("RGB", (8, 6)).save(tmp_path / name, "PNG")
    (tmp_path / "@eaDir").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "@eaDir" / "thumb.jpg")
    (tmp_path / "notes.txt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    (tmp_path / "titles").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    (tmp_path / "empty").write_bytes(b"")
    items = items_of(str(tmp_path), tmp_path / "out")
    kinds = {item.source.name: item.is_video for item in items}
    assert kinds == {"clip": True, "disc.vob": True, "photo": False, "photo.bin": False}
    assert left_out(str(tmp_path), items) == [
        f"left out of {tmp_path}, as neither image nor video: 1 .txt, 2 no suffix"
    ]
    assert left_out(str(tmp_path / "photo"), items[:1]) == []
    (tmp_path / "notes.txt").unlink()
    (alone,) = items_of(str(tmp_path / "clip"), tmp_path / "out")
    assert alone.is_video
