"""Poses a person at a time: sway, head, product, and arms by two-bone inverse kinematics."""

import math
from dataclasses import dataclass

import numpy as np

from kolbench.data.scenes.canvas import Frame, Points
from kolbench.data.scenes.person import Hold, Person

UPPER_ARM, FOREARM = 1.28, 1.12  # head heights
WRIST = 0.36  # from the grip back to the wrist
NECK = 0.26  # from the base of the neck up to the chin


@dataclass(frozen=True)
class Arm:
    """Joints (2,) in unit coordinates; hand: frame at the grip, x along the fingers, y down.

    grip: fingers, thumb, fist, hang, hip or open.
    """

    side: int
    shoulder: Points
    elbow: Points
    wrist: Points
    hand: Frame
    grip: str


@dataclass(frozen=True)
class Pose:
    """A person at one time; frames are in head heights.

    body: origin at the base of the neck. head, product: origin at their centres. blink: 1 = eyes closed.
    """

    body: Frame
    head: Frame
    product: Frame | None
    arms: tuple[Arm, ...]
    yaw: float
    blink: float


def _wave(person: Person, which: int, rate: float, time: float) -> float:
    return person.sway * math.sin(2 * math.pi * rate * time + person.phases[which])


def pose_at(person: Person, time: float) -> Pose:
    """Poses a person at a time in seconds."""
    body = Frame(
        person.x + 0.05 * person.head * _wave(person, 0, 0.31, time),
        person.y + 0.02 * person.head * _wave(person, 1, 0.53, time),
        person.head,
        person.tilt + 0.012 * _wave(person, 2, 0.37, time),
    )
    roll = person.roll + 0.05 * _wave(person, 3, 0.43, time)
    head = body.child(0, -NECK * 0.6, 1.0, roll).child(0, -0.5 - NECK * 0.4)
    yaw = person.yaw + 0.2 * _wave(person, 4, 0.29, time)
    blink = 1.0 if math.sin(2 * math.pi * 0.27 * time + person.phases[5]) > 0.996 else 0.0
    product = None if person.hold is None else _product_frame(person, person.hold, body, time)
    arms = tuple(_arm(person, side, body, product, time) for side in (-1, 1))
    return Pose(body, head, product, arms, yaw, blink)


def _product_frame(person: Person, hold: Hold, body: Frame, time: float) -> Frame:
    x = hold.x + 0.09 * _wave(person, 6, 0.41, time)
    y = hold.y + 0.07 * _wave(person, 7, 0.59, time)
    return body.child(x, y, 1.0, hold.angle + 0.09 * _wave(person, 8, 0.47, time))


def _arm(person: Person, side: int, body: Frame, product: Frame | None, time: float) -> Arm:
    hold = person.hold
    shoulder = np.array(
        [side * (0.9 * person.look.shoulders - 0.2 * person.look.limb**0.5 + 0.03), 0.36, 0.0]
    )
    if hold is not None and product is not None and (hold.both_hands or side == hold.side):
        grip = hold.product.both_grip if hold.both_hands else hold.product.grip
        hand = product.child(side * grip.x, grip.y, 1.0, side * grip.angle, float(-side))
        hangs = grip.kind == "fist" and hold.position == "at_side"
        wrist = product.at((side * 0.05, grip.y - 0.3)) if hangs else hand.at((-WRIST, 0.06))
        depth, kind = (0.2 if hold.position == "at_side" else 0.95), grip.kind
        pole = np.array([side * 0.55, 1.0, -0.3])
    else:
        hand, depth, pole = _free_hand(person, side, body, time)
        wrist, kind = hand.at((-WRIST, 0.0)), person.free_arm
    flat = body.back(wrist)
    spare = (0.98 * (UPPER_ARM + FOREARM)) ** 2 - float(((flat - shoulder[:2]) ** 2).sum())
    target = np.array([*flat, min(depth, math.sqrt(max(0.0, spare)))])
    elbow = _elbow(shoulder, target, pole)
    return Arm(side, body.at(shoulder[:2]), body.at(elbow[:2]), np.asarray(wrist), hand, kind)


def _free_hand(person: Person, side: int, body: Frame, time: float) -> tuple[Frame, float, Points]:
    """Hand frame, depth of the wrist and where the elbow points, of an arm that holds nothing."""
    wide, sway = person.look.hips, 0.06 * _wave(person, 9, 0.33, time)
    if person.free_arm == "hip":
        spot, turn, depth, pole = (side * (wide - 0.1), 2.05), -0.5, 0.05, (side * 1.0, 0.1, -0.1)
        return body.child(*spot, 1.0, side * turn, float(-side)), depth, np.array(pole)
    if person.free_arm == "open":
        spot, turn, depth, pole = (
            (side * (wide + 0.75 + sway), 0.75 + sway),
            -0.9,
            0.7,
            (side * 0.3, 1.0, -0.2),
        )
    else:
        spot, turn, depth, pole = (side * (wide + 0.42 + sway), 2.6), 1.5, 0.2, (side * 0.5, 0.2, -0.6)
    return body.child(*spot, 1.0, side * turn, float(side)), depth, np.array(pole)


def _elbow(shoulder: Points, target: Points, pole: Points) -> Points:
    """(3,) elbow of a two-bone arm; bones stretch a little where the target is out of reach."""
    gap = target - shoulder
    distance = float(np.linalg.norm(gap)) + 1e-9
    stretch = max(1.0, distance / (UPPER_ARM + FOREARM) * 1.005)
    upper, fore = UPPER_ARM * stretch, FOREARM * stretch
    along = gap / distance
    reach = (upper**2 - fore**2 + distance**2) / (2 * distance)
    height = math.sqrt(max(0.0, upper**2 - reach**2))
    bend = pole - along * float(pole @ along)
    bend /= float(np.linalg.norm(bend)) + 1e-9
    return np.asarray(shoulder + along * reach + bend * height)
