"""Thirty processes on one empty cache, as in a classroom with a shared folder: all get the right
data, one does the work.

Run as a script, this file is the process that forks the thirty, so that PyTorch is imported once.
"""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnet_utils import data
from gnet_utils.base import ROOT
from gnet_utils.course import dataset, garments

PROCESSES = 30


def load_and_report(folder: Path) -> None:
    """A child: loads a small set that is slow to make; notes what it got, and who made it."""

    def slow_drawing() -> dict:
        (folder / f"{os.getpid()}.made").touch()
        time.sleep(0.5)
        return draw(200, 100)

    draw, garments.draw_dataset = garments.draw_dataset, slow_drawing
    for key, (_, *sides) in dataset.SHAPES.items():
        dataset.SHAPES[key] = (200 if "train" in key else 100, *sides)
    found = hashlib.sha256()
    for split in ("train", "test"):
        for part in data.load_fashion_mnist(split, source="stand-in"):
            found.update(part.numpy())
    (folder / f"{os.getpid()}.got").write_text(found.hexdigest())


def main(folder: Path) -> None:
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                load_and_report(folder)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_processes_on_one_cold_cache_get_equal_data_for_the_work_of_one(tmp_path):
    cache = tmp_path / "cache"
    variables = {**os.environ, "GNET_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    got = [path.read_text() for path in tmp_path.glob("*.got")]
    assert len(got) == PROCESSES and len(set(got)) == 1
    assert len(list(tmp_path.glob("*.made"))) == 1
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "garments-3.safetensors"]


def test_what_is_written_has_its_name_only_when_it_is_whole(share, fresh, monkeypatch):
    """Who comes while another writes must find no file, not half of one."""
    path, seen, real = fresh / "fashion-mnist.safetensors", [], os.replace
    monkeypatch.setattr(os, "replace", lambda *two: (seen.append(path.exists()), real(*two)))
    data.load_fashion_mnist("train")
    assert seen == [False] and path.is_file()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
