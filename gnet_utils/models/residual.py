"""Residual networks (arXiv 1512.03385), and small ones for 28x28 with plain twins."""

import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.models.inception import scale
from gnet_utils.models.layers import ConvUnit, Staged, check_images, initialise

BLOCKS = {  # blocks in each of the four stages
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


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

    expansion = 1

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


class BottleneckBlock(nn.Module):
    """relu(F(x) + shortcut(x)), F a 1x1 down, a 3x3, a 1x1 up to 4 x `channels`.

    `stride_on` is "3x3" (torchvision, less is thrown away) or "1x1" (the paper, fewer MACs).
    Maps (N, in_channels, H, W) to (N, 4 * channels, H / stride, W / stride).
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        shortcut: nn.Module | None,
        stride_on: str = "3x3",
    ):
        super().__init__()
        first, second = (1, stride) if stride_on == "3x3" else (stride, 1)
        self.down = unit(in_channels, channels, 1, first)
        self.conv = unit(channels, channels, 3, second)
        self.up = unit(channels, channels * self.expansion, 1, relu=False)
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.down(x)  # (N, channels, H, W), or smaller with stride_on="1x1"
        residual = self.conv(residual)  # (N, channels, H / stride, W / stride)
        residual = self.up(residual)  # (N, 4 * channels, H / stride, W / stride), no ReLU
        if self.shortcut is not None:
            residual = residual + self.shortcut(x)
        return F.relu(residual)


class ResNet(Staged):
    """ResNet-18, 34, 50, 101 or 152 (Table 1 of the paper), projections where shapes change.

    stride_on: where a bottleneck halves the map, "3x3" (torchvision) or "1x1" (the paper).
    Maps float images (N, in_channels, H, W), H and W at least 32, to logits (N, num_classes).
    Raises ValueError for another depth and for images of another form.
    """

    def __init__(
        self,
        depth: int = 18,
        num_classes: int = 1000,
        in_channels: int = 3,
        stride_on: str = "3x3",
    ):
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        if stride_on not in ("3x3", "1x1"):
            raise ValueError(f'stride_on must be "3x3" or "1x1", got {stride_on!r}')
        self.in_channels = in_channels

        self.conv1 = unit(in_channels, 64, 7, 2)
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=1)
        before = 64
        for index, count in enumerate(BLOCKS[depth]):
            blocks = []
            for number in range(count):
                channels, stride = 64 * 2**index, 2 if index and number == 0 else 1
                block = BasicBlock if depth < 50 else BottleneckBlock
                out = channels * block.expansion
                same = stride == 1 and before == out
                shortcut = nn.Identity() if same else unit(before, out, 1, stride, relu=False)
                options = {} if depth < 50 else {"stride_on": stride_on}
                blocks.append(block(before, channels, stride, shortcut, **options))
                before = out
            self.add_module(f"stage{index + 2}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(before, num_classes)
        self.path = [name for name, _ in self.named_children()]
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        check_images(images, self.in_channels, smallest=32)
        # behind each line the shape for pictures of 224x224; from depth 50 on 4 times the channels
        x = self.conv1(images)  # (N, 64, 112, 112), at every depth
        x = self.pool1(x)  # (N, 64, 56, 56), at every depth
        x = self.stage2(x)  # (N, 64, 56, 56)
        x = self.stage3(x)  # (N, 128, 28, 28)
        x = self.stage4(x)  # (N, 256, 14, 14)
        x = self.stage5(x)  # (N, 512, 7, 7)
        x = self.avgpool(x)  # (N, 512, 1, 1)
        x = self.flatten(x)  # (N, 512)
        return self.linear(x)  # (N, num_classes)


class FashionResNet(Staged):
    """The paper's CIFAR-10 net (section 4.2) for 28x28: maps of 28, 14 and 7, option A shortcuts.

    depth: 6n + 2 layers with weights (8, 14, 20, 32, 44, 56, ...).
    width: factor on the channels 16, 32 and 64.
    residual: False gives the plain twin with the same parameters and no sums.

    Maps float images (N, in_channels, 28, 28) to logits (N, num_classes).
    Raises ValueError for another depth, a width that leaves no channel, images of another form.
    """

    def __init__(
        self,
        depth: int = 20,
        width: float = 1.0,
        residual: bool = True,
        num_classes: int = 10,
        in_channels: int = 1,
    ):
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, 32, ...), got {depth}")
        self.in_channels = in_channels

        before = scale(16, width)
        self.conv1 = unit(in_channels, before, 3)
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
        self.linear = nn.Linear(before, num_classes)
        self.path = [name for name, _ in self.named_children()]
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        check_images(images, self.in_channels, smallest=4)
        # behind each line the shape with width 1
        x = self.conv1(images)  # (N, 16, 28, 28)
        x = self.stage1(x)  # (N, 16, 28, 28)
        x = self.stage2(x)  # (N, 32, 14, 14)
        x = self.stage3(x)  # (N, 64, 7, 7)
        x = self.avgpool(x)  # (N, 64, 1, 1)
        x = self.flatten(x)  # (N, 64)
        return self.linear(x)  # (N, num_classes)
