"""Where fuzzed calls run: NumPy's memory, for kernels on the CPU, and torch's on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from ropelab.golden.case import Array
from ropelab.precision import RAW, format_name

from .memory import Place

__all__ = ["Host", "Torch", "on_gpu", "shared_for"]


# What travels in place of formats that torch has no NumPy arrays for.
_BITS = {dtype: np.dtype({1: np.uint8, 2: np.int16}[dtype.itemsize]) for dtype in RAW.values()}


class Host:
    """NumPy arrays."""

    def put(self, memory: Array) -> Any:
        """Return a copy of flat bytes."""
        return memory.copy()

    def refill(self, held: Any, memory: Array) -> None:
        """Put flat bytes into such a copy again."""
        held[...] = memory

    def view(self, held: Any, place: Place) -> Any:
        """Return a view into such a copy."""
        return place.of(held)

    def take(self, tensor: Any) -> Array:
        """Return an array's elements."""
        array: Array = tensor.copy()
        return array


class Torch:
    """torch tensors on the current device; all formats travel as their bits."""

    def put(self, memory: Array) -> Any:
        """Return a copy of flat bytes on the device."""
        import torch

        return torch.from_numpy(memory).cuda()

    def refill(self, held: Any, memory: Array) -> None:
        """Put flat bytes into such a copy again."""
        import torch

        held.copy_(torch.from_numpy(memory))

    def view(self, held: Any, place: Place) -> Any:
        """Return a tensor: a view into such a copy."""
        import torch

        lie, end = place.lie, place.start + place.lie.size * place.dtype.itemsize
        whole = held[place.start : end].view(getattr(torch, format_name(place.dtype)))
        return whole.as_strided(lie.shape, lie.strides, whole.storage_offset() + lie.at)

    def take(self, tensor: Any) -> Array:
        """Return a tensor's elements."""
        import torch

        name = str(tensor.dtype).removeprefix("torch.")
        bits, dtype = tensor, RAW[name] if name in RAW else np.dtype(name)
        if name in RAW:
            bits = tensor.view({1: torch.uint8, 2: torch.int16}[tensor.element_size()])
        array = np.empty(tuple(tensor.shape), _BITS.get(dtype, dtype))  # which nobody fills first
        torch.from_numpy(array).copy_(bits)
        return array.view(dtype)


def on_gpu() -> tuple[Torch, AbstractContextManager[None]]:
    """Return torch on the current GPU, and what its calls stand in."""
    return Torch(), _torch_as_needed()


@contextmanager
def _torch_as_needed() -> Iterator[None]:
    """Let torch fill with NaN what it allocates, so that an element left out is seen.

    It does so in host memory too; for which one thread is enough, and does not spin beside others.
    """
    import torch
    import torch.utils.deterministic as deterministic

    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    assert deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert bool(torch.empty(8, device="cuda").isnan().all())
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)


@contextmanager
def shared_for(multiprocessors: int) -> Iterator[None]:
    """Let work be shared as for a device of so many multiprocessors; results are the same bits."""
    with (
        mock.patch("ropelab_cuda.work.MULTIPROCESSORS", multiprocessors),
        mock.patch("ropelab_cuda.tuning.MULTIPROCESSORS", multiprocessors),
    ):
        yield
