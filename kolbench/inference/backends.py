"""The fastest way to run a method here that gives the same alphas: tried on a picture."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from kolbench.errors import ConfigError, require_choice
from kolbench.inference import choices
from kolbench.inference.forms import (
    CHANNELS_LAST,
    EAGER,
    FILE_FORMS,
    FOLDED,
    FORMS,
    ONNX,
    OPENVINO,
    TORCH_FORMS,
    Forms,
    is_installed,
    runs_files,
)
from kolbench.inference.race import Race
from kolbench.io.files import sha256
from kolbench.models.mirrored import Mirrored
from kolbench.models.onnx import OnnxSegmenter
from kolbench.segmenter import Segmenter
from kolbench.types import Float32Array, UInt8Array

AUTO = "auto"
BACKENDS = (AUTO, *FORMS)
UNCHANGED = "unchanged"
# with `auto`, fewer are predicted by the plain network: folding and trying it takes longer than it saves
FEWEST_PICTURES = 8
# of the plain network; below it looking for the fastest form costs more than it saves
SEARCH_PAYS_ABOVE_S = 20.0
LONE = "onnx on one thread"
# a network that one thread runs in less gains little from a second, which waits at each of its layers
LIGHT_S = 0.04

Builder = Callable[[], Segmenter]


class Prepared(NamedTuple):
    """A method made fast.

    segmenter: gives the same alphas within 1e-3; its predictions hold alpha alone. backend: one of FORMS;
    `unchanged` where the method came back as it was given. notes: sentences on what was chosen and why, and
    on what was asked for and did not work. seconds: of one picture, by what was timed. alpha: (H, W) float32,
    what `segmenter` gave for the picture that it was tried on; None = it was not tried.
    """

    segmenter: Segmenter
    backend: str
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = MappingProxyType({})
    alpha: Float32Array | None = None


def prepare(
    segmenter: Segmenter,
    device: torch.device,
    picture: UInt8Array,
    backend: str = AUTO,
    pictures: int | None = None,
    in_pipeline: bool = False,
) -> Prepared:
    """A method in the form that is asked for, see `Forms.build`, or in the fastest.

    `auto` measures what is installed, once per network, input size and machine, and keeps what it found (see
    `choices`): it takes the fastest form whose alpha differs by at most 1e-3 from that of the plain network,
    and never compiles. With fewer than FEWEST_PICTURES pictures it returns the plain network, `eager`, and
    with so few that a search would not pay, `channels_last`. What does not work or agree is left out.

    Args:
        segmenter: with its weights; it is not changed. Methods without a network of this kind come back as
            they are: classic ones, Mask R-CNN. An ONNX file may be run by `onnx` or `openvino`. One with
            tta=flip still looks twice.
        device: where to predict.
        picture: (H, W, 3) uint8, of the size and kind that will follow.
        backend: one of BACKENDS.
        pictures: how many will follow; None = not known, many.
        in_pipeline: whether pictures are read, made and written beside it. Then ONNX Runtime runs a light
            network on one thread, and leaves the other cores to them.

    Raises:
        ConfigError: the backend is none of BACKENDS.
    """
    require_choice("backend", backend, BACKENDS)
    if isinstance(segmenter, Mirrored):
        views = pictures and 2 * pictures
        found = prepare(segmenter.segmenter, device, picture, backend, views, in_pipeline)
        return found._replace(segmenter=Mirrored(found.segmenter), alpha=None)
    if isinstance(segmenter, OnnxSegmenter):
        return _file_prepared(segmenter, picture, backend, pictures)
    try:
        forms = Forms(segmenter, device)
    except ConfigError:
        return _as_it_is(segmenter, backend)
    if backend == EAGER or (backend == AUTO and pictures is not None and pictures < FEWEST_PICTURES):
        return Prepared(forms.build(EAGER), EAGER)
    with forms:
        race = Race(EAGER, forms.build(EAGER), picture)
        lone = in_pipeline and device.type == "cpu" and torch.get_num_threads() > 1
        if backend != AUTO:
            return _asked_for(race, forms, backend, lone)
        if not _search_pays(race, pictures):
            return _asked_for(race, forms, CHANNELS_LAST, lone)
        size = forms.network.spec.input_size(picture.shape[0], picture.shape[1])
        find = partial(choices.place_of, choices.digest_of(forms.network), size, str(device))
        tried = [name for name in (*TORCH_FORMS, *FILE_FORMS) if is_installed(name) and name != EAGER]
        if device.type != "cpu":
            tried = [FOLDED, CHANNELS_LAST]
        entries: dict[str, Builder] = {name: partial(forms.build, name) for name in tried}
        if lone and ONNX in tried:
            entries[LONE] = partial(forms.build, ONNX, 1)
        return _searched(race, entries, find(lone))


def _as_it_is(segmenter: Segmenter, backend: str) -> Prepared:
    known = backend in (AUTO, *TORCH_FORMS)
    return Prepared(segmenter, UNCHANGED, () if known else (f"backend={backend} is for networks only.",))


def _search_pays(race: Race, pictures: int | None) -> bool:
    return pictures is None or pictures * race.first_s > SEARCH_PAYS_ABOVE_S


def _asked_for(race: Race, forms: Forms, form: str, lone: bool) -> Prepared:
    """One form, or the plain network and why; ONNX Runtime's on one thread where that suffices."""
    if not race.enter(form, partial(forms.build, form)):
        return _taken(race, EAGER)
    if form == ONNX and lone and race.seconds_of(ONNX) < LIGHT_S:
        race.enter(LONE, partial(forms.build, ONNX, 1))
        if race.seconds_of(LONE) < LIGHT_S:
            return _taken(race, LONE)
    return _taken(race, form)


def _searched(race: Race, entries: Mapping[str, Builder], place: Path) -> Prepared:
    """The fastest form of all that agree: as it was found before, else found now and kept."""
    before = choices.read(place)
    if before is not None:
        if before.form in race.runners or (
            before.form in entries and race.enter(before.form, entries[before.form])
        ):
            return _taken(race, before.form, choices.in_words(before, place, before=True))
        race.notes.clear()
    for name, build in entries.items():
        race.enter(name, build)
    seconds = race.seconds(list(race.runners))
    chosen = choices.keep(place, _fastest(seconds), seconds)
    return _taken(race, chosen.form, choices.in_words(chosen, place, before=False), seconds)


def _fastest(seconds: Mapping[str, float]) -> str:
    """A light network on one thread comes before the same on all, which other work waits for."""
    light = seconds.get(LONE, LIGHT_S) < LIGHT_S
    left: Sequence[str] = [name for name in seconds if not (light and name == ONNX)]
    return min(left, key=lambda name: seconds[name])


def _file_prepared(
    segmenter: OnnxSegmenter, picture: UInt8Array, backend: str, pictures: int | None
) -> Prepared:
    """An ONNX file by the runtime that is asked for; its alpha by ONNX Runtime is right."""
    many = pictures is None or pictures >= FEWEST_PICTURES
    by_openvino = backend == OPENVINO or (backend == AUTO and many and runs_files(OPENVINO))
    if not by_openvino:
        return Prepared(segmenter, ONNX) if backend == ONNX else _as_it_is(segmenter, backend)
    race = Race(ONNX, segmenter, picture)
    entries: dict[str, Builder] = {OPENVINO: partial(segmenter.run_by, OPENVINO)}
    if backend == OPENVINO:
        race.enter(OPENVINO, entries[OPENVINO])
        return _taken(race, list(race.runners)[-1])
    if not _search_pays(race, pictures):
        return Prepared(segmenter, UNCHANGED)
    size = segmenter.input_size(picture.shape[0], picture.shape[1])
    return _searched(race, entries, choices.place_of(sha256(segmenter.file), size, "cpu", False))


def _taken(race: Race, name: str, why: str = "", seconds: Mapping[str, float] | None = None) -> Prepared:
    notes = tuple([why] if why else []) + tuple(race.notes)
    backend = ONNX if name == LONE else name
    return Prepared(race.runners[name], backend, notes, seconds or {}, race.alphas[name])
