"""The residual block equals torchvision's; the small nets and their plain twins."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from gnet_utils.counting import count_parameters
from gnet_utils.models import BasicBlock, FashionResNet
from gnet_utils.models.residual import unit


def conv_weights(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


def test_the_two_blocks_of_figure_5_cost_nearly_the_same():
    assert conv_weights(BasicBlock(64, 64, 1, nn.Identity())) == 73_728
    assert conv_weights(resnet.Bottleneck(256, 64)) == 69_632


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
            model(torch.randn(1, 64, 16, 16))
        for hook in hooks:
            hook.remove()
        return seen

    for mine, other in zip(in_order(ours), in_order(theirs), strict=True):
        mine.load_state_dict(other.state_dict())


def test_outputs_of_a_block_equal_torchvisions_for_the_same_moved_weights():
    ours = BasicBlock(64, 32, 2, unit(64, 32, 1, 2, relu=False))
    projection = nn.Sequential(nn.Conv2d(64, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
    theirs = resnet.BasicBlock(64, 32, 2, projection)
    unsettle(theirs)
    take_weights(ours, theirs)
    torch.manual_seed(2)
    images = torch.randn(2, 64, 16, 16)
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)
        # negative control: one sum left out is seen
        ours.shortcut = None
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
        (lambda: FashionResNet(21), "depth must be 6n + 2"),
        (lambda: FashionResNet(20, width=0.01), "width 0.01 leaves no channel of 16"),
        (lambda: FashionResNet(8)(torch.zeros(1, 3, 20, 20)), "images must be"),
    ],
)
def test_bad_input_is_one_sentence(build, words):
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        build()
