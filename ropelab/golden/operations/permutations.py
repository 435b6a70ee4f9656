"""Channels moved from one layout to the other: of activations, and as rows of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import oracle
from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation

__all__ = ["OPERATIONS"]


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    function = getattr(asked, case.op)
    axis = case.options["axis"]  # said where it is not the last: kernels know that one alone
    said = {} if axis == -1 else {"axis": axis}
    return {"x": function(arrays["x"], case.options["rotary_dim"], **said)}


def _attest(case: Case) -> Answers:
    source, target = ("interleaved", "half") if case.op == "to_half" else ("half", "interleaved")
    array, axis = case.arguments["x"], case.options["axis"]
    width = case.options["rotary_dim"] or array.shape[axis]
    order = oracle.permuted(array.shape[axis], width, source, target)
    return {"x": np.take(array, order, axis=axis)}


_COUNTS = ("num_heads", "num_kv_heads")
_WORDS = ("target", "arrangement", "rotary_dim", "rotary_offset")


def _ask_weight(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    counts = [case.options[name] for name in _COUNTS if name in case.options]
    told = {name: case.options[name] for name in _WORDS if name in case.options}
    function = asked.permute_qkv_weight if len(counts) == 2 else asked.permute_qk_weight
    return {"weight": function(arrays["weight"], *counts, **told)}


def _attest_weight(case: Case) -> Answers:
    """Find for each new row the old one: in each head that is rotated, whatever lies around it."""
    weight, told = case.arguments["weight"], case.options
    owners = _owners(told)
    head_dim = weight.shape[0] // len(owners)
    d, first = told.get("rotary_dim") or head_dim, told.get("rotary_offset", 0)
    other = {"half": "interleaved", "interleaved": "half"}[told["target"]]
    moved = oracle.permuted(d, d, other, told["target"])
    within = [*range(first), *(first + channel for channel in moved), *range(first + d, head_dim)]
    order = [
        head * head_dim + (channel if owner == "v" else within[channel])
        for head, owner in enumerate(owners)
        for channel in range(head_dim)
    ]
    return {"weight": weight[order]}


def _owners(told: Mapping[str, Any]) -> str:
    """Return for each head of a projection's rows whose it is: a query's, a key's or a value's."""
    queries: int = told["num_heads"]
    if "num_kv_heads" not in told:
        return "q" * queries
    keys: int = told["num_kv_heads"]
    if told["arrangement"] == "concatenated":
        return "q" * queries + "k" * keys + "v" * keys
    return ("q" * (queries // keys) + "kv") * keys


OPERATIONS = {
    **{name: Operation(_ask, _attest) for name in ("to_half", "to_interleaved")},
    **{
        name: Operation(_ask_weight, _attest_weight)
        for name in ("permute_qk_weight", "permute_qkv_weight")
    },
}
