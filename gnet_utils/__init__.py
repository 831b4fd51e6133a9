"""Workshop of the GoogLeNet course: what notebooks need twice, what is long or must be fast."""

import sys


def _gradients_on(*_: object) -> None:
    """Undo what the stop button can leave behind.

    Pressed at the end of a `with torch.no_grad()` block, it leaves gradients off for good.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_grad_enabled(True)


_shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
if _shell is not None:
    _shell.events.register("pre_run_cell", _gradients_on)
