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


def test_erasing_touches_one_square_in_its_share_of_pictures():
    torch.manual_seed(0)
    many = torch.full((400, 1, 28, 28), 7.0)
    changed = augment.random_erase(many, 0.25, size=8) != many
    touched = changed.flatten(1).any(1)
    assert 60 < touched.sum() < 140
    assert changed.flatten(1).sum(1).max() <= 64
    assert torch.equal(augment.random_erase(many, 0.0), many)


def test_views_are_the_picture_its_mirror_and_small_moves():
    assert [len(augment.views(PICTURES, count)) for count in (1, 2, 6)] == [1, 2, 6]
    plain, mirrored, *moved = augment.views(PICTURES, 6)
    assert torch.equal(plain, PICTURES) and torch.equal(mirrored, PICTURES.flip(3))
    assert torch.equal(moved[0][..., 1:, 1:], PICTURES[..., :-1, :-1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: augment.random_shift(PICTURES, 28), "pixels must be 0 to 27"),
        (lambda: augment.random_shift(PICTURES, -1), "pixels must be 0 to 27"),
        (lambda: augment.random_erase(PICTURES, 1.5), "share must be 0 to 1"),
        (lambda: augment.random_erase(PICTURES, 0.5, 0), "size 1 or more"),
        (lambda: augment.views(PICTURES, 3), "count must be one of 1, 2, 6"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
