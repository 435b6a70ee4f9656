"""A rope in plain numbers, the way a model card would put it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["Card", "card"]

Card = Mapping[str, Any]


def card(
    head_dim: int,
    base: float,
    rope_type: str = "default",
    *,
    rotary_dim: int | None = None,
    layout: str = "half",
    length: int | None = None,
    **parameters: Any,
) -> Card:
    """Return a card.

    Parameters
    ----------
    head_dim : int
        Channels of a head.
    base : float
        Base of the frequencies.
    rope_type : str
        The rule's name in `ropelab.SCALINGS`.
    rotary_dim : int, optional
        Rotated channels; by default all.
    layout : str
        Which two channels form a pair.
    length : int, optional
        ``max_position_embeddings``.
    **parameters : JSON value
        Those of the rule; a mapping with a ``rope_type`` is the card of an inner rule.

    Returns
    -------
    mapping
        Read-only.
    """
    return MappingProxyType(
        {
            "head_dim": head_dim,
            "rotary_dim": head_dim if rotary_dim is None else rotary_dim,
            "base": base,
            "layout": layout,
            "max_position_embeddings": length,
            "rope_type": rope_type,
            **parameters,
        }
    )
