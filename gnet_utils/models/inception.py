"""The Inception block of GoogLeNet (arXiv 1409.4842, figure 2) and its widths in the net."""

from typing import NamedTuple

import torch
from torch import nn

from gnet_utils.models.layers import ConvUnit


class BlockWidths(NamedTuple):
    """Output channels of the six convolutions of a block, in the order of the paper's Table 1."""

    out_1x1: int
    reduce_3x3: int
    out_3x3: int
    reduce_5x5: int
    out_5x5: int
    pool_proj: int

    @property
    def out_channels(self) -> int:
        """Channels after the concatenation of the four branches."""
        return self.out_1x1 + self.out_3x3 + self.out_5x5 + self.pool_proj

    def scaled(self, width: float, multiple_of: int = 1) -> "BlockWidths":
        """The same block with every width multiplied by `width` and rounded, see `scale`."""
        return BlockWidths(*(scale(channels, width, multiple_of) for channels in self))


def scale(channels: int, width: float, multiple_of: int = 1) -> int:
    """`channels * width`, rounded to a multiple of `multiple_of` and at least one such multiple.

    Raises ValueError when less than one channel would be left.
    """
    if round(channels * width) < 1:
        raise ValueError(
            f"width {width} leaves no channel of {channels}: use a width of 0.125 or more"
        )
    return max(1, round(channels * width / multiple_of)) * multiple_of


GOOGLENET_BLOCKS = {  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
    "3a": BlockWidths(64, 96, 128, 16, 32, 32),
    "3b": BlockWidths(128, 128, 192, 32, 96, 64),
    "4a": BlockWidths(192, 96, 208, 16, 48, 64),
    "4b": BlockWidths(160, 112, 224, 24, 64, 64),
    "4c": BlockWidths(128, 128, 256, 24, 64, 64),
    "4d": BlockWidths(112, 144, 288, 32, 64, 64),
    "4e": BlockWidths(256, 160, 320, 32, 128, 128),
    "5a": BlockWidths(256, 160, 320, 32, 128, 128),
    "5b": BlockWidths(384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four branches side by side on the same input, their outputs stacked over channels.

    Maps (N, in_channels, H, W) to (N, out_1x1 + out_3x3 + out_5x5 + pool_proj, H, W).
    `norm` is None (convolutions with bias, the paper) or "batch".
    """

    def __init__(
        self,
        in_channels: int,
        out_1x1: int,
        reduce_3x3: int,
        out_3x3: int,
        reduce_5x5: int,
        out_5x5: int,
        pool_proj: int,
        norm: str | None = None,
    ):
        super().__init__()
        self.branch_1x1 = ConvUnit(in_channels, out_1x1, 1, norm=norm)
        self.branch_3x3 = nn.Sequential(
            ConvUnit(in_channels, reduce_3x3, 1, norm=norm),
            ConvUnit(reduce_3x3, out_3x3, 3, padding=1, norm=norm),
        )
        self.branch_5x5 = nn.Sequential(
            ConvUnit(in_channels, reduce_5x5, 1, norm=norm),
            ConvUnit(reduce_5x5, out_5x5, 5, padding=2, norm=norm),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            ConvUnit(in_channels, pool_proj, 1, norm=norm),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [self.branch_1x1(x), self.branch_3x3(x), self.branch_5x5(x), self.branch_pool(x)], dim=1
        )


class NaiveInception(nn.Module):
    """The block without reductions (figure 2a): the pool branch passes all input channels on.

    Maps (N, in_channels, H, W) to (N, out_1x1 + out_3x3 + out_5x5 + in_channels, H, W).
    """

    def __init__(self, in_channels: int, out_1x1: int, out_3x3: int, out_5x5: int):
        super().__init__()
        self.branch_1x1 = ConvUnit(in_channels, out_1x1, 1)
        self.branch_3x3 = ConvUnit(in_channels, out_3x3, 3, padding=1)
        self.branch_5x5 = ConvUnit(in_channels, out_5x5, 5, padding=2)
        self.branch_pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [self.branch_1x1(x), self.branch_3x3(x), self.branch_5x5(x), self.branch_pool(x)], dim=1
        )
