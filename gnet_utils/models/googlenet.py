"""GoogLeNet (arXiv 1409.4842, Table 1 and figure 3), and its version for 28x28 pictures."""

from typing import NamedTuple

import torch
import torch.fx
from torch import nn

from gnet_utils.models.inception import GOOGLENET_BLOCKS, Inception, scale
from gnet_utils.models.layers import ConvUnit, Staged, check_images, initialise


class GoogLeNetOutput(NamedTuple):
    """What a GoogLeNet with heads returns while training, each (N, num_classes)."""

    logits: torch.Tensor
    aux1: torch.Tensor
    aux2: torch.Tensor


def halving_pool() -> nn.MaxPool2d:
    """3x3 max pooling with stride 2; `ceil_mode` as in Caffe, so that 112 becomes 56, not 55."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class GoogLeNet(Staged):
    """The network of the paper: 224x224 pictures, 22 layers with weights, nine Inception blocks.

    norm: "lrn" (the paper: local response normalisation around conv2), "batch" (batch norm after
        every convolution, none with a bias) or None.
    aux: with the two auxiliary classifiers, after blocks 4a and 4d, used in `train()` only.

    Maps float images (N, in_channels, H, W), H and W at least 31, to logits (N, num_classes);
    in `train()` with heads to a `GoogLeNetOutput`. The heads need pictures of about 224x224.
    Raises ValueError for images of another form.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        norm: str | None = "lrn",
        aux: bool = True,
    ):
        super().__init__()
        if norm not in ("lrn", "batch", None):
            raise ValueError(f'norm must be "lrn", "batch" or None, got {norm!r}')
        self.in_channels = in_channels
        unit_norm = "batch" if norm == "batch" else None

        self.conv1 = ConvUnit(in_channels, 64, 7, stride=2, padding=3, norm=unit_norm)
        self.pool1 = halving_pool()
        self.norm1 = response_norm() if norm == "lrn" else nn.Identity()
        self.conv2_reduce = ConvUnit(64, 64, 1, norm=unit_norm)
        self.conv2 = ConvUnit(64, 192, 3, padding=1, norm=unit_norm)
        self.norm2 = response_norm() if norm == "lrn" else nn.Identity()
        self.pool2 = halving_pool()
        channels = 192
        for name, widths in GOOGLENET_BLOCKS.items():
            if name in ("4a", "5a"):
                self.add_module("pool3" if name == "4a" else "pool4", halving_pool())
            self.add_module(f"inception_{name}", Inception(channels, *widths, norm=unit_norm))
            channels = widths.out_channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.4)
        self.linear = nn.Linear(channels, num_classes)
        self.path = [name for name, _ in self.named_children()]
        self.aux1 = AuxiliaryClassifier(512, num_classes, unit_norm) if aux else None
        self.aux2 = AuxiliaryClassifier(528, num_classes, unit_norm) if aux else None
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor | GoogLeNetOutput:
        check_images(images, self.in_channels, smallest=31)
        # behind each line the shape for pictures of 224x224
        x = self.conv1(images)  # (N, 64, 112, 112)
        x = self.pool1(x)  # (N, 64, 56, 56)
        x = self.norm1(x)
        x = self.conv2_reduce(x)
        x = self.conv2(x)  # (N, 192, 56, 56)
        x = self.norm2(x)
        x = self.pool2(x)  # (N, 192, 28, 28)
        x = self.inception_3a(x)  # (N, 256, 28, 28)
        x = self.inception_3b(x)  # (N, 480, 28, 28)
        x = self.pool3(x)  # (N, 480, 14, 14)
        x = self.inception_4a(x)  # (N, 512, 14, 14)
        heads = self.training and self.aux1 is not None
        aux1 = self.aux1(x) if heads else None  # (N, num_classes)
        x = self.inception_4b(x)  # (N, 512, 14, 14)
        x = self.inception_4c(x)  # (N, 512, 14, 14)
        x = self.inception_4d(x)  # (N, 528, 14, 14)
        aux2 = self.aux2(x) if heads else None  # (N, num_classes)
        x = self.inception_4e(x)  # (N, 832, 14, 14)
        x = self.pool4(x)  # (N, 832, 7, 7)
        x = self.inception_5a(x)  # (N, 832, 7, 7)
        x = self.inception_5b(x)  # (N, 1024, 7, 7)
        x = self.avgpool(x)  # (N, 1024, 1, 1)
        x = self.flatten(x)  # (N, 1024)
        x = self.dropout(x)
        logits = self.linear(x)  # (N, num_classes)
        return GoogLeNetOutput(logits, aux1, aux2) if heads else logits


class AuxiliaryClassifier(nn.Module):
    """A small classifier on a middle layer (section 5): maps (N, in_channels, 14, 14) to logits.

    Its loss is added with weight 0.3 while training; it is thrown away afterwards.
    Raises ValueError when the map does not pool to 4x4.
    """

    def __init__(self, in_channels: int, num_classes: int = 1000, norm: str | None = None):
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv = ConvUnit(in_channels, 128, 1, norm=norm)
        self.hidden = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.linear = nn.Linear(1024, num_classes)
        initialise(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_head_map(x)
        x = self.pool(x)  # (N, in_channels, 4, 4)
        x = self.conv(x).flatten(1)  # (N, 2048)
        x = self.dropout(self.relu(self.hidden(x)))  # (N, 1024)
        return self.linear(x)  # (N, num_classes)


class FashionGoogLeNet(Staged):
    """GoogLeNet for 28x28 pictures: the same nine blocks on the same map sizes (28, 14, 7).

    The stem of the 224x224 net shrinks the picture eightfold; here it keeps all 28x28 pixels.
    width: factor on every number of channels, 0.125 or more; batch norm throughout; no heads.

    Three options make training cheaper; the recipes use them, the lessons mostly do not.
    stem: "full", or "patch": one 4x4 convolution of stride 2, so that the blocks' maps are half
        as high and wide (14, 7, 3) and cost a quarter.
    project_first: in the pool branch the 1x1 projection comes before the pooling, which then has
        a few channels to pool instead of all.
    multiple_of: channels are rounded to a multiple of this; processors compute 16 at a time.

    Maps float images (N, in_channels, 28, 28) to logits (N, num_classes).
    Raises ValueError for a width that leaves no channel, another stem, images of another form.
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 10,
        in_channels: int = 1,
        *,
        stem: str = "full",
        project_first: bool = False,
        multiple_of: int = 1,
        dropout: float = 0.4,
    ):
        super().__init__()
        if stem not in ("full", "patch"):
            raise ValueError(f'stem must be "full" or "patch", got {stem!r}')
        self.in_channels = in_channels
        first, channels = (scale(size, width, multiple_of) for size in (64, 192))

        if stem == "full":
            self.conv1 = ConvUnit(in_channels, first, 3, padding=1, norm="batch")
            self.conv2_reduce = ConvUnit(first, first, 1, norm="batch")
        else:
            self.conv1 = ConvUnit(in_channels, first, 4, stride=2, padding=1, norm="batch")
            self.conv2_reduce = None
        self.conv2 = ConvUnit(first, channels, 3, padding=1, norm="batch")
        for name, widths in GOOGLENET_BLOCKS.items():
            if name in ("4a", "5a"):
                self.add_module("pool3" if name == "4a" else "pool4", halving_pool())
            widths = widths.scaled(width, multiple_of)
            block = Inception(channels, *widths, norm="batch")
            if project_first:
                block.branch_pool = nn.Sequential(*reversed(block.branch_pool))
            self.add_module(f"inception_{name}", block)
            channels = widths.out_channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, num_classes)
        self.path = [name for name, _ in self.named_children()]
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        check_images(images, self.in_channels, smallest=4)
        # behind each line the shape with width 1 and the full stem
        x = self.conv1(images)  # (N, 64, 28, 28)
        if self.conv2_reduce is not None:  # the "patch" stem has none
            x = self.conv2_reduce(x)  # (N, 64, 28, 28)
        x = self.conv2(x)  # (N, 192, 28, 28)
        x = self.inception_3a(x)  # (N, 256, 28, 28)
        x = self.inception_3b(x)  # (N, 480, 28, 28)
        x = self.pool3(x)  # (N, 480, 14, 14)
        x = self.inception_4a(x)  # (N, 512, 14, 14)
        x = self.inception_4b(x)  # (N, 512, 14, 14)
        x = self.inception_4c(x)  # (N, 512, 14, 14)
        x = self.inception_4d(x)  # (N, 528, 14, 14)
        x = self.inception_4e(x)  # (N, 832, 14, 14)
        x = self.pool4(x)  # (N, 832, 7, 7)
        x = self.inception_5a(x)  # (N, 832, 7, 7)
        x = self.inception_5b(x)  # (N, 1024, 7, 7)
        x = self.avgpool(x)  # (N, 1024, 1, 1)
        x = self.flatten(x)  # (N, 1024)
        x = self.dropout(x)
        return self.linear(x)  # (N, num_classes)


def response_norm() -> nn.LocalResponseNorm:
    """Local response normalisation over 5 channels with Caffe's constants (bvlc_googlenet)."""
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def check_head_map(x: torch.Tensor) -> None:
    """Raise ValueError unless the map (N, C, H, W) is one that an auxiliary head pools to 4x4."""
    if isinstance(x, torch.fx.Proxy):  # the network is being traced: there is no shape yet
        return
    height, width = x.shape[2:]
    if not (14 <= height <= 16 and 14 <= width <= 16):  # 5x5 / 3 pooling makes 4x4 of these
        raise ValueError(
            f"an auxiliary head needs a 14x14 map (pictures of 224x224), got {height}x{width}: "
            "use aux=False for other picture sizes"
        )
