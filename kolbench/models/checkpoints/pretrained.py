"""Weights of torchvision and of files: from torch's hub folder or downloaded, never without their hash."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kolbench.errors import WeightsError
from kolbench.io.files import sha256
from kolbench.models.checkpoints.catalogue import catalogue
from kolbench.models.checkpoints.download import fetch
from kolbench.models.checkpoints.read import read_state_dict

HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
IMAGENET = "imagenet"
BACKBONE_KEY = "model.backbone_weights"


def state_as_chosen(weights: Any, source: str, key: str = BACKBONE_KEY) -> dict[str, Tensor]:
    """What a `model.backbone_weights=` names: `imagenet`, torchvision's `weights`, or a file.

    Args:
        weights: a member of one of torchvision's weight enumerations.
        source: `imagenet` or a path.
        key: what said so, for messages.

    Raises:
        WeightsError: it cannot be had or read.
    """
    return state_of_torchvision(weights, source, key) if source == IMAGENET else state_of_file(Path(source))


def state_of_torchvision(weights: Any, choice: str, key: str = BACKBONE_KEY) -> dict[str, Tensor]:
    """A file of torchvision's, from torch's hub folder or the network, its hash checked.

    Args:
        weights: a member of one of torchvision's weight enumerations.
        choice: what `key` said, for the message.
        key: of the command.

    Raises:
        WeightsError: it is not at hand and cannot be downloaded, or the file is damaged.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    cached = folder / weights.url.rpartition("/")[2]
    if cached.is_file():
        return state_of_file(cached)
    known = [entry for entry in catalogue().entries.values() if weights.url in entry.addresses]
    try:
        if known:
            return read_state_dict(fetch(known[0]))
        state: dict[str, Tensor] = weights.get_state_dict(check_hash=True, weights_only=True)
    except (OSError, RuntimeError, WeightsError) as error:
        raise WeightsError(
            f"{key}={choice} needs {weights.url}, and the download failed ({error}). Put {cached.name} into "
            f"{folder}, or give {key}=FILE, or do without with {key}=null."
        ) from error
    return state


def state_of_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; one that carries a hash in its name, as torchvision's do, must have it.

    Raises:
        WeightsError: the file cannot be read, or is not what its name says.
    """
    state = read_state_dict(path)
    named = HASH_IN_NAME.search(path.name)
    if named:
        digest = sha256(path)
        if not digest.startswith(named[1]):
            raise WeightsError(
                f"{path} is not what its name says: its SHA-256 starts with {digest[: len(named[1])]}. "
                "Delete it and download it again."
            )
    return state
