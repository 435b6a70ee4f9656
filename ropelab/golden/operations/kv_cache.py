"""Queries that are rotated, and keys and values that are written into caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import oracle
from ..case import Array, Case, dtype_name
from ..implementation import Implementation
from .base import (
    Answers,
    Index,
    Operation,
    given_spectrum,
    indices,
    numbers_of,
    position_at,
    rounded_to,
)
from .rotations import turns

__all__ = ["OPERATIONS"]

_PLACE = ("layout", "tensor_format", "output_layout", "rotary_offset")
_TOLD = (*_PLACE, "angles", "k_scale", "v_scale")


def _told(case: Case, *names: str) -> dict[str, Any]:
    return {name: case.options[name] for name in names if name in case.options}


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    """Ask for the queries and for what the caches hold afterwards, in memory of any order."""
    caches = [_in_memory(case, arrays[name]) for name in ("k_cache", "v_cache")]
    q = asked.apply_rotary_kv_cache(
        *(arrays[name] for name in ("q", "k", "v", "position_ids")),
        given_spectrum(case, arrays),
        *caches,
        arrays["slots"],
        **_told(case, *_TOLD),
    )
    k_cache, v_cache = (np.ascontiguousarray(cache) for cache in caches)
    return {"q": q, "k_cache": k_cache, "v_cache": v_cache}


def _in_memory(case: Case, cache: Array) -> Array:
    """Return a copy of a cache, with the heads before the rows in memory if the case says so."""
    if case.options.get("heads_first", False):
        return cache.swapaxes(1, 2).copy().swapaxes(1, 2)
    return cache.copy()


def _attest(case: Case) -> Answers:
    turn = turns(case, "q", case.arguments)
    answers = {"q": _rotated(case, "q", turn, case.arguments["q"], None)}
    for name in ("k", "v"):
        cache = case.arguments[f"{name}_cache"]
        rows = _rotated(case, name, turn if name == "k" else {}, cache, f"{name}_scale")
        answers[f"{name}_cache"] = _written(case, cache, rows)
    return answers


def _rotated(
    case: Case, name: str, turn: dict[Index, list[Any]], target: Array, scale: str | None
) -> Array:
    """Return a tensor as it is stored: rotated if there are turns for it, over a scale if any."""
    array, dtype = case.arguments[name], dtype_name(target.dtype)
    numbers, divisor = numbers_of(array), case.options.get(scale or "", 1.0)
    place = _told(case, *_PLACE)
    moved = oracle.rotated(numbers, array.shape, turn, inverse=False, **place) if turn else {}
    kept = dtype == dtype_name(array.dtype) and divisor == 1.0
    numbers = {index: value / oracle.exactly(divisor) for index, value in (numbers | moved).items()}
    result = rounded_to([numbers[index] for index in indices(array.shape)], array.shape, dtype)
    for index in indices(array.shape) if kept else ():
        if index not in moved:
            result[index] = array[index]
    return result


def _written(case: Case, cache: Array, rows: Array) -> Array:
    """Return a cache with the row of each token at its slot, if it has one."""
    axes, size = case.options["tensor_format"], cache.shape[1]
    result = cache.copy()
    for index in indices(rows.shape[:-1]):
        place = dict(zip(axes, index, strict=False))
        token = (place["t"],) if "t" in place else (place["b"], place["s"])
        slot = position_at(case.arguments["slots"], token)
        if slot >= 0:
            result[slot // size, slot % size, place["h"]] = rows[index]
    return result


OPERATIONS = {"apply_rotary_kv_cache": Operation(_ask, _attest)}
