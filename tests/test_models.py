"""The networks: exact sizes, wiring, and the same outputs as torchvision's net put right."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import googlenet as torchvision_googlenet
from torchvision.models.googlenet import BasicConv2d
from torchvision.models.googlenet import Inception as TorchvisionInception
from torchvision.models.googlenet import InceptionAux as TorchvisionHead

from gnet_utils.counting import count_parameters, layer_table, stage_shapes, stage_table
from gnet_utils.models import (
    GOOGLENET_BLOCKS,
    AuxiliaryClassifier,
    BlockWidths,
    FashionGoogLeNet,
    GoogLeNet,
    Inception,
    NaiveInception,
)

# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 13_378_280),
        ({"aux": False}, 6_998_552),
        ({"norm": None, "aux": False}, 6_998_552),
        ({"norm": "batch"}, 13_385_816),
        ({"norm": "batch", "aux": False}, 7_005_832),
        ({"num_classes": 10}, 10_334_030),
        ({"num_classes": 10, "aux": False}, 5_983_802),
        ({"num_classes": 10, "in_channels": 1, "aux": False}, 5_977_530),
        ({"in_channels": 1, "aux": False}, 6_992_280),
    ],
    ids=str,
)
def test_googlenet_has_exactly_the_known_number_of_parameters(arguments, parameters):
    assert count_parameters(GoogLeNet(**arguments)) == parameters


def test_each_stage_has_the_parameters_of_the_caffe_net():
    net = GoogLeNet()
    parameters = {name: count_parameters(stage) for name, stage in net.named_children()}
    assert {name: count for name, count in parameters.items() if count} == {
        "conv1": 9_472,
        "conv2_reduce": 64 * 64 + 64,
        "conv2": 114_944 - (64 * 64 + 64),
        "inception_3a": 163_696,
        "inception_3b": 388_736,
        "inception_4a": 376_176,
        "inception_4b": 449_160,
        "inception_4c": 510_104,
        "inception_4d": 605_376,
        "inception_4e": 868_352,
        "inception_5a": 1_043_456,
        "inception_5b": 1_444_080,
        "linear": 1_025_000,
        "aux1": 3_188_840,
        "aux2": 3_190_888,
    }


def test_the_net_has_58_weight_layers_and_64_with_heads():
    def weight_layers(net):
        return sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in net.modules())

    assert weight_layers(GoogLeNet(aux=False)) == 58
    assert weight_layers(GoogLeNet()) == 64


def test_batch_norm_takes_the_place_of_every_convolution_bias():
    for layer in GoogLeNet(norm="batch").modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is None
    norms = [m for m in GoogLeNet(norm="batch").modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 57 + 2
    assert all(norm.eps == 0.001 for norm in norms)


# Shapes and wiring --------------------------------------------------------------------------------

SHAPES_AT_224 = {
    "conv1": (64, 112, 112),
    "pool1": (64, 56, 56),
    "norm1": (64, 56, 56),
    "conv2_reduce": (64, 56, 56),
    "conv2": (192, 56, 56),
    "norm2": (192, 56, 56),
    "pool2": (192, 28, 28),
    "inception_3a": (256, 28, 28),
    "inception_3b": (480, 28, 28),
    "pool3": (480, 14, 14),
    "inception_4a": (512, 14, 14),
    "inception_4b": (512, 14, 14),
    "inception_4c": (512, 14, 14),
    "inception_4d": (528, 14, 14),
    "inception_4e": (832, 14, 14),
    "pool4": (832, 7, 7),
    "inception_5a": (832, 7, 7),
    "inception_5b": (1024, 7, 7),
    "avgpool": (1024, 1, 1),
    "flatten": (1024,),
    "dropout": (1024,),
    "linear": (1000,),
}


@pytest.mark.parametrize("norm", ["lrn", "batch", None])
def test_each_stage_has_the_output_of_table_1_and_runs_in_its_order(norm):
    shapes = stage_shapes(GoogLeNet(norm=norm), (1, 3, 224, 224))
    assert list(shapes.items()) == list(SHAPES_AT_224.items())


def test_a_picture_of_96_pixels_ends_on_a_3x3_map():
    shapes = stage_shapes(GoogLeNet(aux=False), (1, 3, 96, 96))
    assert [shapes[f"pool{i}"][1] for i in (1, 2, 3, 4)] == [24, 12, 6, 3]
    assert shapes["linear"] == (1000,)


def test_the_smallest_picture_is_31_pixels():
    net = GoogLeNet(num_classes=5, aux=False).eval()
    assert net(torch.zeros(1, 3, 31, 31)).shape == (1, 5)
    with pytest.raises(ValueError, match="at least 31"):
        net(torch.zeros(1, 3, 30, 31))


def test_layers_run_in_the_order_of_the_paper_reductions_before_what_they_reduce():
    order = [row.name for row in layer_table(GoogLeNet(), (1, 3, 224, 224))]
    block = ["branch_1x1.conv", "branch_3x3.0.conv", "branch_3x3.1.conv"]
    block += ["branch_5x5.0.conv", "branch_5x5.1.conv", "branch_pool.1.conv"]
    expected = ["conv1.conv", "conv2_reduce.conv", "conv2.conv"]
    expected += [f"inception_{name}.{layer}" for name in GOOGLENET_BLOCKS for layer in block]
    assert order == [*expected, "linear"]


def test_kernels_strides_and_padding_are_those_of_the_paper():
    net = GoogLeNet()
    assert (net.conv1.conv.kernel_size, net.conv1.conv.stride) == ((7, 7), (2, 2))
    for pool in (net.pool1, net.pool2, net.pool3, net.pool4):
        assert (pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode) == (3, 2, 0, True)
    for name in GOOGLENET_BLOCKS:
        block = net.get_submodule(f"inception_{name}")
        kernels = [m.kernel_size[0] for m in block.modules() if isinstance(m, nn.Conv2d)]
        assert kernels == [1, 1, 3, 1, 5, 1]
        pool = block.branch_pool[0]
        assert (pool.kernel_size, pool.stride, pool.padding) == (3, 1, 1)
    assert net.dropout.p == 0.4
    assert net.aux1.dropout.p == net.aux2.dropout.p == 0.7
    assert (net.aux1.pool.kernel_size, net.aux1.pool.stride) == (5, 3)


def test_response_norm_is_caffes_formula_with_its_constants():
    torch.manual_seed(0)
    x = torch.rand(2, 7, 3, 3, dtype=torch.float64) * 100
    squares = F.pad((x**2).transpose(1, 3), (2, 2)).unfold(3, 5, 1).sum(-1).transpose(1, 3)
    by_hand = x / (1 + 1e-4 / 5 * squares) ** 0.75
    net = GoogLeNet(aux=False)
    assert torch.allclose(net.norm1(x), by_hand, rtol=1e-12)
    assert torch.allclose(net.norm2(x), by_hand, rtol=1e-12)
    assert not torch.allclose(by_hand, x, rtol=1e-3)


@pytest.mark.parametrize("norm", ["batch", None])
def test_other_nets_have_no_response_norm(norm):
    assert not any(isinstance(m, nn.LocalResponseNorm) for m in GoogLeNet(norm=norm).modules())


def test_a_block_is_its_four_branches_side_by_side():
    block, x = Inception(6, 1, 2, 3, 4, 5, 6), torch.rand(2, 6, 9, 7)
    out = block(x)
    assert out.shape == (2, 1 + 3 + 5 + 6, 9, 7)
    parts = out.split([1, 3, 5, 6], dim=1)
    branches = (block.branch_1x1, block.branch_3x3, block.branch_5x5, block.branch_pool)
    for part, branch in zip(parts, branches, strict=True):
        assert torch.equal(part, branch(x))


def test_the_naive_3a_has_387072_weights_and_416_channels():
    block = NaiveInception(192, 64, 128, 32)
    rows = layer_table(block, (1, 192, 28, 28))
    assert sum(row.weights for row in rows) == 387_072
    assert sum(row.macs for row in rows) == 387_072 * 28 * 28
    x = torch.rand(1, 192, 28, 28)
    assert block(x).shape == (1, 416, 28, 28)
    assert torch.equal(block(x)[:, 224:], F.max_pool2d(x, 3, 1, 1))


def test_in_eval_mode_and_without_heads_the_net_returns_plain_logits():
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        assert GoogLeNet(num_classes=7).eval()(images).shape == (2, 7)
        assert GoogLeNet(num_classes=7, aux=False).train()(images).shape == (2, 7)


def test_in_training_mode_the_heads_read_4a_and_4d():
    net = GoogLeNet(num_classes=7)
    seen = {}
    for name in ("inception_4a", "inception_4d"):
        net.get_submodule(name).register_forward_hook(
            lambda m, a, out, n=name: seen.update({n: out})
        )
    for name in ("aux1", "aux2"):
        net.get_submodule(name).register_forward_pre_hook(
            lambda m, a, n=name: seen.update({n: a[0]})
        )
    output = net.train()(torch.rand(2, 3, 224, 224))
    assert output._fields == ("logits", "aux1", "aux2")
    assert [tuple(logits.shape) for logits in output] == [(2, 7)] * 3
    assert seen["aux1"] is seen["inception_4a"]
    assert seen["aux2"] is seen["inception_4d"]


def test_gradients_of_the_three_losses_reach_every_parameter():
    torch.manual_seed(0)
    net = GoogLeNet(num_classes=3).train()
    sum(logits.square().mean() for logits in net(torch.rand(2, 3, 224, 224))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_he_initialisation_keeps_different_pictures_apart():
    torch.manual_seed(0)
    net = GoogLeNet(num_classes=10, norm=None, aux=False).eval()
    with torch.no_grad():
        logits = net(torch.randn(4, 3, 224, 224))
    assert logits.std(dim=0).mean() > 0.01 * logits.std()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.15)


# The same outputs as torchvision's net put right --------------------------------------------------


class PaperInception(TorchvisionInception):
    """torchvision's block with a 5x5 kernel where it has a 3x3 (pytorch/vision issue 906)."""

    def __init__(self, in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj):
        super().__init__(in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj)
        self.branch3[1] = BasicConv2d(ch5x5red, ch5x5, kernel_size=5, padding=2)


class PaperHead(TorchvisionHead):
    """torchvision's head with the paper's 5x5/3 average pool for its adaptive one."""

    def forward(self, x):
        x = self.conv(F.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


def torchvision_net(inception=PaperInception, head=PaperHead, pool4=3):
    net = torchvision_googlenet(
        init_weights=False, num_classes=20, blocks=[BasicConv2d, inception, head]
    )
    net.maxpool4 = nn.MaxPool2d(pool4, stride=2, ceil_mode=True)
    return net.double()


def layers_in_order(net, images):
    """Convolutions, batch norms and linear layers as they run in training mode."""
    order = []
    hooks = [
        m.register_forward_hook(lambda m, *_: order.append(m))
        for m in net.modules()
        if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))
    ]
    with torch.no_grad():
        net.train()(images)
    for hook in hooks:
        hook.remove()
    return order


def move_from_defaults(net):
    """Weights, biases and running statistics that no part of a net could mistake for defaults."""
    torch.manual_seed(1)
    for m in net.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight)
            if m.bias is not None:
                nn.init.normal_(m.bias)
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.5)
            nn.init.normal_(m.running_mean, std=0.5)
            nn.init.uniform_(m.running_var, 0.5, 2.0)


def without_dropout(net):
    for m in net.modules():
        if isinstance(m, nn.Dropout):
            m.p = 0.0
    return net


@pytest.fixture(scope="module")
def images():
    torch.manual_seed(0)
    return torch.randn(2, 3, 224, 224, dtype=torch.float64)


@pytest.fixture(scope="module")
def ours(images):
    """Our net: its layers as they run, their numbers, and what it gives in both modes."""
    net = without_dropout(GoogLeNet(num_classes=20, norm="batch").double())
    layers = layers_in_order(net, images[:1])
    move_from_defaults(net)
    numbers = [copy.deepcopy(layer.state_dict()) for layer in layers]
    with torch.no_grad():
        evaluated, trained = net.eval()(images), net.train()(images)
    return SimpleNamespace(layers=layers, numbers=numbers, evaluated=evaluated, trained=trained)


def twin(ours, images, **changes):
    """torchvision's net and its layers as they run, with the numbers of ours."""
    theirs = without_dropout(torchvision_net(**changes))
    layers = layers_in_order(theirs, images[:1])
    for layer, our_layer, state in zip(layers, ours.layers, ours.numbers, strict=True):
        assert type(layer) is type(our_layer)
        weight = state["weight"]
        if weight.shape != layer.weight.shape:  # 5x5 into 3x3: the middle of it
            weight = weight[:, :, 1:-1, 1:-1]
        layer.load_state_dict(state | {"weight": weight})
    return theirs, layers


def test_our_net_gives_the_outputs_of_torchvisions_put_right(ours, images):
    theirs, their_layers = twin(ours, images)
    with torch.no_grad():
        evaluated, trained = theirs.eval()(images), theirs.train()(images)
    assert (ours.evaluated[0] - ours.evaluated[1]).abs().max() > 0.1, "the pictures must differ"
    assert torch.allclose(ours.evaluated, evaluated, rtol=1e-9, atol=1e-9)
    assert torch.allclose(ours.trained.logits, trained.logits, rtol=1e-9, atol=1e-9)
    assert torch.allclose(ours.trained.aux1, trained.aux_logits1, rtol=1e-9, atol=1e-9)
    assert torch.allclose(ours.trained.aux2, trained.aux_logits2, rtol=1e-9, atol=1e-9)
    for our_layer, their_layer in zip(ours.layers, their_layers, strict=True):
        # running statistics too, after the step in train mode
        for ours_now, theirs_now in zip(our_layer.buffers(), their_layer.buffers(), strict=True):
            assert torch.allclose(ours_now, theirs_now, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "unrepaired",
    [{"inception": TorchvisionInception}, {"head": TorchvisionHead}, {"pool4": 2}],
    ids=["3x3 for 5x5", "adaptive pool in the heads", "2x2 pool4"],
)
def test_with_any_of_torchvisions_changes_left_in_the_outputs_differ(unrepaired, ours, images):
    theirs, _ = twin(ours, images, **unrepaired)
    with torch.no_grad():
        trained = theirs.train()(images)
    pairs = [(ours.trained.logits, trained.logits), (ours.trained.aux2, trained.aux_logits2)]
    assert any((mine - other).abs().max() > 1e-3 * mine.std() for mine, other in pairs)


def test_with_running_statistics_at_their_defaults_the_outputs_differ(ours, images):
    theirs, _ = twin(ours, images)
    for m in theirs.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.reset_running_stats()
    with torch.no_grad():
        difference = (ours.evaluated - theirs.eval()(images)).abs().max()
    assert difference > 0.1


# The net for 28x28 --------------------------------------------------------------------------------

WIDTHS = (0.125, 0.25, 0.5, 1.0, 1.5)


@pytest.mark.parametrize("width", WIDTHS)
def test_fashion_net_keeps_nine_blocks_and_the_map_sizes_of_the_paper(width):
    shapes = stage_shapes(FashionGoogLeNet(width), (2, 1, 28, 28))
    for name, widths in GOOGLENET_BLOCKS.items():
        side = {"3": 28, "4": 14, "5": 7}[name[0]]
        channels = sum(max(1, round(width * n)) for n in (widths[0], widths[2], *widths[4:]))
        assert shapes[f"inception_{name}"] == (channels, side, side)
    assert shapes["linear"] == (10,)


def test_fashion_net_at_full_width_has_the_blocks_of_googlenet():
    blocks = {
        name: count_parameters(stage)
        for name, stage in GoogLeNet(norm="batch", aux=False).named_children()
        if name.startswith("inception")
    }
    ours = {name: count_parameters(stage) for name, stage in FashionGoogLeNet().named_children()}
    assert blocks.items() <= ours.items()
    assert len(blocks) == 9


def test_fashion_net_grows_with_its_width():
    counts = [count_parameters(FashionGoogLeNet(width)) for width in WIDTHS]
    assert counts == sorted(set(counts))
    quarter_to_half = counts[2] / counts[1]
    assert 3.5 < quarter_to_half < 4  # twice as wide is four times as many, the ends excepted


def test_fashion_net_learns_eight_pictures_by_heart():
    torch.manual_seed(0)
    net = FashionGoogLeNet(0.125, num_classes=2)
    net.dropout.p = 0.0
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8) % 2
    optimiser = torch.optim.Adam(net.parameters(), lr=0.003)
    for _ in range(12):
        loss = F.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    assert loss < 0.2


def test_fashion_net_takes_colour_and_other_class_counts():
    net = FashionGoogLeNet(0.25, num_classes=4, in_channels=3)
    assert net(torch.rand(2, 3, 28, 28)).shape == (2, 4)


# Bad input ----------------------------------------------------------------------------------------


def one_sentence(error) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 200, text
    return text


@pytest.mark.parametrize(
    ("images", "got", "advice"),
    [
        (torch.rand(3, 224, 224), "(3, 224, 224) float32", "images[None]"),
        (torch.rand(1, 1, 224, 224), "(1, 1, 224, 224)", "in_channels=1"),
        (torch.rand(1, 224, 224, 3), "(1, 224, 224, 3)", "in_channels=224"),
        (torch.rand(1, 3, 28, 28), "(1, 3, 28, 28)", "FashionGoogLeNet"),
        (
            torch.zeros(1, 3, 224, 224, dtype=torch.uint8),
            "(1, 3, 224, 224) uint8",
            ".float() / 255",
        ),
        (torch.rand(224), "(224,)", "check the axes"),
    ],
    ids=["no batch axis", "gray", "channels last", "too small", "uint8", "one axis"],
)
def test_images_of_another_form_are_refused_in_one_sentence(images, got, advice):
    with pytest.raises(ValueError, match="images must be") as error:
        GoogLeNet(num_classes=2, aux=False)(images)
    text = one_sentence(error)
    assert "(N, 3, H, W) float" in text and f"got {got}" in text
    assert advice in text


def test_heads_refuse_maps_that_are_not_about_14x14():
    for size in (13, 17):
        with pytest.raises(ValueError, match=f"got {size}x{size}: use aux=False"):
            AuxiliaryClassifier(4, 2)(torch.rand(1, 4, size, size))
    for size in (14, 15, 16):
        assert AuxiliaryClassifier(4, 2)(torch.rand(1, 4, size, size)).shape == (1, 2)
    with pytest.raises(ValueError, match="14x14 map") as error:
        GoogLeNet(num_classes=2).train()(torch.rand(2, 3, 96, 96))
    assert "got 6x6" in one_sentence(error)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: GoogLeNet(norm="layer"), """norm must be "lrn", "batch" or None, got 'layer'"""),
        (lambda: FashionGoogLeNet(0.01), "width 0.01 leaves no channel"),
        (lambda: FashionGoogLeNet(0), "use a width of 0.125 or more"),
        (lambda: FashionGoogLeNet(-1), "width -1 leaves no channel"),
        (lambda: Inception(8, 1, 1, 1, 1, 1, 1, norm="lrn"), 'norm must be None or "batch", got'),
    ],
)
def test_impossible_networks_are_refused_in_one_sentence(build, words):
    with pytest.raises(ValueError) as error:
        build()
    assert words in one_sentence(error)


def test_widths_are_rounded_and_added_up():
    assert BlockWidths(64, 96, 128, 16, 32, 32).out_channels == 256
    assert BlockWidths(64, 96, 128, 16, 32, 32).scaled(0.25) == (16, 24, 32, 4, 8, 8)


def test_stage_rows_add_up_to_the_net():
    net = GoogLeNet(aux=False)
    assert sum(row.parameters for row in stage_table(net, (1, 3, 224, 224))) == 6_998_552
