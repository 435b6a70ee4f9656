"""What every family of bad input is made of: a call that must raise a named error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..case import Array, Case
from ..tolerances import equal

__all__ = ["MISSING", "refused", "refused_rope"]

MISSING = object()
"""Stands for a parameter that is left out."""


def refused(
    path: str,
    call: str,
    error: str,
    options: Mapping[str, Any],
    arrays: Mapping[str, Array] | None = None,
    flags: tuple[str, ...] = ("BadInput",),
) -> Case:
    """Return the case that an operation must raise an error.

    Parameters
    ----------
    path : str
        The id after its family.
    call : str
        The operation.
    error : {"TypeError", "ValueError"}
        What it must raise.
    options : mapping
        What the operation is told.
    arrays : mapping of str to ndarray, optional
        Its arrays.
    flags : tuple of str
        Of the case.

    Returns
    -------
    Case
        Of the family ``refused``.
    """
    told = {"call": call, "error": error, **options}
    return Case(f"refused/{path}", "refused", arrays or {}, told, equal(), flags)


def refused_rope(path: str, error: str, rope: Mapping[str, Any]) -> Case:
    """Return the case that a rope's spectrum must raise an error.

    Parameters
    ----------
    path : str
        The id after its family.
    error : {"TypeError", "ValueError"}
        What must be raised.
    rope : mapping
        The card. What is `MISSING` in it is left out; NaN and infinity, which JSON has not, are
        given as arrays.

    Returns
    -------
    Case
        Of the family ``refused``.
    """
    given = {key: value for key, value in rope.items() if value is not MISSING}
    arrays = {key: np.array(value) for key, value in given.items() if _is_not_json(value)}
    card = {key: value for key, value in given.items() if key not in arrays}
    return refused(path, "spectrum", error, {"rope": card, "seq_len": None}, arrays)


def _is_not_json(value: object) -> bool:
    try:
        json.dumps(value, default=dict, allow_nan=False)
    except ValueError:
        return True
    return False
