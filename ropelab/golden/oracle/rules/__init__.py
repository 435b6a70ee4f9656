"""Every frequency rule once more, from its paper, in arbitrary precision.

A rope is described by plain numbers here, the way a model card would put them. A module of this
package may define ``FORMULAS`` (frequencies), ``AMPLITUDES`` (the factor of cos and sin, and that
of the softmax), ``INTEGERS`` (axes) and ``PERIODS``, each by rope_type. A card among a card's
parameters is an inner rule, for the same geometry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from ..numbers import Real, mp
from .common import Card

__all__ = ["FORMULAS", "amplitudes", "frequencies", "integers"]

_modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]


def _all(name: str) -> Mapping[str, Callable[..., Any]]:
    """Merge the tables of that name of all modules."""
    tables = (getattr(module, name, {}) for module in _modules)
    return MappingProxyType({key: formula for table in tables for key, formula in table.items()})


FORMULAS = _all("FORMULAS")
_AMPLITUDES, _INTEGERS, _PERIODS = _all("AMPLITUDES"), _all("INTEGERS"), _all("PERIODS")


def frequencies(card: Card, seq_len: int | None) -> list[Real]:
    """Return the angular speeds, radians per token, that a rope's card asks for.

    Parameters
    ----------
    card : mapping
        ``rotary_dim``, ``base``, ``rope_type``, the rule's parameters, and
        ``max_position_embeddings`` where the rule reads it.
    seq_len : int or None
        Current length.

    Returns
    -------
    list of mpf, length d/2
        Unrounded.
    """
    speeds: list[Real] = FORMULAS[card["rope_type"]](card, seq_len)
    return speeds


def amplitudes(card: Card, seq_len: int | None) -> list[Real]:
    """Return the factor of cos and sin, and that of the softmax scale: 1 and 1 by default."""
    if card["rope_type"] not in _AMPLITUDES:
        return [mp.mpf(1), mp.mpf(1)]
    return list(_AMPLITUDES[card["rope_type"]](card, seq_len))


def integers(card: Card, seq_len: int | None) -> dict[str, list[int]]:
    """Return the axes and the periods of the pairs, each only if there are any."""
    found: dict[str, list[int]] = {}
    if card.get("axes") is not None:
        found["axes"] = list(card["axes"])
    if card["rope_type"] in _INTEGERS:
        found |= _INTEGERS[card["rope_type"]](card)
    if card["rope_type"] in _PERIODS:
        found["periods"] = _PERIODS[card["rope_type"]](card, seq_len)
    return {name: values for name, values in found.items() if any(values)}
