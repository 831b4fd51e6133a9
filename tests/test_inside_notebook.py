"""The X-ray of notebook 09."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from torch import nn

from gnet_utils.course.notebooks import NOTEBOOKS, read
from gnet_utils.data import CLASS_NAMES, load_fashion_mnist, to_float
from gnet_utils.explorers.n09 import BRANCHES, MAPS, block_names, odds_without, strip, xray
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.plotting import BRANCH_COLOURS
from gnet_utils.probing import ablate, branch_names, feature_maps, mean_maps
from gnet_utils.training import load_trained

NOTEBOOK = NOTEBOOKS / "09_inside_an_inception_network.ipynb"
PICTURE = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """A small net that is not equally unsure of all classes."""
    torch.manual_seed(0)
    net = FashionGoogLeNet(0.125, stem="patch").eval()
    with torch.no_grad():
        net.linear.weight *= 3
    return net


def probabilities(figure, filled: bool) -> list[float]:
    """The widths of the bars, now (filled) or of the whole net (hollow)."""
    bars = [patch for patch in figure.axes[1].patches if isinstance(patch, Rectangle)]
    return [bar.get_width() for bar in bars if bar.get_fill() == filled]


def titles(figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes[2:]]


@pytest.mark.parametrize("block", ["inception_3a", "inception_4d", "inception_5b"])
def test_the_xray_shows_the_strongest_maps_of_four_branches(block, net):
    figure = xray(net, PICTURE, block)
    images = to_float(torch.from_numpy(PICTURE)[None, None])
    assert len(figure.axes) == 2 + 4
    for ax, kind in zip(figure.axes[2:], BRANCHES, strict=True):
        name = f"{block}.branch_{kind}"
        maps = feature_maps(net, images, name)[name][0].detach()
        assert ax.get_title(loc="left").startswith(f"{kind}: {len(maps)} maps")
        shown = ax.images[0].get_array()
        assert np.nanmax(shown[:, : maps.shape[2]]) == pytest.approx(
            float(maps[maps.mean((1, 2)).argmax()].max()), abs=1e-5
        )
        assert ax.patches[0].get_facecolor()[:3] == pytest.approx(_rgb(BRANCH_COLOURS[kind]))


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def test_the_bars_are_the_probabilities_of_the_whole_net_when_all_is_on(net):
    figure = xray(net, PICTURE)
    with torch.no_grad():
        wanted = net(to_float(torch.from_numpy(PICTURE)[None, None])).softmax(1)[0].tolist()
    assert probabilities(figure, True) == pytest.approx(wanted, abs=1e-5)
    assert probabilities(figure, False) == pytest.approx(wanted, abs=1e-5)


def test_a_branch_that_is_off_changes_the_filled_bars_only(net):
    whole, off = xray(net, PICTURE), xray(net, PICTURE, off=["3x3"])
    everywhere = xray(net, PICTURE, off=["3x3"], everywhere=True)
    assert probabilities(off, False) == probabilities(whole, False)
    now = [probabilities(figure, True) for figure in (whole, off, everywhere)]
    assert now[0] != pytest.approx(now[1], abs=1e-3)
    assert now[1] != pytest.approx(now[2], abs=1e-3)
    images = to_float(torch.from_numpy(PICTURE)[None, None])
    alone = odds_without(net, images, "inception_3a.branch_3x3").tolist()
    assert now[1] == pytest.approx(alone, abs=1e-5)
    assert off.axes[3].texts[0].get_text() == "off" and not off.axes[2].texts
    assert np.nanmax(off.axes[3].images[0].get_array()) == 0


def test_the_titles_tell_what_each_branch_adds(net):
    figure = xray(net, PICTURE, "inception_3a")
    images = to_float(torch.from_numpy(PICTURE)[None, None])
    best = int(net(images).argmax())
    for kind, title in zip(BRANCHES, titles(figure), strict=True):
        alone = odds_without(net, images, f"inception_3a.branch_{kind}")[best].item()
        assert f"without it {CLASS_NAMES[best]}" in title and title.endswith(f"→ {alone:.0%}")


def test_an_own_picture_becomes_what_the_net_was_trained_on(net):
    own = np.full((90, 60, 3), 250, np.uint8)
    own[20:70, 15:45] = 60
    shown = xray(net, own, title="your picture").axes[0].images[0].get_array()
    assert shown.shape == (28, 28) and shown[14, 14] > 100 and shown[0, 0] == 0


def test_the_strip_has_the_strongest_first_and_gaps_between():
    maps = torch.arange(10.0)[:, None, None].expand(10, 7, 7)
    row = strip(maps)
    assert row.shape == (7, MAPS * 7 + (MAPS - 1))
    assert row[0, 0] == 9 and row[0, -1] == 9 - MAPS + 1 and np.isnan(row[0, 7])


def test_few_maps_make_a_shorter_strip():
    assert strip(torch.rand(2, 3, 3)).shape == (3, 2 * 3 + 1)


def test_the_blocks_come_in_order(net):
    assert block_names(net)[0] == "inception_3a" and len(block_names(net)) == 9


# What the notebook says ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def garments() -> dict[str, torch.Tensor]:
    """The Shirts and Coats among the notebook's 1,000 test pictures, and the stored net's means."""
    trained, _ = load_trained("five_minutes-seed0")
    images, labels = load_fashion_mnist("test", source="real")
    training, _ = load_fashion_mnist("train", source="real")
    means = mean_maps(trained, to_float(training[:500]), branch_names(trained))
    of = {k: to_float(images[:1000][labels[:1000] == CLASS_NAMES.index(k)]) for k in CLASSES}
    return {"net": trained, "means": means, **of}


CLASSES = ("Shirt", "Coat")


def points_lost(garments: dict, garment: str, names: list[str]) -> float:
    """What replacing these branches by their means costs one class."""
    trained, pictures, k = garments["net"], garments[garment], CLASS_NAMES.index(garment)
    with torch.no_grad():
        whole = (trained(pictures).argmax(1) == k).float().mean()
        with ablate(trained, names, garments["means"]):
            cut = (trained(pictures).argmax(1) == k).float().mean()
    return float(100 * (whole - cut))


def test_one_5x5_costs_shirt_as_much_as_all_nine(garments):
    one = points_lost(garments, "Shirt", ["inception_3b.branch_5x5"])
    nine = points_lost(garments, "Shirt", branch_names(garments["net"], "5x5"))
    assert one == pytest.approx(22.7, abs=2.1) and nine == pytest.approx(21.6, abs=2.1)


def test_all_5x5_cost_coat_more_than_the_single_cuts_added_up(garments):
    names = branch_names(garments["net"], "5x5")
    single = [points_lost(garments, "Coat", [name]) for name in names]
    assert max(single) == single[1] == pytest.approx(10.4, abs=2)
    assert points_lost(garments, "Coat", names) > sum(single) + 20
    assert points_lost(garments, "Coat", ["inception_3a.branch_3x3"]) > 50


def test_the_classes_are_asked_cut_by_cut_not_as_a_mean_over_blocks():
    cells = [cell["source"] for cell in read(NOTEBOOK)["cells"]]
    code = next(source for source in cells if source.startswith("whole = by_class("))
    assert 'cost[block, "5x5"]' in code and ".mean(0)" not in code
    text = "\n".join(cells)
    assert "can stand in" not in text and "adds little to any class" not in text
