"""The sheet to draw on: what it gives to an explorer, and what stands there without its package."""

import base64
import sys

import numpy as np

from gnet_utils.data import opencv
from gnet_utils.explorers.n05 import as_the_net_sees
from gnet_utils.pad import PNG, drawing_pad, drawn


def sheet() -> str:
    """What the browser sends for a filled gray rectangle."""
    paper = np.full((280, 280, 3), 255, np.uint8)
    paper[60:220, 100:180] = 85
    return PNG + base64.b64encode(opencv().imencode(".png", paper)[1].tobytes()).decode()


def test_a_drawing_becomes_what_the_net_sees():
    pad = drawing_pad()
    assert drawn(pad.value) is None
    pad.value = sheet()
    picture = drawn(pad.value)
    assert picture.shape == (280, 280, 3) and picture[100, 140].tolist() == [85, 85, 85]
    seen = as_the_net_sees(picture)
    assert seen.shape == (28, 28) and seen[14, 14] > 100 and seen[14, 0] == 0


def test_without_the_package_a_sentence_says_so_and_the_lesson_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    pad = drawing_pad()
    assert "install the package anywidget" in pad.value and drawn(pad.value) is None
