"""ResNet in five depths equals torchvision's; the small nets and their plain twins."""

import pytest
import torch
import torchvision
from torch import nn

from gnet_utils.counting import count_macs, count_parameters
from gnet_utils.models import BasicBlock, BottleneckBlock, FashionResNet, ResNet

PICTURE = (1, 3, 224, 224)


def conv_weights(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


def on_meta(build):
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_parameters_of_all_five_depths(depth, parameters):
    assert count_parameters(on_meta(lambda: ResNet(depth))) == parameters


@pytest.mark.parametrize(
    ("depth", "stride_on", "macs"),
    [
        (18, "3x3", 1_814_073_344),
        (34, "3x3", 3_663_761_408),
        (50, "3x3", 4_089_184_256),
        (152, "3x3", 11_513_626_624),
        (50, "1x1", 3_858e6),
        (101, "1x1", 7_570e6),
        (152, "1x1", 11_282e6),
    ],
)
def test_macs_with_the_stride_of_torchvision_and_of_the_paper(depth, stride_on, macs):
    counted = count_macs(on_meta(lambda: ResNet(depth, stride_on=stride_on)), PICTURE)
    assert counted == macs if isinstance(macs, int) else abs(counted - macs) < 0.5e6


def test_the_two_blocks_of_figure_5_cost_nearly_the_same():
    assert conv_weights(BasicBlock(64, 64, 1, nn.Identity())) == 73_728
    assert conv_weights(BottleneckBlock(256, 64, 1, nn.Identity())) == 69_632


def unsettle(model: nn.Module) -> None:
    """Move every weight, bias and running statistic away from its default."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
            else:
                tensor.normal_(0.3, 0.2)


def take_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy by order of execution: the layers of both run in the same order."""

    def in_order(model):
        seen, hooks = [], []
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                hooks.append(module.register_forward_hook(lambda m, *_: seen.append(m)))
        model.eval()
        with torch.no_grad():
            model(torch.randn(1, 3, 64, 64))
        for hook in hooks:
            hook.remove()
        return seen

    for mine, other in zip(in_order(ours), in_order(theirs), strict=True):
        mine.load_state_dict(other.state_dict())


@pytest.mark.parametrize("depth", [18, 50])
def test_outputs_equal_torchvisions_for_the_same_moved_weights(depth):
    theirs = getattr(torchvision.models, f"resnet{depth}")()
    unsettle(theirs)
    ours = ResNet(depth)
    take_weights(ours, theirs)
    torch.manual_seed(2)
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)
        # negative control: one sum left out is seen
        ours.stage3[1].shortcut = None
        assert not torch.allclose(ours(images), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_the_plain_twin_has_the_same_parameters(depth):
    residual, plain = (FashionResNet(depth, residual=flag) for flag in (True, False))
    assert count_parameters(residual) == count_parameters(plain)
    layers = [m for m in residual.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    images = torch.randn(2, 1, 28, 28)
    assert residual.eval()(images).shape == (2, 10)
    plain.load_state_dict(residual.state_dict())
    assert not torch.allclose(plain.eval()(images), residual(images))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ResNet(19), "depth must be one of 18, 34, 50, 101, 152, got 19"),
        (lambda: ResNet(50, stride_on="5x5"), "stride_on must be"),
        (lambda: FashionResNet(21), "depth must be 6n + 2"),
        (lambda: FashionResNet(20, width=0.01), "width 0.01 leaves no channel of 16"),
        (lambda: ResNet(18)(torch.zeros(1, 3, 20, 20)), "images must be"),
    ],
)
def test_bad_input_is_one_sentence(build, words):
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        build()
