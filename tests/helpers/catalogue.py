"""A catalogue of two small networks on a server of this machine, in place of the shipped one."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from kolbench.inference.export.formats import format_of
from kolbench.models.checkpoints import catalogue as catalogues
from tests.helpers.web import Web, served

LOGITS = "/peers/logits.onnx"
HALF = "/peers/half.onnx"


class Peer(nn.Module):
    """Logits from the first channel, as anybody's network might give them."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(1, 3, h, w) -> (1, 1, h, w)."""
        return 3 * image[:, :1]


@cache
def exported(kind: torch.dtype) -> bytes:
    """The network as an ONNX file of one size, with numbers of a type."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.onnx"
        format_of("onnx").write(Peer().to(kind), torch.zeros(1, 3, 64, 64, dtype=kind), path, False)
        return path.read_bytes()


@contextmanager
def small_catalogue() -> Iterator[Web]:
    """All that there is: `logits-onnx`, official for MODNet and the default, and `half-onnx`, of float16."""
    peers = {LOGITS: exported(torch.float32), HALF: exported(torch.float16)}
    feed = {"size": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "activation": "sigmoid"}
    with served() as server, pytest.MonkeyPatch.context() as patch:
        server.files = dict(peers)
        entries = {
            name: {
                "method": method,
                "what": "A small network",
                "bytes": len(peers[path]),
                "sha256": hashlib.sha256(peers[path]).hexdigest(),
                "licence": "MIT",
                "commercial": "unstated",
                "kind": "onnx",
                "feed": feed,
                "addresses": [server.address + path],
            }
            for name, method, path in (("logits-onnx", "modnet", LOGITS), ("half-onnx", "peer", HALF))
        }
        values = {"entries": entries, "official": {"modnet": "logits-onnx"}, "default": "logits-onnx"}
        patch.setattr(catalogues, "load_yaml", lambda _: values)
        catalogues.catalogue.cache_clear()
        try:
            yield server
        finally:
            catalogues.catalogue.cache_clear()
