"""Muon's step is what its source says, and an ordinary one where it should be ordinary."""

import copy

import pytest
import torch
from torch import nn

from gnet_utils.models import FashionGoogLeNet
from gnet_utils.muon import Muon, normed_convolutions, orthogonalised


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_all_singular_values_come_near_one_and_their_vectors_stay(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    made = orthogonalised(matrix, steps=5)
    assert values.max() / values.min() > 1.5
    found = torch.diag(u.T @ made @ v.T)
    assert found.min() > 0.6 and found.max() < 1.3
    assert torch.allclose(u @ torch.diag(found) @ v, made, atol=1e-4)


def two_nets() -> tuple[nn.Sequential, nn.Sequential]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 4))
    return net, copy.deepcopy(net)


def step(net: nn.Module, optimiser: torch.optim.Optimizer, count: int = 3) -> None:
    for seed in range(count):
        images = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
        optimiser.zero_grad()
        net(images).square().mean().backward()
        optimiser.step()


def test_the_other_groups_are_sgd_with_nesterov_momentum():
    ours, torchs = two_nets()
    groups = [{"params": list(ours.parameters()), "weight_decay": 0.01, "momentum": 0.9}]
    step(ours, Muon(groups, lr=0.1))
    sgd = torch.optim.SGD(torchs.parameters(), 0.1, 0.9, nesterov=True, weight_decay=0.01)
    step(torchs, sgd)
    for a, b in zip(ours.parameters(), torchs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_kernel_moves_along_all_directions_by_the_rate_and_keeps_its_size():
    net, _ = two_nets()
    kernel = net[0].weight
    step(net, Muon([{"params": [kernel], "orthogonal": True}], lr=0.1), count=1)
    before = two_nets()[0][0].weight.detach()
    before = before * len(before) ** 0.5 / before.norm()
    moved = torch.linalg.svdvals((kernel.detach() - before).reshape(8, -1))
    assert moved.min() > 0.06 and moved.max() < 0.13
    plain = two_nets()[0]
    step(plain, torch.optim.SGD([plain[0].weight], 0.1), count=1)
    spread = torch.linalg.svdvals((plain[0].weight - two_nets()[0][0].weight).reshape(8, -1))
    assert spread.max() / spread.min() > 1.5 * moved.max() / moved.min()


@pytest.mark.parametrize(("steps", "smallest"), [(3, 0.02), (5, 0.003)])
def test_singular_values_from_a_certain_size_on_come_near_one(steps, smallest):
    """As the comment at NEWTON_SCHULZ says; the size is a share of the matrix's norm."""
    torch.manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(40, 40, dtype=torch.double))[0] for _ in range(2))
    values = torch.cat([torch.ones(1), torch.logspace(-3, -0.5, 39)]).double()
    values /= values.norm()
    found = (u.T @ orthogonalised(u @ values.diag() @ v, steps) @ v.T).diag()
    near = found[values >= smallest]
    assert len(near) > 15 and near.min() > 0.68 and near.max() < 1.205
    small = values < 0.01
    if steps == 3:
        assert found[small].max() < 0.41 and (found / values)[small].min() > 39


def test_convolutions_before_a_batch_norm_are_found_where_the_order_is_known():
    class Other(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x).relu())

    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
        *(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        *(nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4)),
        *(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4).eval()),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
        *(nn.BatchNorm2d(4), Other(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))),
    )
    assert set(normed_convolutions(net)) == {net[0], net[9][0]}
    course = FashionGoogLeNet(0.125)
    convs = {layer for layer in course.modules() if isinstance(layer, nn.Conv2d)}
    assert set(normed_convolutions(course)) == convs


def test_a_kernel_of_zeros_is_moved_like_any_other():
    net, _ = two_nets()
    nn.init.zeros_(net[0].weight)
    step(net, Muon([{"params": [net[0].weight], "orthogonal": True}], lr=0.1), count=1)
    assert net[0].weight.isfinite().all() and net[0].weight.any()
