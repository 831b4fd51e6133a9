"""Notebooks 00 to 05: right answers of many forms, wrong ones with words of what they are told."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.data import load_fashion_mnist
from gnet_utils.exercises.n01 import SEPIA
from gnet_utils.models import GOOGLENET_BLOCKS, BlockWidths, Inception


def forms(value: float) -> list:
    """One number as Python, NumPy, PyTorch and text have it."""
    kinds = [value, float(value), str(value), f"{value:,}", Fraction(value), [value]]
    return [*kinds, np.array(value), np.float64(value), torch.tensor(value, dtype=torch.float64)]


class Calling:
    """A callable object around a function."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


class Running(nn.Module):
    """A module whose forward pass is a function of its layers and the input."""

    def __init__(self, *layers: nn.Module, forward: Callable):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.run = forward

    def forward(self, x):
        return self.run(self.layers, x)


# 01 -----------------------------------------------------------------------------------------------


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


def sky(weights, biases, out, make: Callable = nn.Sequential) -> nn.Module:
    first, second = nn.Conv2d(3, len(weights), 1), nn.Conv2d(len(weights), 1, 1)
    with torch.no_grad():
        first.weight[:] = torch.tensor([[-w, 0, w] for w in weights])[:, :, None, None]
        first.bias[:] = torch.tensor(biases)
        second.weight[:] = torch.tensor(out)[None, :, None, None]
        second.bias.zero_()
    return make(first, nn.ReLU(), second)


def short_sky() -> nn.Module:
    conv = nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        conv.weight[:] = torch.tensor([-10.0, 0, 10])[None, :, None, None]
        conv.bias.fill_(-1)
    return nn.Sequential(conv, nn.Hardtanh(0, 1))


# 02 -----------------------------------------------------------------------------------------------


def searched(c_in, c_out, k):
    saving = (r for r in range(c_out * k * k) if r * (c_in + k * k * c_out) < k * k * c_in * c_out)
    return max(saving)


def break_even(c_in, c_out, k):
    return (k * k * c_in * c_out - 1) // (c_in + k * k * c_out)


def in_numpy(c_in, c_out, k):
    return np.ceil(np.float64(k * k * c_in * c_out) / (c_in + k * k * c_out)) - 1


def by_svd(both: Callable) -> Callable:
    """`low_rank` out of what to do with the reduced decomposition and r."""
    return lambda weight, r: both(*torch.linalg.svd(weight, full_matrices=False), r)


def by_eigenvectors(weight, r):
    _, vectors = torch.linalg.eigh(weight.T @ weight)  # from small to large
    down = vectors[:, -r:].T
    return down, weight @ down.T


def by_numpy(weight, r):
    u, s, vh = np.linalg.svd(weight.numpy())
    return np.diag(s[:r]) @ vh[:r], u[:, :r]


def old_svd(weight, r):
    u, s, v = torch.svd(weight)
    return [(v[:, :r] * s[:r].sqrt()).T, u[:, :r] * s[:r].sqrt()]


def in_place(weight, r):
    u, s, vh = torch.linalg.svd(weight)
    weight.zero_()
    vh[:r] *= s[:r, None]
    return nn.Parameter(vh[:r]), nn.Parameter(u[:, :r])


def spindle_convs(**changes) -> list[nn.Module]:
    arguments = {"padding": 1, "groups": 384, "bias": False} | changes
    return [
        nn.Conv2d(64, 384, 1, bias=False),
        nn.Conv2d(384, 384, 3, **arguments),
        nn.Conv2d(384, 64, 1, bias=False),
    ]


def spindle(first=nn.ReLU6, second=nn.ReLU6, *last, **changes) -> nn.Module:
    a, b, c = spindle_convs(**changes)
    return nn.Sequential(a, first(), b, second(), c, *last)


def bent_by(function: Callable) -> nn.Module:
    return Running(
        *spindle_convs(),
        forward=lambda convs, x: convs[2](function(convs[1](function(convs[0](x))))),
    )


def one_reused() -> nn.Module:
    (a, b, c), relu6 = spindle_convs(), nn.ReLU6(inplace=True)
    return nn.Sequential(nn.Sequential(a, relu6), nn.Sequential(b, relu6), c)


def lazy_spindle() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(384, 1, bias=False), nn.ReLU6(),
        nn.LazyConv2d(384, 3, padding="same", groups=384, bias=False), nn.ReLU6(),
        nn.LazyConv2d(64, 1, bias=False),
    )  # fmt: skip


# 03 -----------------------------------------------------------------------------------------------


def block(in_channels: int, row: BlockWidths, relu: Callable = F.relu, order="1357") -> nn.Module:
    """An Inception block with functional ReLUs and pooling, its layers made in another order."""

    def forward(layers, x):
        pool, large, middle, small, reduce_3x3, reduce_5x5 = layers
        branches = {
            "7": relu(pool(F.max_pool2d(x, 3, 1, 1))),
            "5": relu(large(relu(reduce_5x5(x)))),
            "3": relu(middle(relu(reduce_3x3(x)))),
            "1": relu(small(x)),
        }
        return torch.concat([branches[name] for name in order], 1)

    return Running(
        nn.Conv2d(in_channels, row.pool_proj, 1),
        nn.Conv2d(row.reduce_5x5, row.out_5x5, 5, padding="same"),
        nn.Conv2d(row.reduce_3x3, row.out_3x3, 3, padding=1),
        nn.Conv2d(in_channels, row.out_1x1, 1),
        nn.Conv2d(in_channels, row.reduce_3x3, 1),
        nn.Conv2d(in_channels, row.reduce_5x5, 1),
        forward=forward,
    )


def used(module: nn.Module, *shape: int) -> nn.Module:
    """The module after training steps: moved statistics, gradients, train mode."""
    for _ in range(5):
        module.train()(torch.randn(2, *shape) * 5 + 9).sum().backward()
    return module


def pooled(**arguments) -> nn.Module:
    made = Inception(192, *GOOGLENET_BLOCKS["3a"])
    made.branch_pool[0] = nn.MaxPool2d(3, padding=1, **arguments)
    return made


class Padding:
    def __call__(self, kernel_size, dilation=1):
        return dilation * (kernel_size // 2)


# 04 -----------------------------------------------------------------------------------------------


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


# 05 -----------------------------------------------------------------------------------------------


class Knows(nn.Module):
    """Gives the labels of the first ten training pictures, as sure as `size` says."""

    def __init__(self, size: float = 9.0, practised: float | None = None):
        super().__init__()
        self.sizes = size, size if practised is None else practised
        self.sharp = nn.Parameter(torch.ones(1))

    def forward(self, images):
        table = F.one_hot(load_fashion_mnist("train")[1][:10], 10)
        return self.sizes[self.training] * self.sharp * table


class WithHeads(Knows):
    """In train mode it gives a tuple, as GoogLeNet does with its heads."""

    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


torch.manual_seed(0)
RIGHT = {
    "00.pixels": forms(784),
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
    "02.bottleneck": forms(254_272),
    "02.macs": [*forms(44_255_232), torch.tensor(44_255_232.0)],
    "02.breakeven": [
        break_even,
        partial(break_even),
        Calling(searched),
        in_numpy,
        lambda c_in, c_out, k: torch.tensor(break_even(c_in, c_out, k)),
        lambda c_in, c_out, k: math.ceil(k**2 * c_in * c_out / (c_in + k**2 * c_out) - 1),
    ],
    "02.budget": forms(28),
    "02.lowrank": [
        by_svd(lambda u, s, vh, r: (s[:r, None] * vh[:r], u[:, :r])),
        Calling(by_svd(lambda u, s, vh, r: (vh[:r], u[:, :r] * s[:r]))),
        by_svd(lambda u, s, vh, r: (torch.diag(s[:r]) @ vh[:r], u[:, :r])),
        lambda weight, r: by_svd(lambda u, s, vh, r: (s[:r, None] * vh[:r], u[:, :r]))(
            weight.double(), r
        ),
        by_eigenvectors,
        by_numpy,
        partial(old_svd),
        in_place,
    ],
    "02.spindle": [
        spindle(),
        spindle().double().train(),
        spindle(padding="same"),
        spindle(nn.ReLU6, lambda: nn.Hardtanh(0, 6)),
        one_reused(),
        bent_by(F.relu6),
        bent_by(lambda x: x.clamp(0, 6)),
        lazy_spindle(),
    ],
    "03.padding": [
        lambda kernel_size, dilation=1: dilation * (kernel_size - 1) // 2,
        lambda kernel_size, dilation=1: np.int64(dilation) * (kernel_size // 2),
        lambda k, d=1: torch.tensor(d * (k - 1)) // 2,
        lambda k, d=1: np.array(d * (k - 1) // 2),
        partial(lambda k, d=1, half=1: int(d * (k - 1) / half), half=2),
        Padding(),
        lambda kernel_size, dilation=1: round(dilation * (kernel_size - 1) / 2),
    ],
    "03.naive": forms(1_089_536),
    "03.row": [
        Inception(512, *GOOGLENET_BLOCKS["4d"]),
        Inception(
            in_channels=512,
            pool_proj=64,
            out_5x5=64,
            reduce_5x5=32,
            out_3x3=288,
            reduce_3x3=144,
            out_1x1=112,
        ),
        Inception(512, *GOOGLENET_BLOCKS["4d"], norm="batch").double(),
        used(Inception(512, *GOOGLENET_BLOCKS["4d"], norm="batch"), 512, 8, 8),
        block(512, GOOGLENET_BLOCKS["4d"]),
        nn.Sequential(Inception(512, 112, 144, 288, 32, 64, 64)),
    ],
    "03.window": forms(91),
    "03.repair": [
        Inception(192, *GOOGLENET_BLOCKS["3a"]),
        block(192, GOOGLENET_BLOCKS["3a"]),
        block(192, GOOGLENET_BLOCKS["3a"], relu=lambda x: x.clamp(min=0)).double(),
        block(192, GOOGLENET_BLOCKS["3a"], relu=nn.ReLU(inplace=True)),
        pooled(stride=[1, 1]),
    ],
    "03.two3x3": forms(29),
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
        stem(bias=False),
        stem(lambda: ONE_RELU),
        stem(nn.ReLU, nn.LocalResponseNorm(5)),
        stem_by(F.relu),
        stem_by(lambda x: x * (x > 0)),
        stem_by(nn.ReLU()),
        pool_before_relu(),
        used(stem_with_norms(), 3, 112, 112),
        lazy_stem(),
        nn.Sequential(
            nn.Conv2d(3, 64, 7, padding=3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 1),
            nn.ReLU(),
            nn.Conv2d(64, 192, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
        ),
    ],
    "05.mean": [*forms(472 / 520), 0.908, np.float32(0.9077), torch.tensor(0.9077)],
    "05.error": [*forms(0.6), 100 * math.sqrt(0.09 / 2500), torch.tensor(0.6), "0.60"],
    "05.overfit": [
        Knows(),
        Knows().double(),
        Knows().half().eval(),
        Knows(practised=-9.0),
        nn.Sequential(WithHeads()),
        nn.Sequential(nn.Upsample(scale_factor=2), Knows()),
    ],
    "05.time": [*forms(17.578125), 17.6, np.float32(17.58), "17.6"],
    "05.range": [
        lambda steps: torch.logspace(-3, 1, steps),
        partial(torch.logspace, -3, 1),
        partial(np.geomspace, 0.001, 10),
        Calling(lambda steps: [0.001 * 10 ** (4 * step / (steps - 1)) for step in range(steps)]),
        lambda steps: tuple(10 ** torch.linspace(-3, 1, steps)),
        lambda steps: np.float32(np.logspace(-3, 1, steps)),
        lambda steps: torch.linspace(math.log(0.001), math.log(10), steps).exp()[:, None],
    ],
    "05.width": [*forms(4), 4.0, 3.99, torch.tensor(4)],
}


WRONG = {
    "01.swap": [
        (nn.Linear(3, 3), "adds a bias"),
        (nn.Sequential(nn.Conv2d(3, 3, 1, bias=False)), "one weight 1"),
    ],
    "01.linear": [(robber, "are not those of the convolution")],
    "01.sky": [(short_sky(), "two 1x1 layers with a ReLU")],
    "02.breakeven": [
        (lambda c_in, c_out, k: break_even(c_out, c_in, k), "in and out are swapped"),
        (lambda c_in, c_out, k: break_even(c_in, c_out, k) - (k == 1), "too small"),
        (lambda c_in, c_out, k: break_even(c_in, c_out, k) + (k == 3 and c_in == 18), "a tie"),
        (lambda c_in, c_out, k: None if k == 1 else break_even(c_in, c_out, k), "returns nothing"),
    ],
    "02.lowrank": [
        (by_svd(lambda u, s, vh, r: ((s[:r, None] * vh[:r]).T, u[:, :r].T)), "is down and up"),
        (by_svd(lambda u, s, vh, r: ((s[:r, None] * vh[:r]).T, u[:, :r])), "transposed is down."),
        (by_svd(lambda u, s, vh, r: (s[:r, None] * vh[:r], u[:r])), "transposed is up."),
        (by_svd(lambda u, s, vh, r: (s[:r] * vh[:r], u[:, :r])), "the wrong axis"),
        (by_svd(lambda u, s, vh, r: (vh[:r], u[:, :r] * s[:r, None])), "the wrong axis"),
        (by_svd(lambda u, s, vh, r: (vh[:r], (u * s[:, None])[:, :r])), "the wrong axis"),
        (by_svd(lambda u, s, vh, r: (s[:r, None] * vh[:, :r].T, u[:, :r])), "columns of vh"),
        (by_svd(lambda u, s, vh, r: (s[:r, None] * vh[:r], u[:r].T)), "rows of u"),
        (by_svd(lambda u, s, vh, r: (s[:r, None] ** 0.5 * vh[:r], u[:, :r])), "only the roots"),
        (by_svd(lambda u, s, vh, r: (s[:5, None] * vh[:5], u[:, :5])), "for r = 3"),
        (lambda w, r: (torch.eye(w.shape[1])[:r], w[:, :r]), "off by"),
        (lambda w, r: w @ w, "trying your answer stopped with RuntimeError"),
    ],
    "02.spindle": [
        (spindle(nn.ReLU, nn.ReLU), "in place of a ReLU6"),
        (spindle(nn.ReLU6, nn.ReLU), "in place of a ReLU6"),
        (bent_by(F.relu), "in place of a ReLU6"),
        (spindle(nn.ReLU6, nn.Identity), "a ReLU6 is missing"),
        (spindle(nn.Identity), "a ReLU6 is missing"),
        (spindle(nn.ReLU6, nn.ReLU6, nn.ReLU6()), "the narrow end stays linear"),
        (spindle(nn.ReLU6, nn.ReLU6, nn.ReLU()), "the narrow end stays linear"),
        (Running(spindle(), forward=lambda layers, x: x + layers[0](x)), "the input is added"),
        (bent_by(torch.sigmoid), "what happens between them is not"),
        (bent_by(lambda x: x.clamp(0, 1)), "what happens between them is not"),
        (spindle(padding=2, dilation=2), "what happens between them is not"),
        (spindle(padding=1, padding_mode="reflect"), "what happens between them is not"),
        (nn.Sequential(*spindle_convs()[::-1]), "convolution 1 reads 384 channels, 64 come"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), "on a batch (2, 64, 14, 14) it stops"),
    ],
    "03.padding": [
        (lambda kernel_size, dilation=1: np.float64(dilation * (kernel_size - 1) / 2), "with //"),
        (lambda kernel_size, dilation=1: "same", "wants a whole number."),
        (lambda kernel_size, dilation=1: (1, 1), "wants a whole number."),
        (lambda kernel_size, dilation: kernel_size // 2, "without dilation"),
    ],
    "03.row": [
        (block(512, GOOGLENET_BLOCKS["4d"], order="1375"), "stacked in another order"),
        (block(512, GOOGLENET_BLOCKS["4d"], relu=lambda x: x), "negative"),
        (block(512, GOOGLENET_BLOCKS["4d"], order="111"), "become (2, 528, 8, 8)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), "on a batch (2, 512, 8, 8) it stops"),
    ],
    "03.repair": [
        (pooled(), "maps of 12x12, 12x12, 12x12, 4x4 cannot be stacked"),
        (block(192, GOOGLENET_BLOCKS["3a"], order="1357"[::-1]), "stacked in another order"),
        (Inception(192, *GOOGLENET_BLOCKS["3a"], norm="batch"), "has no bias"),
    ],
    "04.row": [
        ((744_448, 640, 145_911_808), "in another order"),
        (torch.tensor(640), "three numbers are asked for"),
        ({640, 744_448, 145_911_808}, "three numbers are asked for"),
    ],
    "04.share": [(48, "rounded too far")],
    "04.stem": [
        (stem(nn.Identity), "negative"),
        (stem(nn.LeakyReLU), "negative"),
        (nn.Sequential(*stem()[:-2], nn.MaxPool2d(2), nn.Sigmoid()), "convolution 3 has no ReLU"),
        (stem(nn.ReLU, nn.Conv2d(64, 64, 1)), "convolution 2 has no ReLU"),
        (grown(lambda x: F.interpolate(x, scale_factor=2)), "it enlarges"),
        (grown(lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)), "it enlarges"),
        (Running(stem(), forward=lambda layers, x: (layers[0](x), x)), "it gives a tuple"),
    ],
    "05.mean": [(0.91, "rounded too far"), (0.5, "too small")],
    "05.overfit": [
        (Knows(practised=9.0, size=-9.0), "batch norm lag behind"),
        (Knows(size=1.0), "not surely"),
        (nn.Conv2d(3, 8, 3), "convolution 1 reads 3 channels, 1 come"),
        (Running(forward=lambda layers, x: (x, x)), "it gives a tuple"),
    ],
    "05.time": [(18, "rounded too far"), ((17, 6), "without a comma")],
    "05.range": [
        (lambda steps: torch.logspace(0.001, 10, steps), "taken as exponents of 10"),
        (lambda steps: torch.linspace(-3, 1, steps).exp(), "raised e to the exponents"),
        (lambda steps: torch.linspace(0.001, 10, steps), "by adding"),
        (lambda steps: (rate for rate in [0.001, 10]), "a list or a tensor"),
    ],
}
