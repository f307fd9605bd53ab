from kolbench.report.licences import strictest
from kolbench.report.tables import all_tables
from kolbench.runs.finished import find
from kolbench.runs.finished import test_sets as sets_of
from kolbench.runs.record import Part
from tests.helpers.run_folders import make_run

FREE = {"role": "initial weights", "name": "modnet-onnx", "licence": "Apache-2.0", "commercial": "yes"}
NC = {"role": "pictures", "name": "shop", "licence": "CC BY-NC 4.0", "commercial": "no"}
OPEN = {"role": "backbone", "name": "imagenet", "licence": None, "commercial": "unstated"}


def tables_of(folder):
    (comparison,) = sets_of(find(str(folder)))
    return all_tables(comparison)


def test_the_strictest_part_counts():
    made = {key: Part(commercial=key) for key in ("yes", "no", "unstated")}
    assert strictest([made["yes"], made["yes"]]) == "yes"
    assert strictest([made["yes"], made["unstated"]]) == "unstated"
    assert strictest([made["unstated"], made["no"], made["yes"]]) == "not for commercial use"
    assert strictest([]) == "not recorded"


def test_every_run_says_what_it_rests_on(tmp_path):
    make_run(tmp_path / "a", "modnet", files=False, changes={"rests_on": [FREE, NC]})
    make_run(tmp_path / "b", "unet", files=False, changes={"rests_on": [OPEN]})
    make_run(tmp_path / "c", "kmeans", files=False)
    (found,) = (made for made in tables_of(tmp_path) if made.name == "licences")
    rows = {row["method"]: row for row in found.frame.to_dict("records")}
    assert rows["modnet"]["commercial use"] == "not for commercial use"
    assert rows["modnet"]["rests on"] == (
        "initial weights: modnet-onnx (Apache-2.0); images: shop (CC BY-NC 4.0)"
    )
    assert rows["unet"]["commercial use"] == "unstated"
    assert rows["unet"]["rests on"] == "backbone: imagenet (licence not stated)"
    assert rows["kmeans"]["commercial use"] == "not recorded"


def test_runs_of_earlier_versions_give_no_such_table(tmp_path):
    make_run(tmp_path / "a", "modnet", files=False)
    assert "licences" not in [made.name for made in tables_of(tmp_path)]


def test_weights_that_have_seen_the_test_pictures_are_named(tmp_path):
    ecssd = {
        "role": "pictures",
        "name": "ECSSD",
        "licence": None,
        "commercial": "unstated",
        "sets": ["ecssd"],
    }
    network = {**FREE, "role": "weights", "name": "u2net-onnx", "sets": ["duts_tr"]}
    refiner = {**FREE, "role": "refiner's weights", "name": "cascadepsp", "sets": ["duts_te", "ecssd"]}
    make_run(tmp_path / "a", "u2net", files=False, changes={"rests_on": [ecssd, network]})
    make_run(tmp_path / "b", "refined", files=False, changes={"rests_on": [ecssd, network, refiner]})
    made = {table.name: table for table in tables_of(tmp_path)}
    (note,) = (note for note in made["scores"].notes if "has seen these test images" in note)
    assert note.startswith("refined has seen these test images: its cascadepsp was trained on ECSSD. ")
    rests = {row["method"]: row["rests on"] for row in made["licences"].frame.to_dict("records")}
    assert "trained on" not in rests["u2net"]
    assert rests["refined"].endswith("cascadepsp (Apache-2.0, trained on the test images of ECSSD)")
