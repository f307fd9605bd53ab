"""The Python interface: load a method, segment a picture, score the alpha.

python examples/python_api.py                          a drawn scene, by GrabCut
python examples/python_api.py runs/rsudisnet/RUN       the same by a network that you trained
"""

import sys

import torch

import kolbench
from kolbench.data.scenes.scene import make_scene
from kolbench.metrics import scores
from kolbench.metrics.histogram import level_counts


def main(method: str) -> dict[str, float]:
    """Prints and returns what one drawn picture says of a method, name -> score in [0, 1]."""
    segmenter = kolbench.load(method)

    # any file, PIL image or (H, W, 3) uint8 array does; a drawn scene comes with its truth
    scene = make_scene(seed=0, index=0, size=128)
    alpha = segmenter.segment(scene.image)  # (H, W) float32 in [0, 1]

    # 256 counts per class hold the scores at every threshold
    mask = torch.from_numpy(scene.alpha >= 0.5)[None, None]
    counts = level_counts(torch.from_numpy(alpha)[None, None], mask, extra=scores.extra_counts())
    found = scores.mean_scores(counts, threshold=0.5)
    for name in ("miou", "iou", "boundary_iou"):
        print(f"{name:>12} {found[name]:.3f}   {scores.DEFINITIONS[name]}")
    return found


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "grabcut")
