"""What a learner has predicted and solved, kept over restarts of the kernel; nothing is sent.

One small JSON file for each user in the course's cache. `forget()` clears it. With GNET_REMEMBER=0,
as tests and `render` set it, nothing is read or written.
"""

import getpass
import json
import os
from pathlib import Path

from gnet_utils.base import written_aside
from gnet_utils.data import cache_folder

VERSION = 1
EMPTY: dict[str, dict[str, str]] = {"predictions": {}, "exercises": {}}

_known: dict[str, dict[str, str]] | None = None  # what this kernel has read and noted
_kept = True  # whether it is read and written too


def remember(kind: str, name: str, value: str) -> None:
    """Keep `value` under "predictions" or "exercises"; where that fails, for this kernel only."""
    global _kept
    remembered(kind)[name] = value
    if not _kept:
        return
    try:
        with written_aside(_file()) as aside:
            aside.write_text(json.dumps({"version": VERSION, **_known}), encoding="utf-8")
    except OSError as error:
        _kept = False
        print(f"What you answer is kept until this kernel ends, not longer: {_why(error)}.")


def remembered(kind: str) -> dict[str, str]:
    """All that is kept of a kind, by name, as it is now: another notebook may have noted more."""
    global _known, _kept
    if _known is None:
        _known, _kept = {each: {} for each in EMPTY}, os.environ.get("GNET_REMEMBER") != "0"
    if _kept:
        try:
            _known = _read()
        except (OSError, ValueError) as error:
            _kept = False
            print(f"Earlier answers cannot be used: {_why(error)}. The lesson goes on.")
    return _known[kind]


def forget() -> None:
    """Forget all predictions and solved exercises of this user, in all notebooks."""
    global _known, _kept
    _known, _kept = None, True
    try:
        if os.environ.get("GNET_REMEMBER") != "0":
            _file().unlink(missing_ok=True)
    except OSError as error:
        print(f"{_file()} cannot be deleted ({error.strerror}): delete it by hand.")
        return
    print("Forgotten: all predictions and solved exercises.")


def _file() -> Path:
    return cache_folder() / f"answers-{user()}.json"  # a class may share it


def user() -> str:
    """The name of the account; of the home folder where it has none."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # an account without an entry, as containers have
        return Path.home().name or "root"


def _read() -> dict[str, dict[str, str]]:
    """What the file holds; ValueError where that is something else."""
    if not _file().exists():
        return {each: {} for each in EMPTY}
    found = json.loads(_file().read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError("it is of another version of the course")
    try:
        return {each: dict(found[each]) for each in EMPTY}
    except (KeyError, TypeError) as error:
        raise ValueError("it is damaged") from error


def _why(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else error
    if isinstance(error, json.JSONDecodeError):
        said = "it is damaged"
    return f"{_file().name} in the course's cache ({said}; forget() makes a new one)"
