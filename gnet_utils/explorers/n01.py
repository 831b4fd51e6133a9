"""Gray mixer: a photo through one 1x1 convolution, three weights to gray or 3x3 to colours."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from gnet_utils.data import demo_picture, opencv
from gnet_utils.exercises.n01 import LUMA
from gnet_utils.explorers import page_of, put_picture
from gnet_utils.plotting import COLOURS, show

# rows: new red, green, blue; columns: old red, green, blue
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
COLOURS_IN = ("red", "green", "blue")
PRESETS = {"luma": LUMA, "mean": (1 / 3, 1 / 3, 1 / 3), "red only": (1.0, 0.0, 0.0), "sepia": SEPIA}


def mix(picture: np.ndarray, weights: Sequence) -> np.ndarray:
    """What a 1x1 convolution without bias makes of a picture, rounded and clipped to 0..255.

    `picture` is uint8 RGB (H, W, 3). Three weights give gray (H, W), 3x3 weights (rows are outputs)
    give RGB (H, W, 3).
    """
    return np.rint(picture @ np.asarray(weights).T).clip(0, 255).astype(np.uint8)


def show_row(pictures: dict[str, np.ndarray], alt: str) -> None:
    """Show named pictures side by side; in gray ones 0 is black and 255 is white."""
    height, width = next(iter(pictures.values())).shape[:2]
    size = (7.2, min(3.4, 7.0 / len(pictures) * height / width + 0.33))
    fig, axes = plt.subplots(1, len(pictures), figsize=size)
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    show(fig, alt)


def opencv_difference(picture: np.ndarray, weights: Sequence) -> np.ndarray:
    """`mix` minus OpenCV in gray levels: its gray for three weights, its transform for 3x3.

    Returns int16 of the shape that `mix` returns.
    """
    cv2 = opencv()
    if np.ndim(weights) == 1:
        theirs = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    else:
        theirs = cv2.transform(picture, np.asarray(weights))
    return mix(picture, weights).astype(np.int16) - theirs


def pixel_sum(picture: np.ndarray, weights: Sequence, pixel: tuple[int, int]) -> str:
    """The sum behind one pixel (row, column) with its actual numbers, one line per output."""
    values = picture[pixel]
    names = ["gray"] if np.ndim(weights) == 1 else COLOURS_IN
    lines = []
    for name, row in zip(names, np.atleast_2d(weights), strict=True):
        terms = " ".join(
            f"{'-' if round(weight, 4) < 0 else '+'} {abs(weight):.4f} · {value}"
            for weight, value in zip(row, values, strict=True)
        )
        exact = float(row @ values)
        shown = int(np.rint(exact).clip(0, 255))
        clipped = ", clipped" if not -0.5 <= exact <= 255.5 else ""
        lines.append(f"{name} = {terms.removeprefix('+ ')} = {exact:.1f} → {shown}{clipped}")
    return "\n".join(lines)


def gray_mixer(picture: np.ndarray, weights: Sequence) -> Figure:
    """The picture, what the weights make of it, the difference to OpenCV, and one pixel's sum.

    That pixel, in the middle, is ringed.
    """
    row, column = picture.shape[0] // 2, picture.shape[1] // 2
    result = mix(picture, weights)
    difference = opencv_difference(picture, weights)
    if difference.ndim == 3:  # of the three channels show the one that is furthest off
        furthest = np.abs(difference).argmax(axis=2)[..., None]
        difference = np.take_along_axis(difference, furthest, axis=2)[..., 0]

    # places by hand: the automatic layout takes longer than all the rest
    figure = Figure(figsize=(7.2, 3.5), dpi=110, facecolor="white", layout="none")
    page, smooth = page_of(figure), {"interpolation": "antialiased"}
    left, middle, right = ((x, 0.77, 2.05, 2.42) for x in (0.07, 2.18, 4.29))
    x, y, width, height = put_picture(page, picture, left, "photo", **smooth)
    ring = (
        x + width * (column + 0.5) / picture.shape[1],
        y + height * (1 - (row + 0.5) / picture.shape[0]),
    )
    page.scatter(*ring, s=90, facecolors="none", edgecolors=COLOURS["yellow"], lw=2)
    put_picture(page, result, middle, "after the 1x1", cmap="gray", vmin=0, vmax=255, **smooth)
    limit = max(1, int(np.abs(difference).max()))
    look = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    put_picture(
        page, difference, right, f"minus OpenCV: at most {np.abs(difference).max()}", **look
    )
    put_picture(
        page,
        np.linspace(limit, -limit, 256)[:, None].repeat(16, 1),
        (6.45, 1.1, 0.11, 1.75),
        **look,
    )
    for level, y in zip((-limit, 0, limit), (1.1, 1.975, 2.85), strict=True):
        page.text(6.62, y, f"{level}", va="center", fontsize=9)
    page.text(7.0, 1.975, "gray levels", rotation=90, ha="center", va="center", fontsize=9)
    sums = pixel_sum(picture, weights, (row, column))
    figure.text(0.5, 0.1, sums, ha="center", va="center", fontsize=10)
    return figure


PRESET_STATES = {  # what each button sets: the kind of result and its weights, row by row
    name: {"output": "gray" if np.ndim(weights) == 1 else "colour"}
    | {
        f"{new}_from_{old}": float(weight)
        for new, row in zip(COLOURS_IN, np.atleast_2d(weights), strict=False)
        for old, weight in zip(COLOURS_IN, row, strict=True)
    }
    for name, weights in PRESETS.items()
}


def explore_mix(picture: str, own: np.ndarray | None, output: str, **weights: float) -> Figure:
    """`gray_mixer` for the state of the controls: nine weights, of which gray uses the first row.

    picture: one of DEMO_PICTURES; own: an RGB array instead of it, or None.
    weights: `red_from_green` is the part of the new red that comes from the old green; gray is
    mixed by the row of red.
    """
    photo = demo_picture(picture) if own is None else own
    step = max(1, max(photo.shape[:2]) // 400)  # enough pixels for the page, fewer to compute
    matrix = [[weights[f"{new}_from_{old}"] for old in COLOURS_IN] for new in COLOURS_IN]
    figure = gray_mixer(photo[::step, ::step], matrix[0] if output == "gray" else matrix)
    if output == "gray":
        note = (
            'gray is mixed by the three weights "red from ..."; the output "colour" uses all nine'
        )
        figure.text(0.5, 0.02, note, ha="center", fontsize=9, color=COLOURS["ink"])
    return figure
