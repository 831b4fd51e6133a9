"""The networks as paths: their stages run and nothing else, and tools that trace can read them."""

import pytest
import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from gnet_utils.counting import stage_shapes
from gnet_utils.experiments.heads import HeadedGoogLeNet
from gnet_utils.models import (
    BasicBlock,
    FashionGoogLeNet,
    FashionResNet,
    GoogLeNet,
)

NETS = {  # name: (how to build it, shape of two pictures, a stage in its middle)
    "paper": (lambda: GoogLeNet(5, aux=False), (2, 3, 64, 64), "inception_4a"),
    "batch norm": (lambda: GoogLeNet(5, norm="batch", aux=False), (2, 3, 64, 64), "inception_4a"),
    "no norm": (lambda: GoogLeNet(5, norm=None, aux=False), (2, 3, 64, 64), "inception_4a"),
    "heads": (lambda: GoogLeNet(5, norm="batch"), (2, 3, 224, 224), "inception_4d"),
    "fashion": (lambda: FashionGoogLeNet(0.125), (2, 1, 28, 28), "inception_4a"),
    "fashion, patch stem": (
        lambda: FashionGoogLeNet(0.125, stem="patch", project_first=True),
        (2, 1, 28, 28),
        "inception_4a",
    ),
    "FashionResNet": (lambda: FashionResNet(8), (2, 1, 28, 28), "stage2"),
    "plain twin": (lambda: FashionResNet(8, residual=False), (2, 1, 28, 28), "stage2"),
}
every_net = pytest.mark.parametrize("name", NETS)
both_modes = pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])


def net_and_images(name, training=False):
    build, shape, _ = NETS[name]
    torch.manual_seed(0)
    return build().train(training), torch.randn(shape)


def outputs(net, images):
    """What `net` gives, as a tuple of tensors; dropout falls alike each time."""
    torch.manual_seed(1)
    with torch.no_grad():
        given = net(images)
    return given if isinstance(given, tuple) else (given,)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-5)


# The path -----------------------------------------------------------------------------------------


@every_net
def test_what_somebody_hangs_on_a_network_does_not_run(name):
    net, images = net_and_images(name)
    before, names = outputs(net, images), [stage for stage, _ in net.stages()]
    net.my_probe = nn.Linear(3, 3)
    net.zero = nn.Identity()
    net.zero.register_forward_hook(lambda m, inputs, output: torch.zeros_like(output))
    assert_same(outputs(net, images), before)
    assert [stage for stage, _ in net.stages()] == names


def test_a_teacher_hung_on_a_network_in_training_does_not_run_either():
    for net, shape in (
        (GoogLeNet(5), (2, 3, 224, 224)),
        (HeadedGoogLeNet(0.125), (2, 1, 28, 28)),
    ):
        net.teacher = nn.Linear(7, 7)
        logits, aux1, aux2 = outputs(net.train(), torch.randn(shape))
        assert logits.shape == aux1.shape == aux2.shape


@every_net
def test_the_stages_in_a_row_are_the_network(name):
    net, images = net_and_images(name)
    x = images
    with torch.no_grad():
        for _, stage in net.stages():
            x = stage(x)
    assert_same(outputs(net, images), (x,))
    assert [stage for stage, _ in net.stages()] == list(stage_shapes(net, images.shape))


def test_blocks_say_what_they_add():
    for shortcut in (None, nn.Identity()):
        made, x = BasicBlock(8, 8, 1, shortcut), torch.randn(2, 8, 6, 6)
        residual = nn.Sequential(made.conv1, made.conv2)
        expected = residual(x) if shortcut is None else residual(x) + x
        assert torch.equal(made(x), expected.relu())


# Tools that trace ---------------------------------------------------------------------------------


@both_modes
@every_net
def test_torchvision_extracts_the_map_of_a_stage(name, training):
    net, images = net_and_images(name, training)
    stage, kept = NETS[name][2], []
    extract = create_feature_extractor(net, [stage])
    extracted = extract.train(training)(images)[stage]
    net.get_submodule(stage).register_forward_hook(lambda m, _, output: kept.append(output))
    net(images)
    assert torch.allclose(extracted, kept[0], rtol=1e-4, atol=1e-5)


@every_net
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_can_be_prepared_for_quantisation(name):
    quantisation = pytest.importorskip("torch.ao.quantization")
    quantize_fx = pytest.importorskip("torch.ao.quantization.quantize_fx")
    net, images = net_and_images(name)
    expected = outputs(net, images)
    mapping = quantisation.get_default_qconfig_mapping("x86")
    assert_same(outputs(quantize_fx.prepare_fx(net, mapping, (images,)), images), expected)
