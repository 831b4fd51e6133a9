"""Right answers of many forms to notebook 04, and wrong ones with words of what they are told."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Running, forms, used
from gnet_utils.exercises.n04 import MACS, WEIGHTS

ONE_RELU = nn.ReLU(inplace=True)


def stem(relu: Callable[[], nn.Module] = nn.ReLU, *middle: nn.Module, **first) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, **first), relu(), *middle,
        nn.Conv2d(64, 64, 1), relu(), nn.Conv2d(64, 192, 3, padding=1), relu(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    )  # fmt: skip


def stem_by(relu: Callable) -> nn.Module:
    def forward(layers, x):
        for layer in layers:
            x = relu(layer(x))
        return F.max_pool2d(x, 2)

    layers = nn.Conv2d(3, 64, 7, 2, 3), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 192, 3, 1, 1)
    return Running(*layers, forward=forward)


def pool_before_relu() -> nn.Module:
    *layers, relu, pool = stem()
    return nn.Sequential(*layers, pool, relu)


def stem_with_norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Conv2d(64, 192, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(192), nn.ReLU(),
    )  # fmt: skip


def lazy_stem() -> nn.Module:
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.LazyConv2d(64, kernel_size=7, stride=2, padding=3), relu, nn.MaxPool2d(3, 2, 1),
        nn.LazyConv2d(64, kernel_size=1), relu, nn.LazyConv2d(192, kernel_size=3, padding=1), relu,
    )  # fmt: skip


def grown(enlarge: Callable) -> nn.Module:
    small = nn.Sequential(stem(), nn.MaxPool2d(2))
    return Running(small, forward=lambda layers, x: enlarge(layers[0](x)))


def two_convolutions(first: int, second: int, channels=192, relu=nn.ReLU) -> nn.Module:
    """Two convolutions with these strides, and a pool."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=first, padding=3),
        relu(),
        nn.Conv2d(64, channels, 3, stride=second, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    )


def wide_stem() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 7, stride=1, padding=3), nn.ReLU(), nn.Conv2d(32, 192, 3, padding=1)),
        *(nn.ReLU(), nn.MaxPool2d(4)),
    )


RIGHT = {
    "04.row": [
        (640, 744_448, 145_911_808),
        [np.int64(640), np.float64(744_448), torch.tensor(145_911_808)],
        np.array([640, 744_448, 145_911_808]),
        torch.tensor([640, 744_448, 145_911_808]).float(),
        ("640", "744,448", "145_911_808"),
    ],
    "04.flatten": forms(9_216_000),
    "04.share": [*forms(100 * 6_379_728 / 13_378_280), 47.7, "47.7%", np.float32(47.687)],
    "04.field": forms(59),
    "04.size": forms(223),
    "04.stem": [
        stem(),
        stem().double().eval(),
        stem(lambda: ONE_RELU),
        stem(nn.ReLU, nn.LocalResponseNorm(5)),
        stem_by(F.relu),
        stem_by(lambda x: x * (x > 0)),
        pool_before_relu(),
        used(stem_with_norms(), 3, 112, 112),
        lazy_stem(),
        nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 64, 1),
            nn.ReLU(),
            nn.Conv2d(64, 192, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
        ),
    ],
}

WRONG = {
    "04.row": [
        ((800, WEIGHTS, MACS), "two reductions do not leave"),
        ((832, WEIGHTS, MACS), "what the four branches give"),
        ((640, 745_248, MACS), "800 biases"),
        ((640, 608_256, MACS), "input of 4e"),
        ((640, 532_480, MACS), "all windows as 1x1"),
        ((640, 4_073_472, MACS), "naive block"),
        ((640, 664_576, MACS), "one of the four 1x1 layers"),
        ((640, WEIGHTS, WEIGHTS * 49), "7x7 map"),
        ((640, WEIGHTS, WEIGHTS * 784), "28x28 map"),
        ((640, WEIGHTS, 2 * MACS), "FLOPs"),
        (640, "three numbers"),
        ((744_448, 640, 145_911_808), "in another order"),
        (torch.tensor(640), "three numbers are asked for"),
        ({640, 744_448, 145_911_808}, "three numbers are asked for"),
    ],
    "04.share": [(48, "rounded too far")],
    "04.stem": [
        (nn.Sequential, "add brackets"),
        ("conv", "a module is asked for"),
        (nn.Identity(), "no convolution"),
        (two_convolutions(2, 2), "halves three times"),
        (two_convolutions(1, 1), "halve twice"),
        (two_convolutions(2, 1, channels=64), "block 3a reads 192"),
        (nn.Sequential(nn.Conv2d(3, 192, 4, stride=4)), "negative"),
        (two_convolutions(2, 1, relu=nn.Identity), "no ReLU behind it"),
        (wide_stem(), "shrink earlier"),
        (nn.Sequential(two_convolutions(2, 2), nn.Upsample(scale_factor=2)), "it enlarges"),
        (stem(nn.Identity), "negative"),
        (stem(nn.LeakyReLU), "negative"),
        (nn.Sequential(*stem()[:-2], nn.MaxPool2d(2), nn.Sigmoid()), "convolution 3 has no ReLU"),
        (stem(nn.ReLU, nn.Conv2d(64, 64, 1)), "convolution 2 has no ReLU"),
        (grown(lambda x: F.interpolate(x, scale_factor=2)), "it enlarges"),
        (Running(stem(), forward=lambda layers, x: (layers[0](x), x)), "it gives a tuple"),
    ],
}
