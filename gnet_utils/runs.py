"""Records of runs and stored networks: `History`, `save_checkpoint`, `load_checkpoint`,
`load_trained`. Each file is written aside first, so that none is ever half there."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save_file
from torch import Tensor, nn

from gnet_utils.base import ROOT, CourseError, written_aside
from gnet_utils.recipes import build_network, get_recipe

CHECKPOINTS = ROOT / "data" / "checkpoints"  # the stored networks of the course


@dataclass
class History:
    """What happened in a run: who ran it, one entry for each epoch, the loss along the way.

    epochs: dictionaries with epoch, train_loss, train_accuracy, seconds (of training so far) and,
        with validation data, val_loss and val_accuracy; of a net with heads the last one's alone.
    losses: (step, loss of that batch) pairs, some hundreds of them at most; of several processes
        that of the first one's share of the batch.
    stopped: why the run ended early, or "".
    """

    recipe: dict
    seed: int
    parameters: int = 0
    epochs: list[dict] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = ""
    machine: dict = field(default_factory=dict)
    date: str = ""
    results: dict = field(default_factory=dict)  # for example the accuracy on the test set

    def save(self, path: str | os.PathLike) -> None:
        """Write this record as JSON, aside first, so that no half-written one is left."""
        with written_aside(path) as aside:
            aside.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "History":
        """Read a record; CourseError when the file is missing or not one."""
        try:
            return cls.of(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CourseError(f"{path} is not a recorded run ({error}): record it again") from None

    @classmethod
    def of(cls, stored: dict) -> "History":
        """What `asdict` made of a record; TypeError or ValueError where it is none."""
        history = cls(**stored)
        for name, kind in RECORDED.items():
            if not isinstance(getattr(history, name), kind):
                raise ValueError(f"{name} has the type {type(getattr(history, name)).__name__}")
        if not all(isinstance(entry, dict) for entry in history.epochs):
            raise ValueError("an epoch is no object")
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in history.losses):
            raise ValueError("a loss is no pair of step and value")
        return history

    def plot(self, so_far: Sequence[tuple[float, float]] = ()):
        """Loss of the batches (smoothed) and accuracy after each epoch, as a Figure.

        so_far: pairs (epochs done, accuracy since the last whole epoch), drawn as a line.
        """
        from matplotlib.figure import Figure

        from gnet_utils.plotting import COLOURS

        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        steps = [step for step, _ in self.losses]
        left.plot(steps, smooth([loss for _, loss in self.losses]), color=COLOURS["blue"])
        left.set(xlabel="step", ylabel="training loss", ylim=(0, None), title="Loss")
        if so_far:
            shown = [(epoch, 100 * share) for epoch, share in so_far]
            right.plot(*zip(*shown, strict=True), color=COLOURS["gray"], lw=1, label="epoch so far")
        most = self.recipe.get("epochs", math.inf)  # the last epoch may be a part of one
        numbers = [min(entry["epoch"], most) for entry in self.epochs]
        for key, name, colour in (
            ("train_accuracy", "training, while learning", "gray"),
            ("val_accuracy", "validation", "orange"),
        ):
            values = [100 * entry[key] for entry in self.epochs if key in entry]
            if values:
                right.plot(numbers, values, "o-", color=COLOURS[colour], label=name)
                right.annotate(
                    f"{values[-1]:.1f}",
                    (numbers[-1], values[-1]),
                    xytext=(4, 4),
                    textcoords="offset points",
                )
        right.set(xlabel="epoch", ylabel="accuracy (%)", title="Accuracy")
        right.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if 0 < len(numbers) < 4:  # half an epoch lies at no whole tick
            right.set_xticks(numbers)
        if right.get_legend_handles_labels()[0]:
            right.legend(loc="lower right", frameon=False)
        return figure


RECORDED = {"recipe": dict, "seed": int, "epochs": list, "losses": list, "results": dict}
RECORDED |= {"parameters": int, "seconds": (int, float), "stopped": str, "machine": dict}


def smooth(values: list[float], keep: float = 0.9) -> list[float]:
    """Running mean that forgets: each value is a tenth new and nine tenths what was."""
    smoothed, level = [], None
    for value in values:
        level = value if level is None else keep * level + (1 - keep) * value
        smoothed.append(level)
    return smoothed


# Checkpoints --------------------------------------------------------------------------------------


# Broken or forged.
UNREADABLE = (OSError, ValueError, OverflowError, RecursionError, safetensors.SafetensorError)


def save_checkpoint(model: nn.Module, path: str | os.PathLike, **about: object) -> None:
    """Store the weights of `model` as float16 safetensors, with `about` as JSON beside them.

    Numbers too large for float16 are stored as they are. Raises CourseError when the file cannot
    be written.
    """
    tensors = {
        name: _halved(tensor).contiguous().cpu() for name, tensor in model.state_dict().items()
    }
    try:
        with written_aside(path) as aside:
            save_file(tensors, aside, metadata={"about": json.dumps(about)})
    except (OSError, safetensors.SafetensorError) as error:
        raise CourseError(
            f"{path} cannot be written ({error}): free some space or choose another folder"
        ) from None


def _halved(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() else tensor


def load_checkpoint(model: nn.Module, path: str | os.PathLike) -> dict:
    """Bring stored weights into `model`; returns what was stored about them.

    Only numbers are read, no code is run, and nothing is read before names, shapes and types fit.
    Raises CourseError for a file that is missing, broken or made for another network; the network
    is then as it was.
    """
    own = model.state_dict()
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            if not isinstance(about, dict):
                raise ValueError("what it says about itself is no JSON object")
            misfit = misfit_of(file, own)
            tensors = {} if misfit else {n: file.get_tensor(n).to(t.dtype) for n, t in own.items()}
    except UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if _is_pickle(path):
            reason = "it is a pickle, as torch.save writes it, and reading one can run code"
            reason += "; read it safely: model.load_state_dict(torch.load(path, weights_only=True))"
        raise CourseError(f"{path} is not a readable checkpoint ({reason})") from None
    if misfit:
        raise CourseError(
            f"{path} was made for another network ({misfit}): build the network that it names"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise CourseError(f"{path} is useless: {name} holds values that are not finite numbers")
    model.load_state_dict(tensors)
    return about


def _is_pickle(path: str | os.PathLike) -> bool:
    """Whether a file begins as `torch.save` begins one, today (a zip) or before version 1.6."""
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith((b"PK\x03\x04", b"\x80"))
    except OSError:
        return False


def misfit_of(
    file: Any, expected: dict[str, Tensor], optional: dict[str, Tensor] | None = None
) -> str:
    """The first difference between an open safetensors file and the tensors that are expected.

    Looks at the header only: a file may claim anything, and be as large as the disk.
    """
    names, known = set(file.keys()), {**expected, **(optional or {})}
    if missing := expected.keys() - names:
        return f"{min(missing)} is missing"
    for name in sorted(names):
        if name not in known:
            return f"{name!r:.60} is unknown here"
        part, own = file.get_slice(name), known[name]
        if part.get_shape() != list(own.shape):
            return f"{name} is {tuple(part.get_shape())}, here {tuple(own.shape)}"
        if part.get_dtype().startswith(("F", "BF")) != own.is_floating_point():
            return f"{name} has the type {part.get_dtype()}, here {own.dtype}"
    return ""


def load_trained(name: str) -> tuple[nn.Module, dict]:
    """A stored network of the course by name, such as "minute-seed0", in eval mode on the CPU.

    Returns it and what is stored about it (recipe, seed, accuracy). Raises ValueError with the
    names that exist for another.
    """
    known = sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors"))
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}, got {name!r}")
    file = CHECKPOINTS / f"{name}.safetensors"
    network = build_network(get_recipe(name.rpartition("-seed")[0]))
    about = load_checkpoint(network, file)
    return network.eval(), about
