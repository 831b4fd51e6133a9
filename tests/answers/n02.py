"""Right answers of many forms to notebook 02, and wrong ones with words of what they are told."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Calling, Running, forms


def built(change: Callable = lambda *layers: layers, **arguments) -> Callable:
    """A function that builds bottlenecks: `change` says what happens to their four layers.

    `arguments` go to the k x k convolution.
    """

    def bottleneck(c_in, reduce, c_out, k):
        second = nn.Conv2d(reduce, c_out, k, **({"padding": k // 2} | arguments))
        return nn.Sequential(*change(nn.Conv2d(c_in, reduce, 1), nn.ReLU(), second, nn.ReLU()))

    return bottleneck


def functional(c_in, reduce, c_out, k):
    first, second = nn.Conv2d(c_in, reduce, 1), nn.Conv2d(reduce, c_out, k, padding="same")
    return Running(first, second, forward=lambda two, x: two[1](two[0](x).clamp(min=0)).relu())


def one_relu(c_in, reduce, c_out, k):
    relu = nn.ReLU(inplace=True)
    first = nn.Sequential(nn.Conv2d(c_in, reduce, (1, 1)), relu)
    return nn.Sequential(first, nn.Conv2d(reduce, c_out, (k, k), padding=(k - 1) // 2), relu)


def kernel_first(c_in, reduce, c_out, k):
    first, second = nn.Conv2d(c_in, reduce, k, padding=k // 2), nn.Conv2d(reduce, c_out, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def reads_all(c_in, reduce, c_out, k):
    first, second = nn.Conv2d(c_in, reduce, 1), nn.Conv2d(c_in, c_out, k, padding=k // 2)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def no_waist(c_in, reduce, c_out, k):
    first, second = nn.Conv2d(c_in, c_out, 1), nn.Conv2d(c_out, c_out, k, padding=k // 2)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def always_3x3(c_in, reduce, c_out, k):
    first, second = nn.Conv2d(c_in, reduce, 1), nn.Conv2d(reduce, c_out, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def framed_1x1(c_in, reduce, c_out, k):
    first, second = nn.Conv2d(c_in, reduce, 1, padding=k // 2), nn.Conv2d(reduce, c_out, k)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def searched(c_in, c_out, k):
    saving = (r for r in range(c_out * k * k) if r * (c_in + k * k * c_out) < k * k * c_in * c_out)
    return max(saving)


def break_even(c_in, c_out, k):
    return (k * k * c_in * c_out - 1) // (c_in + k * k * c_out)


def in_numpy(c_in, c_out, k):
    return np.ceil(np.float64(k * k * c_in * c_out) / (c_in + k * k * c_out)) - 1


RIGHT = {
    "02.bottleneck": [
        built(),
        built(padding="same"),
        partial(built()),
        Calling(functional),
        one_relu,
        lambda c_in, reduce, c_out, k: built()(c_in, reduce, c_out, k).train(),
    ],
    "02.breakeven": [
        break_even,
        partial(break_even),
        Calling(searched),
        in_numpy,
        lambda c_in, c_out, k: torch.tensor(break_even(c_in, c_out, k)),
        lambda c_in, c_out, k: math.ceil(k**2 * c_in * c_out / (c_in + k**2 * c_out) - 1),
    ],
    "02.budget": forms(28),
}

WRONG = {
    "02.bottleneck": [
        (lambda *sizes: ..., "every place with ..."),
        (built(lambda *layers: (layers[0], ..., ..., ...)), "every place with ..."),
        (built(lambda a, _, b, last: (a, b, last)), "after the 1x1 convolution a ReLU is missing"),
        (built(lambda a, relu, b, _: (a, relu, b)), "after the k x k convolution a ReLU"),
        (built(padding=0), "20 -> 6 -> 10 with 3x3 a map of 9x9 came out as 7x7"),
        (built(padding=1), "8 -> 12 -> 4 with 5x5 a map of 9x9 came out as 7x7"),
        (built(padding=0, bias=False), "leave out bias=False"),
        (built(groups=2), "a convolution has groups"),
        (built(stride=2), "came out as 5x5"),
        (built(padding_mode="reflect"), "what else happens"),
        (
            built(lambda *layers: (*layers, nn.BatchNorm2d(layers[2].out_channels))),
            "a normalisation",
        ),
        (built(lambda *layers: layers[2:]), "convolution 1 reads 6 channels, 20 come to it"),
        (built(lambda *layers: (*layers[:2], nn.Identity())), "it is 1"),
        (kernel_first, "the 3x3 reads all 20 channels: the 1x1 has to come before it"),
        (reads_all, "convolution 2 reads 20 channels, 6 come to it"),
        (no_waist, "the first convolution is 1x1 from 20 to 10 channels, not 1x1 from 20 to 6"),
        (always_3x3, "the second convolution is 3x3 from 12 to 4 channels, not 5x5"),
        (framed_1x1, "the two convolutions are right"),
        (built()(192, 96, 128, 3), "hand in the function"),
        (lambda *sizes: list(built()(*sizes)), "a module is asked for"),
        (lambda *sizes: None, "returns nothing"),
        (lambda c_in, c_out: F.relu, "stopped with TypeError"),
        (96, "a function is asked for"),
    ],
    "02.breakeven": [
        (lambda c_in, c_out, k: ..., "every place with ..."),
        (lambda c_in, c_out, k: (... - 1) // c_in, "every place with ..."),
        (lambda c_in, c_out, k: c_in * c_out // (c_in + c_out), "the same area"),
        (lambda c_in, c_out, k: k * c_in * c_out // (c_in + k * c_out), "side once"),
        (lambda c_in, c_out, k: (k * k * c_in * c_out - 1) // (c_out + k * k * c_in), "swapped"),
        (lambda c_in, c_out, k: (k * k * c_in * c_out - 1) // (k * k * c_out), "in the 1x1 too"),
        (
            lambda c_in, c_out, k: k * k * c_in * c_out // (c_in + k * k * c_out),
            "a tie saves nothing",
        ),
        (lambda c_in, c_out, k: k * k * c_in * c_out / (c_in + k * k * c_out), "round down"),
        (lambda c_in, c_out, k: -(-k * k * c_in * c_out // (c_in + k * k * c_out)), "rounded up"),
        (164, "a function is asked for"),
        (lambda c_in, c_out, k: None, "returns nothing"),
        (lambda c_in, c_out, k: [164, 165], "one number is asked for"),
        (lambda c_in, c_out, k: break_even(c_out, c_in, k), "in and out are swapped"),
        (lambda c_in, c_out, k: break_even(c_in, c_out, k) - (k == 1), "too small"),
        (lambda c_in, c_out, k: break_even(c_in, c_out, k) + (k == 3 and c_in == 18), "a tie"),
        (lambda c_in, c_out, k: None if k == 1 else break_even(c_in, c_out, k), "returns nothing"),
    ],
}
