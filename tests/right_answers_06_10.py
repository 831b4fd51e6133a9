"""Notebooks 06 to 10: right answers of many forms, wrong ones with words of what they are told."""

import copy
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.counting import count_parameters
from gnet_utils.exercises.n07 import identity_block, zeroed
from gnet_utils.exercises.n08 import cut_ten
from gnet_utils.exercises.n09 import right_cam, right_likeness
from gnet_utils.exercises.n10 import fold_by, right_bias, right_factor
from gnet_utils.experiments.heads import SmallHead
from gnet_utils.models import BasicBlock, BottleneckBlock, GoogLeNetOutput
from gnet_utils.models.residual import PadShortcut
from gnet_utils.probing import ablate


class Calling:
    """A callable object around a function."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)


class Running(nn.Module):
    """A module whose forward pass is a function."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def forms(value: float) -> list:
    """One number as Python, NumPy, PyTorch and text have it."""
    kinds = [value, float(value), str(value), f"{value:,}", Fraction(value), [value]]
    return [*kinds, np.array(value), np.float64(value), torch.tensor(value, dtype=torch.float64)]


# 06 -----------------------------------------------------------------------------------------------


def by_isinstance(output, labels):
    if isinstance(output, Tensor):
        return F.cross_entropy(output, labels)
    heads = F.cross_entropy(output.aux1, labels) + F.cross_entropy(output.aux2, labels)
    return F.cross_entropy(output.logits, labels) + 0.3 * heads


def by_unpacking(output, labels, weight=0.3):
    main, *heads = output if isinstance(output, tuple) else (output,)
    loss = F.cross_entropy(main, labels)
    for logits in heads:
        loss += weight * F.cross_entropy(logits, labels)
    return loss


def by_attribute(output, labels):
    loss = nn.CrossEntropyLoss()
    if not hasattr(output, "aux1"):
        return loss(output, labels)
    return (
        loss(output.logits, labels) + 0.3 * loss(output[1], labels) + 0.3 * loss(output[2], labels)
    )


def by_logarithms(output, labels):
    parts = (output,) if isinstance(output, Tensor) else output
    losses = [F.nll_loss(logits.double().log_softmax(1), labels) for logits in parts]
    return torch.stack(losses) @ torch.tensor([1, 0.3, 0.3]).double()[: len(losses)]


class Total(nn.Module):
    def forward(self, output, labels):
        if isinstance(output, GoogLeNetOutput):
            losses = [F.cross_entropy(logits, labels) for logits in output]
            return losses[0] + 0.3 * sum(losses[1:])
        return F.cross_entropy(input=output, target=labels)


def cut_off_alone(output, labels):
    loss = by_isinstance(output, labels)
    return loss.detach() if isinstance(output, Tensor) else loss


# 07 -----------------------------------------------------------------------------------------------


def with_last_factor(change: Callable[[nn.Module], object]) -> BasicBlock:
    block = BasicBlock(16, 16, 1, nn.Identity())
    change(block.conv2.norm)
    return block


def replace_norm() -> BasicBlock:
    block = BasicBlock(16, 16, 1, nn.Identity())
    block.conv2.norm = nn.BatchNorm2d(16)
    block.load_state_dict({**block.state_dict(), "conv2.norm.weight": torch.zeros(16)})
    return block


class Basic(nn.Module):
    """The reader's own block, with other names, in another order."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm2 = nn.BatchNorm2d(channels)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2)
        )
        nn.init.constant_(self.norm2.weight, 0)

    def forward(self, x):
        hidden = torch.relu_(self.norm1(self.conv1(x)))
        return (x + self.norm2(self.conv2(hidden))).relu_()


class Passing(Basic):
    """Wrong: it has all layers and uses none."""

    def forward(self, x):
        return x


def changed(change: Callable[[BasicBlock], object]) -> BasicBlock:
    block = identity_block(last=1.0)
    change(block)
    return block


def no_last_norm(block):
    nn.init.zeros_(block.conv2.conv.weight)
    block.conv2.norm = nn.Identity()


def norm_without_numbers(block):
    nn.init.zeros_(block.conv2.conv.weight)
    block.conv2.norm = nn.BatchNorm2d(16, affine=False)


def small_enough(block):
    block.conv2.conv.weight.data *= 1e-12


def silent_relu(block):
    nn.init.constant_(block.conv1.norm.bias, -100)


def only_in_eval(block):
    block.conv2.norm.running_var.fill_(math.inf)


def frozen(block):
    nn.init.zeros_(block.conv2.norm.weight)
    block.requires_grad_(False)


def conv_weights(block):
    return sum(layer.weight.numel() for layer in block.modules() if isinstance(layer, nn.Conv2d))


def by_padding(x, out_channels, stride):
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def by_stacking(x, out_channels, stride=2):
    kept = x[..., ::stride, ::stride]
    count, channels, *sides = kept.shape
    return torch.cat([kept, kept.new_zeros(count, out_channels - channels, *sides)], dim=1)


def by_filling(x, out_channels, stride):
    kept = F.max_pool2d(x, 1, stride)
    result = torch.zeros(len(x), out_channels, *kept.shape[2:], dtype=torch.float64)
    result[:, : x.shape[1]] = kept
    return result


def by_convolution(x, out_channels, stride):
    return F.conv2d(x, torch.eye(out_channels, x.shape[1])[:, :, None, None], stride=stride)


def by_the_course(x, out_channels, stride):
    return PadShortcut(out_channels - x.shape[1], stride)(x)


def even_only(x, out_channels, stride):
    count, channels, height, width = x.shape
    kept = x.reshape(count, channels, height // stride, stride, width // stride, stride)
    return F.pad(kept[:, :, :, 0, :, 0], (0, 0, 0, 0, 0, out_channels - channels))


def square_only(x, out_channels, stride):
    side = x.shape[2]
    return by_padding(x[:, :, :side, :side], out_channels, stride)


def one_lost(x, out_channels, stride):
    return by_padding(x, out_channels, stride).squeeze(0)


def second_pixels(x, out_channels, stride):
    return by_padding(x[:, :, stride - 1 :, stride - 1 :], out_channels, stride)


# 08 -----------------------------------------------------------------------------------------------


def mirrored_first(image, size):
    def five(picture):
        down, right = picture.shape[1] - size, picture.shape[2] - size
        return [
            picture[:, :size, :size],
            picture[:, -size:, :size],
            picture[:, :size, -size:],
            picture[:, -size:, -size:],
            picture[:, round(down / 2) :, round(right / 2) :][:, :size, :size],
        ]

    return torch.stack(five(image) + five(image.flip(-1)))


def in_pairs(image, size):
    crops = cut_ten(image, size)
    return torch.stack([crop for pair in zip(crops[:5], crops[5:], strict=True) for crop in pair])


def in_numpy(image, size):
    picture = image.numpy()
    down, right = (side - size for side in picture.shape[1:])
    result = np.zeros((10, len(picture), size, size))
    for n, (y, x) in enumerate(
        [(0, 0), (down, right), (0, right), (down, 0), (-(-down // 2), right // 2)]
    ):
        result[n] = picture[:, y : y + size, x : x + size]
        result[n + 5] = result[n][:, :, ::-1]
    return torch.from_numpy(result)


def by_torchvision(image, size):
    functional = pytest.importorskip("torchvision.transforms.functional")
    return torch.stack(functional.ten_crop(image, size))


# 09 -----------------------------------------------------------------------------------------------


def with_the_package(net, images, name):
    with ablate(net, [name]):
        return net(images)


def with_a_hook(net, images, name, hook=lambda module, inputs, output: output * 0):
    handle = net.get_submodule(name).register_forward_hook(hook)
    try:
        return net(images)
    finally:
        handle.remove()


def in_place(module, inputs, output):
    output.zero_()


def on_a_copy(net, images, name):
    net = copy.deepcopy(net).eval()
    part = net.get_submodule(name)
    part.forward = lambda x, forward=part.forward: forward(x).new_zeros(forward(x).shape)
    with torch.no_grad():
        return net(images)


def with_another_forward(net, images, name):
    part = dict(net.named_modules())[name]
    forward = part.forward
    part.forward = lambda *args: torch.zeros_like(forward(*args))
    logits = net(images)
    del part.forward
    return logits


def by_einsum(maps, weight, classes):
    return torch.einsum("nchw,nc->nhw", maps, weight[classes]).clamp(min=0) / maps[0, 0].numel()


def by_loop(maps, weight, classes):
    heats = []
    for picture, k in zip(maps, classes.tolist(), strict=True):
        heat = sum(w * channel for w, channel in zip(weight[k], picture, strict=True))
        heats.append(torch.where(heat > 0, heat, 0))
    return torch.stack(heats)


def by_linear_layer(maps, weight, classes):
    logits = maps.double().permute(0, 2, 3, 1) @ weight.double().T
    heat = logits[torch.arange(len(maps)), :, :, classes].relu()
    return heat / heat.amax((1, 2), keepdim=True)


def by_one_hot(maps, weight, classes):
    return (
        (F.conv2d(maps, weight[:, :, None, None]) * F.one_hot(classes, 10)[..., None, None])
        .sum(1)
        .relu_()
    )


def by_cosine(a, b):
    return F.cosine_similarity((a - a.mean()).flatten(), (b - b.mean()).flatten(), dim=0)


def by_numpy(a, b):
    if a.std() == 0 or b.std() == 0:
        return 0
    return np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1]


def by_torch(a, b):
    return torch.corrcoef(torch.stack([a.ravel(), b.ravel()]).double()).nan_to_num()[0, 1]


def by_standard_scores(a, b):
    a, b = ((x - x.mean()) / (x.std(correction=0) + 1e-8) for x in (a, b))
    return (a * b).mean().item()


def by_python_floats(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum().item() / (a.norm().item() * b.norm().item())


# 10 -----------------------------------------------------------------------------------------------

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


# The tables ---------------------------------------------------------------------------------------

RIGHT = {
    "06.chain": [
        *forms(4**12),
        0.25**8 / 0.25**20,
        (1 / np.float32(0.25)) ** 12,
        math.exp(12 * math.log(4)),
        2 << 23,
    ],
    "06.reach": [
        ("4e", "5a", "5b"),
        ["5b", "4e", "5a"],
        {"inception_5a", "inception_4e", "inception_5b"},
        np.array(["4e", "5a", "5b"]),
        {"4e": None, "5a": None, "5b": None},
        (name for name in ("4E", " 5A", "inception_5b ")),
        "4e, 5a and 5b",
        "4e 5a 5b",
        "('4e', '5a', '5b')",
    ],
    "06.head": [
        *forms(80_682),
        sum((128 * 32 + 32, 9 * 32 * 256 + 256, 256 * 10 + 10)),
        count_parameters(SmallHead(128, 0.25)) - 64 + 32,
    ],
    "06.total": [
        by_isinstance,
        by_unpacking,
        by_attribute,
        by_logarithms,
        Total(),
        partial(by_unpacking, weight=0.3),
        Calling(by_isinstance),
        lambda output, labels: by_unpacking(output, labels)[None],
        lambda output, labels: (
            torch.nn.functional.cross_entropy(output, labels)
            if torch.is_tensor(output)
            else sum(
                w * F.cross_entropy(o, labels) for w, o in zip((1, 0.3, 0.3), output, strict=True)
            )
        ),
    ],
    "06.mix": [
        *forms(3.3),
        0.5 * 2.4 + 0.2 * 3.6 + 0.3 * 4.6,
        np.average([2.4, 3.6, 4.6], weights=[50, 20, 30]),
        torch.tensor([0.5, 0.2, 0.3]) @ torch.tensor([2.4, 3.6, 4.6]),
    ],
    "07.identity": [
        identity_block(),
        with_last_factor(lambda norm: norm.weight.data.fill_(0)),
        with_last_factor(lambda norm: setattr(norm, "weight", nn.Parameter(torch.zeros(16)))),
        replace_norm(),
        Basic(16),
        Running(Basic(16)),
        nn.Sequential(identity_block()),
        identity_block().eval().double(),
    ],
    "07.bottleneck": [
        *forms(278_528),
        512 * 128 + 9 * 128 * 128 + 128 * 512,
        conv_weights(BottleneckBlock(512, 128, 1, nn.Identity())),
        17 * 2**14,
    ],
    "07.shortcut": [
        by_padding,
        by_stacking,
        by_filling,
        by_convolution,
        by_the_course,
        partial(by_padding),
        Calling(by_stacking),
        Running(by_padding),
        lambda maps, new, step: F.pad(F.avg_pool2d(maps, 1, step), [0] * 5 + [new - maps.size(1)]),
    ],
    "07.chain": [9.3, 9.31, "9.3132", 1.25**10, math.prod([1.25] * 10), torch.tensor(1.25) ** 10],
    "07.layers": [*forms(200), 3 * sum((3, 24, 36, 3)) + 2],
    "08.differ": [*forms(48), 4 * 1 * 6 * 2, len(set(range(48)))],
    "08.ten": [
        cut_ten,
        mirrored_first,
        in_pairs,
        in_numpy,
        by_torchvision,
        partial(cut_ten),
        Calling(mirrored_first),
        Running(cut_ten),
        lambda image, size: cut_ten(image, size).flip(0).double().requires_grad_(),
        lambda image, size: cut_ten(image, size, round_up=(1, 0)),
    ],
    "08.gain": [
        0.0094,
        "0.0094",
        (9.15 - 7.89) / 134,
        np.float32(1.26) / 134,
        Fraction(126, 13400),
    ],
    "08.geometric": [
        0.35,
        "0.353",
        np.exp(np.log([0.8, 0.8, 0.01]).mean()) / 0.5267,
        torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.01, 0.99]]).log().mean(0).softmax(0)[0],
    ],
    "08.majority": [
        0.27,
        "0.27%",
        "0.273",
        100 * sum(math.comb(7, k) * 0.1**k * 0.9 ** (7 - k) for k in range(4, 8)),
        100
        * (
            1
            - torch.distributions.Binomial(7, torch.tensor(0.1))
            .log_prob(torch.arange(4.0))
            .exp()
            .sum()
        ),
    ],
    "09.shift": [
        *forms(-3),
        (0.5 * 0 - 1.5) / 0.25**0.5,
        -1.5 / math.sqrt(0.25 + 1e-5),
        F.batch_norm(torch.zeros(1, 1), torch.tensor([1.5]), torch.tensor([0.25])),
    ],
    "09.ablate": [
        with_the_package,
        with_a_hook,
        partial(with_a_hook, hook=in_place),
        partial(with_a_hook, hook=lambda module, inputs, output: output.new_zeros(output.shape)),
        on_a_copy,
        with_another_forward,
        Calling(with_a_hook),
        Running(with_the_package),
        lambda net, images, name: with_the_package(net.eval(), images, name).double(),
        torch.enable_grad()(with_a_hook),
        torch.inference_mode()(with_a_hook),
    ],
    "09.cam": [
        right_cam,
        by_einsum,
        by_loop,
        by_linear_layer,
        by_one_hot,
        partial(right_cam),
        Calling(by_loop),
        Running(by_einsum),
        lambda maps, weight, classes: right_cam(maps, nn.Parameter(weight), classes),
    ],
    "09.field": [*forms(36), 28 + (3 - 1) * 4],
    "09.likeness": [
        right_likeness,
        by_cosine,
        by_numpy,
        by_torch,
        by_standard_scores,
        partial(by_cosine),
        Calling(by_numpy),
        Running(by_torch),
        lambda first, second: [by_standard_scores(first, second)],
    ],
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
        Running(right_fold),
        lambda layer, batch_norm: right_fold(conv=layer, norm=batch_norm),
    ],
}

WRONG = {
    "06.reach": [
        (("5b",), "5a is missing"),
        ("4e, 5a and linear", "there is no block 'linear'"),
        (["4e", 5], "names of blocks"),
    ],
    "06.chain": [(0.25**20, "what the first gradient keeps")],
    "06.total": [
        (cut_off_alone, "with the logits alone, as in eval(), 8 pictures, the number is right"),
        (lambda output, labels: by_isinstance(output, labels).expand(8), "the shape (8,)"),
        (lambda output: output, "with an output of three heads it stops with TypeError"),
        (lambda output, labels: (by_isinstance(output, labels), 1), "it returns a tuple"),
        (torch.tensor(2.3), "a function is asked for"),
    ],
    "07.identity": [
        (changed(no_last_norm), "the batch norm of each: change numbers, not layers"),
        (changed(norm_without_numbers), "the batch norm of each: change numbers, not layers"),
        (zeroed("conv2.conv.weight"), "batch norm blows up what the last convolution gives"),
        (changed(small_enough), "batch norm blows up what the last convolution gives"),
        (zeroed("conv1.norm.weight"), "zero are conv1.norm.weight; only the last factor"),
        (zeroed("conv1.conv.weight"), "zero are conv1.conv.weight; only the last factor"),
        (zeroed("conv1.norm.weight", "conv2.norm.weight"), "conv1.norm.weight, conv2.norm.weight;"),
        (changed(silent_relu), "nothing goes through F"),
        (changed(only_in_eval), "in train() mode the output is off by"),
        (identity_block(last=0.0001), "F(x) is not zero yet"),
        (changed(frozen), "frozen"),
        (Passing(16), "nothing goes through F"),
        (nn.Sequential(*list(identity_block().children())[:2]), "zeros for everything"),
        (BottleneckBlock(16, 4, 1, nn.Identity()), "its two 3x3 convolutions of 16 channels"),
    ],
    "07.bottleneck": [(69_632, "the table above"), (1_179_648, "the table above")],
    "07.shortcut": [
        (even_only, "for maps (1, 3, 7, 10), 5 channels and stride 2 it stops with"),
        (square_only, "(1, 3, 7, 10), 5 channels and stride 2: the map should have 4x5 pixels"),
        (one_lost, "got the shape (5, 4, 5)"),
        (second_pixels, "the right shape, but other pixels"),
        (
            lambda x, out, stride: by_padding(x, out, 2),
            "stride 3: the map should have 3x2 pixels, it has 5x3",
        ),
        (lambda x, out, stride: by_padding(x, 2 * x.shape[1], stride), "shape should be (1, 5, "),
        (lambda x: x, "for maps (2, 2, 4, 4), 4 channels and stride 2 it stops with TypeError"),
        (PadShortcut(2, 2), "4 channels and stride 2 it stops with TypeError"),
        (lambda x, out, stride: by_padding(x, out, stride).numpy(), "it returns a ndarray"),
    ],
    "08.ten": [
        (lambda image, size: tuple(cut_ten(image, size)), "torch.stack"),
        (lambda image, size: cut_ten(image, size) / 255, "the centre is missing"),
        (lambda image, size: cut_ten(image[:, :32, :32], size), "(1, 40, 52) and size 24: "),
    ],
    "08.gain": [(0.009, "rounded too far"), (0.92, "first nine passes")],
    "08.majority": [(0.3, "rounded too far"), (0.002728, "percent are asked for")],
    "09.ablate": [
        (lambda net, images: net(images), 'for "inception_4b.branch_5x5" it stops with TypeError'),
        (lambda net, images, name: net(images).tolist(), "got a list"),
        (
            lambda net, images, name: with_a_hook(
                net,
                images,
                name,
                lambda module, inputs, output: output.mean(0, True).expand_as(output),
            ),
            "not the logits of the net with zeros",
        ),
    ],
    "09.cam": [
        (lambda maps, weight, classes: list(right_cam(maps, weight, classes)), "got a list"),
        (lambda maps, weight, classes: -right_cam(maps, weight, classes), "these are not"),
        (lambda maps, weight, classes: weight[classes] @ maps, "it stops with RuntimeError"),
        (
            lambda maps, weight, classes: (maps * weight[classes][..., None, None]).sum(1).abs(),
            "these are not",
        ),
    ],
    "09.likeness": [
        (by_python_floats, "when the second map is the same everywhere, 0 is wanted"),
        (lambda a, b: torch.corrcoef(torch.stack([a.ravel(), b.ravel()])), "the shape (2, 2)"),
        (lambda a, b: a, "the shape (6, 5)"),
        (lambda a: a, "for two maps (6, 5) it stops with TypeError"),
        (lambda a, b: 1 - (a - b).abs().mean(), "two maps whose correlation is"),
    ],
    "10.smooth": [(3.7136, "gap between the logits")],
    "10.fold": [
        (norm_reset, "it changes the BatchNorm2d"),
        (turned_round, "called with (conv, norm) it stops with RuntimeError"),
        (lambda conv: conv, "called with (conv, norm) it stops with TypeError"),
        (right_fold(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), "(conv, norm) it stops with TypeError"),
        (lambda conv, norm: None, "returns nothing"),
        ("my_fold", "a function is asked for, this is text"),
    ],
}
