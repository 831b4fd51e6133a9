"""Figures: one look for all notebooks, one way to show one, with its description.

Functions take data and return a matplotlib Figure; `show` puts a Figure (or the current pyplot
one) on the page with its description for readers who cannot see it.
"""

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from threading import Lock

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gnet_utils.counting import format_table, table_texts

# Okabe and Ito's palette: told apart with any kind of colour vision. Orange is the 3x3 branch and
# nothing else; two things that are compared are blue and red. Their red looks like a second orange,
# so red is Tol's, which is further from orange for each kind of vision.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "red": "#CC3311",
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
# One for all figures: it knows how wide a text is that was drawn before.
_NOTHING = Figure()
_CANVAS, _IN_USE = FigureCanvasAgg(_NOTHING), Lock()
NUMBER = re.compile(r"[-+±~<>≤≥–.,:/%xKM\d\s]*")  # what stands on the right in a table
BRANCHES = tuple(BRANCH_COLOURS)  # of a block, in its own order


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
            "axes.titley": 1.0,  # where it stands anyway: to look for it takes 20 to 70 ms
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": mpl.cycler(
                color=[COLOURS[c] for c in ("blue", "red", "green", "purple", "sky")]
            ),
            "legend.frameon": False,
            "image.interpolation": "nearest",
            "text.hinting": "none",  # even gaps between letters, and drawn a fifth sooner
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


def show_table(rows: Sequence[Sequence], headers: Sequence[str]) -> None:
    """Show a table: numbers on the right, no line broken; its text stands in for it in a terminal.

    Raises ValueError for a row that is longer or shorter than `headers`.
    """
    from IPython.display import display

    texts, numeric = table_texts(rows, headers)
    lines = [""] * len(texts)
    for column, known in zip(zip(*texts, strict=True), numeric, strict=True):
        cells = [cell.strip() for cell in column]
        at_right = known or all(map(NUMBER.fullmatch, cells[1:]))
        if at_right:
            cells[1:] = _on_the_point(cells[1:])
        style = f"text-align: {'right' if at_right else 'left'}; white-space: nowrap"
        for row, cell in enumerate(cells):
            kind = "td" if row else "th"
            lines[row] += f'<{kind} style="{style}">{escape(cell)}</{kind}>'
    head, *body = (f"<tr>{line}</tr>" for line in lines)
    page = f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"
    display({"text/html": page, "text/plain": format_table(rows, headers)}, raw=True)


def _on_the_point(numbers: Sequence[str]) -> list[str]:
    """Numbers with spaces as wide as a digit or a point behind them: so their points align."""
    tails = [re.match(r"[^.]*([.]\d*)?", number)[1] or "" for number in numbers]
    longest = max(tails, key=len, default="")
    room = "\u2008" * bool(longest) + "\u2007" * (len(longest) - 1)
    return [n and n + room[len(tail) :] for n, tail in zip(numbers, tails, strict=True)]


def bundle_of(picture: Figure | bytes, alt: str) -> tuple[dict, dict]:
    """The output for a Figure or PNG, and its metadata, as `display(..., raw=True)` takes them."""
    png = to_png(picture) if isinstance(picture, Figure) else picture
    kind, content = _smallest(png)
    data = {kind: base64.b64encode(content).decode(), "text/plain": alt}
    return data, {kind: {"alt": alt}, "alt": alt}


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes; the same figure gives the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    # Packing harder takes four times as long for 2 to 13% less.
    Image.fromarray(pixels_of(figure)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pixels_of(figure: Figure) -> np.ndarray:
    """The figure as (H, W, 3) uint8 RGB."""
    with _IN_USE:  # explorers may draw in a thread beside that of the cells
        figure.set_canvas(_CANVAS)
        _CANVAS.figure = figure
        try:
            _CANVAS.draw()  # once; savefig draws twice
            return np.ascontiguousarray(np.asarray(_CANVAS.buffer_rgba())[..., :3])
        finally:
            _CANVAS.figure = _NOTHING  # so that the figure can go


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
        whole = {"vmin": 0, "vmax": 255} if picture.dtype == np.uint8 else {}
        ax.imshow(picture, cmap="gray", **whole)  # so that gray is gray beside black and white
        if titles is not None:
            ax.set_title(str(titles[index]), fontsize=9, loc="center")
    return figure
