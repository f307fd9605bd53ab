"""Chooses what a scene consists of before anything is painted, and the tags that say so."""

from dataclasses import dataclass, replace

import numpy as np

from kolbench.data.scenes import backgrounds, camera, person
from kolbench.data.scenes.camera import Camera
from kolbench.data.scenes.canvas import Colour
from kolbench.data.scenes.fabric import Random
from kolbench.data.scenes.person import Person

TWO_PEOPLE, NOTHING_HELD, OWN_COLOURS, DISTRACTOR = 0.15, 0.02, 0.28, 0.14
FRAMING_TAGS = ((0.14, "full_body"), (0.21, "three_quarter"), (0.315, "half_body"), (1.0, "close_up"))


@dataclass(frozen=True)
class Plan:
    """A scene. people: the first stands in front. distractor: someone in the background who is no KOL."""

    people: tuple[Person, ...]
    background: str
    own_colours: bool
    defocus: float
    distractor: Person | None
    camera: Camera
    tags: tuple[str, ...]


def make_plan(random: Random) -> Plan:
    """Makes all choices of a scene except the background's details."""
    pair = random.random() < TWO_PEOPLE
    first: tuple[float, float] | None = None
    side = float(random.choice((-1, 1)))
    if pair:
        first = (0.5 + side * random.uniform(0.15, 0.22), random.uniform(0.15, 0.25))
    people = [person.sample_person(random, first, bool(random.random() >= NOTHING_HELD))]
    if pair and first is not None:
        place = (0.5 - side * random.uniform(0.15, 0.24), first[1] * random.uniform(0.88, 1.05))
        people.append(person.sample_person(random, place, bool(random.random() < 0.4)))
    background = str(random.choice(backgrounds.KINDS, p=backgrounds.KIND_CHANCES))
    own = bool(background != "outdoor" and random.random() < OWN_COLOURS)
    stranger = None
    if background != "plain" and random.random() < DISTRACTOR:
        stranger = _stranger(random)
    taken = camera.sample_camera(random)
    defocus = random.uniform(0.0, 0.009)
    plan = Plan(tuple(people), background, own, defocus, stranger, taken, ())
    return replace(plan, tags=_tags(plan))


def _stranger(random: Random) -> Person:
    place = (
        float(random.choice((random.uniform(0.05, 0.25), random.uniform(0.75, 0.95)))),
        random.uniform(0.07, 0.1),
    )
    passing = person.sample_person(random, place, False)
    return replace(passing, y=random.uniform(0.32, 0.45), tilt=0.0, free_arm="hang")


def own_palette(plan: Plan) -> list[Colour]:
    """Collects the people's own colours, for a background that is hard to distinguish from them."""
    colours = []
    for one in plan.people:
        colours += [one.look.skin, one.look.hair, one.look.top.base, one.look.top.second]
        colours += [one.hold.product.main.base] if one.hold else []
    return colours


def _tags(plan: Plan) -> tuple[str, ...]:
    main = plan.people[0]
    tags = [main.hold.product.kind, main.hold.position] if main.hold else ["nothing_held"]
    tags.append(plan.background)
    tags += ["own_colours"] if plan.own_colours else []
    tags += ["distractor"] if plan.distractor else []
    tags.append("two_people" if len(plan.people) == 2 else "one_person")
    tags.append("dim" if plan.camera.dim else "bright")
    tags.append(next(tag for limit, tag in FRAMING_TAGS if main.head < limit))
    tags.append(main.look.hair_style)
    return tuple(tags)


def generator(seed: int, index: int, *part: int) -> Random:
    """Makes the source of randomness of one part of one scene; parts never share a stream."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index], spawn_key=part)))
