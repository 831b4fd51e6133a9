"""Which processor computes: a GPU of NVIDIA, Apple or Intel where there is one, else the CPU."""

import torch

from gnet_utils.base import UsageError


def best_device(name: str = "auto") -> torch.device:
    """The fastest device here: "cuda", "mps" (Apple), "xpu" (Intel) or "cpu"; a name chooses.

    Raises UsageError for a device that is not here, with those that are.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    here = [found.type, "cpu"] if found else ["cpu"]
    if name != "auto" and name not in here:
        raise UsageError(f"device must be auto or one of {', '.join(here)} here, got {name!r}")
    return torch.device(here[0] if name == "auto" else name)
