"""The positions of a rotation case: listed, or said by an object that its options describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..case import Array, Case
from ..implementation import Implementation
from ..oracle.positions import POSITIONS
from .base import Index

__all__ = ["given_positions", "is_positioned", "listed_positions", "token_shape"]

_ARRAYS = ("offset", "cu_seqlens")  # what an object may hold as an argument of the case


def is_positioned(case: Case) -> bool:
    """Say whether a case has positions at all, which given tables need not."""
    return "position_ids" in case.arguments or "positions" in case.options


def given_positions(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Any:
    """Return a case's position ids, or its object as an implementation makes it."""
    if "positions" not in case.options:
        return arrays["position_ids"]
    told = dict(case.options["positions"])
    held = {name: arrays[name] for name in _ARRAYS if name in arrays}
    return getattr(asked.positions, told.pop("kind"))(**told, **held)


def listed_positions(case: Case) -> Array:
    """Return a case's position ids, counted by the oracle if an object says them."""
    if "positions" not in case.options:
        return case.arguments["position_ids"]
    told = dict(case.options["positions"])
    held = {name: case.arguments[name].tolist() for name in _ARRAYS if name in case.arguments}
    tensor = next(name for name in ("x", "q") if name in case.arguments)
    ids = np.array(POSITIONS[told.pop("kind")](token_shape(case, tensor), **told, **held), np.int64)
    if "axes" not in case.arguments:
        return ids
    return np.stack([ids] * (int(case.arguments["axes"].max()) + 1))


def token_shape(case: Case, name: str) -> Index:
    """Return (batch, sequence) or (tokens,) of a tensor."""
    axes, shape = case.options["tensor_format"], case.arguments[name].shape
    order = "t" if "t" in axes else "bs"
    return tuple(shape[axes.index(axis)] for axis in order)
