"""Factors that depend on the position: xPos, and the scales of queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .numbers import Real, exactly, mp

__all__ = ["query_scale", "xpos"]


def xpos(distance: int, pair: int, pairs: int, scale_base: float) -> Real:
    """Return the decay of a pair of arXiv:2212.10554 at a distance from the centre."""
    gamma = mp.mpf(2) / 5
    zeta = (mp.mpf(pair) / pairs + gamma) / (1 + gamma)
    return mp.exp(distance / exactly(scale_base) * mp.log(zeta))


def query_scale(rule: str, position: int, parameters: Mapping[str, Any]) -> Real:
    """Return the factor of the query at a position, by the named rule."""
    return _RULES[rule](position, **parameters)


def _llama4(m: int, attn_scale: float = 0.1, floor_scale: int = 8192) -> Real:
    return 1 + exactly(attn_scale) * mp.log(1 + (m + 1) // floor_scale)


def _ministral(m: int, beta: float, original_max_position_embeddings: int) -> Real:
    return 1 + exactly(beta) * mp.log(1 + m // original_max_position_embeddings)


def _log_n(m: int, seq_length: int) -> Real:
    i = m + 1  # the list of Qwen counts tokens from 1
    return mp.log(i, seq_length) if i > seq_length else mp.mpf(1)


_RULES: Mapping[str, Callable[..., Real]] = {
    "Llama4Temperature": _llama4,
    "MinistralTemperature": _ministral,
    "LogN": _log_n,
}
