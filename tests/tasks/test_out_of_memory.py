"""A training that memory does not suffice for, in a process whose memory is limited for real."""

import json
import sys

import pytest

from tests.helpers.commands import python

# imports first: what runs out is to be the memory of the batch
LIMITED = """
import resource, sys
import pyarrow.parquet, torch
import kolbench.tasks.fit
from kolbench import cli
torch.set_num_threads(1)
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
# between what batches of 32 and of 8 take
resource.setrlimit(resource.RLIMIT_AS, (now + 600 * 2**20, resource.RLIM_INFINITY))
sys.argv[0] = "kolbench"
cli.main()
"""
PICTURES = ("data.picture_size=128", "budget.scenes={train: 32, val: 2, test: 2}", "budget.limit.train=null")
TRAINING = ("experiment=unet", "budget=smoke", "budget.epochs=1", "budget.size=128", "budget.batch=32")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and RLIMIT_AS binds on Linux only")
def test_a_sweep_goes_on_after_a_job_out_of_memory_and_another_halves_its_batch(tmp_path):
    words = ("-m", "on_oom=stop,halve", *TRAINING, *PICTURES)
    done = python(LIMITED, *words, cwd=tmp_path, code=1)
    assert "Memory ran out while training on a batch of 32 images of 128x128 px. Lower budget.batch=" in (
        done.stderr
    )
    assert "1 of the sweep's jobs failed: job 0 " in done.stderr
    assert "Traceback" not in done.stderr
    assert "memory ran out on 32 images at once: from here on 16 images" in done.stdout
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("runs/sweeps/*/*/run.json"))]
    assert [record["status"] for record in records] == ["failed", "finished"]
    halved = records[1]["training"]["halved"]
    assert halved >= 1
    assert records[1]["training"]["batch"] == 32 / 2**halved
    # the table of what was finished
    assert "all jobs of the sweep" in done.stdout
