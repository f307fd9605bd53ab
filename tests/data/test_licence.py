import pytest

from kolbench.data import licence


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("MIT License", "yes"),
        ("Apache License, Version 2.0", "yes"),
        ("CC BY 4.0", "yes"),
        ("CC-BY-SA-4.0", "yes"),
        ("CC0 1.0 Universal", "yes"),
        ("CC BY-NC 4.0", "no"),
        ("CC-BY-NC-SA-4.0", "no"),
        ("Attribution-NonCommercial 4.0 International", "no"),
        ("for non-commercial research", "no"),
        ("Research use only", "no"),
        ("For academic research purposes only", "no"),
        ("Apache-2.0 for the code; the images are not for commercial use", "no"),
        ("CC BY, non commercial use only", "no"),
        ("MIT License; commercial use is prohibited", "no"),
        ("not for any commercial purpose, cc-by", "no"),
        ("Nutzung mit Namensnennung", "unstated"),
        ("ask the authors", "unstated"),
        ("submitted to the community", "unstated"),
        (None, "unstated"),
    ],
)
def test_words_that_allow_or_forbid_commercial_use(words, expected):
    assert licence.commercial(words) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"LICENSE": "\n  MIT License\n\nCopyright"}, "MIT License"),
        ({"Licence.txt": "CC BY 4.0\n"}, "CC BY 4.0"),
        ({"COPYING": "GNU GENERAL PUBLIC LICENSE"}, "GNU GENERAL PUBLIC LICENSE"),
        (
            {"README.md": "# Data\n\nPictures.\n\n- License: research use only.\n"},
            "License: research use only.",
        ),
        ({"readme.txt": "Data\n## Licence\nCC BY-NC 4.0\n"}, "CC BY-NC 4.0"),
        ({"README.md": "# Data\nNothing about it.\n"}, None),
        ({"README.md": "License: no", "LICENSE": "CC0"}, "CC0"),
        ({"notes.md": "License: MIT"}, None),
        ({"README.md": "Faces and license plates are blurred.\n"}, None),
        ({"LICENSE": "x" * 300}, "x" * 117 + "..."),
        ({}, None),
    ],
)
def test_what_lies_beside_the_pictures(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert licence.beside(tmp_path) == expected


def test_a_folder_that_is_not_there_says_nothing(tmp_path):
    assert licence.beside(tmp_path / "none") is None
