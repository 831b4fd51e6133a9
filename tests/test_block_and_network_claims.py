"""What notebooks 03, 04 and 11 say in words: the figures behind the sentences, and the sentences.

Cells are run as they stand in the notebooks, so that the test sees what a reader sees.
"""

from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from gnet_utils import counting
from gnet_utils.course.notebooks import code_cells, read
from gnet_utils.exercises.n04 import small_stem
from gnet_utils.exercises.n11 import count_row
from gnet_utils.models import GOOGLENET_BLOCKS, GoogLeNet

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch):
    """Figures are made, but not drawn: that takes longer than what is measured here."""
    monkeypatch.setattr("gnet_utils.plotting.show", lambda figure, alt: plt.close(figure))


@cache
def notebook(number: str) -> dict:
    return read(next((ROOT / "notebooks").glob(f"{number}_*.ipynb")))


def words(number: str) -> str:
    """All sources of a notebook, with single blanks."""
    return " ".join(" ".join(cell["source"].split()) for cell in notebook(number)["cells"])


def run(number: str, *signs: str, **names) -> dict:
    """Run the imports and those cells that hold one of the signs, in order: the names they set.

    names: what earlier cells would have set.
    """
    imports, found = "from gnet_utils.exercises import", set()
    for cell in code_cells(notebook(number)):
        held = {sign for sign in signs if sign in cell["source"]}
        if held or imports in cell["source"]:
            exec(cell["source"], names)
        found |= held
    assert found == set(signs), f"no cell holds {set(signs) - found}"
    return names


# 03, the block ------------------------------------------------------------------------------------


def test_each_window_answers_most_to_squares_of_its_own_size_and_one_5x5_could_do():
    found = run("03", "noisy = squares", "one_layer = F.conv2d")
    answers, middles, squares = (found[name] for name in ("answers", "middles", "squares"))
    means = torch.tensor([[answers[k][middles[s]].mean() for s in middles] for k in (1, 3, 5)])
    exact = torch.tensor([[1, 1 / 3, 1 / 5], [1 / 3, 1, 3 / 5], [1 / 5, 3 / 5, 1]])
    assert torch.allclose(means, exact, atol=0.15)  # six squares, noise of 0.15 / sqrt(6)
    assert means.argmax(0).tolist() == means.argmax(1).tolist() == [0, 1, 2]
    assert squares.square().sum() == pytest.approx(18)  # every square has the energy 1
    for channel, answer in enumerate(answers.values()):
        assert torch.allclose(found["one_layer"][:, channel], answer[:, 0], atol=1e-5)
    assert (found["weights"], found["alone"]) == (387_072, 1_075_200)  # the latter: 5x5 alone
    assert 192 * (64 + 128 + 32) * 3**2 == 387_072  # 3x3 alone, as the text says


def test_the_5x5_has_the_fewest_channels_of_the_three_windows():
    assert all(w.out_5x5 < min(w.out_1x1, w.out_3x3) for w in GOOGLENET_BLOCKS.values())


def test_the_5x5_is_dearer_only_for_each_channel_and_only_in_the_naive_block():
    widths = GOOGLENET_BLOCKS["3a"]
    five, three = 25 * 192, 9 * 192
    assert five * widths.out_5x5 < three * widths.out_3x3
    assert f"per channel, and in the naive block only ({five:,} weights against {three:,}" in (
        words("03")
    )


# 04, the network ----------------------------------------------------------------------------------


def test_shapes_are_the_papers_and_operations_of_all_rows_but_three():
    misfit = [row.stage for row in counting.table1() if "ops" in row.note]
    assert misfit == ["convolution", "inception (4a)", "inception (5a)"]
    assert "of every row but three. `conv1`, 4a, 5a and most parameter counts differ" in words("04")


def test_the_longest_path_has_22_layers_of_64():
    layers = counting.layer_table(net := GoogLeNet(10), (1, 3, 224, 224))
    blocks = {layer.name.split(".")[0] for layer in layers if "inception" in layer.name}
    assert len([layer for layer in layers if "inception" not in layer.name]) == 3 + 1
    assert (len(blocks), 3 + 2 * len(blocks) + 1, len(layers)) == (9, 22, 58)
    kinds = torch.nn.Conv2d, torch.nn.Linear
    assert sum(isinstance(part, kinds) for part in net.modules()) == 64
    assert "58 layers have weights, 64 with the heads" in words("04")


def test_more_than_half_of_the_work_is_before_4a_and_half_of_the_parameters_behind_4e():
    rows = counting.stage_table(GoogLeNet(aux=False), (1, 3, 224, 224))
    names = [row.name for row in rows]
    before = sum(row.macs for row in rows[: names.index("inception_4a")])
    behind = sum(row.parameters for row in rows[names.index("inception_4e") + 1 :])
    assert before / sum(row.macs for row in rows) == pytest.approx(0.575, abs=0.005)
    assert behind / sum(row.parameters for row in rows) == pytest.approx(0.5, abs=0.005)


def test_alexnet_stores_more_and_computes_less():
    stored = 60_965_224 / counting.count_parameters(GoogLeNet(aux=False))
    work = counting.count_macs(GoogLeNet(aux=False), (1, 3, 224, 224)) / 724_406_816
    assert f"{stored:.1f} times as many parameters" in words("04")
    assert f"{work:.1f} times its multiply-adds" in words("04")


def test_the_small_stem_gives_the_blocks_the_map_sizes_of_a_photo():
    full = GoogLeNet(10, aux=False).eval()
    names = full.path[full.path.index("inception_3a") :]
    small = torch.nn.Sequential(small_stem(), *(full.get_submodule(name) for name in names))
    shapes = counting.stage_shapes(small, (1, 1, 28, 28))
    wanted = counting.stage_shapes(full, (1, 3, 224, 224))
    assert list(shapes.values())[1:] == [wanted[name] for name in names]
    macs = [layer.macs for layer in counting.layer_table(small, (1, 1, 28, 28))]
    assert f"{sum(macs[3:]) / 1e9:.2f} billion multiply-adds for 784 pixels" in words("04")


def test_31_pixels_are_the_smallest_photo_without_heads():
    net = GoogLeNet(10, aux=False).eval()
    layers = torch.nn.Sequential(*[stage for _, stage in net.stages()])
    assert layers(torch.zeros(1, 3, 31, 31)).shape == (1, 10)
    with pytest.raises(RuntimeError, match="too small"):
        layers(torch.zeros(1, 3, 30, 30))
    assert "31x31" in words("04")


# 11, Table 1 --------------------------------------------------------------------------------------


def counted_11() -> dict:
    return run(
        "11", "def parts_of(", "separable = nn.Sequential(", "released_blocks = ", count=count_row
    )


def test_with_two_units_a_separable_conv1_and_two_widths_all_twelve_operations_fit():
    found = counted_11()
    printed = {name: ops for name, (_, ops) in found["printed"]().items()}
    fits = {
        which: [n for n, ops in printed.items() if f"{found[which][n][1] / 1e6:.0f}M" == ops]
        for which in ("counted", "best_fit")
    }
    assert fits["best_fit"] == list(printed)
    assert set(printed) - set(fits["counted"]) == {"conv1", "4a", "5a"}
    assert "three rows are left that do not: **conv1, 4a and 5a**" in words("11")
    assert sum(weights for weights, _ in found["counted"].values()) == 6_990_272
    assert 6_990_272 + 8_280 == counting.count_parameters(GoogLeNet(aux=False)) == 6_998_552


def test_parameters_from_4c_to_5b_fit_none_of_four_ways_and_are_off_by_1_to_7_percent():
    fits = {row.stage: "params" not in row.note for row in counting.table1() if row.weights}
    assert fits["linear"] and fits["inception (3a)"]
    found, off = counted_11(), {}
    for name in GOOGLENET_BLOCKS:
        value = float(found["printed"]()[name][0][:-1])
        ways = []
        for which, blocks in (
            ("counted", GOOGLENET_BLOCKS),
            ("best_fit", found["released_blocks"]),
        ):
            weights = found[which][name][0]
            ways += [weights / 1024, (weights + sum(blocks[name])) / 1024]
        if min(abs(value - way) for way in ways) > 0.5:
            off[name] = min(abs(value / way - 1) for way in ways)
    assert list(off) == ["4c", "4d", "4e", "5a", "5b"]
    assert round(100 * min(off.values())) == 1 and round(100 * max(off.values())) == 7
    params = [float(row.printed_params[:-1]) for row in counting.table1() if row.printed_params]
    assert round(sum(params) / 1000, 1) == 6.8


def test_without_the_relu_between_the_two_convolutions_of_the_stem_are_one():
    one, three = GoogLeNet(aux=False).conv2_reduce.conv, GoogLeNet(aux=False).conv2.conv
    merged = torch.nn.Conv2d(64, 192, 3, padding=1)
    with torch.no_grad():
        one.bias.normal_()
        kernel = torch.einsum("omij,mc->ocij", three.weight, one.weight[:, :, 0, 0])
        merged.weight.copy_(kernel)
        merged.bias.copy_(three.bias + three.weight.sum(dim=(2, 3)) @ one.bias)
        images, inside = torch.randn(1, 64, 9, 9), (..., slice(1, -1), slice(1, -1))
        assert torch.allclose(merged(images)[inside], three(one(images))[inside], atol=1e-3)
        assert not torch.allclose(
            merged(images)[inside], three(one(images).relu())[inside], atol=0.1
        )
    two = counting.count_parameters(one) + counting.count_parameters(three)
    parameters = f"{counting.count_parameters(merged):,} parameters could do what the two do with"
    assert f"{parameters} {two:,}" in words("11")


def test_torchvision_returns_the_second_head_first():
    from torchvision.models.googlenet import GoogLeNetOutputs

    assert f"`({', '.join(GoogLeNetOutputs._fields)})`" in words("11")


@pytest.mark.parametrize(
    ("number", "phrase"),
    [
        ("03", "no single size does it all"),
        ("03", "before 2014 somebody chose one per layer"),
        ("03", "windows of four sizes"),  # 1, 3, 5, and the 3 of the pooling branch
        ("03", "only at equal widths"),
        ("03", "Inception-v2 replaced every 5x5"),  # BN-Inception did
        ("03", "Biases start at zero in the package"),  # those of a bare Inception do not
        ("03", "the unit is blind"),  # max pooling reads pixels that have no gradient
        ("04", "the same authors"),  # two of them
        ("04", "weak on purpose"),  # the paper gives no reason for its dropout
        ("04", "any picture size"),
        ("11", "was computed from the net that really ran"),
        ("11", "fit nothing"),
        ("11", "everybody copies"),
    ],
)
def test_a_sentence_stronger_than_its_evidence_does_not_return(number, phrase):
    assert phrase.lower() not in words(number).lower()
