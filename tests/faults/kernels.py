"""Notebooks in a kernel, cell by cell, with a stop button; for the tests beside this file."""

import os
import queue
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gnet_utils.course import notebooks

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600  # one cell, on a machine that does other things too


def notebook_names() -> list[str]:
    return [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]


@dataclass
class Done:
    """What came out of a cell: stdout and result as text, and the error's name, or ""."""

    error: str = ""
    message: str = ""
    text: str = ""
    stopped: bool = False
    outputs: list = field(default_factory=list)


class Kernel:
    """A Python kernel that starts in `folder`; used as a context."""

    def __init__(self, folder: Path = ROOT / "notebooks", **variables: str):
        client = pytest.importorskip("jupyter_client", reason="NO KERNEL: no jupyter_client")
        self.manager = client.KernelManager(kernel_name="python3")
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        env = {**inherited, "GNET_QUICK": "1", "OMP_NUM_THREADS": "1", **variables}
        self.manager.start_kernel(cwd=str(folder), env=env)
        self.client = self.manager.client()

    def __enter__(self) -> "Kernel":
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source: str, stop_after: float | None = None) -> Done:
        """Run a cell; press the stop button after so many seconds, if it still runs then."""
        done, asked = Done(), self.client.execute(source)
        begun = stop_at = None
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if stop_at and time.monotonic() > stop_at and not done.stopped:
                done.stopped = True
                self.manager.interrupt_kernel()
            try:
                message = self.client.get_iopub_msg(timeout=0.02)
            except queue.Empty:
                assert self.manager.is_alive(), "the kernel died"
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "busy" and begun is None:
                begun = time.monotonic()
                stop_at = None if stop_after is None else begun + stop_after
            elif kind == "status" and content["execution_state"] == "idle":
                try:
                    reply = self.client.get_shell_msg(timeout=30)["content"]
                except queue.Empty:
                    if not done.stopped:
                        raise
                    done.error = "KeyboardInterrupt"  # it hit ipykernel, not the cell
                    return done
                # For a moment after an error the kernel drops what it is asked.
                return self.run(source, stop_after) if reply["status"] == "aborted" else done
            elif kind == "error":
                done.error, done.message = content["ename"], content["evalue"]
            elif kind == "stream" and content["name"] == "stdout":
                done.text += content["text"]
            elif kind == "execute_result":
                done.text += content["data"].get("text/plain", "")
            done.outputs.append(kind)
        raise TimeoutError(f"a cell ran for {SECONDS} s: {source[:200]}")


def code_cells(name: str) -> list[dict]:
    """The code cells of a notebook, without those that are meant to fail."""
    cells = notebooks.code_cells(notebooks.read(ROOT / "notebooks" / f"{name}.ipynb"))
    return [c for c in cells if "raises-exception" not in c["metadata"].get("tags", [])]


def is_compared(cell: dict) -> bool:
    return "nbval-check-output" in cell["metadata"].get("tags", [])


def stored_text(cell: dict) -> str:
    """What `Done.text` was when the notebook was rendered."""
    return "".join(
        output.get("text", "") if output["output_type"] == "stream" else
        output["data"].get("text/plain", "")
        for output in cell["outputs"]
        if output["output_type"] == "execute_result" or output.get("name") == "stdout"
    )  # fmt: skip


def plain(text: str) -> str:
    """Text as nbval compares it, less the numbers of hints, which count up."""
    text = re.sub(r"0x[0-9a-fA-F]{6,}", "ADDRESS", text)
    return re.sub(r"Hint \d of \d: .*", "HINT", text).strip()
