"""Fashion-MNIST, or the drawn stand-in, as tensors in memory: brought in once, then cached.

Where the pictures come from, in this order:
1. the cache, one file that is written whole;
2. the folder named by GNET_DATA_DIR (torchvision's layout, never written to), MD5 checked;
3. the mirrors of torchvision, then the data set's own repository, MD5 checked;
4. a drawn stand-in (garments.py), with a banner. A process never mixes two sources by itself.

Environment variables: GNET_CACHE_DIR (the cache, else data/cache of the course),
GNET_DATA_DIR (a class share), GNET_DATA_SOURCE ("real" or "stand-in": no other is used).

torchvision fetches the files; the rest is ours, because its data set keeps no cache for several
processes, waits for a silent server for ever, and takes any file of the right name from a share.
"""

import gzip
import hashlib
import http.client
import math
import os
import socket
import sys
import tempfile
import textwrap
import urllib.parse
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from gnet_utils.base import ROOT, CourseError, UsageError, written_aside
from gnet_utils.course import garments
from gnet_utils.course.environment import CERTIFICATE

SHAPES = {
    "train_images": (60_000, 1, 28, 28),
    "train_labels": (60_000,),
    "test_images": (10_000, 1, 28, 28),
    "test_labels": (10_000,),
}
FILES = {  # the official names, and the MD5 of what they hold unpacked
    "train_images": ("train-images-idx3-ubyte", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    "train_labels": ("train-labels-idx1-ubyte", "9018921c3c673c538a1fc5bad174d6f9"),
    "test_images": ("t10k-images-idx3-ubyte", "8181f5470baa50b63fa0f6fddb340f0a"),
    "test_labels": ("t10k-labels-idx1-ubyte", "15d484375f8d13e6eb1aabb0c3f46965"),
}
AUTHORS_MIRROR = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"

SILENCE_SECONDS = 10  # a server that says nothing for so long is given up
WAIT_SECONDS = 600  # for another process that brings the data in

WHAT_TO_DO = (
    "connect to the internet and run `python -m gnet_utils data`, or set GNET_DATA_DIR to a folder "
    "with the four official files; then restart the kernel"
)


class DataSource(NamedTuple):
    """Which data this process uses: kind is "real" or "stand-in", why is one sentence."""

    kind: str
    why: str


used: DataSource | None = None  # by this process, where no call insists on the other
_unsaved: dict[str, dict[str, Tensor]] = {}  # sets that the cache could not take
_said: set[str] = set()


def load(source: str | None = None) -> tuple[dict[str, Tensor], DataSource]:
    """All four tensors (see SHAPES), and where they come from. Errors as load_fashion_mnist."""
    global used
    if source is not None:
        return _load(source, "the call asked for it")
    asked, why = used or (None, "")  # data of two kinds are not mixed
    if os.environ.get("GNET_DATA_SOURCE"):
        asked, why = os.environ["GNET_DATA_SOURCE"], "GNET_DATA_SOURCE asks for it"
    tensors, used = _load(asked, why)
    if used.kind == "stand-in":
        _announce(used.why)
    return tensors, used


def _load(asked: str | None, why: str) -> tuple[dict[str, Tensor], DataSource]:
    if asked not in (None, "real", "stand-in"):
        raise UsageError(
            f'source (or GNET_DATA_SOURCE) must be "real", "stand-in" or not given, got {asked!r}'
        )
    if asked != "stand-in":
        try:
            tensors, whence = _cached("fashion-mnist", _bring)
            return tensors, DataSource("real", whence)
        except CourseError as error:
            why = str(error)
    if asked == "real":
        raise CourseError(f"No real Fashion-MNIST: {why}. To mend it, {WHAT_TO_DO}.")
    return _cached("garments-3", _draw)[0], DataSource("stand-in", why)


def _draw() -> tuple[dict[str, Tensor], str]:
    _say("Drawing the stand-in for Fashion-MNIST: 70,000 pictures, about half a minute, once.")
    return garments.draw_dataset(), "drawn here"


def _announce(why: str) -> None:
    """Show the banner once per process: a picture in a notebook, text on stderr elsewhere.

    A picture, because nbval does not compare pictures: compared cells stay equal on both sources.
    """
    from IPython import display, get_ipython
    from matplotlib.figure import Figure

    lines = [
        "THESE ARE NOT THE FASHION-MNIST PICTURES.",
        "Which data: a stand-in, 70,000 garments drawn by this course (course/garments.py).",
        f"Why: {why}.",
        f"What to do: {WHAT_TO_DO}.",
        "The accuracy numbers in the text do not apply to the stand-in.",
    ]
    text = "\n".join(
        textwrap.fill(line, 92, subsequent_indent="    ", break_on_hyphens=False) for line in lines
    )
    if text in _said:
        return
    _said.add(text)
    if not hasattr(get_ipython(), "kernel"):
        print(f"\n{'!' * 96}\n{text}\n{'!' * 96}\n", file=sys.stderr, flush=True)
        return
    figure = Figure(figsize=(7.5, 0.5 + 0.17 * text.count("\n")), dpi=110, facecolor="#ffd9a0")
    style = {"size": 9, "weight": "bold", "color": "#7a1f00"}
    figure.text(0.02, 0.93, text, va="top", parse_math=False, **style)
    png = BytesIO()
    figure.savefig(png, format="png")
    alt = {"image/png": {"alt": " ".join(lines)}}
    display.display({"image/png": png.getvalue()}, metadata=alt, raw=True)


def _say(sentence: str) -> None:
    """Tell the reader something once, on stderr."""
    if sentence not in _said:
        _said.add(sentence)
        print(sentence, file=sys.stderr, flush=True)


# The cache --------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """The folder that keeps prepared data: GNET_CACHE_DIR, else data/cache in the course."""
    return ROOT / Path(os.environ.get("GNET_CACHE_DIR") or "data/cache").expanduser()


def _cached(
    name: str, make: Callable[[], tuple[dict[str, Tensor], str]]
) -> tuple[dict[str, Tensor], str]:
    """Read the set `name` from the cache, or make and keep it; the second value says whence.

    Many processes at once: one makes it, the others wait and read. Where the cache cannot be
    written, each process keeps the set in its memory.
    """
    path = cache_folder() / f"{name}.safetensors"
    inside = path.is_relative_to(ROOT)  # no machine's own folders in a committed notebook
    place = path.relative_to(ROOT).as_posix() if inside else f"{path.name} in GNET_CACHE_DIR"
    if tensors := _read(path):
        return tensors, f"read from the cache, {place}"
    if name in _unsaved:
        return {key: value.clone() for key, value in _unsaved[name].items()}, "kept in memory"
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_lock(path.parent))
        except (OSError, NotImplementedError):  # read-only, or a file system without locks
            pass
        if tensors := _read(path):  # another process has made it meanwhile
            return tensors, f"read from the cache, {place}"
        tensors, whence = make()
        try:
            with written_aside(path) as aside:
                safetensors.torch.save_file(tensors, aside)
        except (OSError, safetensors.SafetensorError) as error:
            _say(f"{path} cannot be written ({error}): the data stay in memory.")
            _unsaved[name] = tensors
    return tensors, whence


def _lock(folder: Path) -> AbstractContextManager:
    """Wait for the cache's lock and hold it; the system frees it when its owner dies."""
    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=3)
    except Timeout:
        _say("Another process is preparing the data: waiting for it.")
        return lock.acquire(timeout=WAIT_SECONDS)


def _read(path: Path) -> dict[str, Tensor] | None:
    """Read a cached set; None if it is not there, or damaged: then that is said."""
    try:
        tensors = safetensors.torch.load_file(path)
        if {key: tuple(value.shape) for key, value in tensors.items()} == SHAPES:
            return tensors
        problem = "it holds something else"
    except FileNotFoundError:
        return None
    except (OSError, safetensors.SafetensorError) as error:
        problem = error
    _say(f"{path} cannot be used ({problem}): the data are brought in again.")
    return None


# The official files -----------------------------------------------------------------------------


def mirrors() -> list[str]:
    """The addresses that hold the four files, in the order in which they are tried."""
    from torchvision.datasets import FashionMNIST  # slow to import, not needed with a full cache

    return [*FashionMNIST.mirrors, AUTHORS_MIRROR]


def _bring() -> tuple[dict[str, Tensor], str]:
    """Bring the four official files from GNET_DATA_DIR or a mirror."""
    problems = ["GNET_DATA_DIR is not set"]
    if share := os.environ.get("GNET_DATA_DIR"):
        _say("Preparing Fashion-MNIST from GNET_DATA_DIR, once.")
        try:
            tensors = _official_tensors(ROOT / Path(share).expanduser())
            return tensors, "copied from the folder that GNET_DATA_DIR names"
        except CourseError as error:
            _say(f"GNET_DATA_DIR cannot be used: {error}.")
            problems = [str(error)]
    for mirror in mirrors():
        host = urllib.parse.urlsplit(mirror).netloc
        _say(f"Fetching Fashion-MNIST (30 MB, once) from {host}.")
        try:
            with tempfile.TemporaryDirectory() as folder:
                _download(mirror, folder)
                return _official_tensors(Path(folder)), "downloaded"
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            reason = CERTIFICATE if "CERTIFICATE_VERIFY_FAILED" in str(error) else error
            problems.append(f"{host}: {' '.join(str(reason).split())}")
    raise CourseError("; ".join(problems))


def _download(mirror: str, folder: str) -> None:
    """Fetch the four packed files, by torchvision."""
    from torchvision.datasets.utils import download_url

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)  # torchvision sets none
    try:
        for name, _ in FILES.values():
            download_url(f"{mirror}{name}.gz", folder)
    finally:
        socket.setdefaulttimeout(before)


def _official_tensors(folder: Path) -> dict[str, Tensor]:
    """The content of the four official files in a folder, packed or not, MD5 checked."""
    tensors = {}
    for key, shape in SHAPES.items():
        content = torch.frombuffer(_content(folder, key), dtype=torch.uint8)
        numbers = content[-math.prod(shape) :].view(shape)  # behind a header of 16 or 8 bytes
        tensors[key] = numbers.long() if key.endswith("labels") else numbers.clone()
    return tensors


def _content(folder: Path, key: str) -> bytearray:
    name, md5 = FILES[key]
    for place in (folder / "FashionMNIST" / "raw", folder / "raw", folder):
        for path, opened in ((place / f"{name}.gz", gzip.open), (place / name, open)):
            try:
                with opened(path, "rb") as file:  # no more than that: it may be anybody's
                    content = bytearray(file.read(math.prod(SHAPES[key]) + 17))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, EOFError, zlib.error) as error:
                raise CourseError(f"{path.name} is damaged or cannot be read ({error})") from None
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
                raise CourseError(
                    f"{path.name} is not the published file of Fashion-MNIST: it is damaged, or "
                    "of another data set, such as MNIST or KMNIST, whose files have the same names"
                )
            return content
    raise CourseError(f"{name}.gz is missing in {folder}")
