"""What an operation of the goldens is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import ropelab

from .. import oracle
from ..case import STORED_DTYPES, Array, Case, bits_of, dtype_name
from ..implementation import Implementation

__all__ = [
    "Index",
    "Operation",
    "factors_of",
    "given_spectrum",
    "indices",
    "numbers_of",
    "position_at",
    "rounded_to",
]

Answers = dict[str, Array]
Index = tuple[int, ...]


class Operation(NamedTuple):
    """One kind of question: how it is put to an implementation, and how the oracle answers it.

    Parameters
    ----------
    ask : callable
        Takes the case, a copy of its arrays and the implementation; returns arrays by name.
    attest : callable
        Takes the case alone; uses no formula of the specification.
    """

    ask: Callable[[Case, Mapping[str, Array], Implementation], Answers]
    attest: Callable[[Case], Answers]


def indices(shape: Index) -> list[Index]:
    """Return every index of an array of that shape, row by row."""
    return list(product(*(range(length) for length in shape)))


def numbers_of(array: Array) -> dict[Index, Any]:
    """Return an array's elements as the oracle's numbers, by index."""
    values = oracle.from_bits(bits_of(array), dtype_name(array.dtype))
    return dict(zip(indices(array.shape), values, strict=True))


def rounded_to(values: list[Any], shape: Index, dtype: str) -> Array:
    """Return the oracle's numbers as an array, rounded once."""
    return oracle.rounded(values, dtype).view(STORED_DTYPES[dtype]).reshape(shape)


def position_at(positions: Array, index: Index, axis: int | None = None) -> int:
    """Return the position of a token; `axis` is None where positions have no axis of axes."""
    if axis is not None:
        positions = positions[axis]
    # NumPy's broadcasting, spelled out: align at the right, lengths of one repeat.
    trailing = index[len(index) - positions.ndim :]
    place = tuple(0 if n == 1 else i for i, n in zip(trailing, positions.shape, strict=True))
    return int(positions[place])


def given_spectrum(case: Case, arrays: Mapping[str, Array]) -> ropelab.Spectrum:
    """Return the Spectrum that a case gives by its numbers."""
    factor = case.options.get("attention_factor", 1.0)
    return ropelab.Spectrum(
        arrays["inv_freq"], factor, axes=arrays.get("axes"), periods=arrays.get("periods")
    )


def factors_of(spectrum: ropelab.Spectrum) -> Array:
    """Return [attention factor, softmax factor]."""
    return np.array([spectrum.attention_factor, spectrum.softmax_factor])
