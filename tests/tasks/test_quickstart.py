"""`task=quickstart`: nothing is downloaded, and a page stands at the end."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from kolbench.runs import record
from kolbench.runs.method_names import shown_name
from kolbench.tasks import quickstart
from tests.helpers.commands import kolbench


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A smaller one: the scenes and steps of the shipped one make it last two minutes."""
    folder = tmp_path_factory.mktemp("look first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quickstart, "SCENES", {**quickstart.SCENES, "data.picture_size": 64, "budget": "smoke"})
        patch.setattr(quickstart, "CLASSIC", {"kmeans": {}})
        patch.setattr(quickstart, "BRIEF", {"budget.size": 32})
        # without a network every download would fail
        home = {"KOLBENCH_HOME": str(folder / "empty"), "KOLBENCH_WEIGHTS_URL": "https://localhost:1"}
        return folder, kolbench("task=quickstart", cwd=folder, environment=home)


@pytest.mark.slow
def test_the_page_is_where_its_address_says(done):
    _, finished = done
    (address,) = re.findall(r"^report: (file://\S+)$", finished.stdout, re.MULTILINE)
    page = Path(unquote(urlsplit(address).path)).read_text(encoding="utf-8")
    assert all(name in page for name in ("kmeans", "unet", "ellipse", "meanmask"))


@pytest.mark.slow
def test_every_method_and_baseline_has_a_row_and_the_network_is_explained(done):
    folder, finished = done
    runs = sorted((folder / "quickstart" / "runs").glob("*/2*/run.json"))
    recorded = {path.parent.parent.name: record.read(path) for path in runs}
    assert set(recorded) == {"kmeans", "unet"}
    rows = [line for line in finished.stdout.splitlines() if re.search(r" \d\.\d{4} ", line)]
    for name, found in recorded.items():
        (row,) = (line for line in rows if line.strip().startswith(shown_name(name)))
        assert f"{found.scores['miou']:.4f}" in row
    for baseline in ("Centred ellipse", "Mean mask"):
        assert sum(line.strip().startswith(baseline) for line in rows) == 1
    assert "U-Net was trained from scratch" in finished.stdout
    assert not (folder / "empty").exists()
    # what the runs say themselves stands in a file
    assert "run folder" not in finished.stdout
    assert "run folder" in (folder / "quickstart" / "quickstart.log").read_text()
