"""Looking inside a network: right answers, and the network is left as it was."""

import pytest
import torch
from torch import nn

from gnet_utils import probing
from gnet_utils.models import FashionGoogLeNet

BRANCH = "inception_4b.branch_5x5"


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """A small net whose batch norms have seen something, in eval mode."""
    torch.manual_seed(0)
    net = FashionGoogLeNet(0.125, stem="patch").train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(16, 1, 28, 28))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
    return net.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in net.modules())


# Maps ---------------------------------------------------------------------------------------------


def test_feature_maps_are_what_the_modules_give(net, images):
    maps = probing.feature_maps(net, images, "conv1", "conv2", BRANCH)
    assert torch.equal(maps["conv1"], net.conv1(images))
    assert torch.equal(maps["conv2"], net.conv2(net.conv1(images)))
    assert torch.equal(maps["logits"], net(images))
    assert list(maps) == ["conv1", "conv2", BRANCH, "logits"]


def test_a_relu_in_place_does_not_write_over_the_maps(net, images):
    kept = probing.feature_maps(net, images, "conv1.norm")["conv1.norm"]
    assert (kept < 0).any() and torch.equal(kept, net.conv1.norm(net.conv1.conv(images)))


def test_maps_carry_gradients_to_the_logits(net, images):
    maps = probing.feature_maps(net, images, "inception_5b")
    slope = torch.autograd.grad(maps["logits"].sum(), maps["inception_5b"])[0]
    assert slope.abs().sum() > 0


def looks(net, images):
    """Every function that runs the network."""
    yield lambda: probing.feature_maps(net, images, "conv1")
    yield lambda: probing.mean_maps(net, images, [BRANCH])
    yield lambda: probing.grad_cam(net, images, "inception_4e")


def test_every_look_takes_its_hooks_off_and_restores_the_modes_of_all_modules(net, images):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    net.conv1.eval()  # as somebody does who keeps the first layer frozen
    modes = [module.training for module in net.modules()]
    try:
        for look in looks(net, images):
            look()
            assert hooks(net) == 0
            assert [module.training for module in net.modules()] == modes
    finally:
        net.eval()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_hooks_and_modes_are_restored_when_the_network_fails(net):
    net.train()
    try:
        with pytest.raises(ValueError, match="images must be"):
            probing.feature_maps(net, torch.zeros(2, 3, 28, 28), "conv1")
        assert net.training and hooks(net) == 0
    finally:
        net.eval()


# Ablation -----------------------------------------------------------------------------------------


def test_ablate_puts_zeros_in_place_of_the_branch_and_of_nothing_else(net, images):
    whole = net(images)
    with probing.ablate(net, [BRANCH]):
        maps = probing.feature_maps(net, images, BRANCH, "inception_4b.branch_3x3", "inception_4a")
    assert maps[BRANCH].abs().sum() == 0
    assert maps["inception_4b.branch_3x3"].abs().sum() > 0
    assert torch.equal(
        maps["inception_4a"], probing.feature_maps(net, images, "inception_4a")["inception_4a"]
    )
    assert not torch.allclose(maps["logits"], whole)
    assert torch.equal(net(images), whole)


def test_ablating_with_its_own_maps_changes_nothing_for_one_picture(net, images):
    means = probing.mean_maps(net, images[:1], [BRANCH])
    with probing.ablate(net, [BRANCH], means):
        assert torch.allclose(net(images[:1]), net.eval()(images[:1]), atol=1e-5)
        other = net(images[1:2])
    assert not torch.allclose(other, net(images[1:2]), atol=1e-5)


def test_the_mean_is_over_all_pictures_also_of_the_last_small_batch(net):
    images = torch.randn(501, 1, 28, 28)
    with torch.no_grad():
        wanted = net.conv1(images).mean(0)
    assert torch.allclose(probing.mean_maps(net, images, ["conv1"])["conv1"], wanted, atol=1e-5)


def test_ablate_removes_its_hooks_after_an_error_inside(net):
    with pytest.raises(ZeroDivisionError), probing.ablate(net, probing.branch_names(net)):
        assert hooks(net) == 36
        1 / 0  # noqa: B018
    assert hooks(net) == 0


def test_an_unknown_part_is_refused_and_leaves_no_hook(net):
    with (
        pytest.raises(ValueError, match="no part 'inception_9z': its stages are conv1, conv2"),
        probing.ablate(net, [BRANCH, "inception_9z"]),
    ):
        pass
    assert hooks(net) == 0


def test_branch_names_come_in_order_all_or_of_one_kind(net):
    names = probing.branch_names(net)
    assert len(names) == 36 and names[0] == "inception_3a.branch_1x1"
    assert names[-1] == "inception_5b.branch_pool"
    assert probing.branch_names(net, "5x5") == [name for name in names if name.endswith("5x5")]
    with pytest.raises(
        ValueError, match=r"has no branch 7x7: .* a branch is 1x1, 3x3, 5x5 or pool"
    ):
        probing.branch_names(net, "7x7")
    with pytest.raises(
        ValueError, match="Linear has no branch at all: take a network of Inception"
    ):
        probing.branch_names(nn.Linear(1, 1))


# Places -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["conv2", "inception_3b", "inception_4e", "inception_5b"])
def test_grad_cam_equals_captum(layer, net, images):
    captum = pytest.importorskip(
        "captum.attr", reason="CAPTUM IS MISSING: Grad-CAM is compared with nothing; install captum"
    )
    classes = torch.tensor([3, 1, 4, 1])
    judge = captum.LayerGradCam(net, net.get_submodule(layer))
    wanted = judge.attribute(images, classes, relu_attributions=True)[:, 0].detach()
    ours = probing.grad_cam(net, images, layer, classes)
    assert wanted.abs().sum() > 0
    assert torch.allclose(ours, wanted, atol=1e-6)
    assert not torch.allclose(probing.grad_cam(net, images, layer, classes + 1), wanted, atol=1e-6)


def test_behind_the_last_block_grad_cam_is_cam(net, images):
    maps = probing.feature_maps(net, images, "inception_5b")["inception_5b"]
    classes = torch.tensor([0, 5, 9, 2])
    rows = net.linear.weight[classes][:, :, None, None]
    wanted = (rows * maps).sum(1).relu() / maps[0, 0].numel()
    ours = probing.grad_cam(net, images, "inception_5b", classes)
    assert wanted.max() > 0 and torch.allclose(ours, wanted, atol=1e-6)


def test_without_classes_grad_cam_takes_what_the_net_says(net, images):
    said = net(images).argmax(1)
    ours = probing.grad_cam(net, images, "inception_4e")
    assert torch.equal(ours, probing.grad_cam(net, images, "inception_4e", said))


def test_grad_cam_works_for_frozen_nets_and_under_no_grad(net, images):
    wanted = probing.grad_cam(net, images, "inception_4e")
    net.requires_grad_(False)
    try:
        with torch.no_grad():
            assert torch.equal(probing.grad_cam(net, images, "inception_4e"), wanted)
    finally:
        net.requires_grad_(True)


def test_likeness_is_the_correlation_of_each_pair_of_maps_and_0_for_a_flat_one():
    torch.manual_seed(0)
    a, b = torch.rand(3, 6, 5) + 1, torch.rand(3, 6, 5)
    wanted = [
        torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1]
        for x, y in zip(a, b, strict=True)
    ]
    assert torch.allclose(probing.likeness(a, b), torch.stack(wanted), atol=1e-5)
    assert torch.allclose(probing.likeness(a, 2 * a + 3), torch.ones(3), atol=1e-5)
    assert torch.allclose(probing.likeness(a, 5 - a), -torch.ones(3), atol=1e-5)
    b[1] = 4
    flat = probing.likeness(a, b)
    assert flat[1].abs() < 1e-5 and flat[0] == probing.likeness(a[:1], b[:1])[0]


def test_a_net_on_another_device_is_looked_at_there():
    """The "meta" device stands for a GPU: to mix it with the CPU is an error, too."""
    net = FashionGoogLeNet(0.125, stem="patch").to("meta")
    images, classes = torch.zeros(2, 1, 28, 28, device="meta"), torch.tensor([0, 1], device="meta")
    assert probing.grad_cam(net, images, "inception_4a", classes).is_meta
    means = probing.mean_maps(net, images, [BRANCH])
    with probing.ablate(net, [BRANCH], means):
        assert net(images).is_meta
