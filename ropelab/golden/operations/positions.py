"""Positions of tokens, asked of a function of `ropelab.positions` by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..case import Array, Case
from ..implementation import Implementation
from ..oracle.positions import POSITIONS
from .base import Answers, Operation

__all__ = ["OPERATIONS"]


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    function = getattr(asked.positions, case.options["function"])
    return {"position_ids": _as_array(function(**arrays, **case.options["arguments"]))}


def _as_array(answer: Any) -> Array:
    """Return an answer as one array: several of the same shape stacked, Python's ints as int64."""
    if isinstance(answer, np.ndarray):
        return answer
    if isinstance(answer, tuple) and isinstance(answer[0], np.ndarray):
        return np.stack(answer)
    return np.array(answer, np.int64)


def _attest(case: Case) -> Answers:
    arrays = {name: array.tolist() for name, array in case.arguments.items()}
    answer = POSITIONS[case.options["function"]](**arrays, **case.options["arguments"])
    return {"position_ids": np.array(answer, np.int64)}


OPERATIONS = {"positions": Operation(_ask, _attest)}
