"""Frequency rules, one file each.

A rule is a frozen dataclass derived from `Scaling`, in a module of its own; `SCALINGS` finds it
there. Adding one touches no other file of this package; a re-export below is a convenience.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .base import Geometry, Scaling
from .default import Default
from .dynamic_length import DynamicLength
from .dynamic_linear import DynamicLinear
from .dynamic_ntk import DynamicNTK
from .explicit import ExplicitFrequencies
from .hope import HoPE
from .linear import Linear
from .llama3 import Llama3
from .longrope import LongRoPE
from .longrope_exllamav2 import ExLlamaLongRoPE
from .ntk import NTKAware
from .proportional import Proportional
from .resonance import Resonance
from .rounded import RoundedFrequencies
from .sglang_dynamic import SGLangDynamicNTK
from .te_interpolation import TransformerEngineInterpolation
from .vllm_dynamic import VLLMDynamicNTK
from .vllm_ntk import VLLMNTK

__all__ = [
    "SCALINGS",
    "VLLMNTK",
    "Default",
    "DynamicLength",
    "DynamicLinear",
    "DynamicNTK",
    "ExLlamaLongRoPE",
    "ExplicitFrequencies",
    "Geometry",
    "HoPE",
    "Linear",
    "Llama3",
    "LongRoPE",
    "NTKAware",
    "Proportional",
    "Resonance",
    "RoundedFrequencies",
    "SGLangDynamicNTK",
    "Scaling",
    "TransformerEngineInterpolation",
    "VLLMDynamicNTK",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

SCALINGS: Mapping[str, type[Scaling]] = MappingProxyType(
    {rule.rope_type: rule for rule in sorted(Scaling.__subclasses__(), key=lambda r: r.rope_type)}
)
"""Every rule by its rope_type."""
