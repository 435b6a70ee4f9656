"""What `ropelab` specifies, on the GPU: the same names, for tensors in device memory.

Importing it needs neither CuPy nor a GPU; the first use says what is missing.
``ropelab_cuda.torch`` is imported when somebody first names it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from . import arrays
from .device_spectrum import DeviceSpectrum
from .inplace import apply_rotary_, apply_rotary_qk_, rotate_
from .inplace_cached import apply_rotary_cached_, apply_rotary_cached_qk_
from .kv_cache import apply_rotary_kv_cache, apply_rotary_kv_cache_
from .layouts import to_half, to_half_, to_interleaved, to_interleaved_
from .lengths import spectrum_on_device
from .norm_rotary import apply_norm_rotary_qk, apply_norm_rotary_qk_
from .phases import cos_sin, exact_phases
from .rotary import apply_rotary, apply_rotary_qk, rotate
from .rotary_cached import apply_rotary_cached, apply_rotary_cached_qk
from .warmup import save_cubins, warmup
from .xpos import apply_xpos_qk, apply_xpos_qk_

__all__ = [
    "DeviceSpectrum",
    "apply_norm_rotary_qk",
    "apply_norm_rotary_qk_",
    "apply_rotary",
    "apply_rotary_",
    "apply_rotary_cached",
    "apply_rotary_cached_",
    "apply_rotary_cached_qk",
    "apply_rotary_cached_qk_",
    "apply_rotary_kv_cache",
    "apply_rotary_kv_cache_",
    "apply_rotary_qk",
    "apply_rotary_qk_",
    "apply_xpos_qk",
    "apply_xpos_qk_",
    "arrays",
    "cos_sin",
    "exact_phases",
    "rotate",
    "rotate_",
    "save_cubins",
    "spectrum_on_device",
    "to_half",
    "to_half_",
    "to_interleaved",
    "to_interleaved_",
    "warmup",
]

if not TYPE_CHECKING:  # a type checker would take it for an attribute of any name

    def __getattr__(name: str) -> object:
        if name == "torch":
            return import_module(".torch", __name__)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    def __dir__() -> list[str]:
        return sorted({*globals(), "torch"})
