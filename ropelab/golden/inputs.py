"""Inputs of the goldens: integer formulas, so that any language can make them again."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from .case import DTYPES, Array

__all__ = ["GRID", "one_hot", "positions", "splitmix64", "tensor"]

# Where tables end, formats run out of integers, and signed words overflow.
GRID = (
    *(0, 1, 2, 255, 256, 257, 1023, 2047, 4095, 8191, 32767, 65535, 131071, 1048575),
    *(2**24 - 1, 2**24 + 1, 2**31 - 1),
)

_MASK = 2**64 - 1


def splitmix64(seed: int, count: int) -> list[int]:
    """Return the first numbers of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, fig. 13).

    Parameters
    ----------
    seed : int
        The starting state.
    count : int
        How many.

    Returns
    -------
    list of int
        Each below 2**64.

    Examples
    --------
    >>> splitmix64(0, 1)
    [16294208416658607535]
    """
    numbers, state = [], seed
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        numbers.append(z ^ (z >> 31))
    return numbers


def tensor(shape: tuple[int, ...], dtype: str, seed: int = 1) -> Array:
    """Return n / 64 with n from 1 to 127 and either sign: exact in all four formats."""
    words = splitmix64(seed, prod(shape))
    values = [(-1) ** (word >> 63) * (1 + word % 127) / 64 for word in words]
    return _typed(np.array(values).reshape(shape), dtype)


def one_hot(head_dim: int, dtype: str) -> Array:
    """Return unit vectors e_0, e_1, ... as the heads of a single token: (1, 1, D, D)."""
    return _typed(np.eye(head_dim)[np.newaxis, np.newaxis], dtype)


def _typed(values: NDArray[np.float64], dtype: str) -> Array:
    if dtype != "bfloat16":
        return values.astype(dtype)
    # Eight significant bits: the upper half of a float32 holds each of them exactly.
    bits = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return bits.view(DTYPES[dtype])


def positions(form: str, batch: int, sequence: int) -> Array:
    """Return position ids of a named form; shape (batch, sequence) unless the form says else."""
    row = np.arange(sequence, dtype=np.int64)
    column = np.arange(batch, dtype=np.int64)[:, np.newaxis]
    grid = np.array([GRID[-1 - i % len(GRID)] for i in range(batch * sequence)], np.int64)
    shuffled = np.array([word % 131_072 for word in splitmix64(7, batch * sequence)], np.int64)
    forms: Mapping[str, Array] = {
        "grid": grid.reshape(batch, sequence),
        "shuffled": shuffled.reshape(batch, sequence),
        "repeated": np.full((batch, sequence), 40_961) - column,
        "offset": row + 131_060 + 1_000_003 * column,
        "negative": -(2**31 - 1) + 977 * row + 65_537 * column,
        "row": row[::-1] * 9_973 + 3,
        "column": column * 777_777 + 5,
        "scalar": np.array(1_048_573),
        "int32": (grid.reshape(batch, sequence) * (-1) ** column).astype(np.int32),
        "int16": (32_767 - 5 * row).astype(np.int16),
        "uint8": (255 - row).astype(np.uint8),
    }
    return forms[form].copy()
