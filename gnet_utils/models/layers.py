"""What the networks here share: their unit (convolution, perhaps batch norm, ReLU) and stages."""

import torch
import torch.fx
from torch import nn


class ConvUnit(nn.Module):
    """Convolution + ReLU, or with `norm="batch"` convolution without bias + batch norm + ReLU.

    Maps (N, in_channels, H, W) to (N, out_channels, H', W'). The bias goes when batch norm
    comes, because batch norm subtracts the mean and adds a bias of its own. Its eps of 0.001
    is that of TF-slim and torchvision's GoogLeNet, so that their weights give the same outputs.
    With `relu=False` nothing follows: what a sum is made of.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        norm: str | None = None,
        relu: bool = True,
        eps: float = 0.001,
    ):
        super().__init__()
        if norm not in (None, "batch"):
            raise ValueError(f'norm must be None or "batch", got {norm!r}')
        bias = norm is None
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
        self.norm = nn.BatchNorm2d(out_channels, eps) if norm == "batch" else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.norm(self.conv(x)))


class Staged(nn.Module):
    """A network that is a path of named stages; its `forward` spells the path."""

    path: list[str]  # names of the stages in order, set when they are built

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The (name, module) pairs from picture to logits, in order, without auxiliary heads."""
        return [(name, self.get_submodule(name)) for name in self.path]


def initialise(module: nn.Module) -> None:
    """He et al.'s normal initialisation (arXiv 1502.01852, section 2.2) for all convolutions.

    It keeps the size of the signal from ReLU to ReLU. With PyTorch's default the signal shrinks
    at every layer, and after 21 of them all pictures get the same logits.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def check_images(images: torch.Tensor, in_channels: int, smallest: int) -> None:
    """Raise ValueError unless `images` is (N, in_channels, H, W) float, H and W large enough."""
    if isinstance(images, torch.fx.Proxy):  # the network is being traced: there is no shape yet
        return
    expected = f"(N, {in_channels}, H, W) float with H and W at least {smallest}"
    got = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
    if images.ndim != 4:
        hint = "add the batch axis with images[None]" if images.ndim == 3 else "check the axes"
    elif images.shape[1] != in_channels:
        hint = f"build the network with in_channels={images.shape[1]} or convert the pictures"
    elif min(images.shape[2:]) < smallest:
        hint = "enlarge the pictures, or use FashionGoogLeNet, made for 28x28"
    elif not images.is_floating_point():
        hint = "turn them into numbers between 0 and 1 with images.float() / 255"
    else:
        return
    raise ValueError(f"images must be {expected}, got {got}: {hint}")


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
