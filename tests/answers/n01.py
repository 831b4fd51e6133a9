"""Right answers of many forms to notebook 01, and wrong ones with words of what they are told."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Calling, Running, forms
from gnet_utils.exercises.n01 import SEPIA


def swapping(layer: nn.Module) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3).flip(0).view_as(layer.weight))
    return layer


def sepia_by_channel(picture):
    result = np.empty_like(picture)
    for channel, (red, green, blue) in enumerate(SEPIA):
        mixed = red * picture[..., 0] + green * picture[..., 1] + blue * picture[..., 2]
        result[..., channel] = np.minimum(np.round(mixed), 255)
    return result


def sepia_in_torch(picture):
    weights = torch.tensor(SEPIA, dtype=torch.float32)[:, :, None, None]
    mixed = F.conv2d(torch.tensor(picture).permute(2, 0, 1)[None].float(), weights)
    return mixed[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def sepia_in_place(picture):
    picture[:] = np.rint(np.einsum("hwc,kc->hwk", picture, SEPIA)).clip(0, 255)
    return picture


def linear_of(conv: nn.Conv2d, copy: Callable) -> nn.Linear:
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=conv.bias is not None)
    copy(linear, conv)
    return linear


def load_weights(linear, conv):
    linear.load_state_dict({name: value.flatten(1) if value.ndim > 1 else value
                            for name, value in conv.state_dict().items()})  # fmt: skip


def share_weights(linear, conv):
    linear.weight = nn.Parameter(conv.weight[..., 0, 0])
    linear.bias = conv.bias


class FromConv(nn.Linear):
    """A Linear that takes its weights from a convolution: the class itself makes the answer."""

    def __init__(self, conv):
        super().__init__(conv.in_channels, conv.out_channels)
        self.weight.data = conv.weight.data.reshape(conv.out_channels, -1)
        self.bias.data = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.data


def robber(conv):
    """Makes the convolution like its Linear, not the other way round."""
    linear = nn.Linear(conv.in_channels, conv.out_channels)
    for value in (*conv.parameters(), *linear.parameters()):
        nn.init.zeros_(value)
    return linear


def sky(weights, biases, out, make: Callable = nn.Sequential, out_bias=0.0) -> nn.Module:
    """Two 1x1 layers with given weights: those of blue, red has the opposite."""
    first, second = nn.Conv2d(3, len(weights), 1), nn.Conv2d(len(weights), 1, 1)
    with torch.no_grad():
        first.weight[:] = torch.tensor([[-w, 0, w] for w in weights])[:, :, None, None]
        first.bias[:] = torch.tensor(biases)
        second.weight[:] = torch.tensor(out)[None, :, None, None]
        second.bias.fill_(out_bias)
    return make(first, nn.ReLU(), second)


def short_sky() -> nn.Module:
    conv = nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        conv.weight[:] = torch.tensor([-10.0, 0, 10])[None, :, None, None]
        conv.bias.fill_(-1)
    return nn.Sequential(conv, nn.Hardtanh(0, 1))


def mixing(weights: np.ndarray, finish) -> Any:
    """A sepia function with a mistake of ours in it."""
    return lambda picture: finish(picture @ weights).astype(np.uint8)


def rounded_and_clipped(mixed: np.ndarray) -> np.ndarray:
    return mixed.round().clip(0, 255)


def red_first(picture: np.ndarray) -> np.ndarray:
    """Writes the new red into the picture from which green and blue are still to be made."""
    for channel, weights in enumerate(SEPIA):
        picture[..., channel] = rounded_and_clipped(picture @ weights)
    return picture


def to_linear(conv: nn.Conv2d, *, copy: str = "weight bias", transposed: bool = False) -> nn.Linear:
    """The solution, with a mistake of ours in it."""
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=conv.bias is not None)
    with torch.no_grad():
        if "weight" in copy:
            weight = conv.weight[:, :, 0, 0]
            square = conv.in_channels == conv.out_channels
            linear.weight[:] = weight.T if transposed and square else weight
        if "bias" in copy and conv.bias is not None:
            linear.bias[:] = conv.bias
    return linear


def always_three_to_one(conv: nn.Conv2d) -> nn.Linear:
    linear = nn.Linear(3, 1, bias=False)
    if conv.in_channels == 3:
        linear.weight.data[:] = conv.weight.data[:, :, 0, 0]
    return linear


def with_kernel_axes(conv: nn.Conv2d) -> nn.Linear:
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=conv.bias is not None)
    linear.weight.data = conv.weight.data
    return linear


def without_bias(conv: nn.Conv2d) -> nn.Linear:
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=False)
    linear.weight.data[:] = conv.weight.data[:, :, 0, 0]
    return linear


RIGHT = {
    "01.parameters": forms(18_528),
    "01.swap": [
        [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
        np.eye(3)[::-1],
        np.eye(3, dtype=bool)[::-1],
        ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
        list(torch.eye(3).flip(0)),
        torch.eye(3).flip(0).to(torch.bfloat16),
        torch.eye(3)[[2, 1, 0]][:, :, None, None].requires_grad_(),
        swapping(nn.Conv2d(3, 3, 1, bias=False)),
        nn.Sequential(swapping(nn.Conv2d(3, 3, 1, bias=False)).double()),
        swapping(nn.Linear(3, 3, bias=False)),
    ],
    "01.sepia": [
        lambda picture: (picture @ SEPIA.T).round().clip(0, 255).astype(np.uint8),
        lambda picture: np.uint8(np.minimum(picture.astype(np.float32) @ SEPIA.T + 0.5, 255)),
        partial(cv2.transform, m=SEPIA),
        Calling(sepia_by_channel),
        sepia_in_torch,
        sepia_in_place,
    ],
    "01.reveal": [
        [1, 0, 0],
        np.array([[2, -0.5, -0.5]]),
        torch.tensor([0.0, 0.0, 1.0], requires_grad=True),
        (np.float32(1.5), 0, Fraction(-1, 2)),
        torch.tensor([1.0, 0, 0], dtype=torch.bfloat16).view(1, 3, 1, 1),
    ],
    "01.linear": [
        lambda conv: linear_of(conv, load_weights),
        Calling(lambda conv: linear_of(conv, share_weights)),
        partial(linear_of, copy=load_weights),
        FromConv,
    ],
    "01.sky": [
        sky([10.0, 10.0], [-1.0, -2.0], [1.0, -1.0]),
        sky([20.0, 20.0], [-2.0, -4.0], [0.5, -0.5]).double(),
        sky([10.0, 5.0, 5.0], [-1.0, -1.0, -1.0], [1.0, -1.0, -1.0]).train(),
        sky([10.0, 10.0], [-1.0, -2.0], [1.0, -1.0]).to(torch.bfloat16),
        Running(
            sky([10.0, 10.0], [-1.0, -2.0], [1.0, -1.0]),
            forward=lambda layers, x: layers[0][2](F.relu(layers[0][0](x))),
        ),
    ],
}

WRONG = {
    "01.swap": [
        (np.eye(3), "identity"),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], "green moves too"),
        ([[0.2989, 0.587, 0.114]] * 3, "all three rows are the same"),
        ([0, 0, 1], "three rows of weights"),
        ([[0, 0, 2], [0, 1, 0], [1, 0, 0]], "one weight 1"),
        (torch.tensor([[0.5, 0.5, 0], [0, 1, 0], [1, 0, 0]]), "mix channels"),
        (np.ones((2, 3)), "shape (2, 3)"),
        (nn.Linear(3, 3), "adds a bias"),
        (nn.Sequential(nn.Conv2d(3, 3, 1, bias=False)), "one weight 1"),
    ],
    "01.sepia": [
        (mixing(SEPIA, rounded_and_clipped), "transposed"),
        (mixing(SEPIA.T, lambda mixed: mixed.round() % 256), "clip before"),
        (mixing(SEPIA.T, lambda mixed: mixed.clip(0, 255)), "round before"),
        (mixing(SEPIA.T, lambda mixed: np.floor(mixed) % 256), "neither rounded nor clipped"),
        (red_first, "should become"),
        (mixing(SEPIA.T[:, ::-1], rounded_and_clipped), "BGR"),
        (lambda picture: picture @ SEPIA.T, "float64"),
        (lambda picture: None, "returns nothing"),
        (SEPIA, "a function is asked for"),
    ],
    "01.reveal": [
        ((0.2989, 0.587, 0.114), "weights of luma"),
        ((1 / 3, 1 / 3, 1 / 3), "The mean"),
        ((0, 1, 0), "In green"),
        ((0.5, 0.4, 0.1), "Go further"),
        ((0.5, 0, 0.5), "you raised both"),
        ((1, -1, 1), "another takes back"),
        ((1, 0, -1), "sum to 0"),
        ((1, 0), "three weights"),
    ],
    "01.linear": [
        (lambda conv: to_linear(conv, copy="nothing"), "Copy them"),
        (lambda conv: to_linear(conv, copy="weight"), "bias is not copied"),
        (lambda conv: to_linear(conv, transposed=True), "transposed"),
        (always_three_to_one, "Take the sizes"),
        (without_bias, "yours has none"),
        (with_kernel_axes, "drop the two kernel axes"),
        (lambda conv: conv, "not an nn.Linear"),
        (nn.Linear(3, 1), "a function is asked for"),
        (robber, "are not those of the convolution"),
    ],
    "01.sky": [
        (nn.Conv2d(3, 1, 1), "straight line"),
        (sky([10.0], [-1.0], [1.0]), "does not stop at 1"),
        (sky([-10.0, -10.0], [-1.0, -2.0], [1.0, -1.0]), "marks what is red"),
        (sky([10.0, 10.0], [-1.0, -2.0], [-1.0, 1.0], out_bias=1.0), "1 where it should be 0"),
        (sky([10 / 255] * 2, [-0.0, -2.0], [0.01, -1.0]), "almost 0 everywhere"),
        (nn.Sequential(nn.Conv2d(3, 1, 3, padding=1)), "larger than 1x1"),
        (sky([10.0, 10.0], [0.0, -1.0], [1.0, -1.0]), "should give"),
        (sky([1000.0] * 2, [-149.5, -150.5], [1.0, -1.0]), "no straight ramp"),
        (nn.ReLU(), "no nn.Conv2d"),
        (short_sky(), "two 1x1 layers with a ReLU"),
    ],
}
