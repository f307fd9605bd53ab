"""Messages of errors become rows: where, what, what to do."""

from pathlib import Path

import pytest

from kolbench.data.health import fault
from kolbench.data.health.fault import KINDS, Fault

ADVICE = KINDS["unreadable"].advice


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "/data/a b/images/1.png cannot be read: it is empty (0 bytes); copy or download it again.",
            (
                "/data/a b/images/1.png",
                "Cannot be read: it is empty (0 bytes).",
                "Copy or download it again.",
            ),
        ),
        (
            "/data/masks/1.png has the level 100 everywhere; a mask is 0 (or black) where there is nobody.",
            (
                "/data/masks/1.png",
                "Has the level 100 everywhere.",
                "A mask is 0 (or black) where there is nobody.",
            ),
        ),
        (
            "/data/train.txt, line 3: there is no image x.y. Did you mean x.z?",
            ("/data/train.txt, line 3", "there is no image x.y.", "Did you mean x.z?"),
        ),
        (
            "/data/a.jpg and /data/a.png have the same name. Rename one.",
            ("/data/a.jpg", "/data/a.jpg and /data/a.png have the same name.", "Rename one."),
        ),
        (
            "/data has no folder masks/; data=folder needs images/ and masks/. It holds images.",
            ("", "/data has no folder masks/. It holds images.", "data=folder needs images/ and masks/."),
        ),
        ("/data finds none. It holds x/.", ("", "/data finds none. It holds x/.", ADVICE)),
        ("Nothing is known.", ("here.png", "Nothing is known.", ADVICE)),
        (
            "/data/a.png is 3x4 px, but /data/b.png is 4x3 px. Save both upright. Then look again.",
            ("/data/a.png", "Is 3x4 px, but /data/b.png is 4x3 px.", "Save both upright. Then look again."),
        ),
    ],
)
def test_messages_are_parted(message, expected):
    found = fault.from_message("unreadable", message, file="here.png" if message[0] != "/" else "")
    assert (found.file, found.what, found.advice) == expected


def test_files_are_named_as_below_the_root():
    found = Fault("sizes", "/data/set/a.png", "Is not as /data/set/b.png.", "", (1,))
    assert fault.below(found, Path("/data/set"))[:3] == ("sizes", "a.png", "Is not as b.png.")
    assert fault.below(found, None) == found
    assert fault.below(found._replace(file="/data/set"), Path("/data/set")).file == "the whole data set"


def test_the_gravest_come_first_and_kinds_stay_together():
    kinds = ["specks", "levels", "unreadable", "levels", "sizes", "persons"]
    found = [fault.fault(kind, str(number), "") for number, kind in enumerate(kinds)]
    assert [one.file for one in fault.in_order(found)] == ["2", "4", "1", "3", "0", "5"]
    assert fault.counted(found) == {"refused": 2, "warning": 2, "note": 2}
