"""What every part stands on: the folder of the course, its errors, safe writing of files."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class CourseError(RuntimeError):
    """Something outside the code is missing or broken; the message says what to do about it."""


class UsageError(CourseError, ValueError):
    """Something was asked for that cannot be had; the message says what can."""


def is_quick() -> bool:
    """True when GNET_QUICK asks for short training runs, as the tests do."""
    return os.environ.get("GNET_QUICK", "") not in ("", "0")


@contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[Path]:
    """A file to write beside `path`; it takes that place when it is whole and on the disk.

    So no reader meets a half-written file, and one that could not be written leaves the old one as
    it was. Raises OSError.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


class Timer:
    """Counts seconds: `with Timer() as timer: ...`, then `timer.seconds`."""

    def __enter__(self) -> "Timer":
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.start
