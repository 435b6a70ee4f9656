"""Rotations whose positions are said by an object: an offset to count from, or a pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ..case import DTYPES, Array, Case
from ..operations.given_positions import listed_positions
from .common import ANGLES, LAYOUTS
from .rotation import rotation

__all__ = ["cases", "said"]

_FLAGS = ("Offset", "PositionValues")
_ROWS = (2, 3, 1)  # batch, sequence, heads
# Sequences of 6, 0, 12 and 0 tokens, so that 3 ranks can share each.
_PACK = [0, 6, 6, 18, 18]
_TOKENS = (18, 1)
_FAR = [131_060, 7, -9, 2**31 - 5]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By dtype: offsets of whole batches, then packs and their shards.
    """
    for dtype in DTYPES:
        yield from _consecutive(dtype)
        yield from _packed(dtype)


def said(
    case: Case, kind: str, held: Mapping[str, Array], numbers: Mapping[str, int] | None = None
) -> Case:
    """Return a case whose positions an object says, in place of position ids.

    Parameters
    ----------
    case : Case
        With position ids.
    kind : {"Consecutive", "Packed"}
        The object's class.
    held : mapping of str to ndarray
        Its arrays.
    numbers : mapping of str to int, optional
        What else it is told.

    Returns
    -------
    Case
        The same question, of another way to say the positions.
    """
    arrays = {name: array for name, array in case.arguments.items() if name != "position_ids"}
    options = {**case.options, "positions": {"kind": kind, **(numbers or {})}}
    return replace(case, arguments={**arrays, **held}, options=options)


def _rotation(
    path: str,
    dtype: str,
    kind: str,
    held: Mapping[str, Array] | None = None,
    *,
    axes: Array | None = None,
    numbers: Mapping[str, int] | None = None,
    **options: Any,
) -> Case:
    """Return a rotation by an object, whose tolerance knows how far its positions reach."""
    extra = {} if axes is None else {"axes": axes}
    told = (kind, held or {}, numbers)
    plain = rotation(path, dtype, flags=_FLAGS, arrays=extra, **options)
    ids = listed_positions(said(plain, *told))
    known = rotation(path, dtype, flags=_FLAGS, arrays={**extra, "position_ids": ids}, **options)
    return said(known, *told)


def _consecutive(dtype: str) -> Iterator[Case]:
    for layout, angles in product(LAYOUTS, ANGLES):
        options: dict[str, Any] = {"layout": layout, "angles": angles, "shape": _ROWS}
        yield _rotation(
            f"rotary/consecutive/number/{layout}/{angles}",
            dtype,
            "Consecutive",
            numbers={"offset": 131_060},
            **options,
        )
    for name, offset, axes, inverse in (
        ("each", np.array([2**31 - 3, -70_001], np.int64), "bshd", False),
        ("each-int32", np.array([-(2**31), 2**24 + 1], np.int32), "bhsd", True),
        ("one-uint8", np.array([255], np.uint8), "sbhd", False),
        ("scalar", np.array(40_961, np.int64), "bshd", True),
    ):
        options = {"tensor_format": axes, "inverse": inverse, "shape": _ROWS}
        path = f"rotary/consecutive/{name}"
        yield _rotation(path, dtype, "Consecutive", {"offset": offset}, **options)
    for name, shape, axes, first in (
        ("across-zero", (1, 5, 1), "bshd", -2),
        ("thd", (5, 2), "thd", 2**31 - 3),
        ("start", (2, 4, 1), "bhsd", 0),
    ):
        options = {"tensor_format": axes, "shape": shape}
        path = f"rotary/consecutive/{name}"
        yield _rotation(path, dtype, "Consecutive", numbers={"offset": first}, **options)
    three = np.array([0, 1, 2, 0, 1, 2, 0, 0], np.int64)  # text: one position on all three axes
    offset = np.array([131_071, 9], np.int64)
    path = "rotary/consecutive/axes"
    yield _rotation(path, dtype, "Consecutive", {"offset": offset}, axes=three, shape=_ROWS)
    path, held = "qk/consecutive", {"offset": np.array([77, 100_003], np.int32)}
    yield _rotation(path, dtype, "Consecutive", held, shape=(2, 3, 4), heads_k=1)


def _packed(dtype: str) -> Iterator[Case]:
    bounds, wide = np.array(_PACK, np.int32), np.array(_PACK, np.int64)
    offsets = np.array(_FAR, np.int64)
    held: dict[str, Array] = {"cu_seqlens": bounds}
    numbers: dict[str, int]
    thd: dict[str, Any] = {"tensor_format": "thd", "shape": _TOKENS}
    for layout in LAYOUTS:
        yield _rotation(
            f"rotary/packed/from-0/{layout}", dtype, "Packed", held, layout=layout, **thd
        )
    held = {"cu_seqlens": wide, "offset": offsets}
    yield _rotation("rotary/packed/offsets", dtype, "Packed", held, inverse=True, **thd)
    held, numbers = {"cu_seqlens": bounds}, {"offset": 1_048_575}
    path = "rotary/packed/one-offset"
    yield _rotation(path, dtype, "Packed", held, numbers=numbers, angles="float32", **thd)
    three = np.array([0, 0, 1, 1, 1, 2, 2, 2], np.int64)
    yield _rotation("rotary/packed/axes", dtype, "Packed", held, axes=three, **thd)
    held = {"cu_seqlens": bounds, "offset": offsets}
    yield _rotation("qk/packed", dtype, "Packed", held, heads_k=3, **thd)
    for size, rank in ((3, 0), (3, 1), (3, 2)):
        numbers = {"cp_size": size, "cp_rank": rank}
        shard = {**thd, "shape": (_TOKENS[0] // size, 2)}
        path, held = f"rotary/packed/rank-{rank}-of-{size}", {"cu_seqlens": wide, "offset": offsets}
        yield _rotation(path, dtype, "Packed", held, numbers=numbers, **shard)
