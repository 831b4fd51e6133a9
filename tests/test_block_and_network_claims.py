"""What notebooks 03 and 04 say in words: the figures behind the sentences, and the sentences.

Cells are run as they stand in the notebooks, so that the test sees what a reader sees.
"""

import json
from functools import cache
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import pytest
import torch

from gnet_utils import counting
from gnet_utils.course.notebooks import code_cells, read
from gnet_utils.data import demo_picture
from gnet_utils.explorers.n04 import square, to_images
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


def photo() -> torch.Tensor:
    return to_images(square(demo_picture("hopper")))


# 03, the block ------------------------------------------------------------------------------------


def test_each_window_answers_most_to_squares_of_its_own_size_and_one_5x5_could_do():
    found = run("03", "noisy = clean", "one_layer = F.conv2d")
    answers, centres, clean = (found[name] for name in ("answers", "centres", "clean"))
    means = torch.tensor(
        [
            [torch.stack([answers[k][0, 0, y, x] for y, x in centres[s]]).mean() for s in centres]
            for k in (1, 3, 5)
        ]
    )
    exact = torch.tensor([[1, 1 / 3, 1 / 5], [1 / 3, 1, 3 / 5], [1 / 5, 3 / 5, 1]])
    assert torch.allclose(means, exact, atol=0.15)  # six squares, noise of 0.15 / sqrt(6)
    assert means.argmax(0).tolist() == means.argmax(1).tolist() == [0, 1, 2]
    assert clean.square().sum() == pytest.approx(18)  # every square has the energy 1
    for channel, answer in enumerate(answers.values()):
        assert torch.allclose(found["one_layer"][:, channel], answer[:, 0], atol=1e-5)
    assert (found["weights"], found["all_fives"]) == (387_072, 1_075_200)


def test_the_5x5_has_the_fewest_channels_of_the_three_windows():
    assert all(w.out_5x5 < min(w.out_1x1, w.out_3x3) for w in GOOGLENET_BLOCKS.values())


# 04, the network ----------------------------------------------------------------------------------


def test_every_row_of_table_1_is_inside_the_figure():
    found = run("04", "table = counting.table1()", "printed / counted (%)")
    shown = {"params": set(), "ops": set()}
    for ax in found["fig"].axes:
        low, high = ax.get_ylim()
        for line in ax.lines:
            if line.get_label() in shown:
                inside = [i for i, y in enumerate(line.get_ydata()) if low <= y <= high]
                shown[line.get_label()] |= set(inside)
    assert shown == {"params": set(range(12)), "ops": set(range(12))}


def test_the_middle_of_the_field_counts_most_in_3b_and_4c_and_on_the_photo_not_in_5b():
    found = run("04", "he_net = GoogLeNet", "def gradient_on(", "two_kinds = ", images=photo())
    squares = {(block, kind): (float(m), float(b)) for block, kind, m, b in found["rows"]}
    for (block, kind), (middle, brightest) in squares.items():
        elsewhere = (block, kind) == ("5b", "photo")
        assert (brightest > 1.4 * middle) == elsewhere, (block, kind)
    assert (
        squares["5b", "noise"][0] < 3 < squares["4c", "noise"][0] < 10 < squares["3b", "noise"][0]
    )


def test_default_biases_hide_the_picture_and_zero_padding_draws_the_frame():
    torch.manual_seed(0)
    net, he_net = GoogLeNet(aux=False).eval(), GoogLeNet(aux=False).eval()
    for layer in net.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            layer.reset_parameters()
    found = run("04", "def contrast(", images=photo(), net=net, he_net=he_net)
    he, default, no_biases = (contrast["inception_5b"] for contrast in found["contrasts"])
    assert default < 0.01 and no_biases == pytest.approx(he, rel=0.3)

    def unevenness() -> float:
        """Median spread of the maps of 4c, relative to their mean."""
        x = photo()
        with torch.no_grad():
            for name, stage in net.stages():
                x = stage(x)
                if name == "inception_4c":
                    break
        maps = x[0].flatten(1)
        live = maps[maps.mean(1) > 1e-6]
        return (live.std(1) / live.mean(1)).median().item()

    with_zeros = unevenness()
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):  # repeat the edge instead
            layer.padding_mode = "replicate"
    assert unevenness() < with_zeros / 10


def test_parameters_of_the_linear_row_fit_and_those_from_4c_to_5b_do_not():
    fits = {row.stage: "params" not in row.note for row in counting.table1() if row.weights}
    assert fits["linear"]
    assert not any(fits[f"inception ({block})"] for block in ("4c", "4d", "4e", "5a", "5b"))
    assert "of 4c to 5b fit no count" in words("04")


def test_31_pixels_are_the_smallest_photo_without_heads():
    net = GoogLeNet(10, aux=False).eval()
    layers = torch.nn.Sequential(*[stage for _, stage in net.stages()])
    assert layers(torch.zeros(1, 3, 31, 31)).shape == (1, 10)
    with pytest.raises(RuntimeError, match="too small"):
        layers(torch.zeros(1, 3, 30, 30))
    assert "31x31" in words("04")


def test_a_pass_over_imagenet_takes_17_hours_at_the_rate_of_the_yardstick():
    recipes = json.loads((ROOT / "data" / "bench.json").read_text(encoding="utf-8"))["recipes"]
    rate = median(recipe["yardstick_images_per_s"] for recipe in recipes.values())
    small = counting.count_macs(GoogLeNet(10, in_channels=1, aux=False), (1, 1, 96, 96))
    large = counting.count_macs(GoogLeNet(aux=False), (1, 3, 224, 224))
    seconds = 1_281_167 * large / small / rate
    assert seconds / 3600 == pytest.approx(17, abs=1) and "one pass takes 17 hours" in words("04")
    assert 60 * seconds / (7 * 86400) == pytest.approx(6, abs=0.5)  # weeks
    assert 120 * seconds / (30 * 86400) == pytest.approx(3, abs=0.3)  # months


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
        ("04", "as all frameworks do"),
        ("04", "was computed from the net that really ran"),
        ("04", "any picture size"),
        ("04", "fit nothing"),
        ("04", "in a table that everybody copies"),
    ],
)
def test_a_sentence_stronger_than_its_evidence_does_not_return(number, phrase):
    assert phrase.lower() not in words(number).lower()
