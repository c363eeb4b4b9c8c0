"""The only file that knows where we run: device, precision, threads, ranks."""

from __future__ import annotations

import atexit
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from omma.errors import OmmaError
from omma.words import say


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run happens.

    Args:
        device: of the networks and batches.
        precision: float32, or bfloat16 where the hardware multiplies it.
        threads: compute threads; they change the last bits of a sum, so they are recorded.
        rank, world: this process among all of `torchrun`.
    """

    device: torch.device
    precision: str
    threads: int
    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """The rank that writes files and talks."""
        return self.rank == 0

    def place(self, net: nn.Module) -> nn.Module:
        """A network moved here; convolutions run faster with channels last."""
        return laid_out(net.to(self.device))

    def arithmetic(self) -> AbstractContextManager:
        """The precision of forward and loss."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()

    def mean_gradients(self, params: list[nn.Parameter]) -> None:
        """The same mean gradient on every rank, in one message."""
        if self.world == 1:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in params]
        flat = torch.cat([g.reshape(-1) for g in grads])
        distributed.all_reduce(flat)
        flat /= self.world
        for p, part in zip(params, flat.split([g.numel() for g in grads]), strict=True):
            p.grad = part.view_as(p).clone(memory_format=torch.preserve_format)

    def same_buffers(self, net: nn.Module) -> None:
        """Batch-norm statistics become their mean over the ranks, once a step."""
        buffers = [b for b in net.buffers() if b.is_floating_point()]
        if self.world == 1 or not buffers:
            return
        flat = torch.cat([b.reshape(-1) for b in buffers])
        distributed.all_reduce(flat)
        flat /= self.world
        for b, part in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            b.copy_(part.view_as(b))

    def agree(self, value: Any) -> Any:
        """The first rank's value, on every rank (small JSON-like things)."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, 0)
        return box[0]

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        if self.world == 1:
            return flag
        count = torch.tensor([float(flag)], device=self.device)
        distributed.all_reduce(count)
        return bool(count.item() > 0)

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            distributed.barrier()


def laid_out(net: nn.Module) -> nn.Module:
    """A network with its channels last in memory; one of 3-D convolutions stays as it is: torch has another layout for those."""
    return net if any(p.dim() == 5 for p in net.parameters()) else net.to(memory_format=torch.channels_last)


def device_of(name: str | None) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, `mps` or `auto` (an accelerator if there is one).

    Raises:
        OmmaError: no such device here.
    """
    name = name or "auto"
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OmmaError(say("train.no_device", device=name)) from None
    here = {"cpu": True, "cuda": torch.cuda.is_available() and (device.index or 0) < max(1, torch.cuda.device_count())}
    if device.type == "mps":
        here["mps"] = torch.backends.mps.is_available()
    if not here.get(device.type):
        raise OmmaError(say("train.no_device", device=name))
    return device


def setup(device: str | None = None, precision: str | None = None, threads: int | None = None) -> Machine:
    """This process's place; joins the group when `torchrun` has set its variables.

    Threads: as told, else `OMMA_THREADS`, else all cores this process may use, shared between the ranks here.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    local = int(os.environ.get("LOCAL_RANK", 0))
    place = device_of(device)
    if place.type == "cuda":
        place = torch.device("cuda", place.index if place.index is not None else local % torch.cuda.device_count())
        torch.cuda.set_device(place)
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads or int(os.environ.get("OMMA_THREADS", 0)) or max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    torch.set_num_threads(threads)
    if place.type == "cuda":
        torch.backends.cudnn.benchmark = False
    else:
        _keep_memory()
    fine = place.type == "cuda" and torch.cuda.is_bf16_supported()
    return Machine(place, precision or ("bfloat16" if fine else "float32"), threads, rank, world)


def _keep_memory() -> None:
    """Let glibc keep freed memory for the next step instead of giving it back page by page.

    Activations of a step are freed and asked for again at once; without this, page faults take longer than the pooling or
    normalising itself (measured: max-pooling six times, a convolution's forward three times as fast with it).
    """
    import ctypes

    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no separate mappings for large blocks
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never trim the heap
        libc.mallopt(-2, 64 << 20)  # M_TOP_PAD: grow in large pieces
    except (OSError, AttributeError):  # not glibc
        return
