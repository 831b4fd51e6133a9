"""Draws the two pictures of this folder: `python data/pictures/draw.py` writes them again.

market.png  a cat at a fruit stall: fine lines (whiskers, fur, wood) and large shapes (faces, fruit)
plate.png   "1x1" in dots whose colours all have the luma 158: plain in colour, flat in gray

Both are drawn at three times their size and shrunk. Everything is seeded.
"""

from collections.abc import Callable
from copy import copy
from pathlib import Path

import cv2
import numpy as np

FOLDER = Path(__file__).resolve().parent
LUMA = np.array([0.2989, 0.5870, 0.1140])
SCALE = 3  # drawn larger by this, for smooth edges


# ---------------------------------------------------------------- plate


def draw_plate(side: int = 360, luma: float = 158.0, seed: int = 6) -> np.ndarray:
    """Dots of equal luma on a ground of the same luma: uint8 RGB (side, side, 3)."""
    rng = np.random.default_rng(seed)
    big = side * SCALE
    y, x = np.mgrid[:big, :big].astype(np.float32) / big
    figure = _one_by_one(big)
    chroma = np.zeros((big, big, 2), np.float32)  # (blue - luma, red - luma)
    chroma[:] = (-5, 3)  # the paper between the dots, a little warm
    for cx, cy, radius in _pack_dots(rng):
        inside = figure[int(cy * big), int(cx * big)] > 0
        # orange on blue: an axis that nearly all colour-blind eyes keep
        angle = rng.normal(2.25, 0.20) if inside else rng.normal(-0.60, 0.32)
        strength = rng.uniform(72, 96)
        colour = strength * np.array([1.15 * np.cos(angle), np.sin(angle)])
        left, right = (int(np.clip((c * big), 0, big)) for c in (cx - radius, cx + radius + 0.01))
        top, foot = (int(np.clip((c * big), 0, big)) for c in (cy - radius, cy + radius + 0.01))
        box = np.s_[top:foot, left:right]
        away = np.hypot(x[box] - cx, y[box] - cy) / radius
        # each dot is a small ball, modelled by saturation alone: no brightness is spent on it
        lit = np.hypot(x[box] - cx + 0.35 * radius, y[box] - cy + 0.4 * radius) / radius
        ball = colour * (0.68 + 0.42 * np.clip(lit, 0, 1.2))[..., None]
        chroma[box] = np.where((away < 1)[..., None], ball, chroma[box])
    chroma = cv2.resize(chroma, (side, side), interpolation=cv2.INTER_AREA)
    blue, red = np.clip(np.round(luma + chroma), 0, 255).transpose(2, 0, 1)
    green = np.round((luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1])  # what the luma needs
    return np.dstack([red, green, blue]).clip(0, 255).astype(np.uint8)


def _one_by_one(side: int) -> np.ndarray:
    """A mask (side, side) of the sign 1x1."""
    mask = np.zeros((side, side), np.uint8)

    def line(thickness: float, *points: tuple[float, float]) -> None:
        corners = np.round(np.array(points) * side).astype(np.int32)
        cv2.polylines(mask, [corners], False, 255, round(thickness * side))

    for shift in (0.0, 0.51):
        line(0.09, (0.15 + shift, 0.37), (0.25 + shift, 0.28), (0.25 + shift, 0.72))
    line(0.07, (0.42, 0.44), (0.55, 0.59))
    line(0.07, (0.55, 0.44), (0.42, 0.59))
    return mask


def _pack_dots(rng: np.random.Generator) -> np.ndarray:
    """Discs (x, y, radius) that do not touch, in a large disc, large ones first."""
    dots = np.empty((0, 3))
    for radius, tries in (
        (0.0165, 5000),
        (0.0135, 9000),
        (0.011, 12000),
        (0.008, 16000),
        (0.0055, 16000),
    ):
        turn, away = rng.uniform(0, 2 * np.pi, tries), 0.47 * np.sqrt(rng.uniform(0, 1, tries))
        for x, y in zip(0.5 + away * np.cos(turn), 0.5 + away * np.sin(turn), strict=True):
            gap = np.hypot(dots[:, 0] - x, dots[:, 1] - y) - dots[:, 2] - radius
            if not len(dots) or gap.min() > 0.0025:
                dots = np.vstack([dots, (x, y, radius * rng.uniform(0.9, 1.08))])
    return dots


# ---------------------------------------------------------------- market


def draw_market(width: int = 440, height: int = 330, seed: int = 3) -> np.ndarray:
    """A ginger cat looks over the counter of a fruit stall: uint8 RGB (height, width, 3)."""
    scene = _Scene(width, height, seed)
    _back(scene)
    _shelf(scene)
    _awning(scene)
    _cat_body(scene)
    _counter(scene)
    _cat_paws(scene)
    _cat_head(scene)
    _front(scene)
    picture = cv2.resize(scene.rgb, (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


class _Scene:
    """A canvas that takes coordinates in final pixels; colours are RGB 0-255."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.width, self.height = width, height
        self.rgb = np.zeros((height * SCALE, width * SCALE, 3), np.float32)
        y, x = np.mgrid[: height * SCALE, : width * SCALE].astype(np.float32)
        self.x, self.y = (x + 0.5) / SCALE, (y + 0.5) / SCALE
        self.corner = (0, 0)

    def window(self, cx: float, cy: float, reach: float) -> "_Scene":
        """The part of the scene around a point, sharing its pixels: quicker to paint on."""
        corner = np.array(self.corner)
        low, high = (
            np.clip((np.array([cx, cy]) + d - corner) * SCALE, 0, self.rgb.shape[1::-1]).astype(int)
            for d in (-reach, reach)
        )
        part, box = copy(self), np.s_[low[1] : high[1], low[0] : high[0]]
        part.rgb, part.x, part.y = self.rgb[box], self.x[box], self.y[box]
        part.corner = tuple(corner + low / SCALE)
        return part

    def mask(self, points: np.ndarray, blur: float = 0) -> np.ndarray:
        """Coverage 0..1 of a polygon (k, 2)."""
        mask = np.zeros(self.x.shape, np.uint8)
        cv2.fillPoly(mask, [_fixed(points - self.corner)], 255, cv2.LINE_AA, 4)
        mask = mask.astype(np.float32) / 255
        return cv2.GaussianBlur(mask, (0, 0), blur * SCALE) if blur else mask

    def paint(self, mask: np.ndarray, colour: np.ndarray | tuple, strength: float = 1) -> None:
        self.rgb += (strength * mask)[..., None] * (np.float32(colour) - self.rgb)

    def line(self, points: np.ndarray, colour: tuple, width: float = 1) -> None:
        thickness = max(1, round(width * SCALE))
        cv2.polylines(
            self.rgb, [_fixed(points - self.corner)], False, colour, thickness, cv2.LINE_AA, 4
        )

    def ramp(self, value: np.ndarray, *stops: tuple) -> np.ndarray:
        """Colours along value 0..1, evenly spaced stops: (H, W, 3)."""
        at = np.linspace(0, 1, len(stops))
        channels = [np.interp(value, at, [stop[c] for stop in stops]) for c in range(3)]
        return np.stack(channels, axis=-1).astype(np.float32)


def _moved(points: np.ndarray, right: float, down: float) -> np.ndarray:
    return points + np.array([right, down])


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(points) * SCALE * 16).astype(np.int32)


def _ellipse(
    cx: float, cy: float, rx: float, ry: float, turn: float = 0, power: float = 2, k: int = 90
) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, k, endpoint=False)
    x = rx * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
    y = ry * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
    return np.stack(
        [cx + x * np.cos(turn) - y * np.sin(turn), cy + x * np.sin(turn) + y * np.cos(turn)], axis=1
    )


def _curve(*points: tuple[float, float], closed: bool = False, steps: int = 14) -> np.ndarray:
    """A smooth line (Catmull-Rom) through the points."""
    p = np.array(points, dtype=float)
    if closed:
        p = np.vstack([p[-1], p, p[0], p[1]])
    else:
        p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = [
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.vstack(parts if closed else [*parts, p[-2:-1]])


def _ball(
    scene: _Scene,
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    colours: tuple[tuple, tuple, tuple],
    turn: float = 0,
    shine: float = 0.7,
    shadow: float = 0.45,
    streaks: float = 0,
) -> None:
    """A shaded ball (dark, middle, light colour) with its shadow."""
    scene = scene.window(cx, cy, 2 * max(rx, ry))
    if shadow:
        cast = _ellipse(cx + 0.12 * rx, cy + 0.35 * ry, 1.05 * rx, 0.95 * ry)
        scene.paint(scene.mask(cast, blur=0.18 * rx), (30, 14, 24), shadow)
    dx, dy = scene.x - cx, scene.y - cy
    u = (dx * np.cos(turn) + dy * np.sin(turn)) / rx
    v = (-dx * np.sin(turn) + dy * np.cos(turn)) / ry
    depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    nx, ny = dx / rx, dy / ry
    light = np.clip(-0.50 * nx - 0.58 * ny + 0.64 * depth, 0, 1)
    bounce = 0.16 * np.clip(0.5 * nx + 0.7 * ny, 0, 1) * (1 - depth)
    mask = scene.mask(_ellipse(cx, cy, rx, ry, turn))
    scene.paint(mask, scene.ramp(np.clip(0.06 + 0.92 * light + bounce, 0, 1), *colours))
    if streaks:  # from the stem down, as on an apple
        bands = np.clip(np.sin(34 * np.arctan2(u, v + 1.6) + 2 * np.sin(9 * u)), 0, 1) ** 3
        scene.paint(mask * bands * np.clip(0.5 - v, 0, 1), colours[2], streaks)
    gloss = np.exp(-((nx + 0.36) ** 2 + (ny + 0.42) ** 2) / 0.03)
    scene.paint(mask * gloss, (255, 250, 238), shine)


ORANGE = ((120, 38, 8), (238, 122, 18), (255, 186, 74))
APPLE = ((74, 6, 18), (196, 26, 34), (246, 106, 72))
GREEN_APPLE = ((40, 74, 10), (128, 172, 34), (214, 232, 116))
LEMON = ((146, 96, 6), (244, 206, 36), (255, 240, 138))
PLUM = ((26, 10, 52), (84, 42, 128), (164, 122, 202))
GRAPE = ((44, 8, 50), (122, 36, 112), (206, 126, 190))


def _apple(scene: _Scene, x: float, y: float, r: float, colours: tuple = APPLE) -> None:
    _ball(scene, x, y, r, 0.95 * r, colours, streaks=0.28)
    scene, y = scene.window(x, y, 1.5 * r), y - 0.62 * r
    scene.paint(scene.mask(_ellipse(x, y, 0.26 * r, 0.12 * r), blur=0.06 * r), (50, 12, 12), 0.7)
    stem = _curve((x, y), (x + 0.06 * r, y - 0.22 * r), (x + 0.2 * r, y - 0.4 * r))
    scene.line(stem, (74, 46, 20), 1.6)


def _orange(scene: _Scene, x: float, y: float, r: float) -> None:
    _ball(scene, x, y, r, r, ORANGE, shine=0.45)
    scene, rng = scene.window(x, y, 1.2 * r), scene.rng
    for _ in range(int(2.2 * r)):  # pores
        turn, away = rng.uniform(0, 2 * np.pi), r * 0.86 * np.sqrt(rng.uniform())
        px, py = x + away * np.cos(turn), y + away * np.sin(turn)
        scene.line(np.array([(px, py), (px + 0.3, py)]), tuple(0.86 * c for c in ORANGE[1]), 0.7)
    scene.paint(scene.mask(_ellipse(x + 0.1 * r, y - 0.55 * r, 0.1 * r, 0.06 * r)), (96, 120, 40))


def _lemon(scene: _Scene, x: float, y: float, r: float, turn: float = -0.3) -> None:
    tip = (x + 1.22 * r * np.cos(turn), y + 1.22 * r * np.sin(turn))
    _ball(scene, *tip, 0.25 * r, 0.2 * r, LEMON, turn, shine=0.1, shadow=0.3)
    _ball(scene, x, y, 1.22 * r, 0.88 * r, LEMON, turn, shine=0.55)


def _back(scene: _Scene) -> None:
    """An evening street, out of focus."""
    scene.rgb[:] = scene.ramp(scene.y / scene.height, (20, 44, 74), (30, 82, 98), (66, 84, 90))
    rng = scene.rng
    lamps = ((255, 196, 112), (255, 150, 110), (126, 214, 210), (255, 226, 168), (240, 130, 150))
    for _ in range(34):
        x, y, r = rng.uniform(0, scene.width), rng.uniform(50, 190), rng.uniform(5, 17)
        disc = scene.mask(_ellipse(x, y, r, r), blur=0.7)
        scene.paint(disc, lamps[rng.integers(len(lamps))], rng.uniform(0.08, 0.34))


def _board(scene: _Scene, left: float, top: float, right: float, foot: float, tone: float) -> None:
    """A plank with grain."""
    scene = scene.window((left + right) / 2, (top + foot) / 2, (right - left) / 2 + 3)
    corners = np.array([(left, top), (right, top), (right, foot), (left, foot)])
    mask = scene.mask(corners)
    wave = scene.y + 1.6 * np.sin(scene.x / 41 + tone * 9) + 0.7 * np.sin(scene.x / 13 + tone * 5)
    grain = 0.5 + 0.28 * np.sin(wave * 1.9 + 2 * np.sin(wave / 3.1)) + 0.12 * np.sin(wave * 5.3)
    high = np.clip((scene.y - top) / (foot - top), 0, 1)
    wood = scene.ramp(np.clip(grain, 0, 1), (128, 76, 40), (164, 104, 56), (196, 136, 80))
    scene.paint(mask, wood * np.float32(tone) * (1.1 - 0.3 * high)[..., None])
    scene.line(corners[:2], tuple(tone * c for c in (228, 172, 112)), 0.8)
    scene.line(corners[2:], (58, 30, 18), 1.0)


def _crate(scene: _Scene, left: float, right: float, rim: float, fruit: Callable, r: float) -> None:
    """A crate with three rows of fruit of radius r heaped above its rim."""
    _board(scene, left, rim - 24, right, rim, 0.42)
    for row, count in enumerate((2, 2, 3)):
        space = (right - left - 2 * r) / 2
        for i in range(count):
            x = left + r + (i + 0.5 * (row == 1)) * space * (2 if row == 0 else 1)
            x, y = x + scene.rng.uniform(-1, 1), rim - 6 - (2 - row) * 0.95 * r
            fruit(scene, x, y + scene.rng.uniform(-1.2, 1.2), r * scene.rng.uniform(0.94, 1.04))
    for i in range(2):
        _board(scene, left - 3, rim + 14 * i, right + 3, rim + 14 * i + 12, 0.86 - 0.1 * i)
        for x in (left + 3, right - 3):
            part = scene.window(x, rim + 6 + 14 * i, 3)
            part.paint(part.mask(_ellipse(x, rim + 6 + 14 * i, 1.1, 1.1)), (60, 50, 48))


def _tag(scene: _Scene, x: float, y: float, turn: float) -> None:
    """A price card with scribbles."""
    scene = scene.window(x, y, 30)
    corners = _ellipse(x, y, 17, 10, turn, power=12)
    scene.paint(scene.mask(_moved(corners, 1.5, 2.5), blur=1.2), (20, 10, 10), 0.5)
    scene.paint(scene.mask(corners), (250, 240, 214))
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    for level, end in ((-4, 9), (0.5, 11), (5, 4)):
        points = [
            np.array([x, y]) + along * t + across * (level + 1.2 * np.sin(1.7 * t + level))
            for t in np.linspace(-11, end, 40)
        ]
        scene.line(np.array(points), (52, 56, 92), 0.9)


def _plum(scene: _Scene, x: float, y: float, r: float) -> None:
    _ball(scene, x, y, r, 0.94 * r, PLUM, shine=0.4)


def _shelf(scene: _Scene) -> None:
    wall = np.array([(238, 60), (445, 60), (445, 330), (238, 330)])
    scene.paint(scene.mask(wall, blur=3), (34, 22, 26), 0.72)
    _crate(scene, 252, 338, 150, _lemon, 12)
    _crate(scene, 350, 436, 150, _plum, 12.5)
    _board(scene, 240, 178, 445, 186, 0.7)
    _crate(scene, 246, 340, 250, _orange, 16)
    _crate(scene, 350, 440, 250, _apple, 15.5)
    for x, y, turn in ((296, 163, 0.06), (394, 164, -0.05), (292, 264, -0.04), (396, 264, 0.07)):
        _tag(scene, x, y, turn)


def _awning(scene: _Scene) -> None:
    """Striped cloth along the top with a scalloped edge."""
    wide, foot = 40, 46
    edge = [(0.0, -5.0)]
    for i in range(int(scene.width / wide) + 1):
        t = np.linspace(0, np.pi, 24)
        edge += list(
            zip(wide * (i + 0.5) - wide / 2 * np.cos(t), foot + 17 * np.sin(t), strict=True)
        )
    cloth = np.array([*edge, (scene.width + wide, -5.0)])
    scene.paint(scene.mask(_moved(cloth, 0, 12), blur=6), (8, 12, 24), 0.6)
    mask = scene.mask(cloth)
    red = (np.floor(scene.x / wide) % 2 == 0)[..., None]
    fold = 0.86 + 0.14 * np.sin(2 * np.pi * scene.x / wide - 0.9)
    light = fold * np.interp(scene.y, [0, foot - 4, foot, foot + 18], [1.0, 0.82, 1.04, 0.86])
    scene.paint(
        mask,
        np.where(red, np.float32((214, 60, 56)), np.float32((248, 234, 208))) * light[..., None],
    )
    scene.line(np.array([(0, foot), (scene.width, foot)]), (120, 50, 44), 0.9)


def _counter(scene: _Scene) -> None:
    shade = np.array([(0, 270), (scene.width, 270), (scene.width, 300), (0, 300)])
    scene.paint(scene.mask(shade, blur=7), (14, 8, 12), 0.55)
    for i, tone in enumerate((1.06, 0.94, 1.0)):
        _board(scene, -2, 286 + 16 * i, scene.width + 2, 302 + 16 * i, tone)


FUR = ((120, 52, 14), (220, 124, 44), (250, 178, 96))
CREAM = ((196, 160, 128), (250, 236, 214), (255, 250, 242))


FACE = (124.0, 170.0)  # the middle of the cat's face


def _at(*points: tuple[float, float]) -> list[tuple[float, float]]:
    """Points given from the middle of the face."""
    return [(FACE[0] + x, FACE[1] + y) for x, y in points]


def _both(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and their mirror image on the other side of the face."""
    return points, (2 * FACE[0], 0) + points * (-1, 1)


def _cat_body(scene: _Scene) -> None:
    cx, cy = FACE
    scene = scene.window(cx, cy + 110, 100)
    body = _curve(
        *_at(
            (-34, 46),
            (-62, 82),
            (-80, 130),
            (-84, 172),
            (0, 180),
            (84, 172),
            (80, 130),
            (62, 82),
            (34, 46),
        ),
        closed=True,
    )
    mask = scene.mask(body, blur=0.6)
    shade = np.clip(0.62 - 0.0042 * (scene.x - cx) - 0.000052 * (scene.x - cx) ** 2 * 1.4, 0, 1)
    shade *= np.clip(0.55 + (scene.y - cy - 52) / 90, 0.4, 1)
    scene.paint(mask, scene.ramp(np.clip(shade, 0, 1), *FUR))
    for i in range(5):  # stripes on the flanks
        y = 92 + 15 * i
        for stripe in _both(_curve(*_at((-90, y - 8), (-64, y + 3), (-44 - 2 * i, y - 3)))):
            scene.paint(mask * _stroke_mask(scene, stripe, 6, 1.2), FUR[0], 0.55)
    bib = _curve(
        *_at((0, 58), (34, 66), (36, 110), (20, 160), (0, 172), (-20, 160), (-36, 110), (-34, 66)),
        closed=True,
    )
    scene.paint(
        scene.mask(bib, blur=4) * mask, scene.ramp(np.clip(shade + 0.12, 0, 1), *CREAM), 0.95
    )
    _fur(scene, body, 2600, lambda x, y: (0.35 * (x - cx) / 60, 1.0), 8)
    chin = _ellipse(cx, cy + 66, 62, 22)
    scene.paint(scene.mask(chin, blur=9) * mask, (60, 22, 14), 0.55)


def _cat_paws(whole: _Scene) -> None:
    for puff in (-1, 1):
        px, py = FACE[0] + puff * 40, FACE[1] + 118
        scene = whole.window(px, py, 45)
        paw = _ellipse(px, py, 25, 15, power=2.4)
        scene.paint(scene.mask(_moved(paw, 2, 8), blur=4), (40, 18, 10), 0.6)
        _ball(scene, px, py, 25, 15, CREAM, shine=0, shadow=0)
        _fur(scene, paw, 420, lambda x, y: (0.1, 1.0), 5)
        for toe in (-8, 0, 8):
            scene.line(
                _curve((px + toe * 0.9, py + 3), (px + toe, py + 9), (px + toe, py + 14)),
                (160, 112, 84),
                1.1,
            )


def _cat_head(scene: _Scene) -> None:
    cx, cy = FACE
    whole, rng = scene, scene.rng
    scene = scene.window(cx, cy, 112)

    # ears
    for side, ear in enumerate(
        _both(_curve(*_at((-76, -22), (-80, -62), (-74, -96), (-50, -82), (-20, -54)), steps=10))
    ):
        outer = scene.mask(ear, blur=0.5)
        glow = np.clip(0.75 - (0.16 if side else 0) + (cy - 96 - scene.y) / 260, 0, 1)
        scene.paint(outer, scene.ramp(glow, *FUR))
        middle = _moved(ear.mean(axis=0), 0, 3)
        inner = scene.mask(middle + (ear - middle) * 0.62, blur=1.4)
        scene.paint(inner, (226, 146, 132), 0.95)
        scene.paint(scene.mask(middle + (ear - middle) * 0.36 + (0, 6), blur=3), (150, 74, 70), 0.6)
        _fur(scene, ear, 330, lambda x, y, s=side: (0.35 - 0.7 * (s == 0), -1.0), 7)

    # head
    head = _curve(
        *_at((0, -66), (32, -64), (62, -46), (78, -14), (84, 14), (74, 40), (44, 62), (0, 70)),
        *_at((-44, 62), (-74, 40), (-84, 14), (-78, -14), (-62, -46), (-32, -64)),
        closed=True,
    )
    mask = scene.mask(head, blur=0.5)
    nx, ny = (scene.x - cx) / 86, (scene.y - cy) / 72
    depth = np.sqrt(np.clip(1 - nx**2 - ny**2, 0, 1))
    light = np.clip(-0.36 * nx - 0.42 * ny + 0.72 * depth, 0, 1)
    scene.paint(mask, scene.ramp(np.clip(0.1 + 0.86 * light, 0, 1), *FUR))
    dark = (126, 54, 18)
    brow = [
        _curve(*_at((-5, -64), (-6, -48), (-8, -34))),
        _curve(*_at((-16, -63), (-19, -48), (-22, -36), (-30, -28))),
        _curve(*_at((-31, -59), (-35, -48), (-42, -40))),
        _curve(*_at((-60, -20), (-70, -16), (-82, -14))),
        _curve(*_at((-54, 22), (-68, 20), (-84, 16))),
        _curve(*_at((-52, 34), (-64, 36), (-78, 34))),
    ]
    for stripe in brow:
        for one in _both(stripe):
            scene.paint(mask * _stroke_mask(scene, one, 5, 1.0), dark, 0.72)
    for white, strength in (
        (_ellipse(cx - 21, cy + 34, 28, 21), 0.96),
        (_ellipse(cx + 21, cy + 34, 28, 21), 0.96),
        (_ellipse(cx, cy + 54, 24, 15), 0.96),
        (_curve(*_at((0, -40), (7, -8), (13, 22), (-13, 22), (-7, -8)), closed=True), 0.75),
    ):
        soft = scene.mask(white, blur=3.2) * mask
        scene.paint(soft, scene.ramp(np.clip(0.2 + 0.9 * light, 0, 1), *CREAM), strength)

    def outwards(x: float, y: float) -> tuple[float, float]:
        dx, dy = x - cx, y - cy - 16
        size = np.hypot(dx, dy) + 1e-6
        return dx / size, dy / size

    _fur(scene, head, 5200, outwards, 6.5)
    for puff in (-1, 1):  # round muzzle
        pad = _ellipse(cx + puff * 17, cy + 36, 19, 14)
        scene.paint(scene.mask(_moved(pad, 0, 4), blur=3) * mask, (150, 104, 80), 0.28)
        scene.paint(scene.mask(_moved(pad, -2, -3), blur=4) * mask, (255, 252, 246), 0.7)

    # eyes
    for puff in (-1, 1):
        ex, ey = cx + puff * 36, cy - 6
        lids = _curve(
            *[
                (ex + puff * x, ey + y)
                for x, y in ((-19, 6), (-8, -11), (7, -14), (19, -5), (9, 10), (-7, 12))
            ],
            closed=True,
        )
        scene.paint(
            scene.mask(lids + 0.2 * (lids - lids.mean(axis=0)), blur=1.6), (70, 26, 12), 0.85
        )
        eye = scene.mask(lids)
        away = np.hypot(scene.x - ex, (scene.y - ey + 1) * 1.1) / 17
        iris = scene.ramp(np.clip(away, 0, 1), (206, 222, 92), (132, 190, 66), (40, 96, 56))
        rays = 1 + 0.10 * np.sin(26 * np.arctan2(scene.y - ey, scene.x - ex) + 3 * away)
        scene.paint(eye, iris * rays[..., None])
        scene.paint(eye * scene.mask(_ellipse(ex, ey - 15, 22, 9), blur=3), (20, 34, 18), 0.6)
        scene.paint(
            eye * scene.mask(_ellipse(ex, ey - 0.5, 4.6, 11.5, power=1.7), blur=0.4), (10, 8, 12)
        )
        scene.paint(
            eye * scene.mask(_ellipse(ex - 5, ey - 6, 3.6, 3.2), blur=0.4), (255, 255, 255), 0.95
        )
        scene.paint(
            eye * scene.mask(_ellipse(ex + 6, ey + 5, 2.2, 1.7), blur=0.5), (236, 255, 236), 0.55
        )
        scene.line(np.vstack([lids, lids[:1]]), (38, 14, 10), 1.3)

    # nose and mouth
    nose = _curve(*_at((-10, 15), (0, 13), (10, 15), (5, 23), (0, 26), (-5, 23)), closed=True)
    scene.paint(scene.mask(_moved(nose, 0, 1.5), blur=1.5), (110, 52, 40), 0.6)
    scene.paint(
        scene.mask(nose),
        scene.ramp(np.clip((scene.y - cy - 12) / 15, 0, 1), (246, 158, 150), (198, 92, 92)),
    )
    scene.paint(scene.mask(_ellipse(cx - 3, cy + 16.5, 3.4, 1.3), blur=0.6), (255, 226, 220), 0.8)
    mouth = (96, 44, 36)
    scene.line(np.array(_at((0, 26), (0, 33))), mouth, 1.4)
    for smile in _both(_curve(*_at((0, 33), (-7, 40), (-17, 41), (-25, 36)))):
        scene.line(smile, mouth, 1.4)
    for puff in (-1, 1):
        for i in range(3):
            for j in range(3):
                x, y = cx + puff * (15 + 6.5 * i), cy + 28 + 4.6 * j + i
                part = scene.window(x, y, 3)
                part.paint(part.mask(_ellipse(x, y, 0.9, 0.9)), (130, 76, 52), 0.9)

    # whiskers
    for puff in (-1, 1):
        for i, (rise, reach) in enumerate(((-26, 96), (-11, 106), (4, 108), (18, 98))):
            start = (cx + puff * (20 + 3 * (i % 2)), cy + 29 + 4 * i)
            middle = (cx + puff * (20 + 0.5 * reach), cy + 24 + 4 * i + 0.55 * rise)
            end = (cx + puff * (20 + reach), cy + 32 + 4 * i + rise + rng.uniform(-2, 2))
            hair = _curve(start, middle, end, steps=30)
            whole.line(_moved(hair, 0.4, 0.9), (90, 44, 28), 0.35)
            third = len(hair) // 3
            for part, width in (
                (hair[: third + 1], 1.3),
                (hair[third : 2 * third + 1], 1.0),
                (hair[2 * third :], 0.5),
            ):
                whole.line(part, (255, 252, 246), width)
        for i in range(3):  # above the eyes
            start = (cx + puff * (30 + 5 * i), cy - 25)
            middle = (cx + puff * (32 + 8 * i), cy - 42 + 2 * i)
            end = (cx + puff * (38 + 13 * i), cy - 58 + 5 * i)
            scene.line(_curve(start, middle, end), (255, 248, 238), 0.5)


def _stroke_mask(scene: _Scene, points: np.ndarray, width: float, blur: float) -> np.ndarray:
    """Coverage of a line that tapers at both ends."""
    mask = np.zeros(scene.x.shape, np.uint8)
    taper = np.sin(np.linspace(0.25, np.pi - 0.12, len(points)))
    for (x, y), t in zip(points - scene.corner, taper, strict=True):
        centre = (round(x * SCALE * 16), round(y * SCALE * 16))
        cv2.circle(
            mask, centre, max(8, round(0.5 * width * t * SCALE * 16)), 255, -1, cv2.LINE_AA, 4
        )
    return cv2.GaussianBlur(mask, (0, 0), blur * SCALE).astype(np.float32) / 255


def _fur(scene: _Scene, outline: np.ndarray, count: int, along: Callable, length: float) -> None:
    """Hairs in the colour of what they grow on, a little lighter or darker; they cross the edge."""
    rng = scene.rng
    low, high = outline.min(axis=0), outline.max(axis=0)
    shape = outline.astype(np.float32)
    source = scene.rgb.copy()
    rows, columns = source.shape[:2]
    for x, y in rng.uniform(low, high, (count, 2)):
        if cv2.pointPolygonTest(shape, (float(x), float(y)), False) < 0:
            continue
        dx, dy = along(x, y)
        bend = rng.normal(0, 0.22)
        dx, dy = dx - bend * dy, dy + bend * dx
        column, row = ((np.array([x, y]) - scene.corner) * SCALE).astype(int)
        colour = source[min(row, rows - 1), min(max(column, 0), columns - 1)]
        colour = tuple(float(c) for c in np.clip(colour * rng.normal(1, 0.14), 0, 255))
        reach = length * rng.uniform(0.6, 1.2)
        end = (x + reach * dx, y + reach * dy)
        scene.line(np.array([(x, y), end]), colour, 0.45)


def _front(scene: _Scene) -> None:
    """What lies on the counter."""
    rng = scene.rng
    # a slice of melon
    mx, my, r = 262.0, 266.0, 40.0
    t = np.linspace(0.06, np.pi - 0.06, 60)
    half = np.stack([mx + r * np.cos(t), my + r * 0.92 * np.sin(t)], axis=1)
    scene.paint(scene.mask(_moved(half, 5, 6), blur=4), (40, 18, 10), 0.6)
    rind = 0.88 + 0.12 * np.sin(30 * np.arctan2(scene.y - my, scene.x - mx))
    scene.paint(scene.mask(half), np.float32((44, 116, 54)) * rind[..., None])
    flesh_edge = (mx, my) + (half - (mx, my)) * 0.92
    scene.paint(scene.mask(flesh_edge), (226, 240, 196))
    flesh = scene.mask((mx, my) + (half - (mx, my)) * 0.86, blur=0.6)
    away = np.hypot(scene.x - mx, scene.y - my) / r
    scene.paint(
        flesh, scene.ramp(np.clip(away, 0, 1), (250, 92, 92), (234, 60, 72), (240, 120, 110))
    )
    for ring, count in ((0.42, 4), (0.66, 7)):
        for angle in np.linspace(0.35, np.pi - 0.35, count):
            x, y = mx + ring * r * np.cos(angle), my + ring * r * 0.92 * np.sin(angle)
            scene.paint(scene.mask(_ellipse(x, y, 2.1, 1.2, angle)), (38, 16, 18))
    # grapes
    for row, count in enumerate((5, 6, 5, 3)):
        for i in range(count):
            x = 352 + 12.6 * (i - (count - 1) / 2) + rng.uniform(-1, 1)
            _ball(scene, x, 268 + 10 * row + rng.uniform(-1, 1), 7.6, 7.6, GRAPE, shine=0.8)
    scene.line(_curve((352, 262), (356, 252), (366, 246)), (96, 110, 44), 2.2)
    _apple(scene, 412, 288, 20, GREEN_APPLE)
    for x, y in ((212, 302), (228, 306)):
        _ball(scene, x, y, 8, 8, ((88, 4, 22), (196, 16, 44), (250, 110, 110)), shine=0.9)
        scene.line(_curve((x, y - 7), (x + 6, y - 22), (226, 270)), (92, 104, 40), 1.0)


def write(name: str, picture: np.ndarray) -> None:
    path = FOLDER / name
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    print(
        f"{path.name}: {picture.shape[1]} x {picture.shape[0]}, {path.stat().st_size / 1000:.0f} kB"
    )


if __name__ == "__main__":
    write("plate.png", draw_plate())
    write("market.png", draw_market())
