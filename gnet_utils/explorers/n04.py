"""Notebook 04: the network as a skyline, and what each of its stages sees and holds."""

from collections.abc import Sequence
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from gnet_utils.counting import count_parameters, stage_shapes
from gnet_utils.data import demo_picture, opencv
from gnet_utils.fields import ReceptiveField, receptive_fields
from gnet_utils.models import GoogLeNet
from gnet_utils.passes import hooked
from gnet_utils.plotting import BRANCH_COLOURS, COLOURS

SIDE = 224  # pixels of the photo, as in the paper
STAGES = (
    *("conv1", "pool1", "conv2_reduce", "conv2", "pool2", "inception_3a", "inception_3b", "pool3"),
    *(f"inception_4{letter}" for letter in "abcde"),
    *("pool4", "inception_5a", "inception_5b", "avgpool"),
)
WINDOWS = {"1x1": 1, "3x3": 3, "5x5": 5, "pool": 3}  # of the branches of a block


# The receptive-field explorer ---------------------------------------------------------------------


def stage_view(
    stage: str = "inception_3a",
    across: float = 0.5,
    down: float = 0.5,
    picture: np.ndarray | None = None,
) -> Figure:
    """Left what one unit of a stage can see of the photo, right the liveliest maps of that stage.

    across, down: where on the map the unit lies, from 0 (left, top) to 1 (right, bottom).
    picture: (H, W, 3) uint8; without one the photo of the course.
    The weights are random (He et al.): the maps show structure, nothing learned.
    """
    photo = square(demo_picture("hopper") if picture is None else picture)
    net = random_net()
    maps = stage_maps(photo.tobytes())[stage][0]
    field = receptive_fields_of_googlenet()[stage]
    channels, height, width = maps.shape
    column, row = (min(int(p * n), n - 1) for p, n in ((across, width), (down, height)))

    figure = Figure(figsize=(7.4, 4.2), dpi=110, facecolor="white", layout="none")
    figure.suptitle(
        f"{stage}: {channels} maps of {height}x{width}, one step = {field.stride} photo pixels,\n"
        f"a unit sees {field.size}x{field.size} of them, "
        f"{count_parameters(net.get_submodule(stage)):,} parameters",
        x=0.02,
        ha="left",
        fontsize=11,
    )
    draw_fields(figure.add_axes((0.05, 0.16, 0.44, 0.66)), photo, stage, column, row)
    _liveliest(figure, maps, column, row)
    return figure


def draw_fields(
    ax: Axes, photo: np.ndarray, stage: str, column: int, row: int, legend: bool = True
) -> None:
    """The photo with the square that the unit at (column, row) of `stage` sees.

    Of a block the squares of its branches too; what lies outside the photo is the gray padding.
    """
    fields = receptive_fields_of_googlenet()
    ax.imshow(photo)
    boxes = {"all": (fields[stage], "white")}
    if stage.startswith("inception"):
        before = fields[STAGES[STAGES.index(stage) - 1]]
        boxes |= {
            name: (before.after(window, 1, window // 2), BRANCH_COLOURS[name])
            for name, window in WINDOWS.items()
        }
        del boxes["all"]  # the widest branch is all
    for name, (field, colour) in boxes.items():
        left, top, size = box(field, column, row)
        style = {"linestyle": (0, (4, 4))} if name == "pool" else {}
        for edge, line in (("black", 3.5), (colour, 2)):
            if name == "pool" and edge == "black":
                continue  # it lies on the 3x3 box, which should shine through
            ax.add_artist(
                Rectangle((left, top), size, size, fill=False, edgecolor=edge, lw=line, **style)
            )
        if name != "all":
            ax.plot([], [], color=colour, lw=2, label=f"{name}: {field.size}", **style)
    corners = [box(field, column, row) for field, _ in boxes.values()]
    low = min(-10.0, *(n - 10 for left, top, _ in corners for n in (left, top)))
    high = max(SIDE + 10.0, *(n + size + 10 for left, top, size in corners for n in (left, top)))
    few = (0, 100, 200)  # each tick makes the reader wait
    ax.set(xlim=(low, high), ylim=(high, low), xticks=few, yticks=few, facecolor="#d9d9d9")
    ax.set_title(f"seen by unit ({column}, {row})", fontsize=10, loc="left")
    ax.tick_params(labelsize=9)
    ax.spines[:].set_visible(False)
    if legend and len(boxes) > 1:
        ax.legend(fontsize=9, ncols=4, loc="upper center", bbox_to_anchor=(0.48, -0.1),
                  handlelength=1, columnspacing=1, frameon=False)  # fmt: skip


def box(field: ReceptiveField, column: int, row: int) -> tuple[float, float, int]:
    """(left, top, size) of the square of a unit, in pixel coordinates of `imshow`."""
    left, top = (field.start + place * field.stride - 0.5 for place in (column, row))
    return left, top, field.size


def _liveliest(figure: Figure, maps: torch.Tensor, column: int, row: int) -> None:
    """The twelve maps that vary most, with a mark on the chosen unit."""
    # One Axes and one picture for all, each map 1 wide and high: twelve take longer than the rest.
    ax = figure.add_axes((0.53, 0.1, 0.458, 0.72))
    side = maps.shape[-1]
    mark = {"fill": False, "edgecolor": COLOURS["red"], "lw": 1.5}
    size = max(1, side / 14) / side
    wide, high = 1 + 10 / 112, 1 + 32 / 112  # from map to map; 112 pixels: each side divides it
    sheet = np.full((3 * 144, 4 * 122), np.nan)
    pixels = np.arange(112) * side // 112
    for index, channel in enumerate(by_liveliness(maps)[:12]):
        down, across = divmod(index, 4)
        shown = maps[channel].numpy()[pixels][:, pixels]
        shown = (shown - shown.min()) / max(1e-12, shown.max() - shown.min())
        sheet[144 * down :, 122 * across :][:112, :112] = shown
        left, top = wide * across, high * down
        x, y = (start + (n + 0.5) / side - size / 2 for start, n in ((left, column), (top, row)))
        ax.add_artist(Rectangle((x, y), size, size, **mark))
        ax.text(left + 0.5, top - 0.05, f"map {channel}", fontsize=9, ha="center")
    ax.imshow(sheet, cmap="gray", extent=(0, 4 * wide, 3 * high, 0))
    ax.set(xlim=(0, 4.27), ylim=(3.58, -0.21), aspect="auto")
    ax.axis("off")


def draw_journey(
    net: nn.Module, images: torch.Tensor, stages: Sequence[str], columns: int = 7
) -> Figure:
    """A row for each of these stages: the maps of the first picture that vary most."""
    found = {}
    chosen = [(name, net.get_submodule(name)) for name in stages]
    with torch.no_grad(), hooked(chosen, lambda name, _, maps: found.update({name: maps[0]})):
        net(images)
    figure, axes = plt.subplots(len(stages), columns, figsize=(7.2, 1.13 * len(stages)))
    for row, (name, maps) in zip(axes, found.items(), strict=True):
        for ax, channel in zip(row, by_liveliness(maps)[:columns], strict=True):
            ax.imshow(maps[channel].numpy(), cmap="gray")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        label = f"{name.removeprefix('inception_')}\n{maps.shape[1]}x{maps.shape[2]}"
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10)
    return figure


def by_liveliness(maps: torch.Tensor) -> list[int]:
    """Channels of (C, H, W) maps, those that vary most first."""
    return maps.flatten(1).std(dim=1, correction=0).argsort(descending=True).tolist()


def square(picture: np.ndarray) -> np.ndarray:
    """The largest square of a picture (H, W, 3), from its middle, as (224, 224, 3) uint8."""
    edge = min(picture.shape[:2])
    top, left = ((n - edge) // 2 for n in picture.shape[:2])
    cropped = np.ascontiguousarray(picture[top : top + edge, left : left + edge])
    cv2 = opencv()
    return cv2.resize(cropped, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def to_images(photo: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float, mean subtracted as in the paper, spread about 1."""
    images = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()
    return (images - images.mean(dim=(2, 3), keepdim=True)) / images.std()


@lru_cache(maxsize=1)
def random_net() -> nn.Module:
    """GoogLeNet without heads, the same random weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # of the CPU; manual_seed would reseed a GPU too
        return GoogLeNet(aux=False).eval()


@lru_cache(maxsize=4)
def stage_maps(photo: bytes) -> dict[str, torch.Tensor]:
    """The output (1, C, H, W) of every stage for a square photo."""
    x, maps = to_images(np.frombuffer(photo, np.uint8).reshape(SIDE, SIDE, 3)), {}
    with torch.inference_mode():
        for name, stage in random_net().stages():
            maps[name] = x = stage(x)
    return maps


@lru_cache(maxsize=1)
def receptive_fields_of_googlenet() -> dict[str, ReceptiveField]:
    with torch.device("meta"):
        return receptive_fields(GoogLeNet(aux=False))


# The skyline --------------------------------------------------------------------------------------


LABELS = {"avgpool": "average\npool", "conv2_reduce": "conv2\n1x1", "conv2": "conv2\n3x3"}
HEAD_LABELS = {"inception_4a": "head 1", "inception_4d": "head 2"}


def draw_network(model: nn.Module, input_shape: tuple[int, ...]) -> Figure:
    """A GoogLeNet from photo to classes: boxes as high as the maps, as wide as the channels.

    Lengths are square roots, else the last maps could not be seen. Blocks are divided by branch.
    """
    shapes = {"photo": tuple(input_shape[1:]), **stage_shapes(model, input_shape)}
    figure, ax = plt.subplots(figsize=(7.4, 3.4))
    left, tallest = 0.0, np.sqrt(input_shape[-1])
    last = None  # side of the maps drawn before
    for name, shape in shapes.items():
        if name.startswith(("pool", "norm", "flatten", "dropout")):
            continue
        channels, side = shape[0], shape[-1] if len(shape) == 3 else 1
        width, height = 0.06 + np.sqrt(channels) / 40, np.sqrt(side) / tallest
        room = max(width, 0.62)  # for the name under a narrow box
        middle = left + room / 2
        block = model.get_submodule(name) if name.startswith("inception") else None
        _tower(ax, middle - width / 2, width, height, block)
        label = LABELS.get(name, name.removeprefix("inception_"))
        ax.text(middle, -0.03, label, ha="center", va="top", fontsize=9)
        numbers = f"{channels}" if side == last else f"{side}x{side}\n{channels}"
        last = side
        ax.text(middle, height + 0.015, numbers, ha="center", fontsize=9, linespacing=1.1)
        if name in HEAD_LABELS and getattr(model, "aux1", None) is not None:
            ax.annotate(
                HEAD_LABELS[name],
                xy=(middle, height + 0.17),
                xytext=(middle, height + 0.36),
                fontsize=9,
                ha="center",
                color=COLOURS["red"],
                arrowprops={"arrowstyle": "<-", "color": COLOURS["red"]},
            )
        left += room + 0.13
    ax.set(xlim=(-0.1, left), ylim=(-0.2, 1.15))
    ax.axis("off")
    return figure


def _tower(ax: Axes, x: float, width: float, height: float, block: nn.Module | None) -> None:
    """A box from x to x + width: each branch of a block has its colour and share, else all gray."""
    parts = [(COLOURS["gray"], 1)]
    if block is not None:
        parts = []
        for name, branch in block.named_children():
            convs = [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)]
            colour = BRANCH_COLOURS[name.removeprefix("branch_")]
            parts.append((colour, convs[-1].out_channels))
    unit = width / sum(channels for _, channels in parts)
    for colour, channels in parts:
        part = (x, 0), unit * channels, height
        ax.add_patch(Rectangle(*part, facecolor=colour, edgecolor="white", lw=0.4))
        x += unit * channels
