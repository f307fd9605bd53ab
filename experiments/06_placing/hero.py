"""Draws results/hero.jpg, the picture of the README: one drawn scene, and what official MODNet makes of it.

python experiments/06_placing/hero.py WORK    WORK: a folder for what lies between
"""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kolbench.data.scenes.scene import make_scene

SIZE, GAP = 512, 8
BOARD = "placement.left=0.03", "placement.top=0.03", "placement.width=0.94", "placement.height=0.75"
PARTS = (
    ("scene.png", "image"),
    ("alpha.png", "alpha matte"),
    ("placed.png", "ad behind the product"),
    ("blurred.png", "background blurred"),
)


def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold, which comes with Matplotlib."""
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(str(path), size)


def draw_ad(path: Path) -> None:
    """A poster with a slow gradient, 960x760 px."""
    across = np.linspace(0, 1, 960)[None, :, None]
    colours = (1 - across) * np.array([255, 196, 61]) + across * np.array([255, 111, 89])
    poster = Image.fromarray(np.broadcast_to(colours, (760, 960, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(poster)
    draw.rounded_rectangle((18, 18, 941, 741), 26, outline="white", width=6)
    for line, word in enumerate(("NEW", "IN", "STORE")):
        draw.text((56, 44 + 112 * line), word, font=font(104), fill="white")
    poster.save(path)


def kolbench(*words: str) -> None:
    """One command of kolbench."""
    subprocess.run([sys.executable, "-m", "kolbench", *words], check=True)  # noqa: S603  # our own words


def joined(work: Path) -> Image.Image:
    """The four parts beside each other, each with its caption."""
    strip = Image.new("RGB", (4 * SIZE + 3 * GAP, SIZE), "white")
    for place, (name, caption) in enumerate(PARTS):
        part = Image.open(work / name).convert("RGB")
        draw = ImageDraw.Draw(part, "RGBA")
        left, top, right, bottom = draw.textbbox((28, SIZE - 50), caption, font=font(28))
        draw.rounded_rectangle((left - 14, top - 9, right + 14, bottom + 9), 12, fill=(16, 18, 24, 205))
        draw.text((28, SIZE - 50), caption, font=font(28), fill="white")
        strip.paste(part, (place * (SIZE + GAP), 0))
    return strip


def main() -> None:
    """Scene, ad, three commands, one strip."""
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_scene(seed=5000, index=92, size=SIZE).image).save(work / "scene.png")
    draw_ad(work / "ad.png")
    scene = f"input={work / 'scene.png'}"
    kolbench("task=predict", scene, f"output={work / 'alpha.png'}")
    kolbench("task=place", scene, f"ad={work / 'ad.png'}", f"output={work / 'placed.png'}", *BOARD)
    kolbench("task=filter", scene, f"output={work / 'blurred.png'}", "filter=blur", "filter.radius=0.03")
    joined(work).save(Path(__file__).parent / "results" / "hero.jpg", quality=90)


if __name__ == "__main__":
    main()
