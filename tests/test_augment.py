"""Changed copies of pictures: what moves, what stays, what is refused."""

import pytest
import torch

from gnet_utils import augment

PICTURES = torch.arange(4 * 28 * 28, dtype=torch.float32).reshape(4, 1, 28, 28)


def test_mirroring_turns_about_half_of_the_pictures():
    torch.manual_seed(0)
    many = PICTURES[:1].expand(400, -1, -1, -1)
    turned = (augment.random_mirror(many) == many.flip(3)).flatten(1).all(1)
    assert 160 < turned.sum() < 240


def test_shifts_stay_within_their_limit_and_reach_it():
    torch.manual_seed(0)
    dot = torch.zeros(300, 1, 28, 28)
    dot[:, :, 14, 14] = 1
    places = augment.random_shift(dot, 2).flatten(1).argmax(1)
    rows, columns = places // 28, places % 28
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 16, 12, 16)
    assert torch.equal(augment.random_shift(PICTURES, 0), PICTURES)


def test_the_nearest_pixel_of_the_picture_fills_the_gap_of_a_shift():
    torch.manual_seed(0)
    picture = torch.rand(1, 1, 28, 28)
    rows, columns = torch.arange(28)[:, None], torch.arange(28)
    possible = [
        picture[0, 0][(rows + dy).clamp(0, 27), (columns + dx).clamp(0, 27)]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    for moved in augment.random_shift(picture.expand(50, 1, 28, 28), 1):
        assert any(torch.equal(moved[0], one) for one in possible)


def test_what_is_erased_is_a_square_of_one_size_cut_at_the_border_and_filled_with_noise():
    """Cutout's square, Random Erasing's noise."""
    torch.manual_seed(0)
    many = torch.full((2000, 1, 28, 28), 70.0)
    erased = augment.random_erase(many, 1.0)
    touched = (erased != many)[:, 0]
    heights, widths = (touched.any(axis).sum(1) for axis in (2, 1))
    assert torch.equal(touched.flatten(1).sum(1), heights * widths), "a box"
    assert heights.unique().tolist() == widths.unique().tolist() == [4, 5, 6, 7, 8]
    noise = erased[:, 0][touched]
    assert noise.mean().abs() < 0.02 and (noise.std() - 1).abs() < 0.02


def test_erasing_touches_one_square_in_its_share_of_pictures():
    torch.manual_seed(0)
    many = torch.full((400, 1, 28, 28), 7.0)
    changed = augment.random_erase(many, 0.25) != many
    touched = changed.flatten(1).any(1)
    assert 60 < touched.sum() < 140
    assert changed.flatten(1).sum(1).max() <= 64
    assert torch.equal(augment.random_erase(many, 0.0), many)


def test_views_are_the_picture_its_mirror_and_small_moves():
    assert [len(augment.views(PICTURES, count)) for count in (1, 2, 6, 10)] == [1, 2, 6, 10]
    plain, mirrored, *moved = augment.views(PICTURES, 6)
    assert torch.equal(plain, PICTURES) and torch.equal(mirrored, PICTURES.flip(3))
    assert torch.equal(moved[0][..., 1:, 1:], PICTURES[..., :-1, :-1])


def test_smaller_sets_of_views_are_the_first_of_the_ten_and_all_ten_differ():
    ten = augment.views(PICTURES, 10)
    for count in (1, 2, 6):
        smaller = augment.views(PICTURES, count)
        assert all(torch.equal(a, b) for a, b in zip(smaller, ten, strict=False))
    assert len({tuple(view.flatten().tolist()) for view in ten}) == 10


# Random crops -------------------------------------------------------------------------------------


def boxes_cut(count: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
    """(left, top, width, height) of what was cut, in pixels, read from pictures of positions.

    The first channel of a picture holds the column of each pixel, the second its row.
    """
    columns = (torch.arange(width) + 0.5).expand(height, width)
    rows = (torch.arange(height) + 0.5)[:, None].expand(height, width)
    cut = augment.random_resized_crop(torch.stack([columns, rows]).expand(count, 2, -1, -1))
    steps = cut[:, 0, 0].diff(dim=1).median(1)[0], cut[:, 1, :, 0].diff(dim=1).median(1)[0]
    wide, tall = steps[0] * width, steps[1] * height
    middle = cut[..., height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1]
    x, y = middle.mean(dim=(2, 3)).T
    return x - wide / 2, y - tall / 2, wide, tall


@pytest.mark.parametrize(("size", "largest"), [((28, 28), 1), ((40, 60), 4 / 3 / 1.5)])
def test_random_crops_keep_to_the_limits_of_area_and_aspect_and_reach_them(size, largest):
    torch.manual_seed(0)
    height, width = size
    left, top, wide, tall = boxes_cut(2000, height, width)
    area, aspect = wide * tall / (height * width), wide / tall
    # In a picture half as wide again as high, a box of aspect 4/3 covers 8/9 at most.
    assert 0.079 < area.min() < 0.1 and 0.93 * largest < area.max() < 1.001 * largest
    assert 0.749 < aspect.min() < 0.77 and 1.3 < aspect.max() < 1.334
    assert left.min() > -0.02 and top.min() > -0.02
    assert (left + wide).max() < width + 0.02 and (top + tall).max() < height + 0.02


def test_random_crops_are_spread_over_the_whole_picture(monkeypatch):
    monkeypatch.setattr(augment, "AREA", (0.25, 0.25))
    monkeypatch.setattr(augment, "ASPECT", (1, 1))
    torch.manual_seed(0)
    left, top, wide, _ = boxes_cut(2000, 28, 28)
    assert wide.sub(14).abs().max() < 0.01
    for start in (left, top):
        assert start.min() < 0.2 and start.max() > 13.8 and abs(start.mean() - 7) < 0.3


def test_a_picture_stays_whole_when_no_box_fits():
    flat = torch.rand(4, 1, 4, 400)  # a hundred times as wide as high
    torch.testing.assert_close(augment.random_resized_crop(flat), flat, atol=1e-4, rtol=0)


# The paper's crops --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(330, 440), (440, 330), (606, 512), (28, 28), (1000, 60)])
def test_the_paper_has_144_crops_all_inside_the_scaled_picture(size):
    crops = augment.crop_boxes(*size)
    assert len(crops) == 4 * 3 * 6 * 2 == 144
    for crop in crops:
        height, width = (round(side * crop.scale / min(size)) for side in size)
        assert 0 <= crop.left <= crop.left + crop.size <= width
        assert 0 <= crop.top <= crop.top + crop.size <= height
        assert crop.size == (crop.scale if crop.place == "whole" else 224)


def test_how_many_crops_differ_depends_on_the_shape_of_the_photo():
    def different(*size):
        return len({crop.box for crop in augment.crop_boxes(*size)})

    assert different(330, 440) == 144
    assert different(500, 500) == 48, "the three squares are one"
    assert different(320, 400) == 136, "at scale 256 corners of two squares meet"


def test_the_squares_lie_along_the_longer_side_and_reach_its_ends():
    for size, axis in (((300, 600), "left"), ((600, 300), "top")):
        whole = [crop for crop in augment.crop_boxes(*size) if crop.place == "whole"]
        starts = [getattr(crop, axis) for crop in whole if crop.scale == 256 and not crop.mirrored]
        assert starts == [0, 128, 256]


def test_crops_by_hand_for_one_square():
    crops = [c for c in augment.crop_boxes(330, 440) if c.scale == 256 and c.square == "last"]
    assert [(c.left, c.top, c.size) for c in crops if not c.mirrored] == [
        *((85, 0, 224), (117, 0, 224), (85, 32, 224), (117, 32, 224)),
        *((101, 16, 224), (85, 0, 256)),
    ]


def test_cutting_shows_what_the_box_says_and_mirrors_it():
    picture = torch.rand(2, 3, 256, 320)
    plain, mirrored = augment.crop_boxes(256, 320)[2:4]
    assert plain.place == mirrored.place == "top right" and mirrored.mirrored
    seen = augment.cut(picture, plain)
    assert torch.equal(seen, picture[:, :, :224, 32:256])
    assert torch.equal(augment.cut(picture, mirrored), seen.flip(3))


def test_every_crop_becomes_a_picture_of_one_size():
    picture = torch.rand(1, 3, 90, 120)
    sizes = {tuple(augment.cut(picture, crop).shape) for crop in augment.crop_boxes(90, 120)}
    assert sizes == {(1, 3, 224, 224)}


def test_the_small_scheme_is_the_paper_divided_by_eight():
    ten, every = augment.small_crops(10), augment.small_crops(48)
    assert len({crop.box for crop in every}) == len(every) == 48
    assert len(ten) == 10 and set(ten) <= set(every)
    assert {crop.scale for crop in every} == {32, 36, 40, 44}
    assert {crop.scale for crop in ten} == {32} and "whole" not in {crop.place for crop in ten}
    assert {augment.cut(PICTURES, crop, 28).shape for crop in every} == {PICTURES.shape}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: augment.views(PICTURES, 3), "count must be one of 1, 2, 6, 10"),
        (
            lambda: augment.random_mirror(PICTURES[0]),
            r"got \(1, 28, 28\) float32: use data.to_float",
        ),
        (lambda: augment.cut(PICTURES.byte(), None), r"got \(4, 1, 28, 28\) uint8"),
        (lambda: augment.small_crops(144), "count must be 10 or 48, got 144"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
