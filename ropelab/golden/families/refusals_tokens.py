"""Bad input of positions that an object says, and of tables of which positions name the rows.

What only the values of device memory tell has a path of its own, ``position-values``: a kernel's
host does not read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..case import Array, Case
from ..inputs import tensor
from .refusal import refused

__all__ = ["cases"]

_WORDS = {"layout": "half", "inverse": False}
_ROWS: dict[str, Any] = {**_WORDS, "tensor_format": "bshd"}
_PACK: dict[str, Any] = {**_WORDS, "tensor_format": "thd"}
_ROTATION = {"angles": "exact", "attention_factor": 1.0}


def cases() -> Iterator[Case]:
    """Yield every case of bad input.

    Yields
    ------
    Case
        One a refusal.
    """
    yield from _objects()
    yield from _values()
    yield from _tables()


def _asked(
    path: str, error: str, options: dict[str, Any], kind: str, held: dict[str, Any], **numbers: Any
) -> Case:
    shape = (6, 2, 8) if options["tensor_format"] == "thd" else (2, 3, 2, 8)
    arrays: dict[str, Array] = {"x": tensor(shape, "float32"), "inv_freq": np.ones(4)}
    arrays |= {name: np.array(values) for name, values in held.items()}
    told = {**options, **_ROTATION, "positions": {"kind": kind, **numbers}}
    return refused(path, "apply_rotary", error, told, arrays)


def _objects() -> Iterator[Case]:
    bounds = {"cu_seqlens": [0, 2, 6]}
    ranks = {"cp_size": 2, "cp_rank": 2}
    for name, error, options, kind, held, numbers in (
        ("offsets-of-three", "ValueError", _ROWS, "Consecutive", {"offset": [1, 2, 3]}, {}),
        ("offsets-of-two-axes", "ValueError", _ROWS, "Consecutive", {"offset": [[1], [2]]}, {}),
        ("offsets-of-a-pack", "ValueError", _PACK, "Consecutive", {"offset": [1, 2]}, {}),
        ("offset-float", "TypeError", _ROWS, "Consecutive", {}, {"offset": 1.5}),
        ("offset-bool", "TypeError", _ROWS, "Consecutive", {}, {"offset": True}),
        ("offset-none", "TypeError", _ROWS, "Consecutive", {}, {"offset": None}),
        ("offsets-float", "TypeError", _ROWS, "Consecutive", {"offset": [1.0, 2.0]}, {}),
        ("offset-of-65-bits", "ValueError", _ROWS, "Consecutive", {}, {"offset": 2**63}),
        ("offset-too-far", "ValueError", _ROWS, "Consecutive", {}, {"offset": 2**63 - 2}),
        ("pack-of-rows", "ValueError", _ROWS, "Packed", bounds, {}),
        ("pack-offsets", "ValueError", _PACK, "Packed", {**bounds, "offset": [1, 2, 3]}, {}),
        ("cu-seqlens-scalar", "ValueError", _PACK, "Packed", {"cu_seqlens": 6}, {}),
        ("cu-seqlens-two-axes", "ValueError", _PACK, "Packed", {"cu_seqlens": [[0, 6]]}, {}),
        ("cu-seqlens-float", "TypeError", _PACK, "Packed", {"cu_seqlens": [0.0, 6.0]}, {}),
        ("rank-too-large", "ValueError", _PACK, "Packed", bounds, ranks),
        ("rank-negative", "ValueError", _PACK, "Packed", bounds, {"cp_size": 2, "cp_rank": -1}),
        ("no-ranks", "ValueError", _PACK, "Packed", bounds, {"cp_size": 0}),
        ("half-a-rank", "TypeError", _PACK, "Packed", bounds, {"cp_size": 0.5}),
    ):
        yield _asked(f"position-objects/{name}", error, options, kind, dict(held), **numbers)


def _values() -> Iterator[Case]:
    ranks = {"cp_size": 2, "cp_rank": 1}
    for name, held, numbers in (
        ("decreasing", [0, 4, 2, 6], {}),
        ("not-from-0", [2, 6], {}),
        ("short", [0, 2, 5], {}),
        ("long", [0, 2, 7], {}),
        ("short-of-all-ranks", [0, 2, 6], ranks),
        ("no-piece-for-each-rank", [0, 2, 12], ranks),
    ):
        path = f"position-values/cu-seqlens-{name}"
        yield _asked(path, "ValueError", _PACK, "Packed", {"cu_seqlens": held}, **numbers)
    far = {"offset": [0, 2**63 - 2]}
    yield _asked("position-values/offsets-too-far", "ValueError", _ROWS, "Consecutive", far)


def _tables() -> Iterator[Case]:
    good = {
        "x": tensor((2, 3, 2, 8), "float32"),
        "cos": np.ones((5, 4)),
        "sin": np.zeros((5, 4)),
        "position_ids": np.array([0, 4, 1]),
    }
    wide = {"cos": np.ones((5, 10)), "sin": np.ones((5, 10))}
    odd = {"cos": np.ones((5, 7)), "sin": np.ones((5, 7))}
    empty = {"cos": np.ones((0, 4)), "sin": np.ones((0, 4))}
    rows = {"cos": np.ones((2, 3, 4)), "sin": np.ones((2, 3, 4))}
    for name, error, arrays, options in (
        ("past-the-end", "ValueError", {"position_ids": np.array([0, 5, 1])}, {}),
        ("far-past-the-end", "ValueError", {"position_ids": np.array([0, 2**32, 1])}, {}),
        ("negative", "ValueError", {"position_ids": np.array([0, -1, 1])}, {}),
        ("sin-shorter", "ValueError", {"sin": np.ones((4, 4))}, {}),
        ("sin-narrower", "ValueError", {"sin": np.ones((5, 3))}, {}),
        ("rows-by-token", "ValueError", rows, {}),
        ("no-rows", "ValueError", empty, {"overrun": "clamp"}),
        ("positions-float", "TypeError", {"position_ids": np.ones(3, np.float32)}, {}),
        ("positions-of-four", "ValueError", {"position_ids": np.arange(4)}, {}),
        ("too-wide", "ValueError", {"cos": np.ones((5, 8)), "sin": np.ones((5, 8))}, {}),
        ("repeated-too-wide", "ValueError", wide, {"repeated": True}),
        ("repeated-odd", "ValueError", odd, {"repeated": True}),
        ("repeated-is-1", "TypeError", {}, {"repeated": 1}),
        ("unknown-overrun", "ValueError", {}, {"overrun": "wrap"}),
    ):
        path = f"indexed-tables/{name}"
        yield refused(path, "apply_rotary_cached", error, {**_ROWS, **options}, {**good, **arrays})
    by_token = {**good, "cos": np.ones((3, 4)), "sin": np.ones((3, 4))}
    del by_token["position_ids"]
    path, told = "indexed-tables/clamp-without-positions", {**_ROWS, "overrun": "clamp"}
    yield refused(path, "apply_rotary_cached", "ValueError", told, by_token)
