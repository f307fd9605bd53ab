"""The smallest method around a network: pictures in as its specification says, alphas out."""

from torch import nn

from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import InputSpec


class Encoded(NetworkSegmenter[nn.Module]):
    """Alpha = what the network makes of the picture at 64 px, RGB in [0, 1].

    resize_mode: how the picture comes to that size, see InputSpec.
    """

    def __init__(self, network: nn.Module, resize_mode: str = "shortest_edge") -> None:
        super().__init__(
            InputSpec(64, resize_mode=resize_mode, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), network
        )
