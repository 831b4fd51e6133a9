"""The course as a web site that answers without a kernel: `python -m gnet_utils site`.

build.py makes it, with Sphinx and myst-nb, out of `data/clean`; furo is its look: light (no web
font, no framework), dark where the reader's system is, readable on a telephone. pages.py puts what
`static/lesson.js` wakes in place of what asks a kernel, frames.py draws the explorers ahead,
answers.py keeps answers out of the pages' source. Formulas are MathML, as on the slides. The
finished site needs no network and opens from a disk: no script in it fetches anything.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from gnet_utils.base import ROOT, CourseError

PARTS = Path(__file__).parent / "static"


def workflow() -> Path:
    """Write a GitHub workflow that publishes the site; CourseError where the course has one."""
    target = ROOT / ".github" / "workflows" / "site.yml"
    if target.exists():
        raise CourseError(f"{target} exists: delete it first, if it is to be written anew")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PARTS / "site.yml", target)
    return target
