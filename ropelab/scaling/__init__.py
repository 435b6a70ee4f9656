"""Frequency rules, one file each.

A rule is a frozen dataclass derived from `Scaling`, in a module of its own; `SCALINGS` finds it
there. Adding one touches no other file of this package; a re-export below is a convenience.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .axial import Axial
from .base import Geometry, Scaling
from .deepseek_yarn import DeepSeekYaRN
from .default import Default
from .dynamic_length import DynamicLength
from .dynamic_linear import DynamicLinear
from .dynamic_ntk import DynamicNTK
from .dynamic_yarn import DynamicYaRN
from .explicit import ExplicitFrequencies
from .hope import HoPE
from .linear import Linear
from .llama3 import Llama3
from .llama_cpp import LlamaCppYaRN
from .longrope import LongRoPE
from .longrope_exllamav2 import ExLlamaLongRoPE
from .ntk import NTKAware
from .ntk_by_parts import NTKByParts
from .proportional import Proportional
from .resonance import Resonance
from .rounded import RoundedFrequencies
from .sglang_dynamic import SGLangDynamicNTK
from .stretched import Stretched
from .te_interpolation import TransformerEngineInterpolation
from .vllm_dynamic import VLLMDynamicNTK
from .vllm_ntk import VLLMNTK
from .yarn import YaRN
from .yarn_exllamav2 import ExLlamaYaRN
from .yarn_paper import YaRNPaper

__all__ = [
    "SCALINGS",
    "VLLMNTK",
    "Axial",
    "DeepSeekYaRN",
    "Default",
    "DynamicLength",
    "DynamicLinear",
    "DynamicNTK",
    "DynamicYaRN",
    "ExLlamaLongRoPE",
    "ExLlamaYaRN",
    "ExplicitFrequencies",
    "Geometry",
    "HoPE",
    "Linear",
    "Llama3",
    "LlamaCppYaRN",
    "LongRoPE",
    "NTKAware",
    "NTKByParts",
    "Proportional",
    "Resonance",
    "RoundedFrequencies",
    "SGLangDynamicNTK",
    "Scaling",
    "Stretched",
    "TransformerEngineInterpolation",
    "VLLMDynamicNTK",
    "YaRN",
    "YaRNPaper",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def _with_derived(rules: list[type[Scaling]]) -> Iterator[type[Scaling]]:
    """Yield rules, and those that are derived from them."""
    for rule in rules:
        yield rule
        yield from _with_derived(rule.__subclasses__())


_found = sorted(_with_derived(Scaling.__subclasses__()), key=lambda rule: rule.rope_type)
SCALINGS: Mapping[str, type[Scaling]] = MappingProxyType({rule.rope_type: rule for rule in _found})
"""Every rule by its rope_type."""
