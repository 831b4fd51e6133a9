"""A small folder of pictures in colour, drawn: five kinds of garments that Fashion-MNIST lacks.

`draw_wardrobe()` writes it as a photographer would hand it over: a folder for each class, files of
several sizes, each garment of any colour on a ground of any colour.
"""

from pathlib import Path

import numpy as np
from numpy.random import Generator

from gnet_utils.course.dataset import cache_folder
from gnet_utils.course.garments import Outline, Shape, drawn
from gnet_utils.pictures import opencv

CANVAS = 112  # pixels

# fmt: off
BRIM: Outline = [(-.02, .6), (.36, .6), (.42, .68), (-.02, .72)]
KINDS = {  # class: its variants; see garments.Shape. A hat, a skirt and a tie as their right halves
    "hat": [[
        Shape([(-.02, .3), (.12, .32), (.17, .64), (-.02, .66)],
              [(-.02, .12), (.22, .16), (.25, .62), (-.02, .64)]),
        Shape(BRIM, [(-.02, .56), (.46, .54), (.5, .72), (-.02, .78)]),
        Shape([(0, .56), (.16, .55)], [(0, .5), (.24, .5)], .7, line=4, seam=True)]],
    "mitten": [[
        Shape([(-.12, .92), (.14, .92), (.16, .4), (.08, .16), (-.06, .16), (-.14, .4)],
              [(-.18, .96), (.22, .96), (.24, .36), (.14, .05), (-.1, .05), (-.2, .36)]),
        Shape([(-.12, .72), (-.28, .46), (-.2, .4), (-.1, .5)],
              [(-.16, .78), (-.46, .42), (-.32, .28), (-.14, .48)]),
        Shape([(-.16, .8), (.2, .8)], [(-.2, .84), (.24, .84)], .8, line=3, seam=True)]],
    "skirt": [[
        Shape([(-.02, .24), (.14, .24), (.26, .8), (-.02, .82)],
              [(-.02, .1), (.2, .1), (.48, .92), (-.02, .96)]),
        Shape([(0, .28), (.16, .28)], [(0, .18), (.22, .18)], .8, line=2, seam=True),
        Shape([(.06, .34), (.12, .78)], [(.08, .26), (.24, .9)], .6, line=2, seam=True)]],
    "sock": [[
        Shape([(-.06, .12), (.14, .12), (.16, .66), (.12, .82), (-.26, .86), (-.32, .74),
               (-.1, .62)],
              [(-.04, .03), (.24, .03), (.26, .7), (.18, .93), (-.4, .96), (-.48, .76),
               (-.08, .56)]),
        Shape([(-.08, .2), (.16, .2)], [(-.06, .16), (.26, .16)], .8, line=4, seam=True)]],
    "tie": [[
        Shape([(-.02, .06), (.07, .06), (.03, .18), (.09, .7), (-.02, .86)],
              [(-.02, .02), (.12, .02), (.06, .2), (.17, .8), (-.02, .99)]),
        Shape([(-.08, .3), (.08, .4)], [(-.12, .36), (.14, .52)], .6, line=4, seam=True),
        Shape([(-.08, .52), (.1, .62)], [(-.12, .6), (.16, .76)], .6, line=4, seam=True)]],
}
# fmt: on
WHOLE = ("mitten", "sock")  # the others are drawn as right halves


def draw_wardrobe(each: int = 60, seed: int = 0) -> Path:
    """Write `each` pictures of every kind into a folder in the course's cache; returns the folder.

    PNG files in a folder for each kind, from 90 to 180 pixels wide and high. What lies there
    already is drawn again.
    """
    folder, rng = cache_folder() / "wardrobe", np.random.default_rng(seed)
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            picture = draw(kind, rng)
            encoded = opencv().imencode(".png", picture[..., ::-1])[1]
            (folder / kind / f"{kind}_{number:02}.png").write_bytes(encoded.tobytes())
    return folder


def draw(kind: str, rng: Generator) -> np.ndarray:
    """One garment of a kind: RGB, uint8 (H, W, 3)."""
    where, cloth = drawn(KINDS[kind], kind not in WHOLE, rng, CANVAS)
    if rng.random() < 0.5:
        where, cloth = where[:, ::-1], cloth[:, ::-1]
    fabric, ground = _two_colours(rng)
    wide, high = rng.integers(90, 181, 2)
    side = int(min(wide, high) * rng.uniform(0.8, 1))
    top, left = (high - side) // 2, (wide - side) // 2
    where, cloth = (opencv().resize(part, (side, side)) for part in (where, cloth))
    light = 1 + rng.normal(0, 0.08) * np.linspace(-1, 1, wide)
    picture = np.ones((high, wide, 1)) * ground
    inside = picture[top : top + side, left : left + side]
    inside += where[..., None] * (cloth[..., None] * fabric - inside)
    picture = picture * light[:, None] + rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _two_colours(rng: Generator) -> np.ndarray:
    """Two colours (2, 3), 0 to 255, that can be told apart in gray: of fabric and of ground."""
    while True:
        pair = rng.uniform(30, 225, (2, 3))
        if abs(np.subtract(*pair.mean(1))) > 40:
            return pair
