"""A sheet to draw a garment on, with a mouse, a finger or a pen: a control for `explore`.

`drawing_pad()` needs the package anywidget, which Colab has; without it a sentence stands there.
"""

import base64
from pathlib import Path

import ipywidgets
import numpy as np

from gnet_utils.data import decode_picture

PNG = "data:image/png;base64,"
MISSING = "To draw here, install the package anywidget and restart the kernel; or use Own picture."


def drawing_pad() -> ipywidgets.Widget:
    """An empty sheet; what is drawn on it is `drawn(pad.value)`."""
    try:
        import anywidget
        import traitlets
    except ModuleNotFoundError:
        return ipywidgets.Label(MISSING)

    class Pad(anywidget.AnyWidget):
        _esm = Path(__file__).with_suffix(".js")
        value = traitlets.Unicode("").tag(sync=True)  # as other controls call it

    return Pad()


def drawn(value: str) -> np.ndarray | None:
    """The picture on a sheet, (280, 280, 3) uint8 RGB; None for an empty one."""
    if not value or value == MISSING:
        return None
    return decode_picture(base64.b64decode(value.removeprefix(PNG)), name="the drawing")
