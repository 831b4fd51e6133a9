"""Residual networks (arXiv 1512.03385) for 28x28, with plain twins."""

import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.models.inception import scale
from gnet_utils.models.layers import ConvUnit, Staged, check_images, initialise


def unit(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, relu: bool = True
) -> ConvUnit:
    """A unit with batch norm, PyTorch's own eps, and padding that keeps the size of the map."""
    half = kernel_size // 2
    return ConvUnit(
        in_channels, out_channels, kernel_size, stride, half, norm="batch", relu=relu, eps=1e-5
    )


class PadShortcut(nn.Module):
    """The paper's option A: every second pixel, new channels are zeros; no parameters."""

    def __init__(self, new_channels: int, stride: int):
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """relu(F(x) + shortcut(x)), F two 3x3 convolutions; relu(F(x)) when `shortcut` is None.

    Maps (N, in_channels, H, W) to (N, channels, H / stride, W / stride).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: nn.Module | None):
        super().__init__()
        self.conv1 = unit(in_channels, channels, 3, stride)
        self.conv2 = unit(channels, channels, 3, relu=False)
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.conv1(x)  # (N, channels, H / stride, W / stride)
        residual = self.conv2(residual)  # the same, no ReLU before the sum
        if self.shortcut is not None:
            residual = residual + self.shortcut(x)
        return F.relu(residual)


class FashionResNet(Staged):
    """The paper's CIFAR-10 net (section 4.2) for 28x28: maps of 28, 14 and 7, option A shortcuts.

    depth: 6n + 2 layers with weights (8, 14, 20, 32, 44, 56, ...).
    width: factor on the channels 16, 32 and 64.
    residual: False gives the plain twin with the same parameters and no sums.

    Maps float images (N, 1, 28, 28) to logits (N, 10).
    Raises ValueError for another depth, a width that leaves no channel, images of another form.
    """

    def __init__(self, depth: int = 20, width: float = 1.0, residual: bool = True):
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, 32, ...), got {depth}")
        before = scale(16, width)
        self.conv1 = unit(1, before, 3)
        for index, base in enumerate((16, 32, 64)):
            blocks = []
            for number in range((depth - 2) // 6):
                channels, stride = scale(base, width), 2 if index and number == 0 else 1
                shortcut = None
                if residual:
                    same = stride == 1 and before == channels
                    shortcut = nn.Identity() if same else PadShortcut(channels - before, stride)
                blocks.append(BasicBlock(before, channels, stride, shortcut))
                before = channels
            self.add_module(f"stage{index + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(before, 10)
        self.path = [name for name, _ in self.named_children()]
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        check_images(images, 1, smallest=4)
        # behind each line the shape with width 1
        x = self.conv1(images)  # (N, 16, 28, 28)
        x = self.stage1(x)  # (N, 16, 28, 28)
        x = self.stage2(x)  # (N, 32, 14, 14)
        x = self.stage3(x)  # (N, 64, 7, 7)
        x = self.avgpool(x)  # (N, 64, 1, 1)
        x = self.flatten(x)  # (N, 64)
        return self.linear(x)  # (N, 10)
