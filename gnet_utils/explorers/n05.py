"""Explorers of notebook 05: a run while it lasts, and any picture classified."""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from gnet_utils.data import CLASS_NAMES, to_float
from gnet_utils.explorers import odds_bar, page_of, put_odds, put_picture, running_mean
from gnet_utils.live import Progress
from gnet_utils.passes import evaluating
from gnet_utils.pictures import opencv
from gnet_utils.plotting import COLOURS

# A run while it lasts -----------------------------------------------------------------------------


class LiveCurve:
    """Bar and curve of a run: `with LiveCurve(860) as curve:`, then `curve.step(loss)` after each.

    `curve.validated(share)` now and then adds the accuracy on pictures held out, in the same plot.
    The stop button ends the run here: what was learned so far is kept.
    """

    def __init__(self, steps: int):
        self.steps, self.losses, self.accuracies, self.stopped = steps, [], [], False
        alt = "Training loss, step by step, and accuracy on pictures held out, in one plot."
        self.progress = Progress(steps, measured="held-out", plot=self.plot, alt=alt)

    def __enter__(self) -> "LiveCurve":
        self.began = time.perf_counter()
        return self

    def __exit__(self, kind: type | None, *_: object) -> bool:
        self.seconds = time.perf_counter() - self.began
        self.progress.__exit__()
        self.stopped = kind is KeyboardInterrupt
        if self.stopped:
            print(f"stopped by hand after {len(self.losses)} of {self.steps} steps")
        return self.stopped

    def step(self, loss: Tensor) -> int:
        """A step was made, with this loss; gives the number of steps so far."""
        self.losses.append(loss.item())
        self.progress.step()
        return len(self.losses)

    def validated(self, share: float) -> None:
        """The share of pictures held out that is right now."""
        self.accuracies.append((len(self.losses), 100 * share))
        recent = self.losses[-20:]
        self.progress.look(sum(recent) / len(recent), share)

    def plot(self) -> Figure:
        """Loss (left axis) and accuracy (right axis) by step."""
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        left = figure.subplots()
        right = left.twinx()
        left.plot(self.losses, color=COLOURS["gray"], alpha=0.35, lw=1)
        left.plot(running_mean(self.losses), color=COLOURS["gray"], lw=2)
        left.set(xlabel="step", ylabel="training loss (gray)", ylim=(0, 2.6), xlim=(0, self.steps))
        if self.accuracies:
            right.plot(*zip(*self.accuracies, strict=True), "o-", color=COLOURS["blue"], ms=4)
        lowest = min([60, *(share for _, share in self.accuracies)])
        right.set(ylabel="held-out accuracy in % (blue)", ylim=(lowest - 2, 100))
        right.spines["right"].set_visible(True)
        right.yaxis.label.set_color(COLOURS["blue"])
        left.set_title("Loss falls, accuracy on pictures held out rises")
        return figure


# Own pictures -------------------------------------------------------------------------------------


def drawn_shirt() -> np.ndarray:
    """A T-shirt on paper, (360, 360, 3) uint8 RGB, filled with gray."""
    cv2 = opencv()
    half = [(160, 75), (135, 55), (95, 70), (35, 130), (75, 170), (105, 145), (105, 310)]
    corners = np.array([*half, *((360 - x, y) for x, y in reversed(half))], np.int32)[None]
    paper = np.full((360, 360, 3), (246, 242, 230), np.uint8)
    cv2.fillPoly(paper, corners, (120, 125, 140), lineType=cv2.LINE_AA)
    cv2.polylines(paper, corners, True, (40, 40, 60), 5, lineType=cv2.LINE_AA)
    return paper


def as_the_net_sees(picture: np.ndarray) -> np.ndarray:
    """Turn a picture (H, W, 3) uint8 RGB of one garment into (28, 28) uint8, bright on black.

    Each pixel becomes as bright as it stands out from the ground, darker, lighter or in colour;
    then trimmed, the longer edge scaled to 28 pixels, centred. For a garment on white these are
    the steps by which Fashion-MNIST itself was made (arXiv 1708.07747, section 2), but for its
    sharpening. Raises ValueError when nothing stands out.
    """
    cv2 = opencv()
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    looks = np.dstack([gray, picture - gray[..., None]])  # brightness; colour without it
    border = np.ones(gray.shape, bool)
    border[1:-1, 1:-1] = False
    ground, noise = plain_ground(looks, border)
    tone = np.abs(looks - ground).max(2).round().clip(0, 255).astype(np.uint8)
    seen = tone > max(0.2 * tone.max(), noise)
    _, part, stats, _ = cv2.connectedComponentsWithStats(seen.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA] * (np.arange(len(stats)) > 0)  # part 0 is the ground
    if tone.max() < 25 or areas.max() < 0.001 * seen.size:
        raise ValueError("nothing stands out from the border: put one garment on a plain ground")
    garment = areas > 0.02 * areas.max()  # the other shoe too, no crumbs
    if areas.argmax() not in part[border]:  # it lies free: what the border cuts is something else
        garment[part[border]] = False
    tone[seen & ~garment[part]] = 0
    seen &= garment[part]
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    cut = tone[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 28 / max(cut.shape)
    height, width = (max(1, round(side * scale)) for side in cut.shape)
    small = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((28, 28), np.uint8)
    top, left = (28 - height) // 2, (28 - width) // 2
    canvas[top : top + height, left : left + width] = small
    return canvas


def plain_ground(looks: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, float]:
    """What the ground would look like everywhere, and how far its own pixels are from that.

    looks: (H, W, C); border: (H, W) bool, where mostly ground is seen. The light may come from one
    side: each channel is a plane over the picture, fitted to the border without what stands out.
    """
    rows, columns = np.indices(border.shape, np.float32) / max(border.shape)
    places = np.dstack([np.ones_like(rows), rows, columns])
    off = np.abs(looks[border] - np.median(looks[border], axis=0)).max(1)
    for _ in range(5):
        near = off <= 2 * np.median(off) + 2
        plane = np.linalg.lstsq(places[border][near], looks[border][near], rcond=None)[0]
        off = np.abs(looks[border] - places[border] @ plane).max(1)
    return places @ plane, float(np.percentile(off[near], 99))


def probabilities(net: nn.Module, images: Tensor) -> Tensor:
    """What `net` gives each class: (N, 10) on the CPU for uint8 images (N, 1, 28, 28)."""
    device = next(net.parameters()).device
    with evaluating(net), torch.no_grad():  # in parts: the maps of 1,000 pictures take 0.5 GB
        logits = torch.cat([net(to_float(part).to(device)) for part in images.split(250)])
    return logits.float().softmax(1).cpu()


def nearest(images: Tensor, picture: Tensor, count: int = 5) -> Tensor:
    """Indices of the `count` images (N, 1, 28, 28) nearest to picture (1, 28, 28), pixel by pixel.

    The first is the nearest; the distance is the sum of squared differences.
    """
    wanted = picture.flatten().numpy().astype(np.float32)
    # With NumPy, in parts that fit into the cache, 10 to 20 ms: the threads of PyTorch, which
    # wait for each other, take anything from 8 to 110.
    distances = [np.square(part.numpy() - wanted).sum(1) for part in images.flatten(1).split(500)]
    return torch.from_numpy(np.concatenate(distances)).topk(count, largest=False).indices


def classify(
    net: nn.Module, picture: np.ndarray, gallery: tuple[Tensor, Tensor], title: str = ""
) -> Figure:
    """A picture, what the net sees of it, the ten probabilities, and its nearest neighbours.

    picture: uint8, (H, W, 3) RGB of any size, or (28, 28) as in the data set.
    gallery: uint8 images (N, 1, 28, 28) and labels (N,), among which neighbours are looked for.
    """
    small = picture if picture.shape == (28, 28) else as_the_net_sees(picture)
    seen = torch.from_numpy(small)[None]
    chances = probabilities(net, seen[None])[0]
    images, labels = gallery
    # places by hand: the automatic layout takes longer than all the rest
    figure = Figure(figsize=(7.2, 3.7), layout="none")
    page = page_of(figure)
    put_picture(page, picture, (0.07, 1.59, 2.02, 1.8), title or "the picture", cmap="gray")
    put_picture(page, small, (2.23, 1.59, 2.02, 1.8), "as the net sees it", cmap="gray")
    best = int(chances.argmax())
    colours = [COLOURS["blue" if k == best else "gray"] for k in range(10)]
    bars = (5.11, 1.85, 1.68, 1.77)
    put_odds(page, bars, chances.tolist(), colours)
    (x, y), across, up = odds_bar(bars, best, float(chances[best]))
    page.text(x + across + 0.03, y + up / 2, f"{chances[best]:.0%}", va="center", fontsize=9)
    page.text(5.95, 1.45, "probability", ha="center", fontsize=9)
    page.text(3.6, 1.33, f"The nearest of {len(images):,} training pictures, pixel by pixel",
              ha="center", va="center", fontsize=9)  # fmt: skip
    for column, index in enumerate(nearest(images, seen)):
        left, _, width, _ = put_picture(
            page, images[index, 0].numpy(), (0.33 + 1.41 * column, 0.04, 0.9, 0.9), cmap="gray"
        )
        page.text(left + width / 2, 1.0, CLASS_NAMES[labels[index]], fontsize=9, ha="center")
    return figure


def draw_loop() -> Figure:
    """The training loop as five boxes in a ring."""
    names = ["pictures\n28 x 28 bytes", "network\nnine blocks", "loss\ncross-entropy"]
    names += ["gradient\ncleared, backward", "step\nSGD, schedule"]
    figure, ax = plt.subplots(figsize=(7.2, 1.35))
    ax.set(xlim=(-0.5, 4.5), ylim=(-1.05, 0.55))
    ax.axis("off")
    box = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": COLOURS["blue"], "lw": 2}
    texts = [
        ax.text(k, 0, text, ha="center", va="center", bbox=box) for k, text in enumerate(names)
    ]
    for start, end in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0)):
        line = {
            "arrowstyle": "-|>",
            "color": COLOURS["gray"],
            "lw": 1.5,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        line |= {"patchA": texts[start].get_bbox_patch(), "patchB": texts[end].get_bbox_patch()}
        line["connectionstyle"] = "arc3" if end else "bar,fraction=-0.11"  # the last one goes back
        ax.annotate("", (end, 0), (start, 0), arrowprops=line)
    ax.text(2, -0.72, "the next batch", ha="center", va="bottom", fontsize=9)
    return figure
