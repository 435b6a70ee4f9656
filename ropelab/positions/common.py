"""Argument checks that several position schemes make."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_integers
from ..checks import integer

__all__ = ["LARGEST", "check_reach", "count", "integers"]

LARGEST = 2**63 - 1  # positions are int64


def count(value: object, name: str) -> int:
    """Return `value` as an int, or raise unless it is an integer from 0 to 2**63 - 1."""
    number = integer(value, name, "an integer >= 0")
    if not 0 <= number <= LARGEST:
        msg = f"{name}: expected an integer from 0 to 2**63 - 1; got {number}"
        raise ValueError(msg)
    return number


def integers(x: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return `x` as a new array of int64, or raise unless its numbers are integers of that range.

    Parameters
    ----------
    x : array-like of int
        Any integer dtype.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray of int64
        A copy.
    """
    given = as_integers(x, name)
    if given.size and int(given.max()) > LARGEST:
        msg = f"{name}: expected integers up to 2**63 - 1; got {int(given.max())}"
        raise ValueError(msg)
    return given.astype(np.int64)


def check_reach(first: int, steps: int, name: str) -> None:
    """Raise ValueError if `steps` steps from `first` leave the integers of 64 bits."""
    if first + steps > LARGEST:
        msg = f"{name}: expected positions up to 2**63 - 1; got {first} and {steps} steps after it"
        raise ValueError(msg)
