"""Frequency rules, one file each.

A rule is a frozen dataclass derived from `Scaling`, in a module of its own; `SCALINGS` finds it
there. Adding one touches no other file of this package; a re-export below is a convenience.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .axial import Axial
from .base import Geometry, Scaling
from .default import Default
from .dynamic_ntk import DynamicNTK
from .linear import Linear
from .llama3 import Llama3
from .ntk import NTKAware

__all__ = [
    "SCALINGS",
    "Axial",
    "Default",
    "DynamicNTK",
    "Geometry",
    "Linear",
    "Llama3",
    "NTKAware",
    "Scaling",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

SCALINGS: Mapping[str, type[Scaling]] = MappingProxyType(
    {rule.rope_type: rule for rule in sorted(Scaling.__subclasses__(), key=lambda r: r.rope_type)}
)
"""Every rule by its rope_type."""
