"""A picture of 7680x4320 px through a method and each refiner of conf/refiner, in bounded memory."""

import json
import sys

import pytest

from kolbench.config.compose import conf_dir
from tests.helpers.commands import python

LIMIT_MB = 1500
REFINERS = sorted(path.stem for path in (conf_dir() / "refiner").glob("*.yaml"))
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
from kolbench.config.compose import conf_dir, instantiate, load_yaml
from kolbench.data.scenes.scene import make_scene
from kolbench.inference.highres import segment_in_bounded_memory
from kolbench.inference.predictor import Predictor
from kolbench.io.heap import keep_freed_memory
from kolbench.models.modnet import MODNetSegmenter

def options(name):
    if name != "cascadepsp":
        return {}
    from kolbench.models.components.refinement import RefinementNetwork
    weights = Path("cascadepsp.pth").absolute()
    torch.save(RefinementNetwork("mobilenet_v2", 0.25).state_dict(), weights)
    network = {"weights": str(weights), "backbone": "mobilenet_v2", "width": 0.25}
    return {**network, "longest": 384, "mode": "fast"}

def built(name):
    settings = {**load_yaml(conf_dir() / "refiner" / f"{name}.yaml"), **options(name)}
    return instantiate({key: value for key, value in settings.items() if key != "name"})

def kilobytes(key):
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith(key)).split()[1])

def growth(segment, refiner=None):
    # the peak from here on
    Path("/proc/self/clear_refs").write_text("5")
    alpha = Predictor(segmenter, refiner, segment)(picture)
    assert alpha.shape == (4320, 7680) and alpha.dtype == np.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1
    return (kilobytes("VmHWM") - start) // 1024, float(alpha.mean())

# as commands do
keep_freed_memory()
torch.manual_seed(0)
scene = make_scene(0, 0, 960)
picture, drawn = np.tile(scene.image[:540], (8, 8, 1)), scene.alpha[:540].astype(np.float32)
segmenter = MODNetSegmenter(512).eval()
refiners = {name: built(name) for name in sys.argv[1:]}
start = kilobytes("VmRSS")
found = {"modnet": growth(lambda image: segment_in_bounded_memory(segmenter.segment, image))}
for name, refiner in refiners.items():
    found[name] = growth(lambda image: np.tile(drawn, (8, 8)), refiner)
print(json.dumps({"mean": float(drawn.mean()), "found": found}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_refiner_works_at_the_pictures_own_size_in_bounded_memory(tmp_path):
    """Float copies of picture and alpha alone would be 530 MB, the guided filter's maps 3000 MB more."""
    done = python(PROGRAM, *REFINERS, cwd=tmp_path, environment={"OMP_NUM_THREADS": "2"})
    result = json.loads(done.stdout.splitlines()[-1])
    megabytes = {name: most for name, (most, _) in result["found"].items()}
    assert megabytes.keys() == {"modnet", *REFINERS}
    assert {name: most for name, most in megabytes.items() if most >= LIMIT_MB} == {}
    # they refine what they are given: of a network with random weights nothing is known
    for name in set(REFINERS) - {"cascadepsp"}:
        assert abs(result["found"][name][1] - result["mean"]) < 0.02
