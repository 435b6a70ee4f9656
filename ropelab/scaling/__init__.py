"""Frequency rules, one file each.

A rule is a frozen dataclass derived from `Scaling`, in a module of its own; `SCALINGS` finds it
there. Adding one touches no other file of this package; a re-export below is a convenience.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .base import Geometry, Scaling
from .deepseek_yarn import DeepSeekYaRN
from .default import Default
from .dynamic_ntk import DynamicNTK
from .dynamic_yarn import DynamicYaRN
from .linear import Linear
from .llama3 import Llama3
from .llama_cpp import LlamaCppYaRN
from .ntk import NTKAware
from .ntk_by_parts import NTKByParts
from .yarn import YaRN
from .yarn_exllamav2 import ExLlamaYaRN
from .yarn_paper import YaRNPaper

__all__ = [
    "SCALINGS",
    "DeepSeekYaRN",
    "Default",
    "DynamicNTK",
    "DynamicYaRN",
    "ExLlamaYaRN",
    "Geometry",
    "Linear",
    "Llama3",
    "LlamaCppYaRN",
    "NTKAware",
    "NTKByParts",
    "Scaling",
    "YaRN",
    "YaRNPaper",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def _rules(kind: type[Scaling]) -> Iterator[type[Scaling]]:
    """Yield every rule derived from a class, directly or from a rule."""
    for rule in kind.__subclasses__():
        yield rule
        yield from _rules(rule)


SCALINGS: Mapping[str, type[Scaling]] = MappingProxyType(
    {rule.rope_type: rule for rule in sorted(_rules(Scaling), key=lambda r: r.rope_type)}
)
"""Every rule by its rope_type."""
