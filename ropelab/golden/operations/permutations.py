"""Channels moved from one layout to the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import oracle
from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation

__all__ = ["OPERATIONS"]


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    function = getattr(asked, case.op)
    rotary_dim, axis = case.options["rotary_dim"], case.options["axis"]
    return {"x": function(arrays["x"], rotary_dim, axis=axis)}


def _attest(case: Case) -> Answers:
    source, target = ("interleaved", "half") if case.op == "to_half" else ("half", "interleaved")
    array, axis = case.arguments["x"], case.options["axis"]
    width = case.options["rotary_dim"] or array.shape[axis]
    order = oracle.permuted(array.shape[axis], width, source, target)
    return {"x": np.take(array, order, axis=axis)}


OPERATIONS = {name: Operation(_ask, _attest) for name in ("to_half", "to_interleaved")}
