"""A drawn stand-in for Fashion-MNIST, for when it cannot be had: ten kinds of garments.

`draw_dataset()` gives the same tensors as the real set. Every garment has its own measures, fabric,
light and pose; what is worn above follows one pattern whose measures overlap, as in life.
OpenCV fills outlines at twice the size, fabric and light are laid on, and 2x2
pixels become one. The same seed gives the same pictures with the same OpenCV.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from gnet_utils.pictures import opencv

SIDE = 28
CANVAS = 2 * SIDE
NEUTRAL = 128  # what is sewn with this tone is not seen; less darkens the fabric, more lightens it

Point = tuple[float, float]
Range = tuple[float, float]


def draw_dataset(train: int = 60_000, test: int = 10_000, seed: int = 0) -> dict[str, Tensor]:
    """Draw both splits: uint8 images (N, 1, 28, 28), int64 labels (N,), classes in equal parts.

    Keys train_images, train_labels, test_images, test_labels.
    """
    tensors = {}
    for stream, (split, count) in enumerate({"train": train, "test": test}.items()):
        rng = np.random.default_rng([seed, stream])
        labels = rng.permutation(np.arange(count) % 10)
        images = np.stack([draw(label, rng) for label in labels])
        tensors[f"{split}_images"] = torch.from_numpy(images[:, None])
        tensors[f"{split}_labels"] = torch.from_numpy(labels)
    return tensors


def draw(label: int, rng: Generator) -> np.ndarray:
    """Draw one garment of a class (0 to 9, in the order of Fashion-MNIST): uint8 (28, 28)."""
    garment = Garment(rng)
    if label in TOPS:
        cuts = TOPS[label]
        _top(garment, cuts[rng.integers(len(cuts))])
    else:
        OTHERS[label](garment)
    return garment.photograph(plain=0.55 if label in TOPS else 0.85)


class Garment:
    """One garment while it is made: where there is fabric, and what is sewn on it.

    Points (x, y) lie in a square: x from -0.5 to 0.5, the axis is 0; y from 0, above, to 1. The
    garment lies there with a turn, slant, stretch and shift of its own.
    """

    def __init__(self, rng: Generator):
        self.rng = rng
        self.cut = np.zeros((CANVAS, CANVAS), np.uint8)
        self.sewn = np.full((CANVAS, CANVAS), NEUTRAL, np.uint8)
        turn, slant = rng.normal(0, (0.055, 0.04))
        stretch = np.diag(rng.uniform((0.76, 0.78), 0.99))
        self.pose = stretch @ [[np.cos(turn), np.sin(turn)], [slant - np.sin(turn), np.cos(turn)]]
        self.start = rng.normal(0.5, 0.025, 2) - 0.5 * self.pose[1]  # the middle lies at (0, 0.5)

    def between(self, low: float, high: float) -> float:
        """A random measure."""
        return low + (high - low) * self.rng.random()

    def often(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def fill(self, *points: Point) -> None:
        """Fabric inside of an outline."""
        opencv().fillPoly(self.cut, [self._placed(points)], 255, **_smooth())

    def band(self, *points: Point, width: int = 2) -> None:
        """Fabric along a line, such as a strap; width in pixels of the canvas."""
        opencv().polylines(self.cut, [self._placed(points)], False, 255, width, **_smooth())

    def sew(self, *points: Point, tone: float, width: int = 1) -> None:
        """Change the tone of the fabric along a line (see NEUTRAL)."""
        opencv().polylines(self.sewn, [self._placed(points)], False, tone, width, **_smooth())

    def _placed(self, points: tuple[Point, ...]) -> np.ndarray:
        """From the square to sixteenths of a pixel."""
        placed = np.array(points) @ self.pose + self.start
        return (placed * (16 * (CANVAS - 1))).astype(np.int32)

    def contrast(self) -> float:
        """A tone well below or well above the fabric's."""
        return self.between(40, 95) if self.often(0.5) else self.between(160, 220)

    def photograph(self, plain: float) -> np.ndarray:
        """Lay fabric and light on the garment and halve it: uint8 (28, 28)."""
        rng, across = self.rng, np.linspace(-1, 1, SIDE)
        picture = _fabric(rng, plain) * self.sewn * self.cut / (255 * NEUTRAL)
        picture = opencv().resize(picture, (SIDE, SIDE), interpolation=opencv().INTER_AREA)
        side, bulge = rng.normal(0, 0.07, 2)
        tone = np.clip(rng.normal(160, 48), 45, 235)
        picture *= tone * (1 + side * across - abs(bulge) * across**2)
        picture += (picture > 12) * rng.normal(0, 5, picture.shape)
        return np.clip(picture, 0, 255).astype(np.uint8)


def _smooth() -> dict:
    return {"lineType": opencv().LINE_AA, "shift": 4}  # anti-aliased, in sixteenths of a pixel


def _fabric(rng: Generator, plain: float) -> np.ndarray:
    """Cloth (56, 56), around 1: plain so often, else striped, checked or flowered."""

    def stripes() -> np.ndarray:
        place = np.arange(CANVAS) / rng.uniform(4, 14) + rng.random()
        return 1 + rng.uniform(0.1, 0.35) * np.tanh(3 * np.sin(2 * np.pi * place))

    def cloud(size: int) -> np.ndarray:
        return opencv().resize(rng.standard_normal((size, size)), (CANVAS, CANVAS))

    cloth = 1 + 0.06 * cloud(14)
    if rng.random() < plain:
        return cloth
    pattern = rng.choice(["across", "along", "checked", "flowered"])
    if pattern in ("across", "checked"):
        cloth *= stripes()[:, None]
    if pattern in ("along", "checked"):
        cloth *= stripes()
    if pattern == "flowered":
        cloth += 0.3 * (cloud(20) > 0.6)
    return cloth


def _mirrored(points: list[Point]) -> list[Point]:
    """The same on the other side of the axis, in such an order that it closes an outline."""
    return [(-x, y) for x, y in reversed(points)]


# What is worn above: one pattern ----------------------------------------------------------------


class Cut(NamedTuple):
    """The measures of a garment with two sleeves: low and high, in sides of the picture."""

    sleeve: Range  # length
    spread: Range = (0.1, 0.42)  # angle between arm and body, radians
    cuff: Range = (0.08, 0.13)
    shoulder: Range = (0.98, 1.2)  # half widths, in chests: shoulder, waist, hem
    chest: Range = (0.19, 0.26)  # half the width
    waist: Range = (0.9, 1.03)
    hem: Range = (0.93, 1.1)
    length: Range = (0.78, 0.94)
    neck: Range = (0.07, 0.13)  # half the width
    depth: Range = (0.03, 0.14)  # of the neckline
    collar: float = 0  # how often there is: a collar, a front opening, a print on the chest,
    opening: float = 0  # a belt
    printed: float = 0
    belt: float = 0


T_SHIRT = Cut(sleeve=(0.16, 0.36), spread=(0.45, 1.05), cuff=(0.13, 0.2), printed=0.4)
TOPS = {  # class: its cuts, each as often
    0: (T_SHIRT, T_SHIRT, T_SHIRT, T_SHIRT, T_SHIRT._replace(sleeve=(0.02, 0.1))),
    2: (Cut(sleeve=(0.55, 0.78), hem=(0.85, 1.03), opening=0.1, printed=0.35),),
    3: (
        Cut(sleeve=(0.01, 0.05), spread=(0.3, 0.9), shoulder=(0.6, 0.95), chest=(0.12, 0.18),
            waist=(0.72, 1.1), hem=(1, 2), length=(0.92, 1), neck=(0.05, 0.08), belt=0.5),
        Cut(sleeve=(0.12, 0.5), spread=(0.2, 0.7), chest=(0.12, 0.18), waist=(0.72, 1.1),
            hem=(1, 2), length=(0.92, 1), neck=(0.05, 0.1), belt=0.5),
    ),
    4: (Cut(sleeve=(0.58, 0.8), cuff=(0.09, 0.14), waist=(0.8, 1), hem=(0.95, 1.2),
            length=(0.86, 0.98), depth=(0.05, 0.2), collar=0.8, opening=0.92, belt=0.25),),
    6: (Cut(sleeve=(0.45, 0.76), collar=0.7, opening=0.75, printed=0.1),
        Cut(sleeve=(0.18, 0.4), spread=(0.4, 0.9), cuff=(0.12, 0.18), collar=0.7, opening=0.75)),
}  # fmt: skip


def _top(g: Garment, cut: Cut) -> None:
    chest, length, neck, depth = (
        g.between(*measure) for measure in (cut.chest, cut.length, cut.neck, cut.depth)
    )
    top = 0.5 - length / 2
    rim = [(0, top + depth), (0.7 * neck, top + 0.75 * depth), (neck, top)]
    shoulder = (chest * g.between(*cut.shoulder), top + g.between(0.03, 0.08))
    armpit = (chest, top + g.between(0.24, 0.3))
    waist = (chest * g.between(*cut.waist), top + 0.58 * length)
    hem = (chest * g.between(*cut.hem), top + length)
    half = [*rim, shoulder, armpit, waist, hem, (0, top + length + g.between(-0.01, 0.03))]
    g.fill(*half, *_mirrored(half))

    sleeve, spread, cuff = (g.between(*measure) for measure in (cut.sleeve, cut.spread, cut.cuff))
    sin, cos = np.sin(spread), np.cos(spread)
    outer = (shoulder[0] + sleeve * sin, shoulder[1] + sleeve * cos)
    inner = (outer[0] - cuff * cos, outer[1] + cuff * sin)
    seam = g.between(60, 122)
    for arm in ([inner, outer, shoulder, armpit], _mirrored([armpit, shoulder, outer, inner])):
        g.fill(*arm)
        g.sew(*arm[2:], arm[0], tone=seam)
    g.sew(*_mirrored(rim), *rim, tone=g.between(70, 175))

    if g.often(cut.collar):  # two wings that meet below the throat
        size, tone = g.between(0.05, 0.2), g.contrast()
        wing = [rim[2], (neck + 0.02, top + 0.75 * size), (0.02, top + depth + size)]
        g.sew(*wing, tone=tone)
        g.sew(*_mirrored(wing), tone=tone)
    if g.often(cut.opening):
        g.sew(rim[0], half[-1], tone=g.between(50, 112))
        button = g.contrast() if g.often(0.55) else NEUTRAL
        for part in (0.15, 0.35, 0.55, 0.75):
            y = top + depth + part * (length - depth)
            g.sew((0.015, y), (0.03, y), tone=button, width=2)
    if g.often(cut.printed):
        y, size = top + g.between(0.27, 0.42), g.between(0.03, chest)
        g.sew((-size, y), (size, y), tone=g.contrast(), width=5)
    if g.often(cut.belt):
        g.sew((-0.4, waist[1]), (0.4, waist[1]), tone=g.contrast(), width=2)


# The others; shoes have their toes to the left --------------------------------------------------


def _trouser(g: Garment) -> None:
    waist, hip, leg = g.between(0.12, 0.18), g.between(0.15, 0.22), g.between(0.07, 0.15)
    gap, crotch, length = g.between(0.01, 0.09), g.between(0.26, 0.4), g.between(0.6, 1)
    length = max(length, g.between(0.85, 1))  # few shorts
    top = 0.5 - length / 2
    foot, fork = top + length, (0, top + crotch)
    half = [(0, top + 0.015), (waist, top), (hip, top + 0.22), (gap + leg, foot), (gap, foot), fork]
    g.fill(*half, *_mirrored(half))
    g.sew((0, top), fork, tone=g.between(45, 110))
    g.sew((-0.2, top + 0.06), (0.2, top + 0.06), tone=g.contrast())
    if g.often(0.4):
        crease, tone = [(0.6 * hip, top + 0.25), (gap + leg / 2, foot)], g.between(90, 175)
        g.sew(*crease, tone=tone, width=2)
        g.sew(*_mirrored(crease), tone=tone, width=2)


def _bag(g: Garment) -> None:
    width, height = g.between(0.3, 0.47), g.between(0.5, 0.84)
    foot = g.between(0.84, 0.97)
    top, edge = foot - height, width * g.between(0.8, 1.08)
    half = [(0, top), (edge - 0.05, top), (edge, top + 0.05), (width, foot - 0.05)]
    half += [(width - 0.05, foot), (0, foot)]
    g.fill(*half, *_mirrored(half))
    if g.often(0.8):  # a handle or a strap
        handle = [(width * g.between(0.4, 0.9), top + 0.02), (width * 0.4, max(top - 0.25, 0.03))]
        g.band(*handle, *_mirrored(handle), width=1 + g.often(0.6))
    flap = top + g.between(0.15, 0.5) * height
    corner = (width, flap if g.often(0.5) else top + 0.03)
    g.sew((-corner[0], corner[1]), (0, flap), corner, tone=g.between(50, 120))
    if g.often(0.6):  # a clasp
        g.sew((-0.01, flap), (0.01, flap), tone=g.contrast(), width=4)


def _sneaker(g: Garment) -> None:
    foot, toe = g.between(0.7, 0.8), g.between(0.12, 0.2)
    top, throat, back = foot - g.between(0.3, 0.42), g.between(-0.02, 0.12), g.between(0.4, 0.47)
    bridge = [(-0.36, foot - toe), (throat, top)]  # where the laces are
    tongue, ankle = (throat + 0.03, top - g.between(0, 0.07)), (throat + 0.2, top + 0.05)
    heel = [(back - 0.03, top - g.between(0, 0.06)), (back, top + 0.1), (back, foot)]
    g.fill((-0.46, foot), (-0.46, foot - 0.6 * toe), *bridge, tongue, ankle, *heel)
    g.sew((-0.5, foot - 0.03), (0.5, foot - 0.03), tone=g.contrast(), width=3)
    tone = g.contrast()
    for part in (0.3, 0.55, 0.8):  # laces
        x, y = (1 - part) * np.array(bridge[0]) + part * np.array(bridge[1])
        g.sew((x, y), (x + 0.07, y + 0.09), tone=tone)
    if g.often(0.6):  # a logo
        x, y = g.between(-0.1, 0.1), foot - g.between(0.12, 0.18)
        g.sew((x - 0.1, y - 0.02), (x, y + 0.05), (x + 0.2, y - 0.1), tone=g.contrast())


def _ankle_boot(g: Garment) -> None:
    foot, top, toe = g.between(0.88, 0.96), g.between(0.06, 0.34), g.between(0.12, 0.18)
    heel = g.between(0.1, 0.22) if g.often(0.45) else 0.03
    front, back, ball = g.between(-0.08, 0.06), g.between(0.36, 0.45), g.between(-0.2, -0.1)
    arch, instep = g.between(0.14, 0.24), foot - g.between(0.36, 0.46)
    shaft = [(front - 0.06, instep), (front, instep - 0.12), (front + g.between(-0.06, 0.03), top)]
    rear = [(back + g.between(-0.03, 0.03), top), (back - 0.03, instep), (back, foot - heel)]
    sole = [(back - 0.02, foot), (arch + 0.02, foot), (arch, foot - heel), (ball, foot)]
    g.fill((-0.46, foot), (-0.46, foot - 0.6 * toe), (-0.36, foot - toe), *shaft, *rear, *sole)
    tone = g.contrast()
    g.sew((-0.47, foot - 0.05), (ball, foot - 0.05), (back, foot - 0.05 - heel), tone=tone)
    if g.often(0.4):  # laces, else a zip
        for y in np.linspace(top + 0.05, instep + 0.04, 4):
            g.sew((front - 0.06, y), (front + 0.08, y + 0.03), tone=tone)
    else:
        g.sew((0.18, top), (0.2, foot - heel - 0.15), tone=g.between(50, NEUTRAL))


def _sandal(g: Garment) -> None:
    foot, ball, back = g.between(0.72, 0.86), g.between(-0.22, -0.1), g.between(0.38, 0.46)
    high = g.often(0.45)
    rear = foot - (g.between(0.18, 0.4) if high else g.between(0, 0.08))
    thick = g.between(0.03, 0.06) if high else g.between(0.05, 0.12)
    upper = [(-0.47, foot - thick), (ball, foot - thick), (back, rear - thick)]
    g.fill(*upper, (back, rear), (ball + 0.05, foot), (-0.46, foot))
    if high:  # a wedge or a thin heel
        start = (ball + 0.05, foot) if g.often(0.4) else (back - 0.05, rear)
        g.fill(start, (back, rear), (back, foot), (back - 0.03, foot))

    def over(x: float) -> float:  # height of the inner sole at x
        return np.interp(x, [ball, back], [foot - thick, rear - thick])

    for middle, often in ((-0.28, 0.9), (-0.15, 0.6), (0.05, 0.5)):  # straps
        if g.often(often):
            x, half, rise = middle + g.between(-0.05, 0.05), g.between(0.08, 0.15), over(middle)
            peak = rise - g.between(0.12, 0.25)
            g.band((x - half, over(x - half)), (x - 0.5 * half, peak), (x + 0.5 * half, peak),
                   (x + half, over(x + half)))  # fmt: skip
    if g.often(0.75):  # around the ankle
        front, y = g.between(0, 0.12), rear - thick - g.between(0.16, 0.3)
        low = front - g.between(0.02, 0.12)
        g.band((back, rear - thick), (back, y), (front, y), (low, over(low)))
    g.sew((-0.47, foot - 0.01), (ball, foot - 0.01), (back, rear), tone=g.contrast())


OTHERS = {1: _trouser, 5: _sandal, 7: _sneaker, 8: _bag, 9: _ankle_boot}
