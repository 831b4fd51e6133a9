"""Merged and folded networks compute what the readable ones compute."""

import pytest
import torch
from torch import nn

from gnet_utils import fusing, models
from gnet_utils.models import FashionGoogLeNet, GoogLeNet


def with_blocks(kind: type) -> nn.Module:
    """Two blocks of that kind."""
    widths = models.BlockWidths(16, 8, 16, 8, 16, 16)
    net = nn.Sequential(kind(64, *widths), kind(64, *widths))
    net.in_channels = 64
    return net


NETWORKS = {
    "fashion": lambda: FashionGoogLeNet(0.25),
    "fashion, projection first": lambda: FashionGoogLeNet(0.25, stem="patch", project_first=True),
    "paper with batch norm": lambda: GoogLeNet(norm="batch", aux=False, num_classes=10),
    "paper": lambda: GoogLeNet(aux=False, num_classes=10),
    "5x5 as two 3x3": lambda: with_blocks(models.TwoThreeInception),
    "5x5 as 1x5 and 5x1": lambda: with_blocks(models.AsymmetricInception),
    "separable": lambda: with_blocks(models.SeparableInception),
    "residual": lambda: with_blocks(models.ResidualInception),
}


def moved(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network whose weights, biases and running statistics are not the defaults, and pictures."""
    torch.manual_seed(0)
    net = NETWORKS[name]()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, 0, 0.2)
    size = 28 if name.startswith("fashion") else 64
    return net.eval(), torch.randn(2, net.in_channels, size, size)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("change", [fusing.merge, fusing.fold])
def test_outputs_are_equal(name, change):
    net, images = moved(name)
    with torch.no_grad():
        expected = net(images)
        torch.testing.assert_close(change(net).eval()(images), expected, rtol=1e-4, atol=1e-4)
        assert expected.std() > 0.05  # constant outputs would prove nothing


def test_a_wrong_norm_would_be_seen():
    net, images = moved("fashion")
    folded = fusing.fold(net)
    with torch.no_grad():
        folded.inception_4c.front[0].weight.mul_(1.01)
        assert not torch.allclose(folded(images), net(images), rtol=1e-4, atol=1e-4)


def test_folding_leaves_no_batch_norm_and_fewer_convolutions():
    net, _ = moved("fashion")
    folded = fusing.fold(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())

    def convolutions(module):
        return sum(isinstance(m, nn.Conv2d) for m in module.modules())

    assert convolutions(net) - convolutions(folded) == 2 * 9  # three siblings become one


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_merged_network_learned_goes_back(name):
    net, images = moved(name)
    merged = fusing.merge(net).train()
    merged(images).square().sum().backward()
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter -= 0.01 * parameter.grad
    before = net(images).detach()
    start = [p.detach().clone() for p in net.parameters()]
    fusing.unmerge_into(merged, net)
    with torch.no_grad():
        torch.testing.assert_close(net(images), merged.eval()(images), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(net(images), before)
    changed = [not torch.equal(a, b) for a, b in zip(net.parameters(), start, strict=True)]
    assert all(changed)  # no part was left out of the training


def test_a_frozen_sibling_stays_frozen():
    net, images = moved("fashion")
    net.inception_3a.branch_1x1.requires_grad_(False)
    merged = fusing.merge(net)
    assert isinstance(merged.inception_3b, fusing.MergedInception)
    assert isinstance(merged.inception_3a, models.Inception)
    with torch.no_grad():
        torch.testing.assert_close(merged.eval()(images), net(images), rtol=1e-4, atol=1e-4)
    frozen = [p for p in merged.parameters() if not p.requires_grad]
    assert sum(p.numel() for p in frozen) == sum(
        p.numel() for p in net.inception_3a.branch_1x1.parameters()
    )


def test_folding_a_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match=r"call network.eval\(\) first"):
        fusing.fold(FashionGoogLeNet(0.125))


def test_unmerging_from_another_network_is_refused():
    with pytest.raises(ValueError, match="made by merge"):
        fusing.unmerge_into(nn.Linear(1, 1), FashionGoogLeNet(0.125))
