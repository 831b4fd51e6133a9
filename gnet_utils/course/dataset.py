"""Fashion-MNIST, or the drawn stand-in, as tensors in memory: brought in once, then cached.

Where the pictures come from, in this order:
1. the cache, one file that is written whole;
2. the folder named by GNET_DATA_DIR (torchvision's layout, never written to), MD5 checked;
3. the mirrors of torchvision, then the data set's own repository, MD5 checked;
4. a drawn stand-in (garments.py), with a banner. A process never mixes two sources by itself.

Environment variables: GNET_CACHE_DIR (the cache, else data/cache of the course),
GNET_DATA_DIR (a class share), GNET_DATA_SOURCE ("real" or "stand-in": no other is used).
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

import numpy as np
import safetensors
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from gnet_utils.base import ROOT, CourseError, UsageError
from gnet_utils.course import garments
from gnet_utils.course.environment import CERTIFICATE

SHAPES = {
    "train_images": (60_000, 1, 28, 28),
    "train_labels": (60_000,),
    "test_images": (10_000, 1, 28, 28),
    "test_labels": (10_000,),
}
OFFICIAL_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
UNPACKED_MD5 = {  # of the files torchvision leaves behind; those of the .gz are torchvision's
    "train_images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train_labels": "9018921c3c673c538a1fc5bad174d6f9",
    "test_images": "8181f5470baa50b63fa0f6fddb340f0a",
    "test_labels": "15d484375f8d13e6eb1aabb0c3f46965",
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


_chosen: dict[tuple, DataSource] = {}  # per setting of the environment, see settings
last: dict[tuple, DataSource] = {}  # the same, also where a call asked for a source by name
_unsaved: dict[str, dict[str, Tensor]] = {}  # sets that the cache could not take
_said: set[str] = set()


def settings() -> tuple:
    """The environment variables on which the choice of a source depends."""
    names = ("GNET_CACHE_DIR", "GNET_DATA_DIR", "GNET_DATA_SOURCE")
    return tuple(os.environ.get(name) for name in names)


def load(source: str | None = None) -> tuple[dict[str, Tensor], DataSource]:
    """All four tensors (see SHAPES), and where they come from. Errors as load_fashion_mnist."""
    if not (source is None or isinstance(source, str)):
        raise TypeError(f'source must be "real", "stand-in" or not given, got {source!r:.60}')
    asked = source or os.environ.get("GNET_DATA_SOURCE") or None
    if asked not in (None, "real", "stand-in"):
        raise UsageError(
            f'source (or GNET_DATA_SOURCE) must be "real", "stand-in" or not given, got {asked!r}'
        )
    here = settings()
    before = _chosen.get(here)
    tensors = None
    if asked == "stand-in":
        why = "the call asked for it" if source else "GNET_DATA_SOURCE asks for it"
    elif before and before.kind == "stand-in" and asked is None:
        why = before.why
    else:
        try:
            tensors, why = _cached("fashion-mnist", _bring)
        except CourseError as error:
            if asked == "real":
                raise CourseError(
                    f"No real Fashion-MNIST: {error}. To mend it, {WHAT_TO_DO}."
                ) from None
            if before:
                raise CourseError(
                    f"The real Fashion-MNIST was used a moment ago and is gone now: {error}. Data "
                    f"of two kinds are not mixed; {WHAT_TO_DO}."
                ) from None
            why = str(error)
    kind = "stand-in" if tensors is None else "real"
    if tensors is None:
        tensors, _ = _cached("garments-1", _draw)
        if source is None:
            _announce(why)
    last[here] = DataSource(kind, why)
    if source is None:
        _chosen[here] = last[here]
    return tensors, last[here]


def _draw() -> tuple[dict[str, Tensor], str]:
    _say("Drawing the stand-in for Fashion-MNIST: 70,000 pictures, some seconds, once.")
    return garments.draw_dataset(), "drawn here"


def _announce(why: str) -> None:
    """Show the banner once per process: a picture in a notebook, text on stderr elsewhere.

    A picture, because nbval does not compare pictures: compared cells stay equal on both sources.
    """
    title = "THESE ARE NOT THE FASHION-MNIST PICTURES"
    lines = [
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
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        rule = "!" * 96
        print(f"\n{rule}\n{title}\n{text}\n{rule}\n", file=sys.stderr, flush=True)
        return
    from IPython.display import display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 0.62 + 0.17 * text.count("\n")), dpi=110, facecolor="#ffd9a0")
    figure.text(0.02, 0.93, title, weight="bold", size=12, va="top", color="#7a1f00")
    y = 0.93 - 0.28 / figure.get_figheight()
    figure.text(0.02, y, text, size=9, va="top", color="black", parse_math=False)
    png = BytesIO()
    figure.savefig(png, format="png", facecolor=figure.get_facecolor())
    alt = {"image/png": {"alt": f"{title}. {' '.join(lines)}"}}
    display({"image/png": png.getvalue()}, metadata=alt, raw=True)


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
        if tensors := _read(path):
            return tensors, f"read from the cache, {place}"
        tensors, whence = make()
        try:
            _write(path, tensors)
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


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write aside, then rename: a reader sees the whole file or none."""
    aside = path.with_name(f"{path.stem}-{os.getpid()}.tmp")
    try:
        safetensors.torch.save_file(tensors, aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Tensor] | None:
    """Read a cached set; None if it is not there, or damaged: then that is said."""
    try:
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError:
        return None
    except (OSError, safetensors.SafetensorError) as error:
        _say(f"{path} cannot be read ({error}): the data are brought in again.")
        return None
    if {key: tuple(value.shape) for key, value in tensors.items()} != SHAPES:
        _say(f"{path} holds something else: the data are brought in again.")
        return None
    return tensors


# The official files -----------------------------------------------------------------------------


def _bring() -> tuple[dict[str, Tensor], str]:
    """Bring the four official files from GNET_DATA_DIR or a mirror, each with its MD5 checked."""
    problems = ["GNET_DATA_DIR is not set"]
    if share := os.environ.get("GNET_DATA_DIR"):
        _say("Preparing Fashion-MNIST from GNET_DATA_DIR, once.")
        try:
            files = {key: _from_share(ROOT / Path(share).expanduser(), key) for key in SHAPES}
            return _parse(files), "copied from the folder that GNET_DATA_DIR names"
        except CourseError as error:
            _say(f"GNET_DATA_DIR cannot be used: {error}.")
            problems = [str(error)]
    for mirror in mirrors():
        host = urllib.parse.urlsplit(mirror).netloc
        _say(f"Fetching Fashion-MNIST (30 MB, once) from {host}.")
        try:
            return _parse({key: _from_mirror(mirror, key) for key in SHAPES}), "downloaded"
        except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
            reason = CERTIFICATE if "CERTIFICATE_VERIFY_FAILED" in str(error) else error
            problems.append(f"{host}: {' '.join(str(reason).split()) or type(error).__name__}")
    raise CourseError("; ".join(problems))


def _parse(files: dict[str, bytes]) -> dict[str, Tensor]:
    """Turn the four unpacked IDX files into tensors (16 or 8 bytes of header, then the bytes)."""
    tensors = {}
    for key, content in files.items():
        array = np.frombuffer(content, np.uint8, offset=_header(key)).reshape(SHAPES[key])
        kind = np.uint8 if key.endswith("images") else np.int64
        tensors[key] = torch.from_numpy(array.astype(kind))
    return tensors


def _header(key: str) -> int:
    return 16 if key.endswith("images") else 8


def _from_share(share: Path, key: str) -> bytes:
    """The unpacked content of one official file of the folder, packed or not."""
    name = OFFICIAL_FILES[key]
    for folder in (share / "FashionMNIST" / "raw", share / "raw", share):
        for path in (folder / f"{name}.gz", folder / name):
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise CourseError(f"{path} cannot be read ({error.strerror})") from None
            size = _header(key) + math.prod(SHAPES[key])
            if path.suffix == ".gz":
                try:  # no more than a file of the right size holds: it may be anybody's
                    content = gzip.GzipFile(fileobj=BytesIO(content)).read(size + 1)
                except (OSError, EOFError, zlib.error):
                    content = b""
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == UNPACKED_MD5[key]:
                return content
            if len(content) == size:
                raise CourseError(
                    f"{path} is not the published file of Fashion-MNIST: other data sets, such as "
                    "MNIST and KMNIST, have files of the same names and sizes"
                )
            raise CourseError(
                f"{path} is damaged or another file: its MD5 is not the published one"
            )
    raise CourseError(f"{share / 'FashionMNIST' / 'raw' / name}.gz is missing")


def packed_md5(key: str) -> str:
    """The published MD5 of a packed official file."""
    return dict(_torchvision().resources)[f"{OFFICIAL_FILES[key]}.gz"]


def _torchvision() -> type:
    from torchvision.datasets import FashionMNIST  # slow to import, not needed with a full cache

    return FashionMNIST


def mirrors() -> list[str]:
    """The addresses that hold the four files, in the order in which they are tried."""
    return [*_torchvision().mirrors, AUTHORS_MIRROR]


def _from_mirror(mirror: str, key: str) -> bytes:
    """Fetch one official file, by torchvision, which checks its MD5; unpacked."""
    from torchvision.datasets.utils import download_url

    name, silence = f"{OFFICIAL_FILES[key]}.gz", socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)  # torchvision sets none
    try:
        with tempfile.TemporaryDirectory() as folder:
            download_url(mirror + name, folder, name, packed_md5(key))
            return gzip.decompress((Path(folder) / name).read_bytes())
    finally:
        socket.setdefaulttimeout(silence)
