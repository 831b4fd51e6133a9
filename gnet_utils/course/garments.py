"""A drawn stand-in for Fashion-MNIST, for when it cannot be had: ten kinds of garments.

`draw_dataset()` gives the same tensors as the real set: 60,000 + 10,000 gray pictures of 28x28 on
black, 6,000 + 1,000 of each class. Every picture has its own cut, fabric, light and pose; shirts,
T-shirts, pullovers, coats and dresses share one pattern with overlapping measures, as in life.

How it is drawn: a class function makes the outlines of n garments at once, in a unit square (x to
the right, y down); OpenCV fills them at twice the size, fabric and light are laid on, and 2x2
pixels become one. The same seed gives the same pictures with the same OpenCV.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from gnet_utils.pictures import opencv

SIDE = 28
CANVAS = 2 * SIDE
PLAIN_BOLTS = 8
NEUTRAL = 128  # a stroke of this tone is not seen; less darkens the fabric, more lightens it


def draw_dataset(train: int = 60_000, test: int = 10_000, seed: int = 0) -> dict[str, Tensor]:
    """Draw both splits: uint8 images (N, 1, 28, 28), int64 labels (N,), classes in equal parts.

    Keys train_images, train_labels, test_images, test_labels. train and test are multiples of 10.
    """
    tensors = {}
    for split, count, stream in (("train", train, 0), ("test", test, 1)):
        if count <= 0 or count % 10:
            raise ValueError(f"{split} must be a positive multiple of 10, got {count}")
        rng = np.random.default_rng([seed, stream])
        fabrics = _weave(rng)
        pictures = [draw_class(label, count // 10, rng, fabrics) for label in range(10)]
        order = rng.permutation(count)
        labels = np.repeat(np.arange(10), count // 10)[order]
        tensors[f"{split}_images"] = torch.from_numpy(np.concatenate(pictures)[order][:, None])
        tensors[f"{split}_labels"] = torch.from_numpy(labels)
    return tensors


def draw_class(
    label: int, count: int, rng: Generator, fabrics: np.ndarray | None = None
) -> np.ndarray:
    """Draw `count` garments of one class (0-9, Fashion-MNIST's order): uint8 (count, 28, 28)."""
    if label not in range(10):
        raise ValueError(f"label must be from 0 to 9, got {label!r}")
    fabrics = _weave(rng) if fabrics is None else fabrics
    parts = [
        _draw(CLASSES[label](_Measures(rng, min(1000, count - start))), rng, fabrics)
        for start in range(0, count, 1000)
    ]
    return np.concatenate(parts)


@dataclass
class _Measures:
    """Random measures for n garments: each call gives n numbers."""

    rng: Generator
    n: int

    def __call__(self, low: float, high: float) -> np.ndarray:
        return self.rng.uniform(low, high, self.n)

    def often(self, probability: float) -> np.ndarray:
        return self.rng.random(self.n) < probability


@dataclass
class _Sketch:
    """Outlines of n garments: each entry holds points (n, k, 2) in the unit square.

    fills become fabric (thickness 0: a filled polygon, else a line of so many canvas pixels);
    strokes change the fabric's tone along a line.
    """

    plain: float  # the share that is made of plain cloth
    fills: list[tuple[np.ndarray, int]] = field(default_factory=list)
    strokes: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)

    def fill(self, *points: tuple, thickness: int = 0, where: np.ndarray | None = None) -> None:
        self.fills.append((_points(points, where), thickness))

    def stroke(
        self, *points: tuple, tone: np.ndarray, thickness: int = 1, where: np.ndarray | None = None
    ) -> None:
        self.strokes.append((_points(points, where), tone, thickness))


def _points(points: tuple, where: np.ndarray | None) -> np.ndarray:
    """Stack (x, y) pairs of numbers or (n,) arrays into (n, k, 2); far outside where not where."""
    flat = np.broadcast_arrays(*(value for point in points for value in point))
    stacked = np.stack(flat, axis=-1).reshape(-1, len(points), 2).astype(np.float32)
    if where is None:
        return stacked
    return np.where(where[:, None, None], stacked, np.float32(-9))


def _mirrored(half: list[tuple]) -> list[tuple]:
    """Close a right half (from the top of the axis x = 0.5 to its foot) with its mirror image."""
    return half + [(1 - x, y) for x, y in reversed(half)]


# ---------------------------------------------------------------- what is worn above


def _top(
    m: _Measures,
    sleeve: np.ndarray,
    angle: np.ndarray,
    cuff: np.ndarray,
    shoulder: np.ndarray,
    chest: np.ndarray,
    waist: np.ndarray,
    hem: np.ndarray,
    length: np.ndarray,
    neck: np.ndarray,
    depth: np.ndarray,
) -> tuple[_Sketch, dict[str, tuple]]:
    """The common pattern of tops and dresses: body, two sleeves, seams; half widths from the axis.

    Returns the sketch and the named points of the right half.
    """
    slope, armpit = m(0.03, 0.08), m(0.24, 0.32)
    start = 0.5 - length / 2
    p = {
        "throat": (0.5, start + depth),
        "neck": (0.5 + neck, start),
        "shoulder": (0.5 + shoulder, start + slope),
        "armpit": (0.5 + chest, start + armpit * np.minimum(length, 0.95)),
        "waist": (0.5 + waist, start + 0.58 * length),
        "hem": (0.5 + hem, start + length),
        "foot": (0.5, start + length + m(-0.01, 0.03)),
    }
    sin, cos = np.sin(angle), np.cos(angle)
    outer = (p["shoulder"][0] + sleeve * sin, p["shoulder"][1] + sleeve * cos)
    inner = (outer[0] - cuff * cos, outer[1] + cuff * sin)
    p |= {"outer": outer, "inner": inner}
    scoop = (0.5 + 0.7 * neck, start + 0.75 * depth)

    sketch = _Sketch(plain=0.55)
    body = ("throat", "scoop", "neck", "shoulder", "armpit", "waist", "hem", "foot")
    sketch.fill(*_mirrored([scoop if name == "scoop" else p[name] for name in body]))
    seam = m(60, 122)
    for side in (lambda point: point, lambda point: (1 - point[0], point[1])):
        arm = [side(p[name]) for name in ("shoulder", "outer", "inner", "armpit")]
        sketch.fill(*arm)
        sketch.stroke(arm[0], arm[3], side(p["inner"]), tone=seam)
    rim = [p["neck"], scoop, p["throat"]]
    sketch.stroke(*rim, *[(1 - x, y) for x, y in reversed(rim)], tone=m(70, 175))
    return sketch, p


def _down(
    sketch: _Sketch, m: _Measures, p: dict, where: np.ndarray, tone: np.ndarray, shown: float
) -> None:
    """A front opening from the throat to the hem; its buttons are shown so often."""
    x = 0.5 + m(-0.015, 0.015)
    top, foot = p["throat"][1], p["foot"][1]
    sketch.stroke((x, top), (x, foot), tone=tone, where=where)
    buttons = where & m.often(shown)
    light = np.where(m.often(0.5), 190, 50)
    for part in (0.15, 0.35, 0.55, 0.75):
        y = top + part * (foot - top)
        sketch.stroke((x + 0.015, y), (x + 0.03, y), tone=light, thickness=2, where=buttons)


def _collar(sketch: _Sketch, m: _Measures, p: dict, where: np.ndarray, size: np.ndarray) -> None:
    """Two collar wings or lapels that meet below the throat."""
    tip = (0.5 + 0.02, p["throat"][1] + size)
    wing = (p["neck"][0] + 0.02, p["neck"][1] + 0.75 * size)
    tone = np.where(m.often(0.5), m(55, 105), m(150, 195))
    sketch.stroke(p["neck"], wing, tip, tone=tone, where=where)
    mirror = [(1 - x, y) for x, y in (p["neck"], wing, tip)]
    sketch.stroke(*mirror, tone=tone, where=where)


def _t_shirt(m: _Measures) -> _Sketch:
    width = m(0.19, 0.27)
    sketch, _ = _top(
        m,
        sleeve=np.where(m.often(0.12), m(0.04, 0.1), m(0.16, 0.36)),
        angle=m(0.45, 1.05),
        cuff=m(0.13, 0.2),
        shoulder=width + m(0.0, 0.05),
        chest=width,
        waist=width * m(0.92, 1.04),
        hem=width * m(0.95, 1.1),
        length=m(0.78, 0.94),
        neck=m(0.08, 0.14),
        depth=m(0.03, 0.16),
    )
    printed = m.often(0.35)  # a print on the chest
    x, y, size = 0.5 + m(-0.03, 0.03), m(0.38, 0.5), m(0.03, 0.1)
    tone = np.where(m.often(0.5), m(40, 90), m(165, 220))
    sketch.stroke((x - size, y), (x + size, y), tone=tone, thickness=6, where=printed)
    return sketch


def _pullover(m: _Measures) -> _Sketch:
    width = m(0.19, 0.26)
    sketch, p = _top(
        m,
        sleeve=m(0.55, 0.78),
        angle=m(0.1, 0.42),
        cuff=m(0.08, 0.13),
        shoulder=width + m(-0.01, 0.04),
        chest=width,
        waist=width * m(0.92, 1.05),
        hem=width * m(0.85, 1.03),
        length=m(0.76, 0.92),
        neck=m(0.07, 0.13),
        depth=m(0.02, 0.12),
    )
    x, y = p["hem"]
    rib = m(70, 180)
    sketch.stroke((1 - x, y - 0.06), (x, y - 0.06), tone=rib, where=m.often(0.65))
    band = m.often(0.2)  # a broad stripe over the chest
    at, tone = m(0.32, 0.55), np.where(m.often(0.5), m(50, 95), m(160, 210))
    sketch.stroke((1 - x, at), (x, at), tone=tone, thickness=5, where=band)
    _down(sketch, m, p, m.often(0.1), m(80, 115), 0.7)  # a cardigan
    return sketch


def _coat(m: _Measures) -> _Sketch:
    width = m(0.19, 0.26)
    sketch, p = _top(
        m,
        sleeve=m(0.58, 0.8),
        angle=m(0.08, 0.36),
        cuff=m(0.09, 0.14),
        shoulder=width + m(-0.01, 0.04),
        chest=width,
        waist=width * m(0.8, 1.0),
        hem=width * m(0.95, 1.2),
        length=m(0.86, 0.98),
        neck=m(0.06, 0.11),
        depth=m(0.05, 0.2),
    )
    _collar(sketch, m, p, m.often(0.8), m(0.08, 0.26))
    _down(sketch, m, p, m.often(0.92), m(25, 100), 0.4)
    pockets, y = m.often(0.5), m(0.6, 0.72)
    for x in (0.5 - 0.6 * width, 0.5 + 0.6 * width):
        sketch.stroke((x - 0.05, y), (x + 0.05, y), tone=m(55, 105), where=pockets)
    belt = m.often(0.2)
    x, y = p["waist"]
    sketch.stroke((1 - x, y), (x, y), tone=m(50, 90), thickness=3, where=belt)
    return sketch


def _shirt(m: _Measures) -> _Sketch:
    width = m(0.18, 0.26)
    long = m.often(0.6)
    sketch, p = _top(
        m,
        sleeve=np.where(long, m(0.45, 0.76), m(0.18, 0.4)),
        angle=np.where(long, m(0.12, 0.45), m(0.4, 0.9)),
        cuff=np.where(long, m(0.08, 0.13), m(0.12, 0.18)),
        shoulder=width + m(-0.01, 0.045),
        chest=width,
        waist=width * m(0.86, 1.02),
        hem=width * m(0.93, 1.15),
        length=m(0.8, 0.96),
        neck=m(0.06, 0.13),
        depth=m(0.04, 0.18),
    )
    buttoned = m.often(0.78)
    _collar(sketch, m, p, buttoned | m.often(0.3), m(0.05, 0.12))
    _down(sketch, m, p, buttoned, np.where(m.often(0.6), m(80, 112), m(145, 175)), 0.6)
    pocket, x, y = m.often(0.25), 0.5 + 0.55 * width, m(0.36, 0.42)
    box = [(x - 0.05, y), (x + 0.05, y), (x + 0.05, y + 0.1), (x - 0.05, y + 0.1), (x - 0.05, y)]
    sketch.stroke(*box, tone=m(70, 105), where=pocket)
    return sketch


def _dress(m: _Measures) -> _Sketch:
    width = m(0.12, 0.18)
    bare = m.often(0.5)
    long = m.often(0.2)
    sleeve = np.where(bare, m(0.01, 0.05), np.where(long, m(0.4, 0.6), m(0.12, 0.28)))
    hem = width * m(1.0, 2.0)
    sketch, p = _top(
        m,
        sleeve=sleeve,
        angle=np.where(long, m(0.1, 0.4), m(0.3, 0.9)),
        cuff=np.where(long, m(0.06, 0.1), m(0.08, 0.12)),
        shoulder=width * np.where(bare, m(0.6, 0.95), m(0.95, 1.15)),
        chest=width,
        waist=width * m(0.72, 1.1),
        hem=hem,
        length=m(0.92, 1.0),
        neck=width * m(0.35, 0.6),
        depth=m(0.05, 0.2),
    )
    x, y = p["waist"]
    y = y - m(0.02, 0.2)
    tone = np.where(m.often(0.5), m(50, 100), m(160, 210))
    sketch.stroke((1 - x, y), (x, y), tone=tone, thickness=2, where=m.often(0.5))
    pleats, dark = m.often(0.45), m(85, 118)
    for part in (-0.6, -0.2, 0.2, 0.6):
        foot = (0.5 + part * hem, p["hem"][1])
        sketch.stroke((0.5 + 0.5 * part * width, y), foot, tone=dark, where=pleats)
    return sketch


def _trouser(m: _Measures) -> _Sketch:
    waist, hip = m(0.12, 0.18), m(0.15, 0.22)
    spread, crotch = m(0.0, 0.08), m(0.26, 0.4)
    leg, length = m(0.07, 0.15), m(0.92, 1.0)
    top = 0.5 - length / 2
    inner = 0.5 + 0.012 + spread
    shorts = m.often(0.06)
    foot = np.where(shorts, top + 0.55 * length, top + length)
    flare = inner + np.where(shorts, hip, leg)
    sketch = _Sketch(plain=0.75)
    half = [
        (0.5, top + 0.015),
        (0.5 + waist, top),
        (0.5 + hip, top + 0.22 * length),
        (flare, foot),
        (inner, foot),
        (0.5, top + crotch * length),
    ]
    sketch.fill(*_mirrored(half))
    dark = m(45, 110)
    sketch.stroke((0.5, top), (0.5, top + crotch * length), tone=dark)
    y = top + m(0.04, 0.08)
    sketch.stroke((0.3, y), (0.7, y), tone=np.where(m.often(0.5), dark, m(150, 190)))
    crease, tone = m.often(0.4), np.where(m.often(0.5), m(90, 115), m(145, 180))
    knee, ankle = (0.5 + 0.6 * hip, top + 0.25 * length), ((inner + flare) / 2, foot)
    sketch.stroke(knee, ankle, tone=tone, thickness=2, where=crease)
    mirror = [(1 - knee[0], knee[1]), (1 - ankle[0], ankle[1])]
    sketch.stroke(*mirror, tone=tone, thickness=2, where=crease)
    return sketch


# ---------------------------------------------------------------- what is carried


def _bag(m: _Measures) -> _Sketch:
    width, height = m(0.3, 0.47), m(0.25, 0.42)
    taper = m(0.8, 1.08)
    foot = m(0.84, 0.97)
    top = foot - 2 * height
    round_ = m(0.02, 0.08)
    left, right = 0.5 - width, 0.5 + width
    sketch = _Sketch(plain=0.85)
    half = [
        (0.5, top),
        (0.5 + width * taper - round_, top),
        (0.5 + width * taper, top + round_),
        (right, foot - round_),
        (right - round_, foot),
        (0.5, foot),
    ]
    sketch.fill(*_mirrored(half))
    kind = m(0, 1)
    handle, reach = m(0.4, 0.8) * width, m(0.1, 0.3)
    high = np.maximum(top - reach, 0.03)
    arch = [
        (0.5 - handle, top + 0.02),
        (0.5 - 0.8 * handle, high + 0.04),
        (0.5 - 0.4 * handle, high),
    ]
    sketch.fill(*arch, *[(1 - x, y) for x, y in reversed(arch)], thickness=2, where=kind < 0.55)
    strap = [(left + 0.02, top + 0.05), (0.5 - m(0.1, 0.25), 0.02), (0.5 + m(0.1, 0.25), 0.02)]
    sketch.fill(
        *strap, (right - 0.02, top + 0.05), thickness=1, where=(kind >= 0.55) & (kind < 0.8)
    )
    flap, deep = m.often(0.55), top + m(0.3, 1.1) * height
    dark = m(50, 110)
    sketch.stroke((left, top + 0.03), (0.5, deep), (right, top + 0.03), tone=dark, where=flap)
    sketch.stroke((left, deep), (right, deep), tone=dark, where=~flap & m.often(0.6))
    clasp = np.where(m.often(0.7), 225, 40)
    sketch.stroke((0.49, deep), (0.51, deep), tone=clasp, thickness=4, where=m.often(0.6))
    return sketch


# ---------------------------------------------------------------- shoes, toes to the left


def _sneaker(m: _Measures) -> _Sketch:
    foot, rise = m(0.7, 0.8), m(0.3, 0.42)
    toe, sole = m(0.12, 0.2), m(0.05, 0.1)
    collar = foot - rise
    throat, back = m(0.48, 0.62), m(0.9, 0.97)
    tongue = m(-0.02, 0.07)
    sketch = _Sketch(plain=0.85)
    sketch.fill(
        (0.03, foot - 0.02),
        (0.05, foot - 0.6 * toe),
        (0.14, foot - toe),
        (0.3, foot - 0.5 * (toe + rise) + 0.03),
        (throat, collar - tongue),
        (throat + 0.08, collar),
        (throat + 0.2, collar + m(0.03, 0.08)),
        (back - 0.03, collar - m(0.0, 0.07)),
        (back, collar + 0.08),
        (back - 0.01, foot - 0.1),
        (back + 0.02, foot),
        (0.06, foot),
    )
    edge = np.where(m.often(0.7), m(170, 235), m(35, 90))
    y = foot - sole / 2
    sketch.stroke((0.02, y), (0.99, y), tone=edge, thickness=3)
    dark = m(60, 105)
    sketch.stroke((0.02, foot - sole - 0.02), (0.98, foot - sole - 0.02), tone=dark)
    lace = np.where(m.often(0.6), m(170, 220), m(50, 90))
    for part in (0.25, 0.5, 0.75):
        x = 0.24 + part * (throat - 0.24)
        y = foot - toe - part * (rise - toe)
        sketch.stroke((x, y), (x + 0.07, y + 0.09), tone=lace)
    logo, tone = m.often(0.6), np.where(m.often(0.6), m(175, 235), m(35, 85))
    x, y = m(0.5, 0.66), foot - sole - m(0.08, 0.14)
    sketch.stroke((x - 0.12, y - 0.02), (x, y + 0.05), (x + 0.2, y - 0.1), tone=tone, where=logo)
    return sketch


def _ankle_boot(m: _Measures) -> _Sketch:
    foot, top = m(0.88, 0.96), m(0.06, 0.34)
    heel = np.where(m.often(0.45), m(0.1, 0.22), m(0.02, 0.06))
    front, back = m(0.42, 0.56), m(0.86, 0.95)
    toe, instep = m(0.1, 0.16), m(0.36, 0.46)
    ball, arch = m(0.3, 0.4), m(0.64, 0.74)
    sketch = _Sketch(plain=0.85)
    sketch.fill(
        (0.03, foot - 0.02),
        (0.04, foot - 0.6 * toe),
        (0.14, foot - toe - 0.02),
        (front - 0.06, foot - instep),
        (front, foot - instep - 0.12),
        (front + m(-0.06, 0.03), top),
        (back + m(-0.03, 0.03), top + m(-0.03, 0.03)),
        (back - 0.03, foot - instep),
        (back, foot - heel - 0.04),
        (back - m(0.0, 0.05), foot),
        (arch + 0.02, foot),
        (arch, foot - heel),
        (ball, foot),
        (0.06, foot),
    )
    edge = np.where(m.often(0.5), m(40, 95), m(160, 220))
    sole = foot - 0.05
    rest = [(ball, sole), (arch, sole - heel), (back, sole - heel)]
    sketch.stroke((0.03, sole), *rest, tone=edge)
    laced = m.often(0.4)
    lace = np.where(m.often(0.6), m(165, 215), m(50, 85))
    for part in (0.0, 0.3, 0.6, 0.9):
        y = foot - instep + 0.04 - part * (foot - instep - top - 0.05)
        sketch.stroke((front - 0.06, y), (front + 0.08, y + 0.03), tone=lace, where=laced)
    zipped, x = ~laced & m.often(0.6), m(0.62, 0.74)
    sketch.stroke((x, top), (x + 0.02, foot - heel - 0.15), tone=m(50, 100), where=zipped)
    cuffed = m.often(0.35)
    sketch.stroke((0.3, top + 0.08), (1.0, top + 0.08), tone=edge, thickness=2, where=cuffed)
    return sketch


def _sandal(m: _Measures) -> _Sketch:
    foot = m(0.72, 0.86)
    high = m.often(0.45)
    heel = np.where(high, m(0.18, 0.4), m(0.0, 0.08))
    thick = np.where(high, m(0.03, 0.06), m(0.05, 0.12))
    wedge = m.often(0.4)
    ball, back = m(0.28, 0.4), m(0.88, 0.96)
    rear = foot - heel
    sketch = _Sketch(plain=0.85)
    upper = [(0.03, foot - thick), (ball, foot - thick), (back, rear - thick)]
    sketch.fill(*upper, (back, rear), (ball + 0.05, foot), (0.04, foot))
    sketch.fill(*[(x, y) for x, y in upper[1:]], (back, foot), (ball, foot), where=wedge & high)
    column = m(0.02, 0.07)
    sketch.fill((back - column, rear), (back, rear), (back, foot), (back - 0.03, foot), where=high)
    tall = m(0.16, 0.3)

    def over(x: np.ndarray) -> np.ndarray:  # height of the inner sole at x
        return foot - thick - heel * np.clip((x - ball) / (back - ball), 0, 1)

    def strap(start: np.ndarray, end: np.ndarray, rise: np.ndarray, where: np.ndarray) -> None:
        arc = []
        for turn in np.linspace(0, np.pi, 7):  # half an ellipse that leans towards the toes
            along = (1 - np.cos(turn)) / 2
            level = (1 - along) * over(start) + along * over(end)
            arc.append((start + along * (end - start), level - rise * np.sin(turn)))
        sketch.fill(*arc, thickness=2, where=where)

    strap(m(0.06, 0.12), m(0.3, 0.4), m(0.08, 0.15), m.often(0.9))
    strap(m(0.14, 0.22), m(0.4, 0.5), m(0.12, 0.2), m.often(0.55))
    strap(m(0.32, 0.42), m(0.56, 0.68), m(0.14, 0.24), m.often(0.5))
    ankle, y = m.often(0.75), rear - thick
    middle = m(0.5, 0.62)
    sketch.fill((back - 0.01, y), (back + 0.01, y - 0.9 * tall), thickness=2, where=ankle)
    loop = [(back + 0.01, y - 0.9 * tall), (back - 0.1, y - 1.1 * tall)]
    loop += [(middle + 0.08, y - tall), (middle, y - 0.75 * tall)]
    low = middle - m(0.02, 0.12)
    down = m.often(0.7)
    sketch.fill(*loop, thickness=2, where=ankle)
    sketch.fill(loop[-1], (low, over(low)), thickness=2, where=ankle & down)
    sketch.fill((back, y - 0.4 * tall), (low, over(low)), thickness=2, where=ankle & ~down)
    edge = np.where(m.often(0.5), m(50, 100), m(160, 210))
    sketch.stroke((0.03, foot - 0.01), (ball, foot - 0.01), (back, rear), tone=edge)
    return sketch


CLASSES = (
    _t_shirt,
    _trouser,
    _pullover,
    _dress,
    _coat,
    _sandal,
    _shirt,
    _sneaker,
    _bag,
    _ankle_boot,
)


# ---------------------------------------------------------------- from sketch to picture


def _weave(rng: Generator) -> np.ndarray:
    """Bolts of cloth (k, 112, 112), float32 around 1: PLAIN_BOLTS plain ones, then patterns."""
    cv2 = opencv()
    size = 2 * CANVAS
    y, x = np.mgrid[:size, :size].astype(np.float32)

    def cloud(blur: float) -> np.ndarray:
        noise = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), blur)
        return noise / noise.std()

    def wave(phase: np.ndarray, period: float) -> np.ndarray:
        return np.tanh(3 * np.sin(2 * np.pi * phase / period))

    bolts = [1 + 0.05 * cloud(6) + 0.03 * cloud(1) for _ in range(PLAIN_BOLTS)]
    for period in (3.5, 5, 7, 10, 14):  # stripes across and along
        bolts.append(1 + rng.uniform(0.12, 0.4) * wave(y + 0.8 * cloud(12), period))
        bolts.append(1 + rng.uniform(0.12, 0.4) * wave(x + 0.8 * cloud(12), period))
    for period in (6, 9, 13):  # checks
        bolts.append(1 + 0.16 * wave(x, period) + 0.16 * wave(y, period))
    for blur in (1.2, 1.8, 2.5):  # mottled, flowered
        bolts.append(1 + 0.16 * cloud(blur))
        bolts.append(1 + 0.3 * (cloud(blur) > 1.2))
    for strength in (0.1, 0.2):  # ribbed
        bolts.append(1 + strength * np.sin(2 * np.pi * x / 3.2) + 0.05 * cloud(4))
    return np.clip(np.stack(bolts), 0.3, 1.8).astype(np.float32)


def _draw(sketch: _Sketch, rng: Generator, fabrics: np.ndarray) -> np.ndarray:
    """Cut, sew and photograph n garments: uint8 (n, 28, 28)."""
    cv2 = opencv()
    n = len(sketch.fills[0][0])
    place = _pose(rng, n)
    fills = [(place(points), thickness) for points, thickness in sketch.fills]
    strokes = [(place(points), tone, width) for points, tone, width in sketch.strokes]
    cut = np.zeros((n, CANVAS, CANVAS), np.uint8)
    sewn = np.full_like(cut, NEUTRAL)
    line = {"lineType": cv2.LINE_AA, "shift": 4}  # anti-aliased, 1/16 pixel
    for i in range(n):
        for points, thickness in fills:
            if thickness:
                cv2.polylines(cut[i], [points[i]], False, 255, thickness, **line)
            else:
                cv2.fillPoly(cut[i], [points[i]], 255, **line)
        for points, tone, thickness in strokes:
            cv2.polylines(sewn[i], [points[i]], False, float(tone[i]), thickness, **line)
    return _light(cut, sewn, sketch.plain, rng, fabrics)


def _pose(rng: Generator, n: int) -> Callable[[np.ndarray], np.ndarray]:
    """A small turn, slant, stretch and shift for each garment, from unit square to 1/16 pixels."""
    turn, slant = rng.normal(0, 0.055, n), rng.normal(0, 0.04, n)
    wide, tall = rng.uniform(0.76, 0.99, n), rng.uniform(0.78, 0.99, n)
    shift = rng.normal(0, 0.025, (n, 1, 2)).astype(np.float32)
    matrix = np.empty((n, 2, 2), np.float32)
    matrix[:, 0, 0], matrix[:, 0, 1] = wide * np.cos(turn), tall * (slant - np.sin(turn))
    matrix[:, 1, 0], matrix[:, 1, 1] = wide * np.sin(turn), tall * np.cos(turn)

    def place(points: np.ndarray) -> np.ndarray:
        moved = (points - 0.5) @ matrix.transpose(0, 2, 1) + 0.5 + shift
        return np.round(moved * (16 * (CANVAS - 1))).astype(np.int32)

    return place


def _light(
    cut: np.ndarray, sewn: np.ndarray, plain: float, rng: Generator, fabrics: np.ndarray
) -> np.ndarray:
    """Lay fabric and light on the cut garments (n, 56, 56) and halve them: uint8 (n, 28, 28)."""
    n = len(cut)
    picture = np.empty((n, CANVAS, CANVAS), np.float32)
    bolt = rng.integers(PLAIN_BOLTS, len(fabrics), n)
    bolt = np.where(rng.random(n) < plain, rng.integers(PLAIN_BOLTS, size=n), bolt)
    corner = rng.integers(CANVAS, size=(n, 2))
    for i in range(n):
        y, x = corner[i]
        picture[i] = fabrics[bolt[i], y : y + CANVAS, x : x + CANVAS]
    across = np.linspace(-1, 1, CANVAS, dtype=np.float32)
    side, bulge = rng.normal(0, 0.07, (2, n, 1)).astype(np.float32)
    tone = np.clip(rng.normal(160, 48, (n, 1)), 45, 235).astype(np.float32)
    lamp = tone * (1 + side * across - np.abs(bulge) * across**2)
    picture *= lamp[:, None, :]
    picture *= sewn
    picture *= cut
    picture = picture.reshape(n, SIDE, 2, SIDE, 2).mean((2, 4)) / (255 * NEUTRAL)
    worn = picture > 12
    picture += worn * rng.normal(0, 5, picture.shape).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)
