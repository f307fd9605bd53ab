"""The wheel carries its configuration and finds it from anywhere; the lock names versions, no addresses."""

import re
import subprocess
import sys
import zipfile

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_yaml_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"kolbench/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")
    }
    assert expected <= names
    assert all(name.startswith(("kolbench/", "kolbench-", "hydra_plugins/kolbench_")) for name in names)


def test_an_unpacked_wheel_finds_its_configuration_from_another_folder(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['kolbench', '--cfg', 'job'];"
        "import kolbench.config.compose as c; print(c.conf_dir()); from kolbench.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(site / "kolbench" / "conf") in done.stdout
    assert "name: rsudisnet" in done.stdout


def test_a_checkout_finds_its_own_configuration_from_another_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import kolbench.config.compose as c; print(c.conf_dir())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(ROOT / "conf")


def test_the_lock_has_exact_versions_one_opencv_and_no_addresses():
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^\s/]+( ;.*)?", line) for line in lines)
    assert sum(line.startswith("opencv") for line in lines) == 1
    assert not any(line.startswith(("lightning==2.6.2", "lightning==2.6.3")) for line in lines)
