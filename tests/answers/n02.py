"""Right answers of many forms to notebook 02, and wrong ones with words of what they are told."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Calling, Running, forms


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


RIGHT = {
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
}

WRONG = {
    "02.breakeven": [
        (lambda c_in, c_out, k: c_in * c_out // (c_in + c_out), "the same area"),
        (lambda c_in, c_out, k: k * c_in * c_out // (c_in + k * c_out), "side once"),
        (lambda c_in, c_out, k: (k * k * c_in * c_out - 1) // (c_out + k * k * c_in), "swapped"),
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
    "02.lowrank": [
        (by_svd(lambda u, s, vh, r: (u[:, :r] * s[:r]) @ vh[:r]), "two matrices"),
        (by_svd(lambda u, s, vh, r: (u[:, :r] * s[:r], vh[:r])), "the order is down"),
        (by_svd(lambda u, s, vh, r: (vh[:r], u[:, :r])), "singular values are missing"),
        (by_svd(lambda u, s, vh, r: (s[:r, None] ** 2 * vh[:r], u[:, :r])), "in twice"),
        (by_svd(lambda u, s, vh, r: (s[-r:, None] * vh[-r:], u[:, -r:])), "smallest"),
        (lambda w, r: None, "returns nothing"),
        (lambda w, r: (nn.Linear(20, r), nn.Linear(r, 12)), "two tensors"),
        (lambda w, r: torch.linalg.svd(w), "you returned 3"),
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
        (spindle(groups=1), "dense"),
        (spindle(padding=0), "padding=1"),
        (spindle(bias=True), "biases"),
        (nn.Sequential(nn.Conv2d(64, 64, 1)), "three convolutions"),
        (spindle(groups=64), "one kernel for each"),
        (nn.Sequential, "the class Sequential"),
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
}
