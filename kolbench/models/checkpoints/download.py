"""Files of the catalogue: from the cache, or downloaded once and checked before they get their name."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from kolbench.errors import WeightsError
from kolbench.io import progress
from kolbench.io.files import HOME, home, md5, sha256
from kolbench.io.hosts import is_loopback
from kolbench.io.locks import alone
from kolbench.models.checkpoints.catalogue import Entry

MIRROR = "KOLBENCH_WEIGHTS_URL"
# seconds without an answer, and without a byte
PATIENCE = (15.0, 60.0)
REDIRECTS = 5
CHUNK = 1 << 16


def weights_folder() -> Path:
    """Where downloaded files lie."""
    return home() / "weights"


def at_hand(entry: Entry) -> Path | None:
    """The entry's file in the cache: under its name, or any file there with its sha256.

    Raises:
        WeightsError: a file has the entry's name but another content.
    """
    named = weights_folder() / entry.name / entry.file
    if named.is_file():
        if _is_whole(named, entry):
            return named
        raise WeightsError(
            f"{named} is not the file of the catalogue (its sha256 is not {entry.sha256}); delete it, and "
            "the next command downloads it again."
        )
    for path in _candidates(entry):
        if _is_whole(path, entry):
            return path
    return None


def _is_whole(path: Path, entry: Entry) -> bool:
    """Whether a file has the entry's hashes."""
    return sha256(path) == entry.sha256 and (entry.md5 is None or md5(path) == entry.md5)


def fetch(entry: Entry) -> Path:
    """The entry's file, checked: from the cache, else downloaded.

    A second process that wants the same file waits for the first. What a broken download left is gone on
    with; nothing has the file's name before its size and sha256 are right.

    Raises:
        WeightsError: it cannot be had; says which file to put where.
    """
    if (found := at_hand(entry)) is not None:
        return found
    target = weights_folder() / entry.name / entry.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"another process is downloading {target.name}: waiting for it"
        with alone(target.with_name(f"{target.name}.lease"), waiting):
            if (found := at_hand(entry)) is not None:
                return found
            return _downloaded(entry, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            target.with_name(f"{target.name}.part").unlink(missing_ok=True)
            raise WeightsError(
                f"There is no room for {entry.name} ({entry.size}) in {target.parent}; free some, or set "
                f"{HOME} to a folder on another disk."
            ) from error
        raise WeightsError(
            f"{target.parent} cannot be written ({error.strerror}). {_by_hand(entry)}"
        ) from error


def _candidates(entry: Entry) -> Iterator[Path]:
    for path in sorted(home().rglob("*")):
        whole = path.is_file() and path.suffix not in (".lock", ".lease", ".part")
        if whole and (entry.bytes is None or path.stat().st_size == entry.bytes):
            yield path


def _downloaded(entry: Entry, target: Path) -> Path:
    print(f"downloading {entry} to {target}", flush=True)
    partial = target.with_name(f"{target.name}.part")
    # a process may have been killed between the last byte and the name
    if partial.is_file() and _is_whole(partial, entry):
        return partial.replace(target)
    failures = []
    for address in entry.addresses:
        try:
            _receive(_mirrored(address), partial, entry)
            _check(partial, entry)
        except requests.RequestException as error:
            failures.append(f"{_mirrored(address)}: {_in_words(error)}")
        except _RefusedError as error:
            failures.append(f"{_mirrored(address)}: {error}")
        else:
            partial.replace(target)
            return target
    raise WeightsError(f"{entry.name} could not be downloaded ({'; '.join(failures)}). {_by_hand(entry)}")


class _RefusedError(Exception):
    """What an address gave is not taken."""


def _by_hand(entry: Entry) -> str:
    return (
        f"Download {entry.addresses[0]} in another way and put the file ({entry.size}, sha256 "
        f"{entry.sha256}) into {weights_folder()}; its name there does not matter."
    )


def _mirrored(address: str) -> str:
    """The address on the mirror that `KOLBENCH_WEIGHTS_URL` names, with the same path."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return address
    there, path = urlsplit(mirror), urlsplit(address).path
    return urlunsplit((there.scheme, there.netloc, there.path.rstrip("/") + path, "", ""))


def _require_safe(address: str) -> None:
    """https anywhere, http only to this machine; a redirect may not leave that."""
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise _RefusedError(f"{address} is refused: only https is taken, and http from this machine itself")


def _receive(address: str, partial: Path, entry: Entry) -> None:
    """Fills `partial`, going on where an earlier try ended, as far as the server can do that."""
    begun = partial.stat().st_size if partial.is_file() else 0
    if entry.bytes is not None and begun >= entry.bytes:
        partial.unlink()
        begun = 0
    with requests.Session() as session, _answer(session, address, begun) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            partial.unlink()
            raise _RefusedError("what was downloaded before does not fit; it is deleted, try again")
        answer.raise_for_status()
        begun = begun if answer.status_code == requests.codes.partial_content else 0
        rest = int(answer.headers.get("Content-Length") or 0)
        expected = entry.bytes if entry.bytes is not None else begun + rest
        if entry.bytes is not None and rest and begun + rest != entry.bytes:
            raise _RefusedError(f"the answer has {begun + rest:,} bytes, the catalogue says {entry.bytes:,}")
        _require_room(partial.parent, expected - begun)
        with (
            partial.open("ab" if begun else "wb") as file,
            progress.bytes_bar(entry.name, expected) as advance,
        ):
            advance(begun)
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                advance(len(chunk))


def _answer(session: requests.Session, address: str, begun: int) -> requests.Response:
    """The answer after redirects, each of which must be safe too."""
    # the bytes themselves are wanted, as a range counts them
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    for _ in range(REDIRECTS + 1):
        _require_safe(address)
        answer = session.get(address, headers=headers, stream=True, timeout=PATIENCE, allow_redirects=False)
        if not answer.is_redirect:
            return answer
        address = urljoin(address, answer.headers["Location"])
        answer.close()
    raise _RefusedError(f"more than {REDIRECTS} redirects")


def _require_room(folder: Path, count: int) -> None:
    if count > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _check(partial: Path, entry: Entry) -> None:
    size = partial.stat().st_size
    if entry.bytes is not None and size < entry.bytes:
        raise _RefusedError(
            f"the connection broke after {size:,} of {entry.bytes:,} bytes; try again to go on"
        )
    found = sha256(partial)
    if found != entry.sha256:
        partial.unlink()
        raise _RefusedError(f"the file that came has the sha256 {found}, not {entry.sha256}; it is deleted")
    if entry.md5 is not None and (found := md5(partial)) != entry.md5:
        partial.unlink()
        raise _RefusedError(f"the file that came has the md5 {found}, not {entry.md5}; it is deleted")


def _in_words(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke; the same command goes on from there"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__
