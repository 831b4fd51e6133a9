"""Notebook 08: the paper's crops on a photo, one by one and all together."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from gnet_utils.augment import CROP_SIZE, PLACES, Crop, crop_boxes, cut
from gnet_utils.data import demo_picture
from gnet_utils.plotting import COLOURS

PLACE_COLOURS = {
    place: COLOURS[colour]
    for place, colour in zip(PLACES, ("blue", "ink", "green", "purple", "red", "sky"), strict=True)
}


def crop_viewer(
    picture: str = "market",
    scale: int = 256,
    square: str = "middle",
    place: str = "centre",
    mirror: bool = False,
    own: np.ndarray | None = None,
) -> Figure:
    """Left the photo with one of its 144 crops, right the 224x224 pixels that the net gets.

    picture: name of a built-in one; own: (H, W, 3) uint8, comes before it.
    scale, square, place: of SCALES, SQUARES and PLACES of `gnet_utils.augment`.
    """
    photo = demo_picture(picture) if own is None else own
    height, width = photo.shape[:2]
    crops = crop_boxes(height, width)
    number, crop = find(crops, scale, square, place, mirror)
    twins = sum(other.box == crop.box for other in crops) - 1

    figure = Figure(figsize=(7.4, 4.0), dpi=110, facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[max(0.6, min(1.35, width / height)), 1])
    left.imshow(photo)
    frame(left, photo, find(crops, scale, square, "whole", mirror)[1], COLOURS["yellow"], "--")
    frame(left, photo, crop, PLACE_COLOURS[place])
    left.set_title(f"photo, {width}x{height}, and the square", loc="left", fontsize=10)
    right.imshow(to_picture(cut(to_tensor(photo), crop)))
    right.set_title(f"what the net gets, {CROP_SIZE}x{CROP_SIZE}", loc="left", fontsize=10)
    for ax in (left, right):
        ax.set(xticks=[], yticks=[])
    words = f"scale {scale}, {square} square, {place}" + ", mirrored" * mirror
    same = f", {twins} other{'s' * (twins > 1)} show the same" if twins else ""
    figure.suptitle(
        f"Crop {number} of 144 shows {share(photo, crop):.0%} of the photo{same}\n{words}",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    return figure


def find(crops: list[Crop], *wanted: object) -> tuple[int, Crop]:
    """(number from 1, crop) for (scale, square, place, mirrored)."""
    every = [(crop.scale, crop.square, crop.place, crop.mirrored) for crop in crops]
    index = every.index(wanted)
    return index + 1, crops[index]


def share(photo: np.ndarray, crop: Crop) -> float:
    """Part of the photo's area that a crop shows, from 0 to 1."""
    height, width = photo.shape[:2]
    return (crop.size * min(height, width) / crop.scale) ** 2 / (height * width)


def frame(ax: Axes, photo: np.ndarray, crop: Crop, colour: str, style: str = "-") -> None:
    """Draw the box of `crop` on `ax`, where `photo` (H, W, 3) is shown in its own pixels."""
    unit = min(photo.shape[:2]) / crop.scale  # photo pixels for a pixel of the scaled photo
    corner, side = (crop.left * unit - 0.5, crop.top * unit - 0.5), crop.size * unit
    for edge, width in (("black", 3.4), (colour, 2.0)):
        if edge == "black" and style != "-":
            continue  # it would fill the gaps of the dashes
        box = {"fill": False, "edgecolor": edge, "lw": width, "ls": style, "clip_on": False}
        ax.add_patch(Rectangle(corner, side, side, **box))


def to_tensor(photo: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float from 0 to 1."""
    return torch.tensor(photo).permute(2, 0, 1)[None].float() / 255


def to_picture(images: Tensor) -> np.ndarray:
    """(1, 3, H, W) float from 0 to 1 -> (H, W, 3), ready for `imshow`."""
    return images[0].permute(1, 2, 0).clamp(0, 1).numpy()
