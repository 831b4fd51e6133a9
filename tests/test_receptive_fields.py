"""Receptive fields by following the graph, against the pixels from which a gradient comes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models as zoo
from variants import (
    AsymmetricInception,
    ResidualInception,
    SeparableInception,
    TwoThreeInception,
)

from gnet_utils.experiments.heads import HeadedGoogLeNet
from gnet_utils.fields import ReceptiveField, receptive_fields
from gnet_utils.models import (
    FashionGoogLeNet,
    FashionResNet,
    GoogLeNet,
    Inception,
    NaiveInception,
    fused,
)

WIDTHS = (4, 3, 5, 2, 6, 4)  # of a small Inception block


def on_meta(build, *arguments, **options):
    """The net without memory for its weights: enough to follow its graph."""
    with torch.device("meta"):
        return build(*arguments, **options)


# By gradient --------------------------------------------------------------------------------------


class Mean(nn.Module):
    """The wiring of a convolution and nothing else: the mean over its window and all channels."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x):
        conv = self.conv
        window = torch.ones(1, 1, *conv.kernel_size, dtype=x.dtype)
        window /= window.numel()
        x = x.mean(1, keepdim=True)
        return F.conv2d(x, window, None, conv.stride, conv.padding, conv.dilation)


def keep_only_wiring(net, last_map):
    """All weights positive, no maxima, nothing that cuts off: no gradient can cancel or vanish.

    last_map: height of the map that reaches the global pooling for a picture of the usual size.
    """
    for parent in list(net.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv2d):
                setattr(parent, name, Mean(layer))
            elif isinstance(layer, nn.MaxPool2d):
                how = (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
                setattr(parent, name, nn.AvgPool2d(*how))
            elif isinstance(layer, nn.AdaptiveAvgPool2d):
                setattr(parent, name, nn.AvgPool2d((last_map, 1), stride=1))
            elif isinstance(
                layer,
                (nn.ReLU, nn.ReLU6, nn.BatchNorm2d, nn.LocalResponseNorm, nn.Dropout, nn.Linear),
            ):
                setattr(parent, name, nn.Identity())
    return net.eval()


def rows_with_gradient(net, picture):
    """For each child of `net` (number of a middle unit, first and last pixel row that it sees)."""
    maps = {}
    for name, child in net.named_children():
        child.register_forward_hook(lambda m, _, out, name=name: maps.update({name: out}))
    net(picture.requires_grad_())
    supports = {}
    for name, out in maps.items():
        if out.ndim == 4:
            middle = out.shape[2] // 2
            unit = out[0, :, middle].sum()
            (gradient,) = torch.autograd.grad(unit, picture, retain_graph=True)
            rows = gradient[0].sum(dim=(0, 2)).nonzero()
            supports[name] = (middle, rows.min().item(), rows.max().item())
    return supports


def torchvision_net(name, **options):
    return on_meta(getattr(zoo, name), weights=None, **options)


no_init = {"init_weights": False}
NETS = {  # name: (how to build it, shape of a picture, height of its last map)
    "GoogLeNet": (lambda: on_meta(GoogLeNet), (1, 3, 224, 224), 7),
    "GoogLeNet with batch norm": (lambda: on_meta(GoogLeNet, norm="batch"), (1, 3, 224, 224), 7),
    "FashionGoogLeNet": (lambda: on_meta(FashionGoogLeNet), (1, 1, 28, 28), 7),
    "patch stem": (lambda: on_meta(FashionGoogLeNet, stem="patch"), (1, 1, 28, 28), 3),
    "projection first": (
        lambda: on_meta(FashionGoogLeNet, project_first=True),
        (1, 1, 28, 28),
        7,
    ),
    "HeadedGoogLeNet": (lambda: on_meta(HeadedGoogLeNet), (1, 1, 28, 28), 3),
    "torchvision ResNet-18": (lambda: torchvision_net("resnet18"), (1, 3, 224, 224), 7),
    "FashionResNet-20": (lambda: on_meta(FashionResNet, 20), (1, 1, 28, 28), 7),
    "plain twin": (lambda: on_meta(FashionResNet, 20, residual=False), (1, 1, 28, 28), 7),
    "torchvision GoogLeNet": (
        lambda: torchvision_net("googlenet", **no_init),
        (1, 3, 224, 224),
        7,
    ),
    "torchvision ResNet-50": (lambda: torchvision_net("resnet50"), (1, 3, 224, 224), 7),
    "Inception-v3": (lambda: torchvision_net("inception_v3", **no_init), (1, 3, 299, 299), 8),
    "MobileNetV2": (lambda: torchvision_net("mobilenet_v2"), (1, 3, 224, 224), 7),
    "AlexNet": (lambda: torchvision_net("alexnet"), (1, 3, 224, 224), 1),
    "VGG-16": (lambda: torchvision_net("vgg16"), (1, 3, 224, 224), 1),
}


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_of_a_unit_comes_from_exactly_its_field(name):
    build, shape, last_map = NETS[name]
    fields = receptive_fields(build(), shape)
    rows = 2 * max(field.size for field in fields.values()) + 100
    picture = torch.ones(*shape[:2], rows, 96, dtype=torch.float64)
    supports = rows_with_gradient(keep_only_wiring(build(), last_map), picture)
    assert len(supports) >= len(fields) - 4  # all but flatten, dropout, linear, classifier
    for stage, (middle, first, last) in supports.items():
        field = fields[stage]
        start = field.start + middle * field.stride
        assert (first, last) == (start, start + field.size - 1), stage


@pytest.mark.parametrize(
    "block",
    [Inception, TwoThreeInception, AsymmetricInception, SeparableInception],
    ids=lambda block: block.__name__,
)
def test_a_blocks_branches_see_what_their_gradients_show(block):
    fields = receptive_fields(block(8, *WIDTHS))
    picture = torch.ones(1, 8, 40, 40, dtype=torch.float64)
    supports = rows_with_gradient(keep_only_wiring(block(8, *WIDTHS), 1), picture)
    assert supports.keys() == fields.keys()
    for name, (middle, first, last) in supports.items():
        assert (first, last - first + 1) == (fields[name].start + middle, fields[name].size)


# Known values -------------------------------------------------------------------------------------

PAPER = {  # stride and size on the input, the widest branch of a block counting
    "conv1": (2, 7),
    "pool1": (4, 11),
    "conv2_reduce": (4, 11),
    "conv2": (4, 19),
    "pool2": (8, 27),
    "inception_3a": (8, 59),
    "inception_3b": (8, 91),
    "pool3": (16, 107),
    "inception_4a": (16, 171),
    "inception_4b": (16, 235),
    "inception_4c": (16, 299),
    "inception_4d": (16, 363),
    "inception_4e": (16, 427),
    "pool4": (32, 459),
    "inception_5a": (32, 587),
    "inception_5b": (32, 715),
    "avgpool": (32, 907),
}
TORCHVISION = {  # its "5x5" is a 3x3, its pool4 a 2x2
    "conv1": (2, 7),
    "maxpool1": (4, 11),
    "conv2": (4, 11),
    "conv3": (4, 19),
    "maxpool2": (8, 27),
    "inception3a": (8, 43),
    "inception3b": (8, 59),
    "maxpool3": (16, 75),
    "inception4a": (16, 107),
    "inception4b": (16, 139),
    "inception4c": (16, 171),
    "inception4d": (16, 203),
    "inception4e": (16, 235),
    "maxpool4": (32, 251),
    "inception5a": (32, 315),
    "inception5b": (32, 379),
    "avgpool": (32, 571),
}


def strides_and_sizes(net, shape=(1, 3, 224, 224)):
    return {name: (f.stride, f.size) for name, f in receptive_fields(net, shape).items()}


def test_googlenet_sees_59_pixels_after_3a_and_907_at_the_end():
    found = strides_and_sizes(on_meta(GoogLeNet))
    assert {name: found[name] for name in PAPER} == PAPER
    assert found["norm1"] == found["pool1"] and found["linear"] == found["avgpool"]


def test_torchvisions_googlenet_sees_43_pixels_after_3a_and_571_at_the_end():
    found = strides_and_sizes(torchvision_net("googlenet", **no_init))
    assert {name: found[name] for name in TORCHVISION} == TORCHVISION


def test_merged_and_folded_nets_see_what_the_readable_one_sees():
    net = on_meta(GoogLeNet, norm="batch").eval()
    wanted = receptive_fields(net)
    assert receptive_fields(fused.merge(net)) == wanted
    assert receptive_fields(fused.fold(net)) == wanted
    narrow = FashionGoogLeNet(0.125, stem="patch", project_first=True)
    shape = (1, 1, 28, 28)
    assert receptive_fields(fused.merge(narrow), shape) == receptive_fields(narrow, shape)


def test_a_residual_net_halves_its_maps_five_times_and_not_once_more_in_each_shortcut():
    for depth, size in ((18, 435), (34, 899), (50, 427)):
        found = strides_and_sizes(torchvision_net(f"resnet{depth}"))
        assert [found[f"layer{i}"][0] for i in (1, 2, 3, 4)] == [4, 8, 16, 32]
        assert found["layer4"][1] == size
    twins = [receptive_fields(FashionResNet(8, residual=r), (1, 1, 28, 28)) for r in (True, False)]
    assert twins[0] == twins[1]
    assert twins[0]["stage3"] == ReceptiveField(25, 4, -12)


def test_the_branches_of_a_block_see_1_3_5_and_3_pixels():
    expected = {
        "branch_1x1": ReceptiveField(1, 1, 0),
        "branch_3x3": ReceptiveField(3, 1, -1),
        "branch_5x5": ReceptiveField(5, 1, -2),
        "branch_pool": ReceptiveField(3, 1, -1),
    }
    assert receptive_fields(Inception(8, *WIDTHS)) == expected
    assert receptive_fields(NaiveInception(8, 4, 5, 6)) == expected


def test_the_linear_layer_after_a_block_and_the_sum_see_5_pixels():
    fields = receptive_fields(ResidualInception(8, *WIDTHS), (1, 8, 28, 28))
    assert fields == dict.fromkeys(("block", "linear"), ReceptiveField(5, 1, -2))
    net = nn.Sequential(ResidualInception(8, *WIDTHS))
    assert receptive_fields(net, (1, 8, 28, 28)) == {"0": ReceptiveField(5, 1, -2)}


def test_the_fashion_net_sees_its_whole_picture_from_4b_on():
    fields = receptive_fields(FashionGoogLeNet(0.125), (1, 1, 28, 28))
    assert fields["conv2"] == ReceptiveField(5, 1, -2)
    assert fields["inception_3b"].size == 5 + 4 + 4
    assert fields["inception_4a"].size == 13 + 2 + 4 * 2 < 28
    assert fields["inception_4b"].size > 28


def test_a_linear_layer_on_a_flattened_map_sees_the_whole_map():
    fields = receptive_fields(torchvision_net("vgg16"))
    assert fields["features"] == ReceptiveField(212, 32, -90)
    assert fields["classifier"].size == 212 + 6 * 32


def test_rows_and_columns_are_followed_apart_and_the_wider_answers():
    net = nn.Sequential(nn.Conv2d(1, 1, (1, 5)), nn.Conv2d(1, 1, (9, 1), padding=(4, 0)))
    fields = receptive_fields(net, (1, 1, 28, 28))
    assert fields == {"0": ReceptiveField(5, 1, 0), "1": ReceptiveField(9, 1, -4)}


# What is not understood ---------------------------------------------------------------------------


class Wired(nn.Module):
    """Two convolutions, the second of stride 2, wired by a function."""

    def __init__(self, wiring):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.last = nn.Identity()
        self.wiring = wiring

    def forward(self, x):
        return self.last(self.wiring(self, self.first(x)))


def test_a_sum_with_a_skipped_convolution_is_understood():
    fields = receptive_fields(Wired(lambda net, x: net.second(x) + x[:, :, ::2, ::2]))
    assert fields["last"] == fields["second"] == ReceptiveField(5, 2, -2)


@pytest.mark.parametrize(
    ("wiring", "operation"),
    [
        (lambda net, x: F.interpolate(net.second(x), scale_factor=2) + x, "interpolate"),
        (lambda net, x: x * F.adaptive_avg_pool2d(x, 1), "mul"),
        (lambda net, x: torch.cat([x, x], dim=2), "cat"),
        (lambda net, x: x.roll(50, 2), "roll"),
        (lambda net, x: x.transpose(2, 3), "transpose"),
        (lambda net, x: F.adaptive_avg_pool2d(x, 5), "adaptive_avg_pool2d"),
        (lambda net, x: x[:, :, 1:], "getitem"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wiring_that_is_not_understood_is_named_and_refused(wiring, operation):
    with pytest.raises(ValueError, match=f"does not understand '{operation}' on maps of"):
        receptive_fields(Wired(wiring))


def test_following_a_net_leaves_it_as_it_was():
    net = FashionGoogLeNet(0.125).train()
    net.inception_3a.eval()
    receptive_fields(net, (1, 1, 28, 28))
    with pytest.raises(ValueError, match="in_channels=3"):
        receptive_fields(net)
    assert net.training and net.conv1.training and not net.inception_3a.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
