"""The catalogue of weights that can be had by name: conf/weights.yaml as typed entries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from kolbench.config.compose import conf_dir, load_yaml
from kolbench.config.fields import Values, require_mapping
from kolbench.errors import ConfigError, nearest, require_choice

CATALOGUE = "weights.yaml"
OFFICIAL = "official"
KINDS = ("onnx", "tensors")
COMMERCIAL = ("yes", "no", "unstated")


@dataclass(frozen=True)
class Entry:
    """One file of the catalogue.

    Attributes:
        name: its id. method: whose network it is, as in conf/model where it stands there. what: in words.
        bytes: its size; None where nobody published it. sha256: 64 hexadecimal digits. md5: 32, where its
            authors publish that; a file must have both.
        licence: of the weights, in words. commercial: whether commercial use is allowed: yes, no or unstated.
        kind: `onnx`, a whole network, or `tensors`, named tensors for one of our networks.
        addresses: https, tried one after the other. file: its name in the cache.
        feed: what its authors use of the options of OnnxSegmenter, or of our method for tensors.
        gigabytes: of memory that running it needs, where that is much; None = not stated.
        trained_on: published sets whose pictures it has seen, such as duts_te, as far as its authors say.
    """

    name: str
    method: str
    what: str
    bytes: int | None
    sha256: str
    licence: str
    commercial: str
    kind: str
    addresses: tuple[str, ...]
    file: str
    feed: Values = field(default_factory=dict)
    gigabytes: float | None = None
    md5: str | None = None
    trained_on: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """Its size in words."""
        return "size unknown" if self.bytes is None else f"{self.bytes / 1e6:,.1f} MB"

    def __str__(self) -> str:
        terms = {"yes": "", "no": ", not for commercial use", "unstated": ", commercial use unstated"}
        return f"{self.what} ({self.name}, {self.size}, {self.licence}{terms[self.commercial]})"


@dataclass(frozen=True)
class Catalogue:
    """All entries by id, in the file's order.

    official: method -> id. default: id where nothing is named. start: method -> id that `init=official` means
    for a method without official weights.
    """

    entries: Mapping[str, Entry]
    official: Mapping[str, str]
    default: str
    start: Mapping[str, str] = field(default_factory=dict)

    def entry(self, name: str) -> Entry:
        """The entry of an id.

        Raises:
            ConfigError: there is none; names the nearest one.
        """
        if name in self.entries:
            return self.entries[name]
        hint = nearest(name, self.entries)
        meant = f" Did you mean {hint}?" if hint else ""
        raise ConfigError(f"{name} is not in the catalogue of weights (task=weights lists it).{meant}")

    def official_of(self, method: str) -> Entry:
        """The official weights of a method.

        Raises:
            ConfigError: the catalogue has none.
        """
        if method not in self.official:
            raise ConfigError(
                f"There are no official weights of {method} in the catalogue; official weights exist for "
                f"{', '.join(self.official)}. Give weights=FILE, or an id that task=weights lists."
            )
        return self.entries[self.official[method]]

    def start_entry(self, method: str) -> Entry:
        """The weights that `init=official` means for a method.

        Raises:
            ConfigError: the catalogue has none.
        """
        given = {**self.start, **self.official}
        if method not in given:
            raise ConfigError(
                f"init=official: the catalogue has no official weights for {method} to start from, but "
                f"for {', '.join(sorted(given))}. Give init=FILE, init=RUN, or leave init= away."
            )
        return self.entries[given[method]]

    def names(self, value: str | Path | None) -> bool:
        """Whether a `weights=` is an id or `official`, not a path."""
        return str(value) == OFFICIAL or str(value) in self.entries


@cache
def catalogue() -> Catalogue:
    """The catalogue of this installation.

    Raises:
        ConfigError: an entry lacks something or holds what cannot be.
    """
    return parsed(load_yaml(conf_dir() / CATALOGUE))


def parsed(values: Values) -> Catalogue:
    """Values as conf/weights.yaml has them, as a catalogue.

    Raises:
        ConfigError: an entry lacks something or holds what cannot be; names it.
    """
    entries = {
        name: _entry(name, require_mapping(f"entries.{name}", given))
        for name, given in require_mapping("entries", values.get("entries")).items()
    }
    official = {key: str(name) for key, name in require_mapping("official", values.get("official")).items()}
    start = {key: str(name) for key, name in require_mapping("start", values.get("start") or {}).items()}
    default = str(values.get("default"))
    for name in (*official.values(), *start.values(), default):
        if name not in entries:
            raise ConfigError(f"{CATALOGUE}: {name} is named as official, start or default but has no entry.")
    return Catalogue(entries, official, default, start)


def _entry(name: str, given: Values) -> Entry:
    where = f"{CATALOGUE}: {name}"
    known = Entry.__dataclass_fields__
    for key in given:
        if key not in known:
            raise ConfigError(f"{where}.{key} is not known; an entry has {', '.join(known)}.")
    addresses = given.get("addresses")
    if not isinstance(addresses, list) or not addresses:
        raise ConfigError(f"{where}.addresses must list at least one address.")
    if not re.fullmatch(r"[0-9a-f]{64}", str(given.get("sha256"))):
        raise ConfigError(f"{where}.sha256 must be 64 hexadecimal digits.")
    lacking = [key for key in ("method", "what", "licence", "commercial", "kind") if key not in given]
    if lacking:
        raise ConfigError(f"{where} lacks {', '.join(lacking)}.")
    md5 = given.get("md5")
    if md5 is not None and not re.fullmatch(r"[0-9a-f]{32}", str(md5)):
        raise ConfigError(f"{where}.md5 must be 32 hexadecimal digits.")
    trained_on = given.get("trained_on") or []
    if not isinstance(trained_on, list):
        raise ConfigError(f"{where}.trained_on must be a list of sets, such as [duts_tr].")
    size, gigabytes = given.get("bytes"), given.get("gigabytes")
    return Entry(
        name=name,
        method=str(given["method"]),
        what=str(given["what"]),
        bytes=None if size is None else int(str(size)),
        sha256=str(given["sha256"]),
        licence=str(given["licence"]),
        commercial=require_choice(f"{where}.commercial", str(given["commercial"]), COMMERCIAL),
        kind=require_choice(f"{where}.kind", str(given["kind"]), KINDS),
        addresses=tuple(str(address) for address in addresses),
        file=str(given.get("file") or PurePosixPath(urlsplit(str(addresses[0])).path).name),
        feed=require_mapping(f"{where}.feed", given.get("feed") or {}),
        gigabytes=None if gigabytes is None else float(str(gigabytes)),
        md5=None if md5 is None else str(md5),
        trained_on=tuple(str(name) for name in trained_on),
    )
