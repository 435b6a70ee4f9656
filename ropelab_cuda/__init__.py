"""What `ropelab` specifies, on the GPU: the same names, for tensors in device memory.

Importing it needs neither CuPy nor a GPU; the first use says what is missing.
"""

from .inplace import apply_rotary_, apply_rotary_cached_, apply_rotary_qk_, rotate_
from .norm_rotary import apply_norm_rotary_qk, apply_norm_rotary_qk_
from .phases import cos_sin, exact_phases
from .rotary import apply_rotary, apply_rotary_cached, apply_rotary_qk, rotate
from .warmup import save_cubins, warmup

__all__ = [
    "apply_norm_rotary_qk",
    "apply_norm_rotary_qk_",
    "apply_rotary",
    "apply_rotary_",
    "apply_rotary_cached",
    "apply_rotary_cached_",
    "apply_rotary_qk",
    "apply_rotary_qk_",
    "cos_sin",
    "exact_phases",
    "rotate",
    "rotate_",
    "save_cubins",
    "warmup",
]
