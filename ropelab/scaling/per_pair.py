"""Lists of one number a pair, as some rules take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import as_reals

__all__ = ["check_pairs", "positive_numbers", "real_numbers"]


def real_numbers(values: ArrayLike, name: str) -> tuple[float, ...]:
    """Return a list of finite numbers as a tuple, which can be hashed; or raise."""
    numbers = as_reals(values, name)
    if numbers.ndim != 1 or numbers.size == 0:
        msg = f"{name}: expected a list of numbers, one a pair; got shape {numbers.shape}"
        raise ValueError(msg)
    _check_each(numbers.tolist(), np.isfinite(numbers).tolist(), name, "finite")
    return tuple(numbers.tolist())


def positive_numbers(values: ArrayLike, name: str) -> tuple[float, ...]:
    """Return a list of finite numbers above zero as a tuple, or raise."""
    numbers = real_numbers(values, name)
    _check_each(numbers, [number > 0.0 for number in numbers], name, "positive")
    return numbers


def check_pairs(values: Sequence[float], rotary_dim: int, name: str) -> None:
    """Raise ValueError unless there is one number for each pair."""
    if len(values) != rotary_dim // 2:
        msg = (
            f"{name}: expected {rotary_dim // 2} numbers, one a pair of rotary_dim {rotary_dim}; "
            f"got {len(values)}; is rotary_dim, or partial_rotary_factor, that of the model?"
        )
        raise ValueError(msg)


def _check_each(values: Sequence[float], good: Sequence[bool], name: str, kind: str) -> None:
    if not all(good):
        worst = list(good).index(False)
        msg = f"{name}: expected {kind} numbers; got {values[worst]} at pair {worst}"
        raise ValueError(msg)
