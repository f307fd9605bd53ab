"""RSU blocks: parameters, dilations, odd sizes."""

import pytest
import torch

from kolbench.models.components.blocks import RSU, RSU4F, NestedU
from tests.helpers.networks import count


@pytest.mark.parametrize("height", [4, 5, 6, 7, 8])
def test_rsu_parameters_follow_the_formula(height: int) -> None:
    def unit(a: int, b: int) -> int:
        return 9 * a * b + 3 * b

    def formula(i: int, m: int, o: int) -> int:
        encoder = unit(i, o) + unit(o, m) + (height - 1) * unit(m, m)
        return encoder + (height - 2) * unit(2 * m, m) + unit(2 * m, o)

    assert count(RSU(height, 5, 3, 7)) == formula(5, 3, 7)
    if height == 4:
        assert count(RSU4F(5, 3, 7)) == formula(5, 3, 7)
    if height == 7:
        assert formula(3, 32, 64) == 206_016


def test_dilations_and_poolings_of_rsu_blocks() -> None:
    def dilations(block: NestedU) -> dict[str, int]:
        return {name: int(unit.conv_s1.dilation[0]) for name, unit in block.named_children()}

    found = dilations(RSU(6, 3, 4, 5))
    assert {name for name, dilation in found.items() if dilation != 1} == {"rebnconv6"}
    assert found["rebnconv6"] == 2
    flat = dilations(RSU4F(3, 4, 5))
    assert [flat[f"rebnconv{k}"] for k in ("in", 1, 2, 3, 4, "3d", "2d", "1d")] == [1, 1, 2, 4, 8, 4, 2, 1]


def test_rsu_keeps_odd_sizes_and_rounds_poolings_up() -> None:
    block = RSU(5, 3, 4, 6)
    sizes = {}
    for name, unit in block.named_children():
        unit.register_forward_hook(
            lambda _m, _i, out, name=name: sizes.__setitem__(name, tuple(out.shape[-2:]))
        )
    assert block(torch.rand(2, 3, 33, 47)).shape == (2, 6, 33, 47)
    assert [sizes[f"rebnconv{k}"] for k in range(1, 6)] == [(33, 47), (17, 24), (9, 12), (5, 6), (5, 6)]


def test_rsu_output_is_decoder_plus_entry() -> None:
    block = RSU(4, 3, 4, 6).eval()
    x = torch.rand(1, 3, 16, 16)
    seen = {}
    for name in ("rebnconvin", "rebnconv1d"):
        block.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, out.clone())
        )
    torch.testing.assert_close(block(x), seen["rebnconvin"] + seen["rebnconv1d"])
