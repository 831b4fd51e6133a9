"""The bottleneck designer of notebook 02 and the clock it uses."""

import io

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from gnet_utils.counting import count_macs, count_parameters, measure_ms
from gnet_utils.explorers.n02 import (
    PRESETS,
    Design,
    bottleneck_designer,
    build,
    draw_design,
    draw_profile,
    layer_costs,
    pytorch_line,
    time_design,
)
from gnet_utils.plotting import to_png

DESIGNS = [Design(**preset) for preset in PRESETS.values()]


@pytest.mark.parametrize("design", DESIGNS, ids=PRESETS)
def test_formulas_agree_with_the_modules(design):
    plain, first, second = layer_costs(design)
    shape = (1, design.in_channels, design.height, design.width)
    modules = build(design)
    assert [count_parameters(m) for m in modules] == [
        plain.parameters,
        first.parameters + second.parameters,
    ]
    assert [count_macs(m, shape) for m in modules] == [plain.macs, first.macs + second.macs]
    output = modules[1](torch.zeros(shape))
    assert output.numel() * 4 == second.activation_bytes == plain.activation_bytes


@pytest.mark.parametrize("design", DESIGNS, ids=PRESETS)
def test_the_line_to_copy_runs_and_is_the_bottleneck(design):
    module = eval(pytorch_line(design), {"nn": nn})
    shape = (1, design.in_channels, design.height, design.width)
    assert module(torch.zeros(shape)).shape[1:] == (design.out_channels, *shape[2:])
    assert count_macs(module, shape) == count_macs(build(design)[1], shape)
    assert count_parameters(module) == count_parameters(build(design)[1])


def test_break_even_parts_designs_that_save_from_those_that_do_not():
    assert Design().break_even == pytest.approx(221_184 / 1_344)
    for reduce, saves in ((164, True), (165, False)):
        plain, first, second = layer_costs(Design(reduce=reduce))
        assert (first.parameters + second.parameters < plain.parameters) is saves


def test_a_design_too_slow_to_measure_is_drawn_without_times():
    huge = Design(512, 256, 512, 7, 112, 112)
    assert time_design(huge) is None
    texts = [text.get_text() for ax in draw_design(huge).axes for text in ax.texts]
    assert any("not measured" in text for text in texts)


def test_the_designer_draws_its_numbers():
    figure = bottleneck_designer(height=7, width=7)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert {"221,184", "129,024"} <= set(texts)
    assert texts[0] == "parameters\n-42%"
    assert any(text.endswith("164.6 channels: 96 pays") for text in texts)
    assert Image.open(io.BytesIO(to_png(figure))).width > 600


def test_a_profile_can_keep_the_numbers_of_weights_back():
    ax = Figure().subplots()
    draw_profile(ax, [3, 4, 5], [("1x1", 12), ("3x3", None)], "title", 5)
    assert [text.get_text() for text in ax.texts] == ["1x1\n12", "3x3", "3", "4", "5"]


def test_measuring_leaves_module_and_threads_as_they_were():
    module, threads = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout()), torch.get_num_threads()
    module[1].eval()
    torch.set_num_threads(2)
    try:
        low, median, high = measure_ms(module, (1, 3, 8, 8))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert 0 < low <= median <= high
    assert module.training and not module[1].training


def test_measuring_and_the_designer_leave_the_random_numbers_of_the_cells_alone():
    before = torch.get_rng_state()
    measure_ms(nn.ReLU(), (1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)
    time_design(Design(8, 2, 8, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_measuring_stops_when_its_time_is_over():
    calls = []
    layer = nn.Conv2d(3, 4, 3)
    layer.register_forward_hook(lambda *_: calls.append(1))
    measure_ms(layer, (1, 3, 8, 8), seconds=0)
    assert len(calls) == 1 + 3  # the check of the shape warms up; the least number


def test_measuring_names_a_shape_that_cannot_be():
    with pytest.raises(ValueError, match="cannot take an input of shape"):
        measure_ms(nn.Conv2d(3, 4, 3), (1, 5, 8, 8))
