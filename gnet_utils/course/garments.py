"""A drawn stand-in for Fashion-MNIST, for when it cannot be had: ten kinds of garments.

`draw_dataset()` gives the same tensors as the real set. The table KINDS holds each kind as shapes,
each shape as its smallest and its largest outline: a garment lies somewhere between, with a pose,
a fabric and a light of its own. OpenCV draws at twice the size, and 2x2 pixels become one. The same
seed gives the same pictures with the same OpenCV.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from gnet_utils.pictures import opencv

SIDE = 28
CANVAS = 2 * SIDE
SHOES = (5, 7, 9)  # whole outlines, toes to the left; of the other kinds one half, to be mirrored

Outline = list[tuple[float, float]]


class Shape(NamedTuple):
    """Fabric, or a seam on it. Points (x, y): x from -0.5 to 0.5, y from 0, above, to 1."""

    small: Outline
    large: Outline
    often: float = 1  # the probability that a garment has it
    line: int = 0  # its width in pixels of the canvas, 0: filled
    seam: bool = False  # darkens or lightens the fabric below it


# fmt: off
TORSO = Shape([(-.02, .12), (.06, .1), (.18, .14), (.17, .36), (.16, .6), (.17, .84), (-.02, .85)],
              [(-.02, .18), (.12, .06), (.28, .1), (.26, .36), (.26, .6), (.28, .97), (-.02, .97)])
COAT = Shape([(-.02, .1), (.06, .08), (.19, .12), (.17, .36), (.15, .6), (.18, .93), (-.02, .93)],
             [(-.02, .16), (.12, .05), (.28, .09), (.25, .36), (.24, .6), (.32, 1), (-.02, 1)])
GOWN = Shape([(-.02, .08), (.05, .03), (.1, .06), (.11, .28), (.08, .45), (.12, .95), (-.02, .95)],
             [(-.02, .14), (.1, .01), (.19, .06), (.18, .28), (.18, .45), (.36, 1), (-.02, 1)])
CAP = Shape([(.1, .1), (.19, .15), (.17, .25), (.1, .25)],
            [(.1, .1), (.26, .2), (.2, .3), (.1, .3)])
SHORT = Shape([(.12, .1), (.3, .28), (.18, .36), (.12, .3)],
              [(.2, .09), (.48, .32), (.36, .46), (.2, .36)])
LONG = Shape([(.12, .11), (.22, .16), (.3, .72), (.2, .75), (.12, .34)],
             [(.2, .08), (.36, .16), (.5, .86), (.36, .9), (.2, .36)])
CREW = Shape([(0, .16), (.06, .1)], [(0, .22), (.12, .06)], line=1, seam=True)
SLEEVE = Shape([(.16, .14), (.16, .4)], [(.26, .12), (.24, .4)], line=1, seam=True, often=.7)
COLLAR = Shape([(.06, .1), (.1, .16), (.02, .2)], [(.12, .07), (.15, .2), (.03, .32)],
               line=1, seam=True, often=.75)
FRONT = Shape([(0, .15), (0, .85)], [(0, .2), (0, .96)], line=1, seam=True, often=.8)
PRINT = Shape([(0, .34), (.05, .34)], [(0, .45), (.2, .45)], line=5, seam=True, often=.35)
BELT = Shape([(0, .44), (.4, .44)], [(0, .54), (.4, .54)], line=2, seam=True, often=.4)

STRAPS = [
    Shape([(-.4, .76), (-.36, .6), (-.26, .6), (-.2, .76)],
          [(-.36, .78), (-.28, .5), (-.14, .5), (-.04, .76)], line=2),
    Shape([(-.24, .76), (-.1, .56), (0, .6), (.1, .74)],
          [(-.14, .76), (0, .46), (.1, .5), (.2, .72)], .6, line=2),
    Shape([(.4, .72), (.38, .48), (.08, .5), (0, .72)],
          [(.46, .72), (.46, .34), (.16, .38), (.1, .72)], .7, line=2),
]

KINDS = {  # class: its variants, each as often
    0: [[TORSO, SHORT, CREW, SLEEVE, PRINT]] * 4 + [[TORSO, CAP, CREW, PRINT]],
    1: [[
        Shape([(-.02, .06), (.12, .04), (.15, .26), (.09, .86), (.01, .86), (-.02, .3)],
              [(-.02, .04), (.18, .02), (.22, .26), (.25, .99), (.09, .99), (-.02, .42)]),
        Shape([(0, .04), (0, .28)], [(0, .06), (0, .38)], line=1, seam=True),
        Shape([(.08, .3), (.05, .9)], [(.11, .3), (.16, .9)], line=2, seam=True, often=.4),
    ]],
    2: [[TORSO, LONG, CREW, SLEEVE, PRINT]],
    3: [[GOWN, BELT], [GOWN, SHORT._replace(large=[(.16, .06), (.32, .36), (.2, .42), (.1, .3)]),
                       CREW, BELT]],
    4: [[COAT, LONG, COLLAR, FRONT._replace(often=.95), SLEEVE, BELT._replace(often=.2)]],
    5: [
        [Shape([(-.47, .72), (-.2, .74), (.4, .7), (.4, .76), (-.46, .78)],
               [(-.47, .76), (-.1, .76), (.46, .7), (.46, .88), (-.46, .88)]),
         *STRAPS],
        [Shape([(-.47, .82), (-.2, .82), (.38, .5), (.38, .58), (-.1, .88), (-.46, .86)],
               [(-.47, .84), (-.1, .82), (.46, .62), (.46, .7), (0, .9), (-.46, .9)]),
         Shape([(.3, .6), (.38, .5), (.38, .86), (.35, .86)],
               [(.1, .8), (.46, .62), (.46, .92), (.4, .92)]), *STRAPS],
    ],
    6: [[TORSO, LONG, COLLAR, FRONT, SLEEVE, PRINT._replace(often=.1)],
        [TORSO, SHORT, COLLAR, FRONT, SLEEVE]],
    7: [[
        Shape([(-.46, .7), (-.46, .62), (-.34, .58), (0, .4), (.16, .44), (.38, .4), (.4, .7)],
              [(-.46, .8), (-.46, .68), (-.34, .64), (.12, .32), (.3, .4), (.46, .36), (.47, .8)]),
        Shape([(-.5, .68), (.5, .68)], [(-.5, .77), (.5, .77)], line=3, seam=True),
        Shape([(-.2, .5), (-.12, .58)], [(-.1, .56), (0, .64)], line=1, seam=True),
        Shape([(-.06, .44), (.02, .54)], [(.02, .5), (.1, .58)], line=1, seam=True),
        Shape([(-.2, .6), (-.08, .66), (.1, .52)], [(0, .62), (.12, .7), (.3, .56)],
              .6, line=1, seam=True),
    ]],
    8: [[
        Shape([(-.02, .3), (.26, .3), (.3, .84), (-.02, .84)],
              [(-.02, .16), (.44, .16), (.48, .96), (-.02, .96)]),
        Shape([(.2, .3), (.12, .12), (0, .12)], [(.36, .2), (.2, .01), (0, .01)], .8, line=2),
        Shape([(0, .45), (.3, .4)], [(0, .66), (.46, .4)], line=1, seam=True),
        Shape([(-.01, .45), (.01, .45)], [(-.01, .66), (.01, .66)], .6, line=4, seam=True),
    ]],
    9: [[
        Shape([(-.46, .88), (-.46, .8), (-.34, .74), (-.12, .52), (-.08, .3),
               (.34, .32), (.36, .86), (.2, .88), (.14, .86), (-.1, .88)],
              [(-.46, .96), (-.46, .86), (-.34, .8), (-.06, .5), (.04, .04),
               (.44, .04), (.46, .97), (.24, .97), (.18, .84), (-.12, .96)]),
        Shape([(-.46, .84), (-.1, .84), (.4, .76)], [(-.46, .9), (-.1, .9), (.46, .84)],
              line=1, seam=True),
        Shape([(.1, .34), (.14, .6)], [(.2, .16), (.24, .66)], .6, line=1, seam=True),
        Shape([(-.1, .46), (.06, .5)], [(0, .44), (.16, .48)], .5, line=2, seam=True),
    ]],
}
# fmt: on


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
    where, cloth = drawn(KINDS[label], label not in SHOES, rng)
    small = opencv().resize(where * cloth, (SIDE, SIDE), interpolation=opencv().INTER_AREA)
    return _lit(small, rng)


def drawn(
    variants: list[list[Shape]], mirrored: bool, rng: Generator, canvas: int = CANVAS
) -> tuple[np.ndarray, np.ndarray]:
    """One garment, `mirrored` when the shapes are its right half: where it is, and its cloth.

    Both float (canvas, canvas): 0 to 1, and around 1.
    """
    cut = np.zeros((canvas, canvas), np.uint8)  # where there is fabric
    tone = np.full((canvas, canvas), 128, np.uint8)  # less: darker fabric, more: lighter
    pose = _pose(rng)
    size = rng.random(2)  # between the small and the large outline, across and along
    for shape in variants[rng.integers(len(variants))]:
        if rng.random() > shape.often:
            continue
        small, large = np.array(shape.small), np.array(shape.large)
        points = small + (large - small) * (size + rng.random(2)) / 2
        points += rng.normal(0, 0.006, points.shape)
        colour = rng.choice([rng.uniform(40, 110), rng.uniform(160, 220)]) if shape.seam else 255
        for side in (1, -1) if mirrored else (1,):
            placed = (points * (side, 1) - (0, 0.5)) @ pose[:2] + pose[2]
            pixels = (placed * 16 * (canvas - 1)).astype(np.int32)  # in sixteenths
            smooth = {"lineType": opencv().LINE_AA, "shift": 4}
            if shape.line:
                on, width = tone if shape.seam else cut, shape.line * canvas // CANVAS
                opencv().polylines(on, [pixels], False, colour, width, **smooth)
            else:
                opencv().fillPoly(cut, [pixels], colour, **smooth)
    return cut / 255, _fabric(rng, canvas) * tone / 128


def _pose(rng: Generator) -> np.ndarray:
    """A turn, slant and stretch (rows 0 and 1) and where the middle of the garment lies (2)."""
    turn, slant = rng.normal(0, (0.055, 0.04))
    turned = [[np.cos(turn), np.sin(turn)], [slant - np.sin(turn), np.cos(turn)]]
    return np.vstack([np.diag(rng.uniform(0.78, 0.99, 2)) @ turned, rng.normal(0.5, 0.025, 2)])


def _fabric(rng: Generator, canvas: int) -> np.ndarray:
    """Cloth (canvas, canvas), around 1: plain, or striped across, along or both."""
    cloth = 1 + 0.06 * opencv().resize(rng.standard_normal((14, 14)), (canvas, canvas))
    for axis in ((canvas, 1), (1, canvas)):
        place = np.arange(canvas) * (CANVAS / canvas) / rng.uniform(4, 14) + rng.random()
        contrast = rng.uniform(0.1, 0.35) * (rng.random() < 0.15)
        cloth *= 1 + contrast * np.sin(2 * np.pi * place).reshape(axis)
    return cloth


def _lit(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """Give the garment its gray, light from one side, and noise: uint8."""
    across = np.linspace(-1, 1, SIDE)
    side, bulge = rng.normal(0, 0.07, 2)
    gray = np.clip(rng.normal(160, 48), 45, 235)
    picture = picture * gray * (1 + side * across - abs(bulge) * across**2)
    picture += (picture > 12) * rng.normal(0, 5, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)
