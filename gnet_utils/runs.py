"""What is kept of a run: its record (`History`), its weights (`save_checkpoint`,
`load_checkpoint`, `load_trained`), and while it lasts its state, from which it can go on.

Each file is written aside first, so that none is ever half there.
"""

import copy
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gnet_utils import parallel
from gnet_utils.base import ROOT, CourseError, UsageError, written_aside
from gnet_utils.recipes import Recipe, bfloat16_is_fast, build_network, get_recipe, other_settings

CHECKPOINTS = ROOT / "data" / "checkpoints"  # the stored networks of the course
HEAD = "linear."  # how the names of the last layer begin


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
            return cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CourseError(f"{path} is not a recorded run ({error}): record it again") from None


def this_machine(device: torch.device) -> dict:
    """Versions and hardware, for the record of a run."""
    name = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or platform.machine()
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else name,
        "bfloat16": bfloat16_is_fast(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": parallel.world(),
    }


# Checkpoints --------------------------------------------------------------------------------------


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


def load_checkpoint(model: nn.Module, path: str | os.PathLike, head: bool = True) -> dict:
    """Bring stored weights into `model`; returns what was stored about them.

    head=False leaves the last layer, `linear`, as it is in `model`: for other classes.
    Only numbers are read, no code is run, and nothing is read before names, shapes and types fit.
    Raises CourseError for a file that is missing, broken or made for another network; the network
    is then as it was.
    """
    own = model.state_dict()
    if not head:
        own = {name: tensor for name, tensor in own.items() if not name.startswith(HEAD)}
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            misfit = _misfit(file, own, () if head else HEAD)
            tensors = {} if misfit else {n: file.get_tensor(n).to(t.dtype) for n, t in own.items()}
    except Exception as error:  # there is no end to what a broken or forged file can raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if _is_pickle(path):
            reason = "it is a pickle, as torch.save writes it, and reading one can run code"
            reason += "; read it safely: model.load_state_dict(torch.load(path, weights_only=True))"
        raise CourseError(f"{path} is not a readable checkpoint ({reason})") from None
    if misfit:
        raise CourseError(
            f"{path} was made for another network ({misfit}): build the network that it names"
        )
    model.load_state_dict(tensors, strict=head)
    return about


def freeze(*modules: nn.Module) -> None:
    """Keep modules as they are while the rest of a network in train mode learns.

    Their weights get no gradient, and their batch norms keep their running statistics: in eval
    mode they use those, and `fit` leaves parts in eval mode alone.
    """
    for module in modules:
        module.requires_grad_(False).eval()


def _misfit(file: Any, own: dict[str, Tensor], without: str | tuple = ()) -> str:
    """The first difference between an open safetensors file and the tensors `own`, or "".

    without: how names begin that do not count. Looks at the header only: a file may claim
    anything, and be as large as the disk.
    """
    theirs = {name for name in set(file.keys()) if not name.startswith(without)}
    if differing := own.keys() ^ theirs:
        return f"only one of the two has {min(differing)!r:.60}"
    for name, tensor in own.items():
        part = file.get_slice(name)
        if part.get_shape() != list(tensor.shape):
            return f"{name} is {tuple(part.get_shape())}, here {tuple(tensor.shape)}"
        if part.get_dtype().startswith(("F", "BF")) != tensor.is_floating_point():
            return f"{name} has the type {part.get_dtype()}, here {tensor.dtype}"
    return ""


def _is_pickle(path: str | os.PathLike) -> bool:
    """Whether a file begins as `torch.save` begins one, today (a zip) or before version 1.6."""
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith((b"PK\x03\x04", b"\x80"))
    except OSError:
        return False


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


# States: all that a run needs to go on -----------------------------------------------------------


def snapshot(net: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, dict]:
    """Copies of all numbers of a run: weights, running statistics, momentum."""
    return copy.deepcopy({"net": net.state_dict(), "optimiser": optimiser.state_dict()})


def restore(numbers: dict[str, dict], net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Bring the numbers of a `snapshot` back into `net` and `optimiser`."""
    net.load_state_dict(numbers["net"])
    optimiser.load_state_dict(numbers["optimiser"])


def fingerprint(data: tuple[Tensor, Tensor]) -> list[int]:
    """Tells one set of pictures from another, such as the stand-in from the real."""
    images, labels = data
    return [len(images), int(images.sum()), int(labels.sum())]


def save_state(
    path: str | os.PathLike, numbers: dict[str, dict], history: History, pictures: list[int]
) -> None:
    """Keep a `snapshot`, the record so far and the `fingerprint` of the training pictures.

    Where the disk is full or read-only, that is said on stderr: training need not end for it.
    """
    try:
        with written_aside(path) as aside:
            torch.save({"history": asdict(history), "data": pictures, **numbers}, aside)
    except (OSError, RuntimeError) as error:  # PyTorch has the second for a full disk
        print(
            f"{path} cannot be written ({error}): training goes on, but could not be resumed from "
            "here.",
            file=sys.stderr,
        )


def load_state(
    path: str | os.PathLike,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    fresh: History,
    pictures: list[int],
) -> History:
    """Bring a run back to where its state was kept; returns the record so far.

    fresh: the record of the run that is to go on, which is returned when there is no file.
    pictures: fingerprint of its training pictures.
    Raises UsageError for the state of another run, CourseError for what is none.
    """
    if not Path(path).exists():
        return fresh
    state, history = _read_state(path)
    name, other = fresh.recipe["name"], other_settings(Recipe(**fresh.recipe), history.recipe)
    if other or history.seed != fresh.seed:
        raise UsageError(
            f"{path} belongs to recipe {history.recipe.get('name')!r}, seed {history.seed}, "
            f"not to {name!r}, seed {fresh.seed} (other: {', '.join(other) or 'seed'}): delete it "
            "to begin again, or choose another file"
        )
    if state["data"] != pictures:
        raise UsageError(
            f"{path} belongs to a run on other training pictures: delete it to begin again, or "
            "choose another file"
        )
    try:
        restore(state, net, optimiser)
    except (RuntimeError, ValueError) as error:
        raise _no_state(path, error) from None
    # On the same kind of processor the stopwatch is not asked again whether bfloat16 is faster.
    here, there = fresh.machine, history.machine
    if any(there[key] != here[key] for key in ("device", "name")):
        history.machine = here
    return history


def begun_with(path: Path, recipe: Recipe) -> Recipe | None:
    """`recipe` with the epochs of the unfinished run whose state that file keeps, or None."""
    if not path.exists():
        return None
    return replace(recipe, epochs=_read_state(path)[1].recipe["epochs"])


def _read_state(path: str | os.PathLike) -> tuple[dict, History]:
    """What `save_state` kept, and its record. No code in the file is run: `weights_only`."""
    try:
        with open(path, "rb") as file:  # by name, PyTorch would take x.safetensors for another kind
            state = torch.load(file, map_location="cpu", weights_only=True)
        return state, History(**state["history"])
    except Exception as error:
        raise _no_state(path, error) from None


def _no_state(path: str | os.PathLike, error: Exception) -> CourseError:
    return CourseError(
        f"{path} does not hold the state of a run of this network ({type(error).__name__}): "
        "delete it to begin again"
    )
