"""Right answers of many forms to notebook 10, and wrong ones with words of what they are told."""

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from answers.forms import AsModule, Calling, forms
from gnet_utils.models import separable_conv


def fold_by(factor: Callable, bias: Callable, axis: int = 0) -> Callable:
    """A fold whose factor and bias are given as functions of (conv, norm[, factor])."""

    def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        folded, scale = copy.deepcopy(conv), factor(norm)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        with torch.no_grad():
            folded.weight.mul_(scale.view(shape))
            folded.bias.copy_(bias(conv, norm, scale))
        return folded

    return fold


def right_factor(norm: nn.BatchNorm2d) -> torch.Tensor:
    return norm.weight / (norm.running_var + norm.eps).sqrt()


def right_bias(conv, norm, factor) -> torch.Tensor:
    return norm.bias + (conv.bias - norm.running_mean) * factor


SLIPS = {  # what is said about a mistake, and the mistake
    "the epsilon is missing: the factor divides by sqrt(running_var + eps).": fold_by(
        lambda norm: norm.weight / norm.running_var.sqrt(), right_bias
    ),
    "the square root is missing: divide by the standard deviation, not by the variance.": fold_by(
        lambda norm: norm.weight / (norm.running_var + norm.eps), right_bias
    ),
    "the running mean is missing in the new bias.": fold_by(
        right_factor, lambda conv, norm, factor: norm.bias + conv.bias * factor
    ),
    "the convolution's own bias is missing in the new bias.": fold_by(
        right_factor, lambda conv, norm, factor: norm.bias - norm.running_mean * factor
    ),
    "the convolution's own bias must be scaled by the factor too.": fold_by(
        right_factor, lambda conv, norm, factor: norm.bias + conv.bias - norm.running_mean * factor
    ),
    "the running mean must be scaled by the factor too.": fold_by(
        right_factor, lambda conv, norm, factor: norm.bias + conv.bias * factor - norm.running_mean
    ),
    "the weights are scaled over input channels: the first axis holds the output channels.": (
        fold_by(right_factor, right_bias, axis=1)
    ),
    "the weight of the batch norm (gamma) is missing in the factor.": fold_by(
        lambda norm: 1 / (norm.running_var + norm.eps).sqrt(), right_bias
    ),
    "the shift of the batch norm (beta, norm.bias) is missing in the new bias.": fold_by(
        right_factor, lambda conv, norm, factor: (conv.bias - norm.running_mean) * factor
    ),
    "the bias is still the convolution's own: it needs the mean, the factor and beta.": fold_by(
        right_factor, lambda conv, norm, factor: conv.bias
    ),
}


right_fold = fold_by(right_factor, right_bias)


def as_a_new_layer(conv, norm):
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding
    )
    folded.weight = nn.Parameter(conv.weight * factor.view(-1, 1, 1, 1))
    folded.bias = nn.Parameter(norm(conv.bias[None, :, None, None]).flatten())
    return folded


def by_asking_the_norm(conv, norm):
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        zero, one = (norm(torch.full((1, len(conv.bias), 1, 1), x)).flatten() for x in (0.0, 1.0))
        folded.weight.data = conv.weight * (one - zero)[:, None, None, None]
        folded.bias.data = zero + conv.bias * (one - zero)
    return folded


@torch.no_grad()
def in_double(conv, norm):
    conv, norm = (copy.deepcopy(layer).double() for layer in (conv, norm))
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    conv.weight.copy_(torch.einsum("o...,o->o...", conv.weight, factor))
    conv.bias.sub_(norm.running_mean).mul_(factor).add_(norm.bias)
    return conv


class Folded(nn.Conv2d):
    """A convolution that is made of a convolution and a norm: the class is the answer."""

    def __init__(self, conv, norm):
        shape = conv.in_channels, conv.out_channels, conv.kernel_size
        super().__init__(*shape, stride=conv.stride, padding=conv.padding)
        self.load_state_dict(right_fold(conv, norm).state_dict())


def norm_reset(conv, norm):
    folded = right_fold(conv, norm)
    norm.reset_running_stats()
    return folded


def turned_round(conv, norm):
    shape = conv.out_channels, conv.in_channels, conv.kernel_size
    folded = nn.Conv2d(*shape, stride=conv.stride, padding=conv.padding)
    folded.load_state_dict(right_fold(conv, norm).state_dict())
    return folded


def fold_unfilled(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The stub as it stands."""
    folded = copy.deepcopy(conv)
    with torch.no_grad():
        folded.weight.copy_(...)
    return folded


def fold_nothing(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: the convolution as it was."""
    return copy.deepcopy(conv)


def fold_in_place(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: right numbers, written into the convolution that was given."""
    folded = fold_by(right_factor, right_bias)(conv, norm)
    with torch.no_grad():
        conv.weight.copy_(folded.weight)
        conv.bias.copy_(folded.bias)
    return conv


def fold_with_gradients(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: PyTorch refuses to write into weights that learn."""
    folded = copy.deepcopy(conv)
    folded.weight *= right_factor(norm)[:, None, None, None]
    return folded


def fold_without_parameter(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: a plain tensor as the weight of a layer."""
    folded = copy.deepcopy(conv)
    folded.weight = conv.weight * right_factor(norm)[:, None, None, None]
    return folded


def fold_along_the_last_axis(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: the factor has no axes for channels in, rows and columns."""
    folded = copy.deepcopy(conv)
    folded.weight.data *= right_factor(norm)
    return folded


def fold_of_stride_1(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: a new layer without the stride of the old one."""
    folded = fold_by(right_factor, right_bias)(conv, norm)
    folded.stride = (1, 1)
    return folded


def fold_without_bias(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A wrong answer: weights scaled, no bias at all."""
    folded = fold_by(right_factor, right_bias)(conv, norm)
    folded.bias = None
    return folded


def separated(forward: Callable | None = None, **changes) -> type:
    """The class that exercise 10.2 asks for, some of its parts made otherwise."""

    class SeparableConv(nn.Module):
        def __init__(self, in_channels, out_channels, kernel_size):
            super().__init__()
            sizes = in_channels, out_channels, kernel_size
            self.depthwise = changes.get("depthwise", depthwise)(*sizes)
            self.pointwise = changes.get("pointwise", pointwise)(*sizes)

        def forward(self, x):
            if forward:
                return forward(self.depthwise, self.pointwise, x)
            return self.pointwise(self.depthwise(x))

    return SeparableConv


def depthwise(c: int, _: int, k: int, **changes) -> nn.Conv2d:
    options = {"padding": k // 2, "groups": c, "bias": False} | changes
    return nn.Conv2d(
        c, changes.pop("out", c), k, **{n: v for n, v in options.items() if n != "out"}
    )


def pointwise(c: int, out: int, _: int, **changes) -> nn.Conv2d:
    return nn.Conv2d(c, out, 1, **({"bias": False} | changes))


def unfilled(*_):
    return ...


def functional(c: int, out: int, k: int) -> nn.Module:
    """Its weights as parameters, without layers."""
    layer = nn.Module()
    layer.windows = nn.Parameter(torch.randn(c, 1, k, k))
    layer.mix = nn.Parameter(torch.randn(out, c, 1, 1))

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            seen = torch.conv2d(x, self.layer.windows, padding=k // 2, groups=c)
            return torch.conv2d(seen, self.layer.mix)

    return Functional()


RIGHT = {
    "10.pays": [*forms(96), 4 * 24, 5 * 24 - 24],
    "10.separable_conv": [
        separable_conv,
        separated(),
        separated(depthwise=lambda c, out, k: depthwise(c, out, k, padding="same")),
        functional,
    ],
    "10.lead": [1.54, 1.5, "1.5", torch.tensor(1.5405)],
    "10.fold": [
        right_fold,
        as_a_new_layer,
        by_asking_the_norm,
        in_double,
        Folded,
        nn.utils.fuse_conv_bn_eval,
        partial(right_fold),
        partial(nn.utils.fuse_conv_bn_eval, transpose=False),
        Calling(as_a_new_layer),
        AsModule(right_fold),
        lambda layer, batch_norm: right_fold(conv=layer, norm=batch_norm),
    ],
}

WRONG = {
    "10.separable_conv": [
        (separated(unfilled, depthwise=unfilled, pointwise=unfilled), "depthwise, pointwise, forw"),
        (separated(pointwise=unfilled), "still to fill in: pointwise"),
        (separated(unfilled), "still to fill in: forward"),
        (separable_conv(6, 10, 3), "without brackets"),
        (separated(lambda windows, mix, x: windows(x)), "there should be two"),
        (separated(lambda windows, mix, x: windows(mix(x))), "reads 6 channels, 10 come"),
        (
            separated(
                lambda windows, mix, x: windows(mix(x)),
                depthwise=lambda c, out, k: depthwise(out, out, k),
            ),
            "the 1x1 runs first",
        ),
        (separated(depthwise=lambda c, out, k: depthwise(c, out, 1, padding=0)), "runs first"),
        (separated(depthwise=lambda c, out, k: depthwise(c, out, 7)), "is 7x7, it should be 3x3"),
        (
            separated(depthwise=lambda c, out, k: depthwise(c, out, k, groups=1)),
            "read all channels",
        ),
        (separated(depthwise=lambda c, out, k: depthwise(c, out, k, groups=2)), "in 2 groups"),
        (
            separated(
                depthwise=lambda c, out, k: depthwise(c, out, k, out=2 * c),
                pointwise=lambda c, out, k: pointwise(2 * c, out, k),
            ),
            "12 windows run",
        ),
        (
            separated(pointwise=lambda c, out, k: depthwise(c, out, k, groups=1)),
            "its window is 1x1",
        ),
        (separated(pointwise=lambda c, out, k: pointwise(c, out, k, groups=2)), "in groups, so"),
        (separated(depthwise=lambda c, out, k: depthwise(c, out, k, bias=True)), "has a bias"),
        (separated(depthwise=lambda c, out, k: depthwise(c, out, k, padding=0)), "become 7x7"),
        (separated(depthwise=lambda c, out, k: depthwise(c, out, k, padding=1)), "become 7x7"),
        (separated(pointwise=lambda c, out, k: pointwise(c, c, k)), "6 channels leave"),
        (separated(lambda windows, mix, x: mix(windows(x).relu())), "between the two parts"),
        (separated(lambda windows, mix, x: mix(windows(x)).relu()), "a ReLU ends it"),
        (separated(lambda windows, mix, x: mix(windows(x)) + 1), "something else changes"),
        (None, "a function is asked for"),
    ],
    "10.lead": [(2.186, "best of chance"), (1.687, "ddof=1"), (0.8233, "lead in points")],
    "10.fold": [
        *((slip, message) for message, slip in SLIPS.items()),
        (fold_unfilled, "the places marked ..."),
        (fold_nothing, "nothing is folded"),
        (fold_in_place, "work on a copy"),
        (fold_without_bias, "shift of the batch norm is lost"),
        (lambda conv, norm: nn.Sequential(conv, norm), "returns a Sequential"),
        (nn.Identity(), "called with (conv, norm) it stops with TypeError"),
        (fold_with_gradients, "under torch.no_grad()"),
        (fold_without_parameter, "takes nn.Parameter"),
        (fold_along_the_last_axis, "along the first axis of the weights"),
        (fold_of_stride_1, "another one than Conv2d(4, 6"),
        (norm_reset, "it changes the BatchNorm2d"),
        (turned_round, "called with (conv, norm) it stops with RuntimeError"),
        (lambda conv: conv, "called with (conv, norm) it stops with TypeError"),
        (right_fold(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), "(conv, norm) it stops with TypeError"),
        (lambda conv, norm: None, "returns nothing"),
        ("my_fold", "a function is asked for, this is text"),
    ],
}
