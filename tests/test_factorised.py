"""Factorised, separable and residual Inception blocks: what they save, what they keep."""

import pytest
import torch
from torch import nn

from gnet_utils.counting import conv_parameters, count_parameters
from gnet_utils.models import (
    GOOGLENET_BLOCKS,
    AsymmetricInception,
    Inception,
    ResidualInception,
    SeparableInception,
    TwoThreeInception,
    separable_conv,
)

WIDTHS = GOOGLENET_BLOCKS["3a"]


def weights(kernel: tuple[int, int], channels: int = 64) -> int:
    return nn.Conv2d(channels, channels, kernel, bias=False).weight.numel()


@pytest.mark.parametrize(
    ("large", "small", "saving"),
    [
        ((5, 5), [(3, 3), (3, 3)], 0.28),
        ((3, 3), [(3, 1), (1, 3)], 1 / 3),
        ((3, 3), [(2, 2), (2, 2)], 1 / 9),
        ((7, 7), [(1, 7), (7, 1)], 1 - 2 / 7),
    ],
)
def test_savings_of_the_factorisations(large, small, saving):
    assert 1 - sum(map(weights, small)) / weights(large) == pytest.approx(saving)


def test_xceptions_layer_is_nearly_nine_times_cheaper():
    separable = count_parameters(separable_conv(256, 256, 3))
    assert separable == 67_840
    assert conv_parameters(256, 256, 3, bias=False) == 589_824


@pytest.mark.parametrize("block", [TwoThreeInception, AsymmetricInception, SeparableInception])
def test_variants_keep_shape_and_branches(block):
    original, variant = Inception(192, *WIDTHS, norm="batch"), block(192, *WIDTHS)
    assert [name for name, _ in variant.named_children()] == [
        name for name, _ in original.named_children()
    ]
    assert variant(torch.randn(2, 192, 28, 28)).shape == (2, 256, 28, 28)


@pytest.mark.parametrize(
    ("block", "saves"),
    [(TwoThreeInception, False), (AsymmetricInception, True), (SeparableInception, True)],
)
def test_two_3x3_cost_more_where_the_5x5_doubles_its_channels(block, saves):
    """16 -> 32 channels: 25 * 16 * 32 = 12,800 against 9 * (16 * 32 + 32 * 32) = 13,824."""
    original, variant = Inception(192, *WIDTHS, norm="batch"), block(192, *WIDTHS)
    cheaper = count_parameters(variant.branch_5x5) < count_parameters(original.branch_5x5)
    assert cheaper is saves


@pytest.mark.parametrize("block", [TwoThreeInception, AsymmetricInception])
def test_split_kernels_still_see_5_pixels(block):
    branch = block(192, *WIDTHS).eval().branch_5x5
    image = torch.rand(1, 192, 11, 11, requires_grad=True)
    branch(image)[0, :, 5, 5].sum().backward()
    rows, columns = image.grad.abs().sum(dim=(0, 1)).nonzero().T
    assert (int(rows.min()), int(rows.max())) == (3, 7)
    assert (int(columns.min()), int(columns.max())) == (3, 7)


def test_a_residual_block_passes_its_input_on_when_the_linear_is_zero():
    block = ResidualInception(192, *WIDTHS).eval()
    nn.init.zeros_(block.linear.weight)
    nn.init.zeros_(block.linear.bias)
    x = torch.rand(1, 192, 14, 14)
    torch.testing.assert_close(block(x), x)
    nn.init.ones_(block.linear.bias)
    torch.testing.assert_close(block(x), x + 0.2)
