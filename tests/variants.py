"""Inception blocks with other large windows, and one with a sum, for what must work on all."""

import torch.nn.functional as F
from torch import nn

from gnet_utils.models import ConvUnit, Inception, separable_conv


class TwoThreeInception(Inception):
    """The 5x5 as two 3x3 with norm and ReLU between."""

    def __init__(self, in_channels: int, *widths: int):
        super().__init__(in_channels, *widths, norm="batch")
        _, _, _, reduce, out, _ = widths
        self.branch_5x5 = nn.Sequential(
            self.branch_5x5[0],
            ConvUnit(reduce, out, 3, padding=1, norm="batch"),
            ConvUnit(out, out, 3, padding=1, norm="batch"),
        )


class AsymmetricInception(Inception):
    """The 5x5 as 1x5 and 5x1."""

    def __init__(self, in_channels: int, *widths: int):
        super().__init__(in_channels, *widths, norm="batch")
        _, _, _, reduce, out, _ = widths
        self.branch_5x5 = nn.Sequential(
            self.branch_5x5[0],
            ConvUnit(reduce, out, (1, 5), padding=(0, 2), norm="batch"),
            ConvUnit(out, out, (5, 1), padding=(2, 0), norm="batch"),
        )


class SeparableInception(Inception):
    """3x3 and 5x5 as separable convolutions."""

    def __init__(self, in_channels: int, *widths: int):
        super().__init__(in_channels, *widths, norm="batch")
        for unit, k in ((self.branch_3x3[1], 3), (self.branch_5x5[1], 5)):
            unit.conv = separable_conv(unit.conv.in_channels, unit.conv.out_channels, k)


class ResidualInception(nn.Module):
    """relu(x + scale * linear 1x1(block(x)))."""

    def __init__(self, in_channels: int, *widths: int, scale: float = 0.2):
        super().__init__()
        self.block = Inception(in_channels, *widths, norm="batch")
        self.linear = nn.Conv2d(widths[0] + widths[2] + widths[4] + widths[5], in_channels, 1)
        self.scale = scale

    def forward(self, x):
        return F.relu(x + self.scale * self.linear(self.block(x)))
