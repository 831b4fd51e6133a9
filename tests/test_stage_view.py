"""The receptive-field explorer of notebook 04 and its drawing of the whole net."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gnet_utils.data import demo_picture
from gnet_utils.explorers.n04 import (
    STAGES,
    box,
    by_liveliness,
    draw_fields,
    draw_journey,
    draw_network,
    random_net,
    square,
    stage_maps,
    stage_view,
    to_images,
)
from gnet_utils.fields import ReceptiveField
from gnet_utils.models import GOOGLENET_BLOCKS, FashionGoogLeNet, GoogLeNet

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)


def boxes_on(ax) -> list[tuple[float, float]]:
    """(left, width) of the rectangles drawn on an axes, widths in drawing order."""
    return [(p.get_x(), p.get_width()) for p in ax.patches if isinstance(p, Rectangle)]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_drawn_with_its_shape_and_field(stage):
    figure = stage_view(stage, 0.9, 0.1)
    channels, height, width = stage_maps(_photo())[stage].shape[1:]
    title = figure.get_suptitle()
    assert title.startswith(f"{stage}: {channels} maps of {height}x{width}, one step = ")
    photo, maps = figure.axes
    assert len(photo.images) == 1 and len(maps.patches) == 12
    found = stage_maps(square(demo_picture("hopper")).tobytes())[stage][0]
    (sheet,) = maps.images
    pixels, (_, right, bottom, _) = sheet.get_array(), sheet.get_extent()
    for index, mark in enumerate(maps.patches):  # on the unit at (0.9, 0.1)
        corner = index % 4 * 122 / 112, index // 4 * 144 / 112
        inside = mark.get_center() - corner
        x, y = mark.get_center() / (right, bottom) * pixels.T.shape
        shown = found[by_liveliness(found)[index]]
        white = max(float(shown.max() - shown.min()), 1e-12)  # a map of one pixel is black
        wanted = float(shown[int(0.1 * height), int(0.9 * width)] - shown.min()) / white
        assert pixels[int(y), int(x)] == pytest.approx(wanted, abs=1e-5)
        cell = [(int(share * side) + 0.5) / side for share, side in ((0.9, width), (0.1, height))]
        assert inside == pytest.approx(cell)


def _photo() -> bytes:
    return square(PICTURE).tobytes()


def test_the_title_names_stride_field_and_parameters():
    title = stage_view("inception_4a").get_suptitle()
    assert "one step = 16 photo pixels" in title
    assert "171x171" in title and "376,176 parameters" in title


def test_the_boxes_of_a_block_are_the_fields_of_its_branches():
    ax = Figure().add_subplot()
    draw_fields(ax, square(PICTURE), "inception_3a", 14, 14)
    assert {width for _, width in boxes_on(ax)} == {27, 43, 59}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "1x1: 27",
        "3x3: 43",
        "5x5: 59",
        "pool: 43",
    ]


def test_a_box_lies_where_its_unit_is():
    assert box(ReceptiveField(7, 2, -3), 0, 5) == (-3.5, 6.5, 7)
    left, right = (Figure().add_subplot() for _ in range(2))
    draw_fields(left, square(PICTURE), "pool2", 0, 14)
    draw_fields(right, square(PICTURE), "pool2", 27, 14)
    assert boxes_on(right)[0][0] - boxes_on(left)[0][0] == 27 * 8


def test_no_box_is_cut_off_by_the_frame():
    ax = Figure().add_subplot()
    draw_fields(ax, square(PICTURE), "inception_5b", 6, 0)
    low, high = ax.get_xlim()
    top, bottom = sorted(ax.get_ylim())
    for patch in ax.patches:
        assert low < patch.get_x() and patch.get_x() + patch.get_width() < high
        assert top < patch.get_y() and patch.get_y() + patch.get_height() < bottom


def test_the_maps_are_those_of_the_whole_net_for_this_picture():
    maps = stage_maps(_photo())
    assert maps["inception_5b"].shape == (1, 1024, 7, 7)
    assert not torch.equal(maps["conv1"], stage_maps(square(255 - PICTURE).tobytes())["conv1"])
    assert maps["inception_5b"].std() > 0.01, "He's weights must carry the picture to the end"


def test_pictures_of_any_shape_become_a_square_from_their_middle():
    wide = np.zeros((50, 100, 3), np.uint8)
    wide[:, 25:75] = 200
    assert square(wide).shape == (224, 224, 3)
    assert square(wide).min() == 200
    images = to_images(square(PICTURE))
    assert images.shape == (1, 3, 224, 224)
    assert images.mean(dim=(2, 3)).abs().max() < 1e-5


def test_the_drawing_of_the_net_has_a_box_for_each_branch_and_both_heads():
    ax = draw_network(GoogLeNet(num_classes=10), (1, 3, 224, 224)).axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert {*GOOGLENET_BLOCKS, "head 1", "head 2", "photo", "linear"} <= set(texts)
    gray = 1 + 3 + 2  # photo, stem, average pool and linear layer
    assert len(boxes_on(ax)) == gray + 4 * 9


def test_the_journey_shows_the_maps_that_vary_most():
    net = random_net()
    figure = draw_journey(net, to_images(square(PICTURE)), ("conv1", "inception_5b"), columns=3)
    assert len(figure.axes) == 2 * 3
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["conv1\n112x112", "5b\n7x7"]
    maps = stage_maps(_photo())["conv1"][0]
    spread = maps.flatten(1).std(1, correction=0).sort(descending=True).values[:3]
    shown = [ax.images[0].get_array().std() for ax in figure.axes[:3]]
    assert shown == pytest.approx(spread.tolist(), rel=1e-3)


def test_a_net_without_heads_is_drawn_without_them():
    ax = draw_network(FashionGoogLeNet(0.125), (1, 1, 28, 28)).axes[0]
    assert not any("head" in text.get_text() for text in ax.texts)
