"""The processes that share a training, as torchrun starts them: one to a GPU, or several on CPUs.

Each holds the whole network and paints its part of every batch. Gradients are averaged by hand, before they
are clipped: that is exact, and every rank then takes the same step, so that nothing else need be sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from livestyle.errors import DeviceError, RecipeError


@dataclass(frozen=True)
class Ranks:
    """This process among those that share a training. The default is one process, which asks nobody."""

    rank: int = 0
    count: int = 1

    def place(self, batch: int) -> slice:
        """This rank's part of a batch. Raises RecipeError where it cannot be shared equally."""
        if batch % self.count:
            raise RecipeError(
                f"a batch of {batch} cannot be shared by {self.count} processes: "
                "set batch in the recipe to a multiple of --nproc-per-node"
            )
        size = batch // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def shared(self, values: Tensor, source: int) -> Tensor:
        """What rank `source` holds, on every rank; the others give a tensor of the same shape."""
        if self.count > 1:
            with _one_line():
                dist.broadcast(values, source)
        return values

    def gathered(self, values: Tensor) -> Tensor:
        """The ranks' values in the batch's order. Shapes: (b,) -> (B,)."""
        if self.count == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.count)]
        with _one_line():
            dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    def any(self, fact: bool, device: torch.device) -> bool:
        """Whether it is so on one rank at least: the same answer on all of them."""
        if self.count == 1:
            return fact
        return bool(self.gathered(torch.tensor([float(fact)], device=device)).any())

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every rank the mean of the ranks' gradients: the gradient of the whole batch's mean loss."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message, not a hundred
        with _one_line():
            dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


@contextmanager
def open_ranks(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started, or this one alone. Raises DeviceError.

    device: as `torch_device` takes it, "auto", "cuda" or "cpu"; each process gets a CUDA device of its own.
    """
    started = dist.is_available() and dist.is_torchelastic_launched()
    count = int(os.environ.get("WORLD_SIZE", "1")) if started else 1
    if count == 1:
        yield Ranks()
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= there:
            raise DeviceError(
                f"there are {there} CUDA devices and more processes: type --nproc-per-node={there}, "
                "or --device cpu"
            )
        torch.cuda.set_device(local)
    with _one_line():
        dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split("\n")[0].split())[:200]
        raise DeviceError(
            "another process of this training has ended, and its own message says why, or they do not reach "
            f"each other: {reason}"
        ) from error
