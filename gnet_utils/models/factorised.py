"""What came after Inception: the same block with its large kernels split, separated, or summed.

All take the widths of a block in the order of `BlockWidths` and keep the names of the branches.
"""

import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.models.inception import Inception
from gnet_utils.models.layers import ConvUnit


class TwoThreeInception(Inception):
    """The 5x5 as two 3x3 with a ReLU between (BN-Inception; arXiv 1512.00567, figure 5).

    Saves 28% of the weights when both keep the channels; costs more when the first doubles them.
    """

    def __init__(self, in_channels: int, *widths: int):
        super().__init__(in_channels, *widths, norm="batch")
        _, _, _, reduce, out, _ = widths
        self.branch_5x5 = nn.Sequential(
            ConvUnit(in_channels, reduce, 1, norm="batch"),
            ConvUnit(reduce, out, 3, padding=1, norm="batch"),
            ConvUnit(out, out, 3, padding=1, norm="batch"),
        )


class AsymmetricInception(Inception):
    """The 5x5 as 1x5 and 5x1 (arXiv 1512.00567, figure 6, there with 7)."""

    def __init__(self, in_channels: int, *widths: int):
        super().__init__(in_channels, *widths, norm="batch")
        _, _, _, reduce, out, _ = widths
        self.branch_5x5 = nn.Sequential(
            ConvUnit(in_channels, reduce, 1, norm="batch"),
            ConvUnit(reduce, out, (1, 5), padding=(0, 2), norm="batch"),
            ConvUnit(out, out, (5, 1), padding=(2, 0), norm="batch"),
        )


def separable_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Depthwise then pointwise convolution without bias, nothing between (Xception's best form).

    Maps (N, in_channels, H, W) to (N, out_channels, H, W).
    """
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(
            in_channels, in_channels, kernel_size, padding=padding, groups=in_channels, bias=False
        ),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
    )


class SeparableInception(Inception):
    """3x3 and 5x5 as separable convolutions with batch norm and ReLU after them."""

    def __init__(self, in_channels: int, *widths: int):
        super().__init__(in_channels, *widths, norm="batch")
        _, reduce_3x3, out_3x3, reduce_5x5, out_5x5, _ = widths
        for branch, kernel, reduce, out in (
            (self.branch_3x3, 3, reduce_3x3, out_3x3),
            (self.branch_5x5, 5, reduce_5x5, out_5x5),
        ):
            branch[1].conv = separable_conv(reduce, out, kernel)


class ResidualInception(nn.Module):
    """Inception-ResNet (arXiv 1602.07261, figure 10): relu(x + scale * linear 1x1(block(x))).

    Maps (N, in_channels, H, W) to the same shape; the 1x1 brings the concatenated branches back
    to in_channels and has no ReLU and no norm. `scale` is 0.1 to 0.3 for wide blocks (section 3.3).
    """

    def __init__(self, in_channels: int, *widths: int, scale: float = 0.2):
        super().__init__()
        self.block = Inception(in_channels, *widths, norm="batch")
        out_1x1, _, out_3x3, _, out_5x5, pool_proj = widths
        self.linear = nn.Conv2d(out_1x1 + out_3x3 + out_5x5 + pool_proj, in_channels, 1)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.scale * self.linear(self.block(x)))
