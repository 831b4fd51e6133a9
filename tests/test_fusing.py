"""Merged and folded networks compute what the readable ones compute."""

import pytest
import torch
import variants
from torch import nn

from gnet_utils import models
from gnet_utils.models import FashionGoogLeNet, GoogLeNet, fused


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
    "5x5 as two 3x3": lambda: with_blocks(variants.TwoThreeInception),
    "5x5 as 1x5 and 5x1": lambda: with_blocks(variants.AsymmetricInception),
    "separable": lambda: with_blocks(variants.SeparableInception),
    "residual": lambda: with_blocks(variants.ResidualInception),
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
@pytest.mark.parametrize("change", [fused.merge, fused.fold])
def test_outputs_are_equal(name, change):
    net, images = moved(name)
    with torch.no_grad():
        expected = net(images)
        made = change(net).eval()
        torch.testing.assert_close(made(images), expected, rtol=1e-4, atol=1e-4)
        merged = sum(isinstance(module, fused.MergedInception) for module in made.modules())
        assert merged == sum(isinstance(module, models.Inception) for module in net.modules())
        assert expected.std() > 0.05  # constant outputs would prove nothing


def test_a_wrong_norm_would_be_seen():
    net, images = moved("fashion")
    folded = fused.fold(net)
    with torch.no_grad():
        folded.inception_4c.front.conv.weight.mul_(1.01)
        assert not torch.allclose(folded(images), net(images), rtol=1e-4, atol=1e-4)


def test_folding_leaves_no_batch_norm_and_fewer_convolutions():
    net, _ = moved("fashion")
    folded = fused.fold(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())

    def convolutions(module):
        return sum(isinstance(m, nn.Conv2d) for m in module.modules())

    assert convolutions(net) - convolutions(folded) == 2 * 9  # three siblings become one


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_merged_network_learned_goes_back(name):
    net, images = moved(name)
    merged = fused.merge(net).train()
    merged(images).square().sum().backward()
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter -= 0.01 * parameter.grad
    before = net(images).detach()
    start = [p.detach().clone() for p in net.parameters()]
    fused.unmerge_into(merged, net)
    with torch.no_grad():
        torch.testing.assert_close(net(images), merged.eval()(images), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(net(images), before)
    changed = [not torch.equal(a, b) for a, b in zip(net.parameters(), start, strict=True)]
    assert all(changed)  # no part was left out of the training


def test_a_frozen_sibling_stays_frozen():
    net, images = moved("fashion")
    net.inception_3a.branch_1x1.requires_grad_(False)
    merged = fused.merge(net)
    assert isinstance(merged.inception_3b, fused.MergedInception)
    assert isinstance(merged.inception_3a, models.Inception)
    with torch.no_grad():
        torch.testing.assert_close(merged.eval()(images), net(images), rtol=1e-4, atol=1e-4)
    frozen = [p for p in merged.parameters() if not p.requires_grad]
    assert sum(p.numel() for p in frozen) == sum(
        p.numel() for p in net.inception_3a.branch_1x1.parameters()
    )


class Louder(models.Inception):
    """A block with a forward, and a parameter, of its own."""

    def __init__(self, *widths, **options):
        super().__init__(*widths, **options)
        self.gain = nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return self.gain * super().forward(x)


def inception() -> models.Inception:
    return models.Inception(8, 4, 3, 5, 2, 3, 4, norm="batch")


def other_block(change: str) -> nn.Module:
    """Two blocks, one of them changed by a learner."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"one": inception(), "two": inception()})
    block = net["two"]
    if change == "class":
        net["two"] = Louder(8, 4, 3, 5, 2, 3, 4, norm="batch")
    elif change == "activation":
        block.branch_5x5[0].relu = nn.LeakyReLU(0.3)
    elif change == "eps":
        block.branch_3x3[0].norm.eps = 0.5
    elif change == "no norm":
        block.branch_3x3[0] = models.ConvUnit(8, 3, 1)
    elif change == "stride":
        block.branch_1x1.conv = nn.Conv2d(8, 4, 3, padding=1, bias=False)
    elif change == "groups":
        for unit in (block.branch_1x1, block.branch_3x3[0], block.branch_5x5[0]):
            unit.conv = nn.Conv2d(8, 2 * unit.conv.out_channels, 1, groups=2, bias=False)
            unit.norm = nn.BatchNorm2d(unit.conv.out_channels, eps=0.001)
        block.branch_3x3[1].conv = nn.Conv2d(6, 5, 3, padding=1, bias=False)
        block.branch_5x5[1].conv = nn.Conv2d(4, 3, 5, padding=2, bias=False)
    elif change == "branch":
        block.branch_1x1 = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Sigmoid())
    elif change == "branch of one unit":
        block.branch_5x5 = models.ConvUnit(8, 3, 5, padding=2, norm="batch")
    elif change == "empty branch":
        block.branch_3x3 = nn.Sequential()
    elif change == "mode":
        block.branch_1x1.norm.train()
    elif change == "hook":
        block.branch_3x3.register_forward_hook(lambda module, inputs, output: 2 * output)
    elif change == "hook of a unit":
        block.branch_3x3[0].register_forward_pre_hook(lambda module, inputs: (-inputs[0],))
    elif change == "shared weights":
        block.branch_1x1.conv.weight = net["one"].branch_1x1.conv.weight
    elif change == "the same block twice":
        net["two"] = net["one"]
    return net


CHANGES = ["class", "activation", "eps", "no norm", "stride", "groups", "branch", "mode"]
CHANGES += ["branch of one unit", "empty branch"]
OF_THE_NETWORK = ["hook", "hook of a unit", "shared weights", "the same block twice"]


@pytest.mark.parametrize("change", CHANGES + OF_THE_NETWORK)
def test_only_what_is_exactly_the_known_block_is_merged(change):
    net, maps = other_block(change).eval(), torch.randn(2, 8, 7, 7)
    if change == "mode":
        net["two"].branch_1x1.norm.train()
    merged = fused.merge(net)
    assert isinstance(merged["one"], fused.MergedInception) is (change in CHANGES)
    assert type(merged["two"]) is type(net["two"])
    for name in net:
        torch.testing.assert_close(merged[name](maps), net[name](maps))
    for parameter in merged.parameters():
        parameter.data += 0.01
    fused.unmerge_into(merged, net)
    for name in net:
        torch.testing.assert_close(net[name](maps), merged[name](maps))


def test_folding_leaves_what_it_does_not_know():
    """A unit with a way of its own, a hook between."""

    class Backwards(models.ConvUnit):
        def forward(self, x):
            return self.relu(self.conv(self.norm(x)))

    torch.manual_seed(0)
    kinds = models.ConvUnit, Backwards, models.ConvUnit
    units = [kind(4, 4, 1, norm="batch") for kind in kinds]
    units[2].conv.register_forward_hook(lambda module, inputs, output: output.relu())
    net = nn.Sequential(*units).eval()
    for unit in units:
        unit.norm.running_mean.normal_()
        unit.norm.running_var.uniform_(0.5, 2)
    folded, maps = fused.fold(net), torch.randn(4, 4, 5, 5)
    left = [isinstance(unit.norm, nn.BatchNorm2d) for unit in folded]
    assert left == [False, True, True]
    torch.testing.assert_close(folded(maps), net(maps), rtol=1e-4, atol=1e-4)


def test_folding_a_network_in_training_mode_is_refused():
    net = FashionGoogLeNet(0.125)
    with pytest.raises(ValueError, match=r"call network.eval\(\) first"):
        fused.fold(net)
    net.eval().inception_4a.branch_1x1.train()
    with pytest.raises(ValueError, match=r"call network.eval\(\) first"):
        fused.fold(net)
