"""Query scales by position, and xPos (M7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Llama4Temperature, MinistralTemperature, Spectrum

from ...query_scale import QueryScale
from ..case import Array
from ..implementation import SPECIFICATION
from .harness import options_of_each
from .mutant import Entries

__all__ = ["ENTRIES"]


def _other_offset(rule: QueryScale, ids: Array) -> Array:
    """Count Llama 4's tokens from 0 and Ministral's from 1, each as the other does."""
    if isinstance(rule, Llama4Temperature):
        other: QueryScale = MinistralTemperature(rule.attn_scale, rule.floor_scale)
    elif isinstance(rule, MinistralTemperature):
        other = Llama4Temperature(rule.beta, rule.original_max_position_embeddings)
    else:
        other = rule
    return other.scale(ids)


def _of_the_longest(rule: QueryScale, ids: Array) -> Array:
    """Scale all queries of a batch as the last one of its longest sequence."""
    return np.full(ids.shape, rule.scale(ids.max()))


def _keys_scaled_as_queries(
    q: Array, k: Array, ids: Array, spectrum: Spectrum, **options: Any
) -> tuple[Array, Array]:
    of_q, of_k = options_of_each(options)
    turned = ropelab.apply_xpos_qk(q, k, ids, spectrum, **of_q)
    return turned[0], ropelab.apply_xpos_qk(k, k, ids, spectrum, **of_k)[0]


def _scaled_from_the_first(
    q: Array, k: Array, ids: Array, spectrum: Spectrum, **options: Any
) -> tuple[Array, Array]:
    """Scale from the first position of a call on, whatever was cached before it."""
    first = int(ids.ravel()[0])
    return ropelab.apply_xpos_qk(q, k, ids, spectrum, **{**options, "centre": first})


def _backward_undoes(
    q: Array, k: Array, ids: Array, spectrum: Spectrum, *, inverse: bool = False, **options: Any
) -> tuple[Array, Array]:
    """Take the inverse for the transpose: the gradient is divided by what it is to be scaled by."""
    if not inverse:
        return ropelab.apply_xpos_qk(q, k, ids, spectrum, **options)
    back = ropelab.apply_xpos_qk(k, q, ids, spectrum, inverse=True, **options)
    return back[1], back[0]


ENTRIES: Entries = {
    "temperature-of-the-other-offset": (
        "M7",
        "query temperature: Llama 4's tokens counted from 0, Ministral's from 1",
        replace(SPECIFICATION, query_scale=_other_offset),
    ),
    "temperature-of-the-longest": (
        "M8",
        "query scale of a batch's longest sequence for all of them",
        replace(SPECIFICATION, query_scale=_of_the_longest),
        "Qwen#401",
    ),
    "xpos-keys-scaled-as-queries": (
        "M7",
        "xPos: keys multiplied where they should be divided",
        replace(SPECIFICATION, apply_xpos_qk=_keys_scaled_as_queries),
    ),
    "xpos-offset-lost": (
        "M5",
        "xPos: the scale starts anew with each call, so that cached keys do not fit",
        replace(SPECIFICATION, apply_xpos_qk=_scaled_from_the_first),
        "rotary-embedding-torch#27",
    ),
    "xpos-backward-undoes-the-scale": (
        "M7",
        "xPos: the backward pass divides by the scale of the forward pass",
        replace(SPECIFICATION, apply_xpos_qk=_backward_undoes),
    ),
}
