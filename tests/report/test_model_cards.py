"""Model cards and the data card: facts from run folders, by hand, and what is not recorded."""

from dataclasses import replace

import pytest

from kolbench.report import page
from kolbench.report.model_cards import data_card, method_cards
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from tests.helpers.run_folders import make_run

SHOP = {"role": "pictures", "name": "shop", "licence": "CC BY-NC 4.0", "commercial": "no"}
OFFICIAL = {
    "role": "weights",
    "name": "u2netp-onnx",
    "licence": "Apache-2.0",
    "commercial": "yes",
    "sets": ["duts_tr"],
}
BEGUN = {"role": "initial weights", "name": "modnet-onnx", "licence": "Apache-2.0", "commercial": "yes"}
PLAIN = {"files": False, "pictures": 30}
NO_COPIES = {"checked": ["no near-duplicates across splits"]}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "bad", "modnet", quality=0.1, **PLAIN, changes={"rests_on": [SHOP, BEGUN]})
    make_run(
        folder / "official",
        "official_u2netp",
        **PLAIN,
        trained=False,
        model={"name": "official_u2netp", "size": 320},
        changes={"rests_on": [SHOP, OFFICIAL], "parameters": 1_131_181, **NO_COPIES},
    )
    make_run(folder / "box", "grabcut", truth_access="box", **PLAIN, changes={"parameters": 0})
    make_run(folder / "oval", "ellipse", quality=0.4, **PLAIN)
    (found,) = sets_of(find(str(folder)))
    split = {"split": "auto", "split_seed": 3}
    (folder / "bad" / "config.yaml").write_text(f"data: {split}\nmodel: {{size: 64}}\n")
    return found


@pytest.fixture(scope="module")
def cards(comparison):
    return {card.key: card for card in method_cards(comparison)}


def facts(card):
    return {fact.name: fact.value for fact in card.facts}


def test_there_is_a_card_for_each_method_and_none_for_baselines(cards):
    assert {key: card.title for key, card in cards.items()} == {
        "modnet": "MODNet",
        "official_u2netp": "U²-Net-p",
        "grabcut": "GrabCut",
    }


def test_a_network_that_was_trained(cards, comparison):
    known = facts(cards["modnet"])
    run = next(run for run in comparison.runs if run.method == "modnet")
    assert known["What it is"] == "network, trained with kolbench"
    assert known["Trained on"] == "an unrecorded number of images of shop, budget quick, seed 0"
    assert known["Initial weights"] == "modnet-onnx: Apache-2.0; commercial use: yes"
    assert known["Input size"] == "64x64 px while training"
    # the data forbids what the weights allow
    assert known["Commercial use"] == "not for commercial use"
    assert known["Intended use"] == "person and held product in images like those of shop"
    assert known["Held products"].startswith(f"recall {100 * run.scores['product_recall']:.1f} % (95 % CI ")
    assert known["Held products"].endswith(" on 20 images")
    assert "not above the baseline" in known["Known limits"]
    assert "Centred ellipse" in known["Known limits"]
    assert "budget=quick is a short training" in known["Known limits"]
    assert known["Worst group"].startswith(
        ("indoor: ", "outdoor: ", "stage: ", "bottle: ", "phone: ", "bag: ")
    )


def test_weights_of_others(cards):
    known = facts(cards["official_u2netp"])
    assert known["What it is"] == "network with weights of others, not trained here"
    assert known["Trained on"] == "DUTS-TR"
    assert known["Weights"] == "u2netp-onnx: Apache-2.0; commercial use: yes"
    assert known["Parameters"] == "1,131,181"
    assert known["Input size"] == "320 px"
    assert "1.13 M parameters" in cards["official_u2netp"].gist
    assert "one training" not in known.get("Known limits", "")


def test_what_is_given_the_truth_is_not_automatic(cards):
    known = facts(cards["grabcut"])
    assert known["Reads"] == "the image and the ground-truth box (oracle), so it is not automatic"
    assert "cannot be used on images without ground truth" in known["Intended use"]
    assert known["Commercial use"] == "not recorded"


def test_the_data_card(comparison):
    card = data_card(comparison)
    known = facts(card)
    groups = len(set(comparison.groups))
    assert card.gist == "30 test images"
    assert known["Images"] == "30 test, 15 validation; training: not recorded"
    assert known["Groups"] == f"{groups} groups (videos) among the test images"
    assert known["Split"] == (
        "data.split=auto: by the set's own lists, else by video or other group, split_seed=3"
    )
    assert known["Ground truth"] == "binary masks, scored at each image's own size"
    assert known["Image size"] == "64x48 px"
    # two of three scenes hold something
    assert known["Held products"] == "20 of 30 test images have a product mask"
    counts = comparison.runs[0].test.counts
    shares = counts.fg.sum(1) / (counts.fg.sum(1) + counts.bg.sum(1))
    assert known["Foreground"].startswith(f"{100 * shares.mean():.1f} % of an image on average")
    assert known["Near-duplicates"] == "no near-duplicates across splits"
    assert known["Licence"] == "CC BY-NC 4.0; commercial use: not for commercial use"


def test_a_data_card_of_runs_that_recorded_little(comparison):
    bare = tuple(
        replace(run, record=replace(run.record, rests_on=(), fingerprint=None, checked=(), pictures={}))
        for run in comparison.runs
        if run.method != "modnet"
    )
    alone = replace(comparison, runs=bare, groups=comparison.pictures)
    known = facts(data_card(alone))
    for name in ("Split", "Near-duplicates", "Licence", "Fingerprint"):
        assert known[name] == "not recorded"
    assert known["Groups"] == "none known: images are treated as independent"
    assert known["Images"] == "30 test; validation and training: not recorded"


def test_the_page_shows_them_escaped(comparison):
    named = replace(comparison, name="<b>shop</b>")
    text = page.render(named, [], [], [], [])
    assert text.count('class="sheet"') == 4
    assert "<b>&lt;b&gt;shop&lt;/b&gt;</b>" in text


def test_parameters_of_a_file_of_others_are_not_said_to_be_none(tmp_path):
    changes = {"rests_on": [SHOP, OFFICIAL], "parameters": 0}
    make_run(tmp_path / "run", "official_u2netp", **PLAIN, trained=False, changes=changes)
    (found,) = sets_of(find(str(tmp_path)))
    (card,) = method_cards(found)
    assert facts(card)["Parameters"] == "not counted: the weights are a file of others"
