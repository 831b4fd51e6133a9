"""Changed copies of pictures, a whole batch at a time on its own device.

While training: mirrored, shifted, partly erased pictures. At test time: several views of each
picture, whose probabilities are averaged. A batch is (N, C, H, W), float, already normalised.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_mirror(images: Tensor) -> Tensor:
    """Mirror each picture left to right with probability one half."""
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def random_shift(images: Tensor, pixels: int) -> Tensor:
    """Move each picture by -pixels..pixels in both directions; the corner's value fills the gap.

    Raises ValueError for a shift that is negative or as large as the picture.
    """
    count, _, height, width = images.shape
    if not 0 <= pixels < min(height, width):
        raise ValueError(
            f"pixels must be 0 to {min(height, width) - 1} for pictures of {height}x{width}, "
            f"got {pixels}"
        )
    padded = F.pad(images, (pixels,) * 4, mode="replicate")
    device = images.device
    down = torch.randint(2 * pixels + 1, (count, 1), device=device)
    right = torch.randint(2 * pixels + 1, (count, 1), device=device)
    rows = (down + torch.arange(height, device=device))[:, :, None]
    columns = (right + torch.arange(width, device=device))[:, None, :]
    each = torch.arange(count, device=device)[:, None, None]
    # Advanced indices on both sides of the channel axis put that axis last: move it back.
    return padded[each, :, rows, columns].permute(0, 3, 1, 2)


def random_erase(images: Tensor, share: float = 0.5, size: int = 8) -> Tensor:
    """Fill one square of size x size with noise in a `share` of the pictures (arXiv 1708.04896).

    The square's centre may lie anywhere, so that at the border only a part of it is inside.
    Raises ValueError for a share outside 0..1 or a size below 1.
    """
    if not 0 <= share <= 1 or size < 1:
        raise ValueError(f"share must be 0 to 1 and size 1 or more, got {share} and {size}")
    count, _, height, width = images.shape
    device = images.device

    def inside(length: int) -> Tensor:
        centre = torch.randint(length, (count, 1), device=device)
        return torch.arange(length, device=device) - centre + size // 2

    rows, columns = inside(height), inside(width)
    in_rows, in_columns = ((axis >= 0) & (axis < size) for axis in (rows, columns))
    square = in_rows[:, :, None] & in_columns[:, None]
    chosen = torch.rand(count, 1, 1, device=device) < share
    return torch.where((square & chosen)[:, None], torch.randn_like(images), images)


VIEWS = {  # how many views of a picture -> how each is made
    1: ((0, 0, False),),
    2: ((0, 0, False), (0, 0, True)),
    6: tuple((dx, dy, m) for dx, dy in ((0, 0), (-1, -1), (1, 1)) for m in (False, True)),
}


def views(images: Tensor, count: int = 1) -> list[Tensor]:
    """The picture itself (1), with its mirror image (2), also moved by one pixel diagonally (6).

    Returns `count` batches of the same shape. Raises ValueError for another count.
    """
    if count not in VIEWS:
        raise ValueError(f"count must be one of {', '.join(map(str, VIEWS))}, got {count}")
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    made = []
    for right, down, mirror in VIEWS[count]:
        view = padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        made.append(view.flip(3) if mirror else view)
    return made
