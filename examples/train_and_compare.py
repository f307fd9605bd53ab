"""The Python interface to trainings: fit, evaluate on other pictures, put the method to work.

python examples/train_and_compare.py                   two methods on drawn scenes, a smoke test of seconds
python examples/train_and_compare.py DIR               fine-tunes official MODNet on DIR/images and DIR/masks
"""

import sys
from pathlib import Path

import kolbench
from kolbench.data.scenes.scene import make_scene


def on_drawn_scenes() -> dict[str, float]:
    """Trains U-Net for a moment and scores it beside GrabCut; method -> mIoU on the same test scenes."""
    words = {"budget": "smoke", "data.picture_size": 64}
    run = kolbench.fit("unet", **words)
    other = kolbench.evaluate(experiment="grabcut", **words)

    alpha = run.load().segment(make_scene(seed=0, index=0, size=128).image)  # (128, 128) float32 in [0, 1]
    print(f"{run.folder}: threshold {run.threshold:.2f}, alpha from {alpha.min():.2f} to {alpha.max():.2f}")
    return {found.method: found.scores["miou"] for found in (run, other)}


def on_pictures(root: Path) -> dict[str, float]:
    """Official MODNet before and after fine-tuning on one's own pictures; name -> mIoU on the test part."""
    before = kolbench.fit("official_modnet", "folder", **{"data.root": root})
    after = kolbench.fit("finetune_modnet", "folder", **{"data.root": root})
    return {"official": before.scores["miou"], "fine-tuned": after.scores["miou"]}


if __name__ == "__main__":
    scores = on_pictures(Path(sys.argv[1])) if len(sys.argv) > 1 else on_drawn_scenes()
    for name, miou in scores.items():
        print(f"{name:>12} mIoU {miou:.4f}")
