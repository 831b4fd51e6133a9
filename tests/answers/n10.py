"""Right answers of many forms to notebook 10, and wrong ones with words of what they are told."""

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from answers.forms import AsModule, Calling, forms


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


RIGHT = {
    "10.pays": [*forms(96), 4 * 24, 5 * 24 - 24],
    "10.separable": [
        *forms(7_049_728),
        (25 * 128 + 128 * 256) * 14 * 14,
        torch.tensor(35_968) * 196,
    ],
    "10.halving": [*forms(800), 16 * 20 + 8 * 20 + 4 * 40 + 2 * 80],
    "10.smooth": [
        0.8669,
        "0.867",
        -(0.82 * math.log(0.82) + 9 * 0.02 * math.log(0.02)),
        torch.distributions.Categorical(torch.tensor([0.82] + [0.02] * 9)).entropy(),
    ],
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
    "10.smooth": [(3.7136, "gap between the logits")],
    "10.fold": [
        *((slip, message) for message, slip in SLIPS.items()),
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
