"""Thirty processes on one empty cache, as in a classroom with a shared folder: all get the right
data, one does the work.

Run as a script, this file is the process that forks the thirty, so that PyTorch is imported once.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnet_utils import data
from gnet_utils.base import ROOT
from gnet_utils.course import dataset

PROCESSES = 30


def digest() -> str:
    found = hashlib.sha256()
    for split in ("train", "test"):
        for part in data.load_fashion_mnist(split):
            found.update(part.numpy())
    return found.hexdigest()


def one(gate: int, report: Path) -> None:
    """A child: waits for the start, loads, notes what it got and whether it did the work."""
    work = []
    real = dataset._bring, dataset._draw
    dataset._bring = lambda: (work.append("bring"), real[0]())[1]
    dataset._draw = lambda: (work.append("draw"), real[1]())[1]
    os.read(gate, 1)
    report.write_text(json.dumps({"digest": digest(), "work": work}))


def main(folder: Path, count: int) -> None:
    import torch
    from torchvision.datasets import FashionMNIST  # noqa: F401 - imported once, for all

    torch.set_num_threads(1)
    gate, start = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                one(gate, folder / f"{number}.json")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    began = time.monotonic()
    os.write(start, b"x" * count)
    codes = [os.waitpid(child, 0)[1] for child in children]
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    print(
        json.dumps(
            {
                "codes": codes,
                "seconds": time.monotonic() - began,
                "digests": sorted({report["digest"] for report in reports}),
                "workers": sum(bool(report["work"]) for report in reports),
                "reports": len(reports),
            }
        )
    )


@pytest.mark.faults
@pytest.mark.data
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_processes_on_one_cold_cache_get_equal_data_for_the_work_of_one(tmp_path):
    expected, kind = digest(), data.data_source().kind
    cache = tmp_path / "cache"
    variables = {**os.environ, "GNET_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    if kind == "stand-in" or not os.environ.get("GNET_DATA_DIR"):
        variables["GNET_DATA_SOURCE"] = "stand-in"
        expected = None
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(PROCESSES)],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    assert report["codes"] == [0] * PROCESSES and report["reports"] == PROCESSES
    assert len(report["digests"]) == 1 and expected in (None, report["digests"][0])
    assert report["workers"] == 1
    files = sorted(path.name for path in cache.iterdir())
    assert len([name for name in files if name.endswith(".safetensors")]) == 1
    assert not [name for name in files if name.endswith(".tmp")]


def test_what_is_written_has_its_name_only_when_it_is_whole(share, fresh, monkeypatch):
    """Who comes while another writes must find no file, not half of one."""
    path, seen, real = fresh / "fashion-mnist.safetensors", [], os.replace
    monkeypatch.setattr(
        dataset.os, "replace", lambda *two: (seen.append(path.exists()), real(*two))
    )
    data.load_fashion_mnist("train")
    assert seen == [False] and path.is_file()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
