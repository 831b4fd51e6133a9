"""Counts: the exact figures of the paper's net and of torchvision's, layers by the formula."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models as torchvision_models

from gnet_utils.counting import (
    count_activations,
    count_macs,
    count_parameters,
    format_table,
    layer_table,
    stage_shapes,
    stage_table,
    table1,
)
from gnet_utils.models import (
    GOOGLENET_BLOCKS,
    AuxiliaryClassifier,
    FashionGoogLeNet,
    GoogLeNet,
    Inception,
)

PICTURE = (1, 3, 224, 224)


def on_meta(build, **arguments):
    """The net without memory for its numbers: enough for counting, and quick."""
    with torch.device("meta"):
        return build(**arguments)


# Convolutions -------------------------------------------------------------------------------------


def test_the_bottleneck_of_3a_costs_129024_weights_instead_of_221184():
    assert count_parameters(nn.Conv2d(192, 128, 3, bias=False)) == 221_184
    branch = Inception(192, *GOOGLENET_BLOCKS["3a"]).branch_3x3
    assert count_parameters(branch) == 129_248
    weights = sum(layer.weights for layer in layer_table(branch, (1, 192, 28, 28)))
    assert weights == 129_024
    assert 1 - weights / 221_184 == pytest.approx(0.417, abs=0.0005)


def test_the_5x5_path_of_3a_needs_9_7_times_fewer_macs_with_its_reduction():
    shape = (1, 192, 28, 28)
    assert count_macs(nn.Conv2d(192, 32, 5, padding=2), shape) == 120_422_400
    branch = Inception(192, *GOOGLENET_BLOCKS["3a"]).branch_5x5
    assert count_macs(branch, shape) == 12_443_648


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 8, 3), (1, 3, 10, 12)),
        (nn.Conv2d(4, 8, 5, stride=2, padding=2, bias=False), (2, 4, 11, 9)),
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), (1, 6, 8, 8)),
        (nn.Conv2d(4, 6, (1, 7), padding=(0, 3), groups=2), (1, 4, 8, 8)),
        (nn.Conv2d(4, 6, 3, dilation=2), (1, 4, 9, 9)),
        (nn.Linear(7, 4), (1, 7)),
        (nn.Linear(7, 4), (2, 5, 7)),
    ],
    ids=str,
)
def test_the_formula_of_a_row_gives_what_pytorch_counts(layer, shape):
    (row,) = layer_table(layer, shape)
    assert row.macs == count_macs(layer, shape) > 0


# Whole nets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["lrn", "batch", None])
def test_googlenet_needs_1582671872_macs_whatever_its_normalisation(norm):
    assert count_macs(on_meta(GoogLeNet, norm=norm), PICTURE) == 1_582_671_872


def test_the_heads_bring_the_macs_to_1591044096():
    heads = [count_macs(AuxiliaryClassifier(n), (1, n, 14, 14)) for n in (512, 528)]
    assert 1_582_671_872 + sum(heads) == 1_591_044_096


def test_the_rows_of_all_layers_add_up_to_what_pytorch_counts():
    for net, shape in ((on_meta(GoogLeNet), PICTURE), (FashionGoogLeNet(0.25), (1, 1, 28, 28))):
        assert sum(row.macs for row in layer_table(net, shape)) == count_macs(net, shape)


def test_one_gray_channel_and_96_pixels_make_276066304_macs():
    net = on_meta(GoogLeNet, num_classes=10, in_channels=1, norm=None, aux=False)
    assert count_macs(net, (1, 1, 96, 96)) == 276_066_304


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("alexnet", 61_100_840, 714_188_480),
        ("vgg16", 138_357_544, 15_470_264_320),
        ("vgg19", 143_667_240, 19_632_062_464),
        ("resnet18", 11_689_512, 1_814_073_344),
        ("resnet50", 25_557_032, 4_089_184_256),
        ("mobilenet_v2", 3_504_872, 300_774_272),
        ("inception_v3", 27_161_264, 5_713_216_096),
        ("googlenet", 13_004_888, 1_498_376_192),
    ],
)
def test_torchvisions_nets_have_their_published_sizes(name, parameters, macs):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    net = on_meta(getattr(torchvision_models, name), weights=None, **options)
    side = 299 if name == "inception_v3" else 224
    assert (count_parameters(net), count_macs(net, (1, 3, side, side))) == (parameters, macs)


def test_each_stage_of_torchvisions_googlenet_has_its_known_parameters():
    net = on_meta(torchvision_models.googlenet, weights=None, init_weights=False)
    counts = {name: count_parameters(stage) for name, stage in net.named_children()}
    assert {name: count for name, count in counts.items() if count} == {
        "conv1": 9_536,
        "conv2": 4_224,
        "conv3": 110_976,
        "inception3a": 155_872,
        "inception3b": 340_224,
        "inception4a": 364_512,
        "inception4b": 425_232,
        "inception4c": 486_192,
        "inception4d": 573_312,
        "inception4e": 803_840,
        "inception5a": 978_944,
        "inception5b": 1_347_040,
        "fc": 1_025_000,
        "aux1": 3_188_968,
        "aux2": 3_191_016,
    }


# A true 5x5 kernel has 25 - 9 = 16 more weights for each pair of channels than torchvision's 3x3.
def test_torchvisions_3x3_kernels_leave_out_380928_weights():
    missing = sum(16 * w.reduce_5x5 * w.out_5x5 for w in GOOGLENET_BLOCKS.values())
    assert missing == 380_928
    assert 6_624_904 + missing == count_parameters(on_meta(GoogLeNet, norm="batch", aux=False))


# Tables of layers and stages ----------------------------------------------------------------------


def test_a_layer_row_holds_what_can_be_counted_by_hand():
    (row,) = layer_table(nn.Conv2d(3, 8, 3, padding=1), (4, 3, 10, 12))
    assert row.output == (8, 10, 12)
    assert (row.weights, row.biases, row.parameters) == (216, 8, 224)
    assert (row.macs, row.activations) == (4 * 216 * 120, 8 * 120)


def test_activations_of_one_picture_add_up_over_the_layers():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 2, 1))
    assert count_activations(net, (1, 3, 4, 4)) == 8 * 16 + 2 * 4
    assert count_activations(net, (5, 3, 4, 4)) == 8 * 16 + 2 * 4


def test_stage_rows_are_sums_over_their_own_layers_only():
    net = nn.Module()
    net.stage_1 = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1))
    net.stage_10 = nn.Conv2d(3, 5, 1)
    net.forward = lambda x: net.stage_10(net.stage_1(x))
    first, second = stage_table(net, (1, 1, 2, 2))
    assert (first.name, first.output, first.weights, first.biases) == ("stage_1", (3, 2, 2), 8, 5)
    assert (second.name, second.output, second.weights, second.macs) == (
        "stage_10",
        (5, 2, 2),
        15,
        60,
    )


def test_counting_leaves_the_net_as_it_was():
    net = FashionGoogLeNet(0.125).train()
    net.inception_3a.eval()
    before = copy.deepcopy(net.state_dict())
    stage_table(net, (1, 1, 28, 28))
    with pytest.raises(ValueError):
        count_macs(net, (1, 3, 28, 28))
    assert net.training and net.conv1.training and not net.inception_3a.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_frozen_parameters_are_counted_and_buffers_are_not():
    layer = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)).requires_grad_(False)
    assert count_parameters(layer) == 24 + 8 + 16


class Functional(nn.Module):
    """A convolution that is no layer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.weight)


def test_multiply_adds_outside_of_layers_are_counted_but_have_no_row():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), Functional())
    assert count_macs(net, (1, 3, 8, 8)) == 9 * 64 + 108 * 36
    assert [row.name for row in layer_table(net, (1, 3, 8, 8))] == ["0"]
    assert count_macs(nn.ConvTranspose2d(3, 4, 2), (1, 3, 8, 8)) == 48 * 64


def test_a_class_in_place_of_a_module_is_named_with_what_is_missing():
    with pytest.raises(TypeError, match=r"Inception is a class, .* add brackets"):
        count_parameters(Inception)
    with pytest.raises(TypeError, match="a module of PyTorch is needed, got str"):
        count_macs("GoogLeNet", PICTURE)


def test_counting_works_in_any_number_type():
    assert count_macs(nn.Conv2d(3, 8, 1).double(), (1, 3, 2, 2)) == 96
    assert count_macs(nn.Conv2d(3, 8, 1).bfloat16(), (1, 3, 2, 2)) == 96


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (nn.Conv2d(3, 8, 1), (), "cannot take an input of shape ()"),
        (nn.Conv2d(3, 8, 1), 224, "cannot take an input of shape 224"),
        (nn.Conv2d(3, 8, 1), (1, 4, 4, 4), "cannot take an input of shape (1, 4, 4, 4)"),
        (nn.Conv2d(3, 8, 5), (1, 3, 4, 4), "cannot take an input of shape (1, 3, 4, 4)"),
        (nn.Linear(3, 8), (1, 4), "cannot take an input of shape (1, 4)"),
    ],
)
def test_impossible_inputs_are_refused_in_one_sentence(module, shape, words):
    with pytest.raises(ValueError) as error:
        count_macs(module, shape)
    assert words in str(error.value) and "\n" not in str(error.value)


# Table 1 of the paper -----------------------------------------------------------------------------


def test_table_1_draws_no_random_number():
    before = torch.get_rng_state()
    table1()
    assert torch.equal(torch.get_rng_state(), before)


def test_table_1_adds_up_to_22_layers_and_the_exact_counts():
    rows = table1()
    assert len(rows) == 18
    assert sum(row.depth for row in rows) == 22
    assert sum(row.weights for row in rows) == 6_990_272
    assert sum(row.macs for row in rows) == 1_582_671_872
    printed_params = [float(row.printed_params[:-1]) for row in rows if row.printed_params]
    printed_ops = [float(row.printed_ops[:-1]) for row in rows if row.printed_ops]
    assert sum(printed_params) == pytest.approx(6797.7)
    assert sum(printed_ops) == 1502


def test_table_1_flags_exactly_the_printed_figures_that_do_not_fit():
    notes = {row.stage: row.note for row in table1() if row.note}
    assert notes == {
        "convolution": "params and ops",
        "inception (3b)": "params",
        "inception (4a)": "params and ops",
        "inception (4b)": "params",
        "inception (4c)": "params",
        "inception (4d)": "params",
        "inception (4e)": "params",
        "inception (5a)": "params and ops",
        "inception (5b)": "params",
    }


def test_table_1_shows_the_exact_weights_and_macs_of_each_row():
    rows = {row.stage: row for row in table1() if row.weights and row.stage != "convolution"}
    counts = {stage: (row.weights, row.macs) for stage, row in rows.items()}
    assert counts == {
        "inception (3a)": (163_328, 128_049_152),
        "inception (3b)": (388_096, 304_267_264),
        "inception (4a)": (375_552, 73_608_192),
        "inception (4b)": (448_512, 87_908_352),
        "inception (4c)": (509_440, 99_850_240),
        "inception (4d)": (604_672, 118_515_712),
        "inception (4e)": (867_328, 169_996_288),
        "inception (5a)": (1_042_432, 51_079_168),
        "inception (5b)": (1_442_816, 70_697_984),
        "linear": (1_024_000, 1_024_000),
    }
    conv1, conv2 = (row for row in table1() if row.stage == "convolution")
    assert (conv1.weights, conv1.macs) == (9_408, 118_013_952)
    assert (conv2.weights, conv2.macs) == (114_688, 359_661_568)


def test_the_outputs_in_table_1_are_those_of_the_net():
    shapes = stage_shapes(on_meta(GoogLeNet, aux=False), PICTURE)
    assert [row.output for row in table1()] == [
        shape
        for name, shape in shapes.items()
        if name not in ("norm1", "norm2", "conv2_reduce", "flatten")
    ]


# Text ---------------------------------------------------------------------------------------------


def test_tables_of_text_are_aligned_with_numbers_on_the_right():
    text = format_table([("a", 1_234, (2, 3)), ("bcd", 5, None)], ["name", "n", "shape"])
    assert text.splitlines() == [
        "name      n  shape",
        "----  -----  -----",
        "a     1,234  2x3",
        "bcd       5",
    ]
