"""Figures: one look for all notebooks, one way to show a picture, drawings of blocks and maps.

Functions take data and return a matplotlib Figure; `show` puts a Figure (or the current pyplot
one) on the page with its description for readers who cannot see it.
"""

import base64
import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

# Okabe and Ito's palette: told apart with any kind of colour vision. Orange is the 3x3 branch and
# nothing else; two things that are compared are blue and red.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "red": "#D55E00",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "gray": "#7F7F7F",
    "ink": "#222222",
}
BRANCH_COLOURS = {
    "1x1": COLOURS["blue"],
    "3x3": COLOURS["orange"],
    "5x5": COLOURS["green"],
    "pool": COLOURS["purple"],
}
BRANCHES = tuple(BRANCH_COLOURS)  # of a block, in its own order
BOX = 0.68  # height of a box in the drawing of a block, where branches lie 1 apart


def counted(number: int, noun: str) -> str:
    """How many of something: "1 channel", "1,024 channels"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def use_course_style() -> None:
    """Make every figure of this notebook look like the others of the course."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.2),
            "figure.dpi": 110,
            "figure.facecolor": "white",  # opaque, so that figures stay readable in dark mode
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": mpl.cycler(
                color=[COLOURS[c] for c in ("blue", "red", "green", "purple", "sky")]
            ),
            "legend.frameon": False,
            "image.interpolation": "nearest",
        }
    )


def show(figure: Figure, alt: str) -> None:
    """Display `figure` with `alt`, one sentence that says what is seen, and close it.

    The sentence is the alt text of the picture, and what a terminal prints instead of it.
    Drawings become PNG; photographs JPEG, which takes a quarter of the space in the notebook.
    """
    from IPython.display import display

    bundle, metadata = bundle_of(figure, alt)
    plt.close(figure)
    display(bundle, raw=True, metadata=metadata)


def bundle_of(picture: Figure | bytes, alt: str) -> tuple[dict, dict]:
    """The output for a Figure or PNG, and its metadata, as `display(..., raw=True)` takes them."""
    png = to_png(picture) if isinstance(picture, Figure) else picture
    kind, content = _smallest(png)
    data = {kind: base64.b64encode(content).decode(), "text/plain": alt}
    return data, {kind: {"alt": alt}, "alt": alt}


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # no version or date inside the file
    figure.savefig(buffer, format="png", dpi=figure.dpi, metadata={"Software": None})
    return buffer.getvalue()


def _smallest(png: bytes) -> tuple[str, bytes]:
    """(kind, content): photographs as JPEG, drawings with a palette when that saves a third."""
    from PIL import Image

    picture, buffer = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    if picture.getcolors(maxcolors=4096) is None:  # photographs have thousands of colours
        picture.save(buffer, "JPEG", quality=92, subsampling=0, optimize=True)
        kind, limit = "image/jpeg", len(png)
    else:
        picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        kind, limit = "image/png", 0.67 * len(png)
    small = buffer.getvalue()
    return (kind, small) if len(small) < limit else ("image/png", png)


def show_pictures(pictures, titles=None, columns: int = 5, size: float = 1.4) -> Figure:
    """A grid of pictures: (H, W), (1, H, W) or (H, W, 3) arrays or tensors, titles above them."""
    pictures = [np.asarray(picture).squeeze() for picture in pictures]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    title_space = 0.3 if titles is not None else 0.08
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * size, rows * (size + title_space)), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for index, (ax, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        ax.imshow(picture, cmap="gray")
        if titles is not None:
            ax.set_title(str(titles[index]), fontsize=9, loc="center")
    return figure


def draw_block(block: nn.Module, in_channels: int | None = None, ax: Axes | None = None) -> Figure:
    """Wiring of an Inception block, read from the module itself: what runs after what, how wide.

    Works for any block whose children are named `branch_...`. The bands are as thick as the
    number of channels they carry. Draws into `ax` when one is given.
    """
    chains = [
        (name.removeprefix("branch_"), _chain(branch)) for name, branch in block.named_children()
    ]
    if in_channels is None:
        in_channels = next(m.in_channels for m in block.modules() if isinstance(m, nn.Conv2d))
    outs = [chain[-1][1] or in_channels for _, chain in chains]
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 3.9))
    middle = (len(chains) - 1) / 2
    rows = max(4, len(chains))  # fewer branches do not make larger boxes
    ax.set(xlim=(-0.55, 5.15), ylim=(middle - rows / 2 - 0.12, middle + rows / 2 + 0.12))
    ax.axis("off")

    thickest = max(in_channels, *(c or 0 for _, chain in chains for _, c in chain))
    unit = min(BOX / thickest, (len(chains) - 0.3) / sum(outs))  # height of one channel
    top = middle + unit * sum(outs) / 2
    longest = max(len(chain) for _, chain in chains)
    box = min(1.08, (2.43 - 0.12 * (longest - 1)) / longest)
    columns = (0.96 + box / 2, 3.39 - box / 2)
    for row, ((name, chain), out) in enumerate(zip(chains, outs, strict=True)):
        y = len(chains) - 1 - row
        colour = BRANCH_COLOURS.get(name, COLOURS["gray"])
        xs = np.linspace(*columns, len(chain)) if len(chain) > 1 else columns[:1]
        _band(ax, (0.2, middle), (xs[0] - box / 2, y), unit * in_channels, COLOURS["gray"], 0.18)
        channels = in_channels
        for x, next_x, (label, made) in zip(xs, [*xs[1:], None], chain, strict=True):
            channels = made or channels
            _box(ax, x, y, f"{label}\n{counted(made, 'channel')}" if made else label, colour, box)
            if next_x is not None:
                ends = (x + box / 2, y), (next_x - box / 2, y)
                _band(ax, *ends, unit * channels, colour, 0.45)
        end = (4.35, top - unit * out / 2)
        _band(ax, (xs[-1] + box / 2, y), end, unit * out, colour, 0.45, bend=3.39)
        ax.bar(4.45, unit * out, 0.2, bottom=top - unit * out, color=colour, edgecolor="white")
        ax.text(3.57, y, f"{out}", ha="center", va="center", color=COLOURS["ink"])
        top -= unit * out
    ax.bar(0.1, unit * in_channels, 0.2, bottom=middle - unit * in_channels / 2, color="#BBBBBB")
    before, after = (counted(n, "channel").replace(" ", "\n") for n in (in_channels, sum(outs)))
    ax.text(-0.05, middle, f"input\n{before}", ha="right", va="center")
    ax.text(4.6, middle, f"concat\n{after}", ha="left", va="center")
    return ax.figure


def _band(ax: Axes, start, end, thickness, colour, alpha, bend: float | None = None) -> None:
    """A band from one (x, y) to another, level until x = `bend`, then a smooth curve."""
    t = np.linspace(0, 1, 40)
    bend = start[0] if bend is None else bend
    x = np.r_[start[0], bend + (end[0] - bend) * t]
    y = np.r_[start[1], start[1] + (end[1] - start[1]) * (3 * t**2 - 2 * t**3)]
    ax.fill_between(x, y - thickness / 2, y + thickness / 2, color=colour, alpha=alpha, lw=0)


def _chain(branch: nn.Module) -> list[tuple[str, int | None]]:
    """(label, channels out) of each convolution or pool of a branch, in order."""
    steps = []
    for layer in branch.modules():
        if isinstance(layer, nn.Conv2d):
            kernel = "x".join(map(str, layer.kernel_size))
            steps.append((f"{kernel} conv", layer.out_channels))
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            kind = "max" if isinstance(layer, nn.MaxPool2d) else "avg"
            steps.append((f"{layer.kernel_size}x{layer.kernel_size} {kind} pool", None))
    return steps


def _box(ax, x: float, y: float, text: str, colour: str, width: float) -> None:
    height = BOX  # of every band at most, so that each band meets its box
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0.02,rounding_size=0.08",
        facecolor="white",
        edgecolor=colour,
        linewidth=2,
        zorder=2,
    )
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center", fontsize=9, color=COLOURS["ink"], zorder=3)
