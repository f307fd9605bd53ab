"""Names of earlier versions: saved configurations and commands that use them still work."""

import pytest

from kolbench.config import compose, old_names
from kolbench.config.groups import ModelConfig


@pytest.mark.parametrize("old", sorted(old_names.OLD_TARGETS))
def test_old_targets_lead_to_what_exists(old):
    today = old_names.current_target(old)
    assert today != old
    assert today.rpartition(".")[2] == old.rpartition(".")[2]
    assert callable(compose.located(today))


def test_the_table_ends_in_what_the_yamls_name():
    named = {
        line.partition(": ")[2].split(" ")[0]
        for path in compose.conf_dir().rglob("*.yaml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("_target_: kolbench.")
    }
    assert set(old_names.OLD_TARGETS.values()) <= named
    assert not set(old_names.OLD_TARGETS) & named


@pytest.mark.parametrize(
    ("word", "today"),
    [
        ("model.input_rule=squash", "model.resize_mode=squash"),
        ("model.rule=short_side", "model.resize_mode=short_side"),
        ("+model.rule=native", "++model.resize_mode=native"),
        ("model.rule=squash,modnet", "model.resize_mode=squash,modnet"),
        # of K-Means and Mean Shift
        ("model.rule=border", "model.rule=border"),
        ("model.rule=both,centre", "model.rule=both,centre"),
        ("model.rule=squish", "model.rule=squish"),
        # of predict, place and filter; the regions of K-Means and Mean Shift are still cleaned
        ("clean=fast", "foreground=fast"),
        ("model.clean=false", "model.clean=false"),
    ],
)
def test_two_options_had_one_name(word, today):
    assert old_names.current_word(word) == today


def test_a_saved_method_is_built_with_todays_names():
    saved = {
        "_target_": "kolbench.models.classic.KMeansSegmenter",
        "name": "kmeans",
        "variant": "auto",
        "rule": "border",
        "clean": True,
        "oracle": "union",
    }
    method = compose.build_segmenter(ModelConfig.from_mapping(saved))
    assert type(method).__module__ == "kolbench.models.classic.kmeans"
    saved = {
        "_target_": "kolbench.models.modnet.MODNetSegmenter",
        "name": "modnet",
        "size": 64,
        "input_rule": "squash",
    }
    method = compose.build_segmenter(ModelConfig.from_mapping(saved))
    assert method.input_spec.input_size(90, 160) == (64, 64)
