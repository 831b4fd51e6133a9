"""Training with several processes: each takes its share of every batch, all keep equal weights.

`torchrun --nproc-per-node=2 -m gnet_utils train --recipe full` starts two processes with the
variables RANK, WORLD_SIZE and LOCAL_RANK set; without them everything here is for one process.
Not in course/, since `fit` stands on it: nothing that is read stands on what runs the course.
"""

import os

import torch
import torch.distributed as dist
from torch import nn

from gnet_utils.base import CourseError, UsageError
from gnet_utils.devices import best_device


def start(wanted: str = "auto") -> torch.device:
    """Join the other processes, when there are any; returns the device of this one.

    One process: `best_device(wanted)`. Several: CUDA with nccl where there is a GPU for each of
    them, else CPU with gloo.
    Raises CourseError when there are GPUs, but fewer than processes.
    """
    gpus = torch.cuda.device_count()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return best_device(wanted)
    if "LOCAL_RANK" not in os.environ:
        raise CourseError(
            "WORLD_SIZE is set, but not LOCAL_RANK: start several processes with torchrun, or "
            "unset WORLD_SIZE for one"
        )
    local = int(os.environ["LOCAL_RANK"])
    if gpus and local >= gpus:
        raise CourseError(f"process {local} has no GPU of its own: use --nproc-per-node={gpus}")
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    # torchrun keeps one store of addresses over restarts: without a prefix of its own, a process
    # that was brought back finds those of the dead and waits for them for ever.
    store, number, count = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    backend = "nccl" if gpus else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    return device


def stop() -> None:
    """Leave the other processes, when there are any."""
    if _joined():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0; only process 0 prints and writes."""
    return dist.get_rank() if _joined() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _joined() else 1


def shared(net: nn.Module) -> nn.Module:
    """`net` with gradients averaged over all processes after each backward pass."""
    return nn.parallel.DistributedDataParallel(net) if world() > 1 else net


def check_share(batch_size: int) -> None:
    """Raise UsageError for a batch too small to be shared by all processes."""
    if world() > 1 and batch_size < 2 * world():
        raise UsageError(
            f"batch_size {batch_size} is too small for {world()} processes: batch norm needs 2 "
            "pictures or more in each"
        )


def gathered(value: object) -> list:
    """What `value` is in each process, in all processes."""
    if world() == 1:
        return [value]
    found = [None] * world()
    dist.all_gather_object(found, value)
    return found


def agree(value: object, what: str) -> None:
    """Raise CourseError, in all processes, unless `value` is the same in all of them."""
    found = gathered(value)
    if len(set(found)) > 1:
        raise CourseError(
            f"the processes have different {what}, {found}: --out must be one folder for all"
        )


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
