"""The X-ray of notebook 09, and what the notebook says of branches."""

import numpy as np
import pytest
import torch
from torch import nn

from gnet_utils import probing
from gnet_utils.course.notebooks import NOTEBOOKS, read
from gnet_utils.data import CLASS_NAMES, load_fashion_mnist, to_float
from gnet_utils.explorers import n09
from gnet_utils.explorers.n09 import BRANCHES, MAPS, block_names, strip, without, xray
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
    bars = [patch for patch in figure.axes[0].patches if patch.get_x() == 1.0]
    return [bar.get_width() / 1.06 for bar in bars if bar.get_fill() == filled]


def titles(figure) -> list[str]:
    texts = [text.get_text() for text in figure.axes[0].texts]
    return [text for text in texts if "without it" in text]


@pytest.mark.parametrize("block", ["inception_3a", "inception_4d", "inception_5b"])
def test_the_xray_shows_the_strongest_maps_of_four_branches(block, net):
    figure = xray(net, PICTURE, block)
    images = to_float(torch.from_numpy(PICTURE)[None, None])
    strips = figure.axes[0].images[1:]
    stripes = [patch for patch in figure.axes[0].patches if patch.get_x() > 2]
    for image, stripe, title, kind in zip(strips, stripes, titles(figure), BRANCHES, strict=True):
        name = f"{block}.branch_{kind}"
        maps = feature_maps(net, images, name)[name][0].detach()
        assert title.startswith(f"{kind}: {len(maps)} maps")
        shown = image.get_array()
        assert np.nanmax(shown[:, : maps.shape[2]]) == pytest.approx(
            float(maps[maps.mean((1, 2)).argmax()].max()), abs=1e-5
        )
        assert stripe.get_y() == image.get_extent()[2]
        assert stripe.get_facecolor()[:3] == pytest.approx(_rgb(BRANCH_COLOURS[kind]))


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
    odds, maps = without(net, images, [[], ["inception_3a.branch_3x3"]])
    assert now[1] == pytest.approx(odds[1].tolist(), abs=1e-5)
    assert maps["inception_3a.branch_3x3"].abs().max() == 0
    strips = off.axes[0].images[1:]
    middles = [(strip.get_extent()[2] + strip.get_extent()[3]) / 2 for strip in strips]
    (note,) = (text for text in off.axes[0].texts if text.get_text() == "off")
    assert note.get_position()[1] == middles[1] and np.nanmax(strips[1].get_array()) == 0


def test_the_titles_tell_what_each_branch_adds(net):
    figure = xray(net, PICTURE, "inception_3a")
    images = to_float(torch.from_numpy(PICTURE)[None, None])
    best = int(net(images).argmax())
    for kind, title in zip(BRANCHES, titles(figure), strict=True):
        with ablate(net, [f"inception_3a.branch_{kind}"]):
            alone = net(images).softmax(1)[0, best].item()
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


def cell_of(start: str) -> str:
    """The code cell of the notebook that has a line with this beginning."""
    cells = [cell["source"] for cell in read(NOTEBOOK)["cells"] if cell["cell_type"] == "code"]
    return next(cell for cell in cells if any(line.startswith(start) for line in cell.split("\n")))


def measure() -> dict:
    """The notebook's own `leanings`, `compare` and `untrained_net`, without its runs."""
    scope = {"torch": torch, "probing": probing, "BRANCHES": BRANCHES, "is_quick": lambda: False}
    scope |= {"probes": n09.drawn_probes(), "to_float": to_float}
    scope |= {"dealt": n09.dealt, "share_between": n09.share_between}
    scope["train_images"], _ = load_fashion_mnist("train", source="real")
    scope["net"], _ = load_trained("minute-seed0")
    scope["blocks"] = block_names(scope["net"])
    for start, end in (
        ("def leanings", "\n\n\nnets ="),
        ("def apart", "\n\n\ntorch.manual_seed"),
        ("def untrained_net", "\n\n\nfresh_nets"),
    ):
        exec(cell_of(start).split(end)[0], scope)
    return scope


@pytest.fixture(scope="module")
def groups() -> dict[str, tuple[dict, list[dict]]]:
    """The notebook's functions, and the leanings of seven trained and seven untrained nets."""
    scope = measure()
    names = branch_names(scope["net"])
    trained = [load_trained(f"minute-seed{seed}")[0] for seed in range(7)]
    fresh = [scope["untrained_net"](seed) for seed in range(7)]
    found = {"trained": trained, "untrained": fresh}
    return scope, {
        who: [scope["leanings"](net, names, scope["probes"]) for net in nets]
        for who, nets in found.items()
    }


def share(scope: dict, group: list[dict], question: str, deal: bool = False) -> float:
    """Share of the variance between branches (%), mean over nets and blocks."""
    blocks = [block for each in group for block in scope["by_block"](each, question)]
    blocks = [n09.dealt(block) if deal else block for block in blocks]
    return 100 * sum(map(n09.share_between, blocks)) / len(blocks)


def test_less_than_a_tenth_of_the_differences_lies_between_branches_and_more_than_by_chance(groups):
    scope, found = groups
    torch.manual_seed(0)
    for question, wanted in (("lines", 8.5), ("bright", 6.7)):
        assert share(scope, found["trained"], question) == pytest.approx(wanted, abs=0.3)
        assert share(scope, found["trained"], question, deal=True) == pytest.approx(2.2, abs=0.5)


def test_untrained_nets_have_most_of_the_share_for_lines_and_less_for_brightness(groups):
    scope, found = groups
    assert share(scope, found["untrained"], "lines") == pytest.approx(6.9, abs=0.3)
    assert share(scope, found["untrained"], "bright") == pytest.approx(4.1, abs=0.3)


def test_the_pooling_branch_leans_to_discs_in_all_blocks_before_5a(groups, capsys):
    scope, found = groups
    torch.manual_seed(0)
    points, band = scope["compare"](found["trained"], "lines")
    assert (points[..., 3].mean(0)[:7] < -band).all() and (points[..., 3].mean(0)[7:] > band).all()
    assert "19 of 36 points outside" in capsys.readouterr().out
    same_sign = ((points > 0).all(0) | (points < 0).all(0)).sum(0)
    assert same_sign.tolist() == [3, 1, 2, 5]


def test_the_5x5_of_4b_to_4d_leans_to_lines_and_to_bright(groups):
    scope, found = groups
    torch.manual_seed(0)
    for question in ("lines", "bright"):
        points, band = scope["compare"](found["trained"], question)
        assert (points[..., 2].mean(0)[3:6] > band).all()


@pytest.fixture(scope="module")
def cuts() -> dict:
    """The stored net's answers to the notebook's 1,000 test pictures, whole and cut."""
    trained, _ = load_trained("minute-seed0")
    images, labels = load_fashion_mnist("test", source="real")
    images, labels = to_float(images[:1000]), labels[:1000]
    trained = trained.to(memory_format=torch.channels_last)  # four times as fast
    training, _ = load_fashion_mnist("train", source="real")
    means = mean_maps(trained, to_float(training[:500]), branch_names(trained))

    @torch.no_grad()
    def right(names: list[str], put: dict | None) -> torch.Tensor:
        with ablate(trained, names, put):
            logits = torch.cat([trained(part) for part in images.split(250)])
        return (logits.argmax(1) == labels).float()

    whole = right([], None)
    puts = {"zero": None, "mean": means}
    kinds = {
        kind: [float(right(branch_names(trained, kind), put).mean()) for put in puts.values()]
        for kind in BRANCHES
    }
    in_3b = {how: right(["inception_3b.branch_3x3"], put) for how, put in puts.items()}
    return {
        "kinds": kinds,
        **{how: float(100 * (cut - whole).mean()) for how, cut in in_3b.items()},
    }


def test_means_leave_more_than_zeros_and_the_3x3_and_1x1_are_missed_most(cuts):
    assert all(mean > zero for zero, mean in cuts["kinds"].values())
    means = {kind: mean for kind, (_, mean) in cuts["kinds"].items()}
    assert means["1x1"] < 0.2 and means["3x3"] < 0.2
    assert means["5x5"] == pytest.approx(0.72, abs=0.02) and means["pool"] > means["5x5"]


def test_the_3x3_of_3b_costs_six_points_with_its_mean_and_more_with_zeros(cuts):
    assert cuts["mean"] == pytest.approx(-6.1, abs=0.5)
    assert cuts["zero"] == pytest.approx(-15.3, abs=1)


# What channels answer to --------------------------------------------------------------------------


def test_the_probes_differ_in_shape_and_sign_only():
    probes = n09.drawn_probes(5)
    assert list(probes) == ["bright line", "dark line", "bright disc", "dark disc"]
    for kind in ("line", "disc"):
        bright, dark = probes[f"bright {kind}"], probes[f"dark {kind}"]
        assert torch.equal(bright, -dark) and bright.shape == (5, 1, 28, 28)
        assert bright.unique().tolist() == pytest.approx([0, -probing.BLACK])
        edge = torch.cat([bright[..., 0], bright[..., 27], bright[..., 0, :], bright[..., 27, :]])
        assert not edge.any(), "nothing touches the frame"
    lines, discs = (probes[f"bright {kind}"].count_nonzero() for kind in ("line", "disc"))
    assert discs > 3 * lines
    assert torch.equal(n09.drawn_probes(5)["dark disc"], probes["dark disc"])


def test_dealing_keeps_the_numbers_and_the_sizes():
    groups = [torch.arange(3.0), torch.arange(3.0, 10.0)]
    torch.manual_seed(0)
    dealt = n09.dealt(groups)
    assert [len(group) for group in dealt] == [3, 7]
    assert torch.equal(torch.cat(dealt).sort().values, torch.arange(10.0))
    assert not torch.equal(torch.cat(dealt), torch.arange(10.0))


def test_the_share_between_groups_is_1_without_spread_inside_and_0_with_equal_means():
    assert n09.share_between([torch.zeros(3), torch.ones(5)]) == pytest.approx(1)
    assert n09.share_between([torch.tensor([-1.0, 1.0]), torch.tensor([-2.0, 2.0])]) == 0
    groups = [torch.tensor([0.0, 2.0]), torch.tensor([2.0, 4.0])]  # variance 2, between 1
    assert n09.share_between(groups) == pytest.approx(0.5)
    assert n09.share_between([torch.ones(3), torch.ones(2)]) == 0
