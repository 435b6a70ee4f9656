"""What every Rotary Position Embedding is: a readable NumPy specification with exact phases.

    config -> Rope -> Spectrum -> phases -> cos, sin -> rotated q, k

Importing it needs NumPy alone.
"""

from . import models
from .formats import (
    from_transformers,
    layer_types_from_transformers,
    layers_from_transformers,
    to_transformers,
)
from .layouts import to_half, to_interleaved
from .phases import cos_sin, exact_phases
from .precision import bfloat16, widen
from .rope import Rope
from .rotary import apply_rotary, apply_rotary_cached, apply_rotary_qk, rotate
from .scaling import SCALINGS
from .spectrum import Spectrum

__all__ = [
    "SCALINGS",
    "Rope",
    "Spectrum",
    "apply_rotary",
    "apply_rotary_cached",
    "apply_rotary_qk",
    "bfloat16",
    "cos_sin",
    "exact_phases",
    "from_transformers",
    "layer_types_from_transformers",
    "layers_from_transformers",
    "models",
    "rotate",
    "to_half",
    "to_interleaved",
    "to_transformers",
    "widen",
]
