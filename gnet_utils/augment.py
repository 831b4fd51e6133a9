"""Changed copies of pictures, a whole batch at a time on its own device.

While training: mirrored, shifted, partly erased pictures, random crops. At test time: several
views of each picture, whose probabilities are averaged; among them the 144 crops of GoogLeNet's
paper. A batch is (N, C, H, W), float, already normalised.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# While training -----------------------------------------------------------------------------------

ERASED = 8  # pixels: the side of an erased square
AREA = (0.08, 1.0)  # of a random crop: its share of the picture
ASPECT = (3 / 4, 4 / 3)  # its width / height


def _check_batch(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise ValueError(
            "images must be a batch of float pictures (N, C, H, W), got "
            f"{tuple(images.shape)} {kind}: use data.to_float"
        )


def random_mirror(images: Tensor) -> Tensor:
    """Mirror each picture left to right with probability one half."""
    _check_batch(images)
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def random_shift(images: Tensor, pixels: int) -> Tensor:
    """Move each picture by -pixels..pixels in both directions.

    The gap is filled with the nearest pixel of the picture: its edges are drawn out.
    """
    _check_batch(images)
    count, _, height, width = images.shape
    padded = F.pad(images, (pixels,) * 4, mode="replicate")
    device = images.device
    down = torch.randint(2 * pixels + 1, (count, 1), device=device)
    right = torch.randint(2 * pixels + 1, (count, 1), device=device)
    rows = (down + torch.arange(height, device=device))[:, :, None]
    columns = (right + torch.arange(width, device=device))[:, None, :]
    each = torch.arange(count, device=device)[:, None, None]
    # Advanced indices on both sides of the channel axis put that axis last: move it back.
    return padded[each, :, rows, columns].permute(0, 3, 1, 2)


def random_erase(images: Tensor, share: float) -> Tensor:
    """Fill one square of 8x8 pixels with noise in a `share` of the pictures, 0 to 1.

    The square is Cutout's (arXiv 1708.04552): one size, its centre anywhere, so that at the border
    only a part of it is inside. Noise in place of Cutout's zeros is of Random Erasing (arXiv
    1708.04896), whose rectangles have many sizes and lie inside. Noise: mean 0, deviation 1.
    """
    _check_batch(images)
    count, _, height, width = images.shape
    device = images.device

    def inside(length: int) -> Tensor:
        centre = torch.randint(length, (count, 1), device=device)
        return torch.arange(length, device=device) - centre + ERASED // 2

    rows, columns = inside(height), inside(width)
    in_rows, in_columns = ((axis >= 0) & (axis < ERASED) for axis in (rows, columns))
    square = in_rows[:, :, None] & in_columns[:, None]
    chosen = torch.rand(count, 1, 1, device=device) < share
    return torch.where((square & chosen)[:, None], torch.randn_like(images), images)


def random_resized_crop(images: Tensor) -> Tensor:
    """Cut a random box out of each picture and enlarge it to the full size (paper, section 6).

    Its share of the picture's area is even between the limits AREA, its aspect even on a
    logarithmic scale between the limits ASPECT. Up to ten boxes are drawn for each picture, the
    first that fits is cut; when none fits, the picture stays whole. Bilinear.
    """
    _check_batch(images)
    count, _, height, width = images.shape
    tries = (count, 10)
    share = torch.empty(tries, device=images.device).uniform_(*AREA)
    ratio = torch.empty(tries, device=images.device).uniform_(*torch.tensor(ASPECT).log()).exp()
    # Sides as shares of the picture's own sides; in a picture twice as wide as high, a square box
    # spans half as much of the width as of the height.
    across = (share * ratio * height / width).sqrt()
    down = (share / ratio * width / height).sqrt()
    fits = (across <= 1) & (down <= 1)
    first = fits.int().argmax(1, keepdim=True)  # 0 where none fits, which is made whole next
    across, down = (
        torch.where(fits.any(1), side.gather(1, first)[:, 0], 1.0) for side in (across, down)
    )
    left, top = ((1 - side) * torch.rand_like(side) for side in (across, down))
    zero = torch.zeros_like(left)
    # affine_grid counts from -1 to 1: the box's half sides, and where its middle lies.
    rows = [(across, zero, 2 * left + across - 1), (zero, down, 2 * top + down - 1)]
    boxes = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(boxes, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


# At test time: small moves ------------------------------------------------------------------------

MOVES = tuple(  # right, down, mirrored
    (right, down, mirrored)
    for right, down in ((0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1))
    for mirrored in (False, True)
)


def views(images: Tensor, count: int = 1) -> list[Tensor]:
    """The picture itself (1), with its mirror image (2), also moved by one pixel diagonally.

    6: moved up left and down right; 10: in all four diagonal directions. The first 1, 2 and 6 of
    the 10 are those of the smaller counts.

    Returns `count` batches of the same shape. Raises ValueError for another count.
    """
    _check_batch(images)
    if count not in (1, 2, 6, 10):
        raise ValueError(f"count must be one of 1, 2, 6, 10, got {count}")
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    made = []
    for right, down, mirrored in MOVES[:count]:
        view = padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        made.append(view.flip(3) if mirrored else view)
    return made


# At test time: the crops of the paper -------------------------------------------------------------


def ten_crops(images: Tensor, size: int) -> Tensor:
    """Corners and middle of each picture, then these five mirrored: (10, N, C, size, size)."""
    _check_batch(images)
    down, right = images.shape[2] - size, images.shape[3] - size
    starts = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    five = torch.stack([images[:, :, y : y + size, x : x + size] for y, x in starts])
    return torch.cat([five, five.flip(4)])


SCALES = (256, 288, 320, 352)  # of the shorter side, in pixels (section 7)
CROP_SIZE = 224
SQUARES = ("first", "middle", "last")  # left, centre, right; top, centre, bottom when upright
PLACES = ("top left", "top right", "bottom left", "bottom right", "centre", "whole")


class Crop(NamedTuple):
    """One crop: a box of `size` x `size` pixels of the picture scaled to `scale`, in words too."""

    scale: int  # pixels of the shorter side
    square: str
    place: str
    left: int
    top: int
    size: int
    mirrored: bool

    @property
    def box(self) -> tuple[int, int, int, int, bool]:
        """What decides the pixels: two crops with the same box show the same."""
        return self.scale, self.left, self.top, self.size, self.mirrored


def _scaled_size(height: int, width: int, scale: int) -> tuple[int, int]:
    """(height, width) of a picture whose shorter side has become `scale` pixels."""
    shorter = min(height, width)
    return round(height * scale / shorter), round(width * scale / shorter)


def crop_boxes(height: int, width: int) -> list[Crop]:
    """The crops of the paper's section 7, 36 for each scale and 144 in all, in a fixed order.

    For each scale three squares along the longer side; in each of them four corners and the
    centre, 224x224 pixels, and the whole square (to be resized to that); each of these also
    mirrored. In a square picture the three squares are one, so that 48 differ.
    """
    crops = []
    for scale in SCALES:
        tall, wide = _scaled_size(height, width, scale)
        for part, square in enumerate(SQUARES):
            left, top = ((length - scale) * part // 2 for length in (wide, tall))
            for place in PLACES:
                x, y, side = _place(place, scale)
                for mirrored in (False, True):
                    crops.append(Crop(scale, square, place, left + x, top + y, side, mirrored))
    return crops


def _place(place: str, scale: int) -> tuple[int, int, int]:
    """(left, top, size) of a crop within its square of `scale` x `scale` pixels."""
    if place == "whole":
        return 0, 0, scale
    rest = scale - CROP_SIZE
    if place == "centre":
        return rest // 2, rest // 2, CROP_SIZE
    return rest * ("right" in place), rest * ("bottom" in place), CROP_SIZE


def cut(images: Tensor, crop: Crop, size: int = CROP_SIZE) -> Tensor:
    """What `crop` shows of each picture, as (N, C, size, size): scaled, cut, resized, mirrored."""
    _check_batch(images)
    scaled = _resized(images, _scaled_size(*images.shape[2:], crop.scale))
    view = scaled[:, :, crop.top : crop.top + crop.size, crop.left : crop.left + crop.size]
    view = _resized(view, (size, size))
    return view.flip(3) if crop.mirrored else view


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
