"""The smallest method around a network: pictures in as its specification says, alphas out."""

from kolbench.models.network_segmenter import NetworkSegmenter
from kolbench.preprocessing import InputSpec


class Encoded(NetworkSegmenter):
    """Alpha = what the network makes of the picture at 64 px, RGB in [0, 1].

    resize_mode: how the picture comes to that size, see InputSpec.
    """

    def __init__(self, network, resize_mode="shortest_edge"):
        super().__init__(
            InputSpec(64, resize_mode=resize_mode, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), network
        )
