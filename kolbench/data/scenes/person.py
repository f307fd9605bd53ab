"""Draws who stands in a scene: build, skin, hair, clothes, place in the frame and what is held where."""

import math
from dataclasses import dataclass, replace

import numpy as np

from kolbench.data.scenes import fabric, products
from kolbench.data.scenes.canvas import Colour, Frame
from kolbench.data.scenes.fabric import Fabric, Random
from kolbench.data.scenes.products import Product

POSITIONS = ("before_body", "before_face", "at_side", "raised")
POSITION_CHANCES = (0.46, 0.2, 0.14, 0.2)
HAIR_STYLES = ("short_hair", "long_hair", "bun", "ponytail", "curly", "bald", "headscarf", "cap")
HAIR_CHANCES = (0.23, 0.27, 0.1, 0.08, 0.12, 0.05, 0.08, 0.07)
GARMENTS = ("tee", "shirt", "blazer", "hoodie", "tank", "turtleneck", "dress")
FRAMINGS = ("full", "three_quarter", "half", "close")
FRAMING_CHANCES = (0.16, 0.2, 0.44, 0.2)
HEAD_HEIGHTS = {
    "full": (0.104, 0.124),
    "three_quarter": (0.15, 0.205),
    "half": (0.225, 0.31),
    "close": (0.32, 0.39),
}


@dataclass(frozen=True)
class Look:
    """What a person looks like; lengths in head heights."""

    skin: Colour
    hair_style: str
    hair: Colour
    hair_seed: int
    hair_length: float
    parting: float
    fringe: bool
    face_width: float
    jaw: float
    shoulders: float
    waist: float
    hips: float
    limb: float
    bust: float
    garment: str
    sleeve: float
    top: Fabric
    inner: Fabric
    bottom: Fabric
    skirt: bool
    shoes: Colour
    headwear: Fabric
    lips: Colour
    iris: Colour
    smile: float
    beard: float
    glasses: bool
    earrings: bool


@dataclass(frozen=True)
class Hold:
    """What is held: its centre in head heights from the base of the neck, and by which hands."""

    product: Product
    position: str
    x: float
    y: float
    angle: float
    side: int
    both_hands: bool


@dataclass(frozen=True)
class Person:
    """A look at a place: base of the neck at (x, y) in unit coordinates, head height, tilt in radians."""

    look: Look
    x: float
    y: float
    head: float
    tilt: float
    yaw: float
    roll: float
    free_arm: str
    hold: Hold | None
    phases: tuple[float, ...]
    sway: float


def sample_look(random: Random) -> Look:
    """Draws a look of any build, skin, hair and clothing."""
    skin = fabric.skin_tone(random)
    style = str(random.choice(HAIR_STYLES, p=HAIR_CHANCES))
    feminine = style in ("long_hair", "bun", "ponytail", "headscarf") or random.random() < 0.25
    stout = random.uniform(0, 1) ** 1.4
    garment = str(random.choice(GARMENTS, p=(0.26, 0.17, 0.12, 0.14, 0.1, 0.09, 0.12)))
    if garment == "dress" and not feminine:
        garment = "shirt"
    if style == "headscarf" and garment == "tank":
        garment = "turtleneck"
    long_sleeve = garment in ("blazer", "hoodie", "turtleneck") or style == "headscarf"
    bare = {"tank": 0.0, "dress": float(random.choice((0.0, 0.45)))}
    sleeve = 2.0 if long_sleeve else bare.get(garment, float(random.choice((0.5, 0.7, 2.0))))
    redness = fabric.hsv(random.uniform(-0.04, 0.03), random.uniform(0.4, 0.75), random.uniform(0.45, 0.8))
    return Look(
        skin=skin,
        hair_style=style,
        hair=fabric.hair_colour(random),
        hair_seed=int(random.integers(2**31)),
        hair_length=float(random.uniform(0.75, 1.75)),
        parting=float(random.uniform(-0.2, 0.2)),
        fringe=bool(random.random() < 0.35),
        face_width=float(random.uniform(0.93, 1.05) + 0.06 * stout),
        jaw=float(random.uniform(0.9, 1.02) if feminine else random.uniform(1.0, 1.16)),
        shoulders=float(
            (random.uniform(0.72, 0.84) if feminine else random.uniform(0.86, 1.0)) + 0.1 * stout
        ),
        waist=float((0.5 if feminine else 0.62) + 0.34 * stout),
        hips=float((0.66 if feminine else 0.64) + 0.3 * stout),
        limb=float((0.88 if feminine else 1.04) + 0.3 * stout),
        bust=float(random.uniform(0.3, 1.0)) if feminine else 0.0,
        garment=garment,
        sleeve=sleeve,
        top=fabric.sample_fabric(random),
        inner=fabric.sample_fabric(random, (236.0, 234.0, 230.0) if random.random() < 0.5 else None),
        bottom=replace(fabric.sample_fabric(random), pattern="plain"),
        skirt=garment == "dress" or (feminine and random.random() < 0.35),
        shoes=fabric.cloth_colour(random),
        headwear=fabric.sample_fabric(random),
        lips=fabric.mix(skin, redness, 0.55 if feminine else 0.28),
        iris=fabric.hsv(random.choice((0.07, 0.08, 0.3, 0.57)), 0.5, random.uniform(0.2, 0.5)),
        smile=float(random.uniform(-0.2, 1.0)),
        beard=0.0 if feminine or random.random() < 0.55 else float(random.uniform(0.4, 1.0)),
        glasses=bool(random.random() < 0.18),
        earrings=bool(feminine and random.random() < 0.5),
    )


def _hold(random: Random, kind: str, position: str, side: int) -> Hold:
    product = products.sample_product(random, kind)
    both = product.width > 0.85 and kind not in ("bag", "garment", "bouquet")
    reach = 0.35 if both else 1.0
    if position == "before_body":
        x, y = side * random.uniform(0.0, 0.6) * reach, random.uniform(0.55, 1.2)
    elif position == "before_face":
        x, y = side * random.uniform(0.02, 0.3), -0.6 + random.uniform(-0.15, 0.3)
    elif position == "raised":
        x, y = side * random.uniform(0.85, 1.2), random.uniform(-1.0, -0.3)
        x, y = (x * 0.25, -1.5 - product.height * 0.2) if both else (x, y)
    else:
        x, y = side * random.uniform(1.05, 1.3), random.uniform(1.2, 1.9)
        both = False
    return Hold(product, position, x, y, random.normal(0, 0.13), side, both)


def _within_frame(hold: Hold, frame: Frame) -> Hold:
    """The hold moved so that the product's centre lies well inside the picture."""
    half = 0.42 * hold.product.height * frame.scale
    low, high = np.array([0.1, min(0.4, 0.04 + half)]), np.array([0.9, 0.93 - half * 0.6])
    x, y = frame.back(np.clip(frame.at((hold.x, hold.y)), low, high))
    return replace(hold, x=float(np.clip(x, -1.5, 1.5)), y=float(np.clip(y, -2.0, 2.2)))


def sample_person(random: Random, place: tuple[float, float] | None, holds: bool) -> Person:
    """A person in the frame.

    Args:
        random: source of all choices.
        place: (x, head height) in unit coordinates; None = anywhere sensible.
        holds: whether something is held.
    """
    framing = str(random.choice(FRAMINGS, p=FRAMING_CHANCES))
    head = random.uniform(*HEAD_HEIGHTS[framing])
    spread = 0.26 if head < 0.15 else 0.2 if head < 0.3 else 0.13
    x = random.uniform(0.5 - spread, 0.5 + spread)
    if place is not None:
        x, head = place
    kind = str(random.choice([k for k in products.KINDS if head > 0.2 or k != "lipstick"]))
    position = str(random.choice(POSITIONS, p=POSITION_CHANCES))
    side = int(random.choice((-1, 1)))
    tall = head < 0.14
    top = random.uniform(0.035, 0.06) if tall else random.uniform(0.03, 0.2)
    if position == "raised" and not tall:
        top = max(top, 0.12)
    tilt = random.normal(0, 0.025 if tall else 0.06)
    hold = _hold(random, kind, position, side)
    frame = Frame(x, top + 1.3 * head, head, tilt)
    return Person(
        look=sample_look(random),
        x=frame.x,
        y=frame.y,
        head=head,
        tilt=tilt,
        yaw=float(np.clip(random.normal(0, 0.4), -1, 1)),
        roll=random.normal(0, 0.08),
        free_arm=str(random.choice(("hang", "hip", "open", "hang"))),
        hold=_within_frame(hold, frame) if holds else None,
        phases=tuple(random.uniform(0, 2 * math.pi, 10)),
        sway=random.uniform(0.6, 1.4),
    )
