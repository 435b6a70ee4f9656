"""What every Rotary Position Embedding is: a readable NumPy specification with exact phases.

    config -> Rope -> Spectrum -> phases -> cos, sin -> rotated q, k

Importing it needs NumPy alone.
"""

from . import models, positions
from .float8 import float8_e4m3fn, float8_e5m2
from .formats import (
    from_exllamav2,
    from_gguf,
    from_megatron,
    from_nemo_automodel,
    from_transformer_engine,
    from_transformers,
    from_vllm,
    layer_types_from_transformers,
    layers_from_megatron,
    layers_from_transformers,
    query_scales_from_transformers,
    to_transformers,
)
from .kv_cache import apply_rotary_kv_cache
from .layouts import to_half, to_interleaved
from .norm_rotary import apply_norm_rotary_qk
from .phases import cos_sin, exact_phases
from .precision import bfloat16, widen
from .query_scale import Llama4Temperature, LogN, MinistralTemperature
from .rope import Rope
from .rotary import apply_rotary, apply_rotary_qk, rotate
from .rotary_cached import apply_rotary_cached, apply_rotary_cached_qk
from .scaling import SCALINGS
from .slots import contiguous_slots, paged_slots
from .spectrum import Spectrum
from .weights import permute_qk_weight, permute_qkv_weight
from .xpos import apply_xpos_qk

__all__ = [
    "SCALINGS",
    "Llama4Temperature",
    "LogN",
    "MinistralTemperature",
    "Rope",
    "Spectrum",
    "apply_norm_rotary_qk",
    "apply_rotary",
    "apply_rotary_cached",
    "apply_rotary_cached_qk",
    "apply_rotary_kv_cache",
    "apply_rotary_qk",
    "apply_xpos_qk",
    "bfloat16",
    "contiguous_slots",
    "cos_sin",
    "exact_phases",
    "float8_e4m3fn",
    "float8_e5m2",
    "from_exllamav2",
    "from_gguf",
    "from_megatron",
    "from_nemo_automodel",
    "from_transformer_engine",
    "from_transformers",
    "from_vllm",
    "layer_types_from_transformers",
    "layers_from_megatron",
    "layers_from_transformers",
    "models",
    "paged_slots",
    "permute_qk_weight",
    "permute_qkv_weight",
    "positions",
    "query_scales_from_transformers",
    "rotate",
    "to_half",
    "to_interleaved",
    "to_transformers",
    "widen",
]
