"""Workshop of the GoogLeNet course: what notebooks need twice, what is long or must be fast."""

import ctypes
import os
import sys
from importlib.util import find_spec

# PyTorch's threads wait for one another by spinning (libgomp, read when torch is imported). Where
# another program needs a core, as on a class server, the spinning takes it from the very thread
# that is waited for, and training becomes several times slower. Sleeping costs little.
os.environ.setdefault("GOMP_SPINCOUNT", "0")

_shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _gradients_on(*_: object) -> None:
    """Undo what the stop button can leave behind.

    Pressed at the end of a `with torch.no_grad()` block, it leaves gradients off for good.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_grad_enabled(True)


def _memory_back(*_: object) -> None:
    """Hand free memory back to the system: a network's maps leave 0.1 GB and more behind.

    The C library of most Linux systems keeps it for later, and a class server counts it.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not in every C library
        if trim:
            trim(0)


if _shell is not None:
    _shell.events.register("pre_run_cell", _gradients_on)
    _shell.events.register("post_run_cell", _memory_back)


def check_kernel() -> None:
    """Say which kernel to choose when this one lacks packages; the set-up cell asks.

    Raises ModuleNotFoundError, one sentence.
    """
    needed = ("torch", "torchvision", "numpy", "matplotlib", "cv2", "ipywidgets", "tqdm")
    missing = [name for name in (*needed, "safetensors") if find_spec(name) is None]
    if missing and _shell is not None:
        raise ModuleNotFoundError(
            f"the kernel of {sys.prefix} lacks {', '.join(missing)}: choose the one of the course, "
            "in its folder .venv (VS Code: Select Kernel; JupyterLab: start it with "
            "python3 -m gnet_utils lab, then Kernel, Change Kernel, Python 3), or install "
            "requirements.txt into this one"
        )
