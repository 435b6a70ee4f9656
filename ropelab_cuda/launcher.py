"""Launching a kernel whose only argument is a structure, plainly or as a dependent of others.

A dependent launch (programmatic stream serialization, compute capability 9.0) lets a kernel start
while its predecessors in the stream still run; it waits for them itself, see dependent.cuh. CuPy
has no words for that attribute: cuda-bindings has, and where it is missing launches are plain.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

from ._cupy import require_cupy

__all__ = ["Launch", "launch", "prepare_launch"]

Launch = Callable[[int], None]
"""Launches a prepared kernel on a raw stream."""

Dims = tuple[int, int, int]

DEPENDENT_SINCE = 90  # compute capability, times ten


def prepare_launch(
    function: int, grid: Dims, block: Dims, parameters: int, *, dependent: bool = True
) -> Launch:
    """Return what launches a kernel on the current device, as often as wanted.

    Parameters
    ----------
    function : int
        The driver's handle of the kernel, loaded on the current device.
    grid, block : tuple of int
        Numbers of blocks and of threads.
    parameters : int
        Address of the structure, which is read at each launch and must stay alive.
    dependent : bool, default True
        Whether the kernel may start before its predecessors are done, where that is possible. It
        must call ``wait_for_predecessors()``.

    Returns
    -------
    callable
        Takes the stream's handle.
    """
    arguments = (ctypes.c_void_p * 1)(parameters)
    driver = _cuda_bindings()
    if driver is None or not dependent or _capability() < DEPENDENT_SINCE:
        return _plain(function, grid, block, arguments)
    return _dependent(driver, function, grid, block, arguments)


def launch(
    function: int, grid: Dims, block: Dims, parameters: int, stream: int, *, dependent: bool = True
) -> None:
    """Launch a kernel once; see `prepare_launch`.

    Parameters
    ----------
    function : int
        As in `prepare_launch`.
    grid, block : tuple of int
        As in `prepare_launch`.
    parameters : int
        As in `prepare_launch`.
    stream : int
        The stream's handle.
    dependent : bool, default True
        As in `prepare_launch`.
    """
    prepare_launch(function, grid, block, parameters, dependent=dependent)(stream)


def _plain(function: int, grid: Dims, block: Dims, arguments: Any) -> Launch:
    require_cupy()
    from cupy_backends.cuda.api import driver

    launch_kernel, address = driver.launchKernel, ctypes.addressof(arguments)

    def launch_plainly(stream: int, *, _alive: Any = arguments) -> None:
        launch_kernel(function, *grid, *block, 0, stream, address, 0)

    return launch_plainly


def _dependent(driver: Any, function: int, grid: Dims, block: Dims, arguments: Any) -> Launch:
    attribute = driver.CUlaunchAttribute()
    attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
    attribute.value.programmaticStreamSerializationAllowed = 1
    config = driver.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = grid
    config.blockDimX, config.blockDimY, config.blockDimZ = block
    config.attrs, config.numAttrs = [attribute], 1
    launch_kernel, address = driver.cuLaunchKernelEx, ctypes.addressof(arguments)
    handle, last = driver.CUfunction(function), 0  # made once, or each launch would make one
    no_context = driver.CUresult.CUDA_ERROR_INVALID_CONTEXT

    def launch_dependent(stream: int, *, _alive: Any = arguments) -> None:
        nonlocal last
        if stream != last:
            config.hStream = last = stream
        (error,) = launch_kernel(config, handle, address, 0)
        if error == no_context:
            _bind_context()
            (error,) = launch_kernel(config, handle, address, 0)
        if error:
            msg = f"the driver refused a launch of {grid} blocks of {block} threads: {error!r}"
            raise RuntimeError(msg)

    return launch_dependent


def _bind_context() -> None:
    """Give this thread the context of its device.

    The driver wants one; only the runtime's calls bind it. A thread may have made none as yet, as
    those in which torch runs a backward pass.
    """
    runtime = require_cupy().cuda.runtime
    runtime.setDevice(runtime.getDevice())


@cache
def _cuda_bindings() -> Any:
    """Return the driver module of cuda-bindings, or None."""
    try:
        from cuda.bindings import driver
    except ImportError:
        return None
    return driver


def _capability() -> int:
    return int(require_cupy().cuda.Device().compute_capability)
