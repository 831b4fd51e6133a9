"""The block builder of notebook 03, and the drawing of a block that it shares with the README."""

import re

import pytest
import torch
from matplotlib.patches import Polygon
from torch import nn

from gnet_utils.counting import count_macs, count_parameters
from gnet_utils.explorers.n03 import (
    BRANCHES,
    PRESETS,
    block_builder,
    branch_costs,
    build_block,
    draw_answers,
    draw_block,
    faint_squares,
)
from gnet_utils.models import GOOGLENET_BLOCKS, Inception, NaiveInception

WIDTHS = GOOGLENET_BLOCKS["3a"]


def texts(figure) -> str:
    found = [ax.get_title(loc="left") for ax in figure.axes]
    return " ".join([*found, *(text.get_text() for ax in figure.axes for text in ax.texts)])


@pytest.mark.parametrize(
    ("block", "reductions"),
    [(Inception(192, *WIDTHS), True), (NaiveInception(192, 64, 128, 32), False)],
    ids=["reduced", "naive"],
)
def test_branches_add_up_to_the_counts_of_the_real_block(block, reductions):
    costs = branch_costs(build_block(192, WIDTHS, list(BRANCHES), reductions), 192, 14).values()
    assert sum(cost.parameters for cost in costs) == count_parameters(block)
    assert sum(cost.macs for cost in costs) == count_macs(block, (1, 192, 14, 14))
    assert sum(cost.channels for cost in costs) == (256 if reductions else 416)


def test_a_branch_that_is_off_costs_nothing_and_is_not_drawn():
    shown = texts(block_builder(use_5x5=False))
    assert "224 channels out" in shown and "147,776 parameters" in shown
    assert "5x5" not in shown and "5x5" in texts(block_builder())


def test_one_channel_is_not_called_channels():
    shown = texts(block_builder(in_channels=1, out_5x5=1, use_1x1=False))
    assert "5x5 conv\n1 channel" in shown and "input\n1\nchannel" in shown
    assert "\n1 channels" not in shown and "\n1\nchannels" not in shown
    lone = {f"use_{name}": name == "1x1" for name in BRANCHES}
    assert "1 channel out, 2 parameters" in texts(block_builder(1, 1, out_1x1=1, **lone))


def test_shares_of_a_block_without_weights_are_drawn():
    only_pool = {f"use_{name}": False for name in ("1x1", "3x3", "5x5")}
    assert "192 channels out, 0 parameters" in texts(block_builder(**only_pool, reductions=False))


@pytest.mark.parametrize(("name", "values"), PRESETS.items(), ids=PRESETS)
def test_presets_set_every_control(name, values):
    assert values.keys() == PRESETS["block 3a"].keys()
    assert f"{values['map_size']}x{values['map_size']}" in texts(block_builder(**values))


def test_a_block_without_branches_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="needs a branch, got none"):
        block_builder(**{f"use_{name}": False for name in BRANCHES})


def test_the_drawing_is_read_from_the_module():
    block = Inception(192, *WIDTHS)
    block.branch_5x5 = nn.Sequential(
        nn.Conv2d(192, 16, 1), nn.Conv2d(16, 24, 3), nn.Conv2d(24, 40, (1, 7))
    )
    shown = texts(draw_block(block))
    assert "3x3 conv\n24 channels" in shown and "1x7 conv\n40 channels" in shown
    assert "concat\n264\nchannels" in shown and "5x5" not in shown


@pytest.mark.parametrize("values", PRESETS.values(), ids=PRESETS)
def test_each_end_of_a_band_lies_on_the_edge_of_a_box(values):
    ax = block_builder(**values).axes[0]
    bands = [patch for patch in ax.patches if isinstance(patch, Polygon)]
    assert len(bands) >= 8
    for band in bands:
        x, y = band.get_xy().T
        for end in (x.min(), x.max()):
            low, high = y[x == end].min(), y[x == end].max()
            edges = [
                (box.get_y(), box.get_y() + box.get_height())
                for box in ax.patches
                if not isinstance(box, Polygon)
                and min(abs(box.get_x() - end), abs(box.get_x() + box.get_width() - end)) < 1e-6
            ]
            assert any(bottom - 1e-6 <= low < high <= top + 1e-6 for bottom, top in edges)


def test_every_share_is_told_and_those_of_a_row_make_100():
    shares = block_builder().axes[1]
    told = {}
    for text in shares.texts:
        if not any(name in text.get_text() for name in BRANCHES):
            continue  # of the scale
        told.setdefault(text.get_position()[1], []).extend(
            re.findall(r"[\d.]+(?=%)", text.get_text())
        )
    assert [len(row) for row in told.values()] == [4, 4, 4]
    assert all(sum(map(float, row)) == pytest.approx(100, abs=0.2) for row in told.values())


def test_rings_stand_where_a_window_answers_more_than_the_others():
    picture, middles = faint_squares()
    ones = torch.ones_like(picture)
    answers = {1: 0 * ones, 3: ones * middles[1], 5: 0.5 * ones}  # 3 wins at the pixels, else 5
    rings = [
        len(ax.collections[0].get_offsets())
        for ax in draw_answers(picture, answers, middles).axes[1:]
    ]
    assert rings == [0, 6, 12]
    sums = [picture[..., columns].sum().item() for columns in (range(24), range(24, 48))]
    assert sums == pytest.approx([6, 6 * 9 / 3])
