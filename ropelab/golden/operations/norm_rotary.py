"""Queries and keys that are normed and rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import oracle
from ..case import Array, Case, dtype_name
from ..implementation import Implementation
from .base import Answers, Index, Operation, given_spectrum, indices, numbers_of, rounded_to
from .rotations import scale_of, turns

__all__ = ["OPERATIONS"]

_PLACE = ("layout", "tensor_format", "output_layout", "rotary_offset")
_NORM = ("eps", "weight_offset")
_STORAGE = ("dtype", "scale")


def _told(case: Case, *names: str) -> dict[str, Any]:
    return {name: case.options[name] for name in (*_PLACE, *names) if name in case.options}


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    given = (arrays["q"], arrays["k"], arrays.get("q_weight"), arrays.get("k_weight"))
    not_json = {name: arrays[name][()] for name in _NORM if name in arrays}
    q, k = asked.apply_norm_rotary_qk(
        *given,
        arrays["position_ids"],
        given_spectrum(case, arrays),
        **{**_told(case, "angles", "across_heads", *_NORM, *_STORAGE), **not_json},
    )
    return {"q": q, "k": k}


def _attest(case: Case) -> Answers:
    turn = turns(case, "q", case.arguments)
    return {name: _one(case, name, turn) for name in ("q", "k")}


def _one(case: Case, name: str, turn: dict[Index, list[Any]]) -> Array:
    array, told = case.arguments[name], case.options
    numbers = oracle.normed(
        numbers_of(array),
        _weights(case, f"{name}_weight", array.shape[-1]),
        head_axis=told["tensor_format"].index("h") if told["across_heads"] else None,
        **{key: told[key] for key in _NORM},
    )
    numbers |= oracle.rotated(numbers, array.shape, turn, inverse=False, **_told(case))
    by = scale_of(case, name)
    ordered = [numbers[index] / by for index in indices(array.shape)]
    return rounded_to(ordered, array.shape, told.get("dtype", dtype_name(array.dtype)))


def _weights(case: Case, name: str, head_dim: int) -> dict[Index, Any] | None:
    """Return weights by channel, or by head and channel."""
    if name not in case.arguments:
        return None
    flat = numbers_of(case.arguments[name].reshape(-1)).values()
    if case.options["across_heads"]:
        return {divmod(i, head_dim): value for i, value in enumerate(flat)}
    return {(i,): value for i, value in enumerate(flat)}


OPERATIONS = {"apply_norm_rotary_qk": Operation(_ask, _attest)}
