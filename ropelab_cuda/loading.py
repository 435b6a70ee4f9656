"""From a specialisation to a kernel on the current device: found on disk, or compiled."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from ._cupy import require_cupy
from .compile import OPTIONS, Specialisation, compiled, cubin_name, source
from .cubins import cache_folder, find_cubin
from .stored_cubins import BrokenCubinError, read_cubin, store_cubin

if TYPE_CHECKING:
    import cupy

__all__ = ["architecture", "function", "kernel"]


@cache
def architecture(device: int) -> str:
    """Return the architecture of a CUDA device, "90" for instance."""
    return str(require_cupy().cuda.Device(device).compute_capability)


@cache
def kernel(specialisation: Specialisation, device: int) -> cupy.cuda.Function:
    """Return a kernel, loaded: from a cubin if there is one, else compiled.

    Parameters
    ----------
    specialisation : Specialisation
        Which kernel.
    device : int
        The current device.

    Returns
    -------
    cupy.cuda.Function
        It keeps its module loaded.

    Raises
    ------
    RuntimeError
        If it does not compile, or a cubin that was shipped is broken or cannot be loaded.
    ImportError
        If CuPy is missing.
    """
    cupy, card = require_cupy(), architecture(device)
    name, cache_at = cubin_name(specialisation, card), cache_folder()
    path = find_cubin(name)
    if path is not None:
        try:
            return _loaded(specialisation, read_cubin(path))
        except (BrokenCubinError, OSError):  # compiled again, if it was compiled here
            if path.parent != cache_at:
                raise
        except cupy.cuda.driver.CUDADriverError as error:
            if path.parent != cache_at:
                msg = (
                    f"{path}: expected a cubin for this driver; got one that it does not load "
                    f"({error}); write it again by save_cubins, on a machine like this one"
                )
                raise RuntimeError(msg) from error
    if not _is_known_to_nvrtc(card):  # CuPy has PTX for a card that is newer than NVRTC
        return cupy.RawKernel(source(specialisation), specialisation.kernel, OPTIONS).kernel
    cubin, _ = compiled(specialisation, card)
    if cache_at is not None:
        with suppress(OSError):  # a disk that is full or cannot be written stops nobody
            store_cubin(cache_at, name, cubin)
    return _loaded(specialisation, cubin)


def function(specialisation: Specialisation) -> int:
    """Return the driver's handle of a kernel, loaded on the current device."""
    return int(kernel(specialisation, require_cupy().cuda.runtime.getDevice()).ptr)


def _loaded(specialisation: Specialisation, cubin: bytes) -> Any:
    module = require_cupy().cuda.Module()
    module.load(cubin)
    return module.get_function(specialisation.kernel)


def _is_known_to_nvrtc(architecture: str) -> bool:
    from cupy_backends.cuda.libs import nvrtc

    return int(architecture) in nvrtc.getSupportedArchs()
