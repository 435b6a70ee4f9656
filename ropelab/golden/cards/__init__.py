"""The ropes that the goldens look at, as model cards: plain numbers, one file a family of rules.

A module may define ``CARDS`` (ropes of full size), ``LENGTHS`` (where a length-dependent rule is
asked), ``SMALL`` (the same rules in small heads, for rotations) and ``TOLERANCES`` (how near
float64 must come to a rule's frequencies, in ulp, and why).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from .card import Card
from .configs import CONFIGS

__all__ = ["CARDS", "CONFIGS", "LENGTHS", "SMALL", "TOLERANCES", "Card"]

_modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]


def _all(name: str) -> Mapping[str, Any]:
    """Merge the tables of that name of all modules."""
    tables = (getattr(module, name, {}) for module in _modules)
    return MappingProxyType({key: value for table in tables for key, value in table.items()})


CARDS: Mapping[str, Card] = _all("CARDS")
LENGTHS: Mapping[str, tuple[int | None, ...]] = _all("LENGTHS")
SMALL: Mapping[str, Card] = _all("SMALL")
TOLERANCES: Mapping[str, tuple[float, str]] = _all("TOLERANCES")
