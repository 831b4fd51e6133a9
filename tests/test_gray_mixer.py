"""The gray mixer of notebook 01: its mix, its difference to OpenCV, its written-out sums."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from gnet_utils.data import DEMO_PICTURES
from gnet_utils.explorers.n01 import (
    COLOURS_IN,
    LUMA,
    PRESET_STATES,
    PRESETS,
    SEPIA,
    explore_mix,
    gray_mixer,
    mix,
    opencv_difference,
    pixel_sum,
)
from gnet_utils.pictures import demo_picture
from gnet_utils.plotting import to_png


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "weights", [LUMA, (-0.4987, 1.7013, 0.1003), SEPIA], ids=["luma", "any", "sepia"]
)
def test_the_mix_is_a_one_by_one_convolution_rounded_and_clipped(weights, colours):
    rows = torch.tensor(weights, dtype=torch.float64).view(-1, 3, 1, 1)
    layer = nn.Conv2d(3, len(rows), kernel_size=1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight[:] = rows
        expected = layer(torch.from_numpy(colours).permute(2, 0, 1)[None].double())[0]
    exact = expected.permute(1, 2, 0).squeeze(2).numpy()
    wrong = mix(colours, weights) != exact.round().clip(0, 255).astype(np.uint8)
    # A sum that lies on a half but for the last bit may be rounded up by one order of adding and
    # down by another.
    assert not (wrong & (abs(exact % 1 - 0.5) > 1e-9)).any()


def test_luma_and_sepia_are_at_most_one_level_from_opencv(colours):
    assert np.abs(opencv_difference(colours, LUMA)).max() <= 1
    assert np.abs(opencv_difference(colours, SEPIA)).max() <= 1
    assert np.abs(opencv_difference(colours, PRESETS["red only"])).max() > 50


def test_the_sum_is_written_with_the_numbers_of_the_pixel():
    picture = np.full((2, 2, 3), (200, 100, 50), dtype=np.uint8)
    picture[1, 0] = (255, 255, 255)
    line = "gray = 0.2989 · 200 + 0.5870 · 100 + 0.1140 · 50 = 124.2 → 124"
    assert pixel_sum(picture, LUMA, (0, 0)) == line
    minus = "gray = 1.0000 · 200 - 1.0000 · 100 - 3.0000 · 50 = -50.0 → 0, clipped"
    assert pixel_sum(picture, (1, -1, -3), (0, 0)) == minus
    red, green, blue = pixel_sum(picture, SEPIA, (1, 0)).splitlines()
    assert red.endswith("= 344.5 → 255, clipped") and green.endswith("→ 255, clipped")
    assert blue.startswith("blue = 0.2720 · 255") and blue.endswith("= 238.9 → 239")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("picture", DEMO_PICTURES)
def test_every_preset_draws_every_picture(picture, name):
    weights = {f"{new}_from_{old}": 0.0 for new in COLOURS_IN for old in COLOURS_IN}
    state = {**weights, **PRESET_STATES[name]}
    figure = explore_mix(picture, None, **state)
    shown = figure.axes[0].images[1].get_array()
    assert shown.ndim == (3 if name == "sepia" else 2)
    rows = demo_picture(picture).shape[0]
    assert shown.shape[0] in (rows, -(-rows // 2))
    to_png(figure)


def test_the_ringed_pixel_is_the_one_whose_sum_is_written(colours):
    figure = gray_mixer(colours, LUMA)
    assert isinstance(figure, Figure)
    (ring,) = figure.axes[0].collections
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    (x, y), (height, width) = ring.get_offsets()[0], colours.shape[:2]
    assert ((x - left) / (right - left) * width, (top - y) / (top - bottom) * height) == (
        pytest.approx((25.5, 20.5))  # the middle of that pixel
    )
    assert figure.texts[0].get_text() == pixel_sum(colours, LUMA, (20, 25))


def test_an_own_picture_replaces_the_chosen_one(colours):
    figure = explore_mix("hopper", colours, **PRESET_STATES["sepia"])
    assert np.array_equal(figure.axes[0].images[0].get_array(), colours)
