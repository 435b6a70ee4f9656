"""Given tables: rows by position, and values that stand twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ropelab import Spectrum, apply_rotary, apply_rotary_cached, cos_sin
from ropelab.positions import Consecutive, Packed
from tests.ropelab.support import numbers, refuses

LENGTH, PAIRS = 9, 4
SPECTRUM = Spectrum([1.0, 0.3, 0.07, 1e-3])
COS, SIN = cos_sin(np.arange(LENGTH), SPECTRUM, dtype=np.float64)
X = numbers(2, 3, 2, 10)
IDS = np.array([[8, 0, 3], [5, 8, 1]])


def twice(table: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    return np.tile(table, 2) if layout == "half" else np.repeat(table, 2, -1)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("repeated", [False, True])
def test_row_m_serves_position_m(dtype: type[Any], layout: str, repeated: bool) -> None:
    tables = [twice(table, layout) if repeated else table for table in (COS, SIN)]
    options: dict[str, Any] = {"layout": layout, "rotary_offset": 1, "inverse": True}
    ids = IDS.astype(dtype)
    rows = apply_rotary_cached(X, *tables, position_ids=ids, repeated=repeated, **options)
    assert rows.tobytes() == apply_rotary(X, IDS, SPECTRUM, **options).tobytes()
    wide = [table[IDS] for table in tables]
    by_token = apply_rotary_cached(X, *wide, repeated=repeated, **options)
    assert by_token.tobytes() == rows.tobytes()


@pytest.mark.parametrize("inverse", [False, True])
def test_repeated_columns_lie_as_the_rotated_pairs_do(inverse: bool) -> None:
    options: dict[str, Any] = {"layout": "interleaved", "output_layout": "half", "inverse": inverse}
    tables = [twice(table, "half") for table in (COS, SIN)]
    rows = apply_rotary_cached(X, *tables, position_ids=IDS, repeated=True, **options)
    assert rows.tobytes() == apply_rotary(X, IDS, SPECTRUM, **options).tobytes()


def test_objects_name_the_rows() -> None:
    said = apply_rotary_cached(X, COS, SIN, position_ids=Consecutive([6, 2]))
    ids = np.array([[6, 7, 8], [2, 3, 4]])
    assert said.tobytes() == apply_rotary(X, ids, SPECTRUM).tobytes()
    place = {"tensor_format": "thd"}
    pack = Packed([0, 2, 3], 6)
    said = apply_rotary_cached(X[0], COS, SIN, position_ids=pack, **place)  # type: ignore[arg-type]
    assert said.tobytes() == apply_rotary(X[0], [6, 7, 6], SPECTRUM, **place).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("past", [LENGTH, 2**31, 2**63 - 1, -1, -(2**63)])
def test_a_position_without_a_row_is_an_error_or_takes_the_nearest(past: int) -> None:
    ids = np.array([past, 3, 0])
    with refuses(ValueError, "position_ids", f"got position {past};", "'clamp'", "9 rows"):
        apply_rotary_cached(X, COS, SIN, position_ids=ids)
    nearest = [0 if past < 0 else LENGTH - 1, 3, 0]
    clamped = apply_rotary_cached(X, COS, SIN, position_ids=ids, overrun="clamp")
    assert clamped.tobytes() == apply_rotary(X, nearest, SPECTRUM).tobytes()


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ({"position_ids": [0.0, 1.0, 2.0]}, TypeError, "position_ids"),
        ({"position_ids": np.zeros((3, 3), int)}, ValueError, "position_ids"),
        ({"position_ids": Packed([0, 6])}, ValueError, "position_ids"),
        ({"position_ids": None, "overrun": "clamp"}, ValueError, "overrun"),
        ({"overrun": "wrap"}, ValueError, "overrun"),
        ({"overrun": None}, ValueError, "overrun"),
        ({"repeated": 1}, TypeError, "repeated"),
        ({"cos": COS[np.newaxis]}, ValueError, "cos"),
        ({"cos": COS[:0], "sin": SIN[:0], "overrun": "clamp"}, ValueError, "cos"),
        ({"cos": COS[0]}, ValueError, "cos"),
        ({"sin": SIN[:8]}, ValueError, "sin"),
        ({"sin": SIN[:, :3]}, ValueError, "sin"),
        ({"cos": COS[:, :3], "repeated": True}, ValueError, "cos"),
        ({"cos": np.ones((9, 12)), "repeated": True}, ValueError, "cos"),
        ({"cos": np.ones((9, 0)), "repeated": True}, ValueError, "cos"),
        ({"cos": 1.0, "repeated": True}, ValueError, "cos"),
    ],
)
def test_tables_and_words_that_do_not_fit(
    given: dict[str, Any], kind: type[Exception], name: str
) -> None:
    good = {"cos": COS, "sin": SIN, "position_ids": [0, 1, 2]}
    if given.get("position_ids", 0) is None:
        good |= {"cos": COS[:3], "sin": SIN[:3]}
    with refuses(kind, name):
        apply_rotary_cached(X, **{**good, **given})
